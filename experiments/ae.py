"""Train one autoencoder: python experiments/ae.py --latent_dim=16 --epochs=10."""

from genbench.cli import train_main

if __name__ == "__main__":
    train_main("ae")
