"""Train one variational autoencoder: python experiments/vae.py --latent_dim=16 --epochs=10."""

from genbench.cli import train_main
from genbench.families.vae import VAEConfig

if __name__ == "__main__":
    train_main(VAEConfig)
