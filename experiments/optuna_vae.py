"""Search the VAE's hyper-parameters, then train the best: python experiments/optuna_vae.py."""

from genbench.cli import search_main

if __name__ == "__main__":
    search_main("vae")
