"""Train one flow-matching model: python experiments/flow.py --data=mnist-mini --image_size=32."""

from genbench.cli import train_main

if __name__ == "__main__":
    train_main("flow")
