"""The run folder, which is the record: written by `Run`, read by `Record`. Neither needs torch."""

from genbench.record.reader import Record, finished, read_run, read_runs, read_studies
from genbench.record.run import Run, is_running

__all__ = [
    "Record",
    "Run",
    "finished",
    "is_running",
    "read_run",
    "read_runs",
    "read_studies",
]
