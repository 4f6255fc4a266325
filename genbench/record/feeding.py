"""Having W&B fed from run folders, by a process that costs this one nothing whatever befalls it.

The process (`genbench.record.feeder`) is started by the first run that W&B is to know of, reads
what the run writes, and goes on with the next one. It can fall behind, hang or be killed: this one
never waits for it but at its own end, and then for `BOUND` seconds at most.
"""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from genbench import environment
from genbench.console import first_line, say, say_once
from genbench.files import shown, to_json

BOUND = 20.0  # seconds that W&B may cost a process, whatever its server does
TRIES = 3  # so many feeders that die are replaced
MAIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from genbench.record.feeder import main; main()"
)


class Feeder:
    """The process, in a session of its own: a terminal's Ctrl-C does not reach it."""

    def __init__(self) -> None:
        self.environment = environment.for_wandb()
        self.folders: dict[str, None] = {}  # that it has been told of
        self._process = subprocess.Popen(
            [sys.executable, "-c", MAIN, json.dumps(sys.path)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            env=self.environment,
        )
        assert self._process.stdin
        self._pipe = self._process.stdin
        os.set_blocking(self._pipe.fileno(), False)

    def tell(self, job: dict[str, Any]) -> bool:
        """Give it a job; False if it is dead, or hangs, which it is killed for."""
        line = to_json(job).encode() + b"\n"
        self.folders[job["run"]] = None
        with contextlib.suppress(BrokenPipeError):
            if self._pipe.write(line) == len(line):
                return True
            self._process.kill()
        return False

    def close(self) -> None:
        """Tell it that no more jobs come."""
        with contextlib.suppress(OSError):
            self._pipe.close()

    def wait(self, seconds: float) -> None:
        """Wait for its end; where that does not come, or was not its own, say what is to do."""
        try:
            code = self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if code < 0:  # else it has said so itself
            runs = " ".join(shown(Path(folder)) for folder in self.folders)
            say(f"W&B: its process was killed; `genbench sync {runs}` uploads what is left")


_feeders: list[Feeder] = []  # the last one takes jobs; others are of another environment
_died = 0


def feed(
    folder: Path,
    mode: str,
    over: bool = False,
    scores: dict[str, float] | None = None,
    sampler: str = "",
) -> None:
    """Have W&B fed with a run that begins here; whatever is wrong with that, this returns at once.

    Args:
        folder: Of the run.
        mode: As `environment.wandb_mode` says it.
        over: No more is written to it.
        scores: Of a later evaluation, which are fed in place of the run.
        sampler: What they are scores of.
    """
    if mode == "disabled":
        return
    try:
        job = {"run": str(folder.resolve()), "mode": mode, "over": over}
        _tell(job | {"scores": scores, "sampler": sampler})
    except Exception as error:
        say_once(f"W&B: {first_line(error)}; going on without its record")


def _tell(job: dict[str, Any]) -> None:
    global _died
    if not _feeders or _feeders[-1].environment != environment.for_wandb():
        for feeder in _feeders:
            feeder.close()
        _feeders.append(Feeder())
    while not _feeders[-1].tell(job) and _died < TRIES:
        _died += 1
        if lost := " ".join(shown(Path(at)) for at in _feeders[-1].folders if at != job["run"]):
            say(f"W&B: its process was killed; `genbench sync {lost}` uploads what is left")
        _feeders[-1] = Feeder()


def wait_for_wandb() -> None:
    """Wait until W&B has all runs of this process, for `BOUND` seconds at most.

    What is missing then is said, with the command that uploads it. It is done at exit by itself.
    """
    end = time.monotonic() + BOUND
    for feeder in _feeders:
        feeder.close()
    while _feeders:
        _feeders.pop().wait(end - time.monotonic())


@atexit.register
def _at_exit() -> None:
    with contextlib.suppress(KeyboardInterrupt, SystemExit):  # Ctrl-C: it goes on by itself
        wait_for_wandb()


def log_search(file: Path, choice: str = "auto") -> None:
    """Give a search to W&B, as a run of its own beside its trials.

    Args:
        file: What `studies/NAME.json` is.
        choice: As for `Run`.
    """
    folder = file.with_name(file.stem)
    folder.mkdir(exist_ok=True)
    feed(folder, environment.wandb_mode(choice), over=True)


def log_evaluation(
    folder: Path, scores: dict[str, float], sampler: str, choice: str = "auto"
) -> None:
    """Give a finished run's later scores to W&B, as a run of their own in its group.

    Args:
        folder: The finished run's.
        scores: By `split/name`.
        sampler: What was drawn from.
        choice: As for `Run`.
    """
    feed(folder, environment.wandb_mode(choice), over=True, scores=scores, sampler=sampler)
