"""Search the AE's hyper-parameters, then train the best: python experiments/optuna_ae.py."""

from pathlib import Path

from genbench.cli import search_main
from genbench.families.ae import AEConfig

if __name__ == "__main__":
    search_main(AEConfig, Path(__file__).parents[1] / "sweeps" / "ae.yaml")
