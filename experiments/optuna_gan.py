"""Search the GAN's hyper-parameters, then train the best: python experiments/optuna_gan.py."""

from genbench.cli import search_main

if __name__ == "__main__":
    search_main("gan")
