"""Side effects of a training, each attached to the bare engines by one function."""

from genbench.handlers.checkpoint import Best, Checkpoints, Part, attach_checkpoints, tidy
from genbench.handlers.costs import attach_costs
from genbench.handlers.health import attach_health
from genbench.handlers.pictures import attach_pictures
from genbench.handlers.scores import attach_scores
from genbench.handlers.stopping import signals_between_steps
from genbench.handlers.training import (
    Diverged,
    attach_early_stopping,
    attach_lr_decay,
    attach_time_limit,
    attach_training_log,
    attach_validation,
    progress_bar,
)

__all__ = [
    "Best",
    "Checkpoints",
    "Diverged",
    "Part",
    "attach_checkpoints",
    "attach_costs",
    "attach_early_stopping",
    "attach_health",
    "attach_lr_decay",
    "attach_pictures",
    "attach_scores",
    "attach_time_limit",
    "attach_training_log",
    "attach_validation",
    "progress_bar",
    "signals_between_steps",
    "tidy",
]
