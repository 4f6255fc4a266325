"""The process that feeds W&B from run folders; `genbench.record.feeding` starts it.

It is given jobs on its stdin, a line of JSON each, and does them in their order. The end of stdin
is the end of the process that trains, however that ended: what is there is still fed, for some
seconds at most.
"""

import contextlib
import functools
import json
import logging
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from genbench import environment
from genbench.console import first_line, say
from genbench.files import shown
from genbench.record.client import DIED, has_key, quiet, restart
from genbench.record.feeding import BOUND
from genbench.record.links import link
from genbench.record.lock import locked
from genbench.record.searched import of_search, study_at
from genbench.record.source import (
    Tail,
    dashboard_of,
    of_evaluation,
    of_run,
    settings_of,
    summary_of,
    wants_artifact,
)
from genbench.record.upload import Behind, Upload

INIT_SECONDS = 8.0  # longest wait for a server at a run's start
FINISH_SECONDS = 8.0  # and for the rest of its upload at its end
LIMIT = BOUND - 2.0  # for all that is left when the training has ended
POLL = 0.5  # seconds between two looks at a run's log
TRIES = 3  # so often a record is begun again, where wandb-core has died
_failed: set[str] = set()  # modes that failed in this process

Job = dict[str, Any]


class Jobs:
    """The jobs that are still to be done, the present one first."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._over: set[str] = set()  # runs to which nothing more is written
        self._known: set[str] = set()
        self._closed = False
        self._news = threading.Event()
        self.waiting: list[Path] = []

    def listen(self) -> None:
        """Read jobs until stdin ends; then the time runs."""
        for line in sys.stdin:
            with contextlib.suppress(ValueError, KeyError):
                self._take(json.loads(line))
            self._news.set()
        self._closed = True
        self._news.set()
        self._queue.put(None)
        timer = threading.Timer(LIMIT, self._give_up)
        timer.daemon = True
        timer.start()

    def _take(self, job: Job) -> None:
        run = job["run"]
        if not job["over"]:
            self._over.discard(run)
        if not job["over"] or run not in self._known or job["scores"]:
            self.waiting.append(Path(run))
            self._queue.put(job)
        self._known.add(run)
        if job["over"]:
            self._over.add(run)

    def next(self) -> Job | None:
        """The next job, None after the last."""
        return self._queue.get()

    def over(self, job: Job) -> bool:
        """Whether no more comes to a run; if it may, wait a little for it."""
        if not (self._closed or job["run"] in self._over):
            self._news.wait(POLL)
            self._news.clear()
        return self._closed or job["run"] in self._over

    def _give_up(self) -> None:
        behind(*self.waiting)
        os._exit(1)


def behind(*folders: Path) -> None:
    """Say that W&B has not all of these runs."""
    runs = " ".join(dict.fromkeys(map(shown, folders)))
    say(f"W&B is behind: `genbench sync {runs}` uploads what is left")


def main() -> None:
    """Do the jobs, and end whatever is wrong with them."""
    logging.raiseExceptions = False  # W&B's own log, on a full disk, is worth no traceback
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the process that trains ends this one
    jobs, whole = Jobs(), True
    with quiet():
        threading.Thread(target=jobs.listen, daemon=True).start()
        while job := jobs.next():
            try:
                whole = do(job, jobs) and whole
            except Exception as error:
                whole = False
                with contextlib.suppress(OSError):  # nobody reads stderr
                    say(f"W&B: {first_line(error)}")
                    behind(Path(job["run"]))
            jobs.waiting.pop(0)
        if whole:
            restart()
    os._exit(not whole)  # past W&B's exit hooks: they would wait for what has died


def do(job: Job, jobs: Jobs) -> bool:
    """Feed W&B with a run, from the beginning; whether it has all of it."""
    folder = Path(job["run"])
    with locked(folder):
        for _ in range(TRIES):
            upload = _begin(folder, job)
            if not upload:
                return False
            try:
                _feed(upload, folder, job, jobs)
                return True
            except Behind:
                _failed.add(upload.mode)
                break
            except Exception as error:
                say(f"W&B: {first_line(error)}; its record of {folder.name} is begun again")
                restart()
    behind(folder)
    return False


def _feed(upload: Upload, folder: Path, job: Job, jobs: Jobs) -> None:
    """Give a record all that it lacks, until the run is over."""
    if job["scores"]:
        upload.close({"status": "finished", "scores": job["scores"]})
        return
    if study := study_at(folder):
        upload.close_with_search(study)
        return
    tail, over = Tail(folder), False
    while not over:
        over = jobs.over(job)
        upload.feed(tail.rows())
    if wants_artifact(folder):
        upload.send_model()
    upload.close(summary_of(folder))


def _begin(folder: Path, job: Job) -> Upload | None:
    """W&B's record, offline where it cannot be online; None where there is none to be had."""
    study = study_at(folder)
    about = of_search(study) if study else of_run(folder)
    about = of_evaluation(folder, job["scores"], job["sampler"]) if job["scores"] else about
    modes = _modes(job["mode"])
    for mode in modes:
        try:
            return _begun(folder, about, mode)
        except Exception as error:  # whatever is wrong with W&B, the run goes on
            _failed.add(mode)
            instead = "offline instead, `genbench sync` uploads later"
            instead = instead if mode != "offline" else "going on without its record"
            say(f"W&B: {first_line(error)}; {instead}")
            restart()  # else the run would still be in use
    return None


def _begun(folder: Path, about: dict[str, Any], mode: str) -> Upload:
    """A record in this mode; once more where wandb-core has died."""
    settings = settings_of(folder) | {
        "init_timeout": INIT_SECONDS,
        "finish_timeout": FINISH_SECONDS,
        "x_stats_pid": os.getppid(),  # the load of the process that trains
    }
    try:
        upload = Upload(folder, about, mode, settings, dashboard_of(folder))
    except DIED:
        restart()
        upload = Upload(folder, about, mode, settings, dashboard_of(folder))
    link(folder)
    if mode != "offline":
        say(f"W&B: {upload.run.url}")
    return upload


def _modes(choice: str) -> list[str]:
    """What to try, in this order; no server that failed once is tried again in this process."""
    first = "shared" if choice == "shared" else "online"
    wanted = [first, "offline"] if choice != "offline" and _has_key() else ["offline"]
    return [mode for mode in wanted if mode == "offline" or mode not in _failed]


@functools.cache
def _has_key() -> bool:
    """Whether W&B has credentials; if not, that is said."""
    try:
        there = has_key()
    except Exception as error:  # a malformed key or URL
        say(f"W&B: {first_line(error)}")
        return False
    if not there and environment.HINTED not in os.environ:
        say("W&B: no key, so offline; `wandb login` sets one, `genbench sync` uploads later")
    return there
