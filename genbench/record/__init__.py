"""The run folder, which is the record: written by `Run`, read by `Record`. Neither needs torch."""

from genbench.record.feeding import wait_for_wandb
from genbench.record.reader import (
    Record,
    finished,
    read_contests,
    read_picture,
    read_run,
    read_runs,
    read_studies,
)
from genbench.record.run import Run, is_running
from genbench.record.shapes import Contest, Evaluation, Rung, Study
from genbench.record.unwritten import Unwritten

__all__ = [
    "Contest",
    "Evaluation",
    "Record",
    "Run",
    "Rung",
    "Study",
    "Unwritten",
    "finished",
    "is_running",
    "read_contests",
    "read_picture",
    "read_run",
    "read_runs",
    "read_studies",
    "wait_for_wandb",
]
