"""Search flow matching, then train the best: python experiments/optuna_flow.py."""

from genbench.cli import search_main

if __name__ == "__main__":
    search_main("flow")
