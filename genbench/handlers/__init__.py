"""Side effects of a training, each attached to the bare engines by one function."""

from genbench.handlers.health import attach_health
from genbench.handlers.pictures import (
    as_pictures,
    attach_pictures,
    render,
    to_bytes,
    to_grid,
    to_uint8,
)
from genbench.handlers.scores import (
    FEWEST,
    attach_scores,
    distances,
    real_features,
    sample_features,
    val_distances,
)
from genbench.handlers.training import (
    EVAL_BATCH,
    Diverged,
    attach_checkpoints,
    attach_early_stopping,
    attach_lr_decay,
    attach_pruning,
    attach_time_limit,
    attach_training_log,
    attach_validation,
    check_finite,
    progress_bar,
    signals_between_steps,
)

__all__ = [
    "EVAL_BATCH",
    "FEWEST",
    "Diverged",
    "as_pictures",
    "attach_checkpoints",
    "attach_early_stopping",
    "attach_health",
    "attach_lr_decay",
    "attach_pictures",
    "attach_pruning",
    "attach_scores",
    "attach_time_limit",
    "attach_training_log",
    "attach_validation",
    "check_finite",
    "distances",
    "progress_bar",
    "real_features",
    "render",
    "sample_features",
    "signals_between_steps",
    "to_bytes",
    "to_grid",
    "to_uint8",
    "val_distances",
]
