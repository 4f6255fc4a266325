"""What a search's trial adds to its training: an end before the last epoch."""

import optuna
from ignite.engine import Engine, Events
from optuna_integration import PyTorchIgnitePruningHandler

from genbench import UserError
from genbench.evaluate.distances import late
from genbench.handlers.training import over
from genbench.metrics import stability
from genbench.record import Run


def attach_pruning(
    trainer: Engine, evaluator: Engine, run: Run, trial: optuna.Trial, name: str
) -> None:
    """Report the validation scalar `name` to Optuna every epoch, and stop where it says so.

    Of a run that goes on, the epochs before are reported first.
    """
    for row in run.rows:
        if row["split"] == "val" and name in row:
            trial.report(row[name], round(row["epoch"]))
    handler = PyTorchIgnitePruningHandler(trial, name, trainer)

    @evaluator.on(Events.COMPLETED)
    def prune() -> None:
        if late(name) and name not in evaluator.state.metrics:
            return  # patience may end a training between two scores: they are measured at its end
        if name not in evaluator.state.metrics:
            known = ", ".join(f"val/{known}" for known in evaluator.state.metrics)
            raise UserError(f"metric: val/{name} is never logged; choose one of {known}")
        if over(trainer):
            trial.report(evaluator.state.metrics[name], trainer.state.epoch)
            return  # nothing left to save: a run that is done is a finished one
        try:
            handler(evaluator)
        except optuna.TrialPruned:
            run.status = "pruned"
            raise


def attach_giving_up(trainer: Engine, evaluator: Engine, run: Run, trial: optuna.Trial) -> None:
    """Prune the run of a search that prunes once it is hopeless (`stability.hopeless`).

    Raises:
        optuna.TrialPruned: With the reason.
    """
    if isinstance(trial.study.pruner, optuna.pruners.NopPruner):
        return

    @evaluator.on(Events.COMPLETED)
    def give_up() -> None:
        why = stability.hopeless(run.rows)
        if why and not over(trainer):
            run.status = "pruned"
            raise optuna.TrialPruned(why)
