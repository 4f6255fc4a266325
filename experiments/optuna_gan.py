"""Search the GAN's hyper-parameters, then train the best: python experiments/optuna_gan.py."""

from pathlib import Path

from genbench.cli import search_main
from genbench.families.gan import GANConfig

if __name__ == "__main__":
    search_main(GANConfig, Path(__file__).parents[1] / "sweeps" / "gan.yaml")
