"""Train one GAN: python experiments/gan.py --data=folder --data_dir=PICTURES --epochs=25."""

from genbench.cli import train_main

if __name__ == "__main__":
    train_main("gan")
