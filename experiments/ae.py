"""Train one autoencoder: python experiments/ae.py --latent_dim=16 --epochs=10."""

from genbench.cli import train_main
from genbench.families.ae import AEConfig

if __name__ == "__main__":
    train_main(AEConfig)
