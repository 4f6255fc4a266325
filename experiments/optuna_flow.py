"""Search flow matching, then train the best: python experiments/optuna_flow.py."""

from pathlib import Path

from genbench.cli import search_main
from genbench.families.flow import FlowConfig

if __name__ == "__main__":
    search_main(FlowConfig, Path(__file__).parents[1] / "sweeps" / "flow.yaml")
