"""The default GAN against the DCGAN of 2015: python experiments/gan_versus_dcgan.py."""

from genbench.cli import contest_main

if __name__ == "__main__":
    contest_main()
