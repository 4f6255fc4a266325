"""Search the VAE's hyper-parameters, then train the best: python experiments/optuna_vae.py."""

from pathlib import Path

from genbench.cli import search_main
from genbench.families.vae import VAEConfig

if __name__ == "__main__":
    search_main(VAEConfig, Path(__file__).parents[1] / "sweeps" / "vae.yaml")
