"""Distances of samples to real pictures, while training."""

from ignite.engine import Engine, Events

from genbench.console import say
from genbench.evaluate.distances import val_distances
from genbench.metrics import ScoreName
from genbench.metrics.table import LEAST
from genbench.model import Model


def attach_scores(trainer: Engine, evaluator: Engine, model: Model) -> None:
    """Score the samples against the val split every `eval_every` epochs and at the last one."""
    every, n = model.config.eval_every, len(model.data.splits["val"])
    if not every:
        return
    if n < LEAST:
        say(f"no scores while training: {n} validation pictures, {LEAST} needed; try --crops")

    @evaluator.on(Events.EPOCH_COMPLETED)
    def score() -> None:
        metrics = evaluator.state.metrics
        for name in [name for name in metrics if ScoreName.parse(name).is_sample_score]:
            del metrics[name]  # of an earlier epoch
        epoch, last = trainer.state.epoch, trainer.state.max_epochs
        if epoch % every == 0 or epoch == last or trainer.should_terminate:
            evaluator.state.metrics |= val_distances(model)
