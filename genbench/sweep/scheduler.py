"""`scheduler` of a sweep file: who proposes its runs, as `wandb sweep-scheduler` reads it."""

from genbench import UserError
from genbench.sweep.distributions import refuse_unknown
from genbench.sweep.lines import Sheet

ENGINES = ("optuna", "ax", "wandb")
USER_CODE = ("source", "search_space", "optimizer")
# Distributions of which W&B's optuna engine knows none, though Optuna has them.
NOT_OF_ITS_OPTUNA = {
    *("log_uniform", "inv_log_uniform", "inv_log_uniform_values", "q_log_uniform"),
}


def read_engine(sheet: Sheet) -> str:
    """The engine, and a problem for what it cannot propose; empty: none is named."""
    entry = sheet.content.get("scheduler")
    if entry is None:
        return ""
    if not isinstance(entry, dict) or entry.get("engine") not in ENGINES:
        sheet.problem(("scheduler", "engine"), f"scheduler: engine must be {' or '.join(ENGINES)}")
        return ""
    for key in entry:
        with sheet.noting("scheduler", key):
            if key in USER_CODE:
                raise UserError(f"scheduler: {key} names your own code, never run here; delete it")
            refuse_unknown({key: 0}, ("engine",), "key of scheduler")
    if entry["engine"] == "optuna":
        for name, parameter in sheet.content["parameters"].items():
            with sheet.noting("parameters", name):
                _known_to_optuna(name, parameter)
    return entry["engine"]


def _known_to_optuna(name: str, parameter: object) -> None:
    kind = parameter.get("distribution") if isinstance(parameter, dict) else None
    if isinstance(kind, str) and kind in NOT_OF_ITS_OPTUNA:
        known = "q_log_uniform_values" if kind.startswith("q_") else "log_uniform_values"
        raise UserError(f"{name}: W&B's engine optuna does not know {kind}; write {known}")
