"""Ctrl-C and SIGTERM: noted when they come, raised where a loop looks.

A KeyboardInterrupt that is raised at any point whatever tears what is being written there, and in
a weakref's callback or a `__del__` Python throws it away. So while a command or a training runs
(`noted`), signals are noted only, and raised by `check`: between steps, trials, batches, figures.
Standard library alone: everything may ask.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

CAUGHT = (signal.SIGINT, signal.SIGTERM)
HINT = "Ctrl-C: what runs ends in good order; once more ends it at once\n"
POLL = 0.2  # seconds between two looks of those who wait


class _Notes:
    """What has come while a block runs, and who handled it before."""

    def __init__(self, at_once: bool, hint: str):
        self.at_once, self.hint = at_once, hint
        self.before: dict[int, Any] = {}
        self.came: list[int] = []
        self.raised = False  # the first of them; it ends the block

    def take(self) -> None:
        """Note the signals from now on; one that is ignored, as under nohup, stays so."""
        for number in CAUGHT:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self.before[number] = signal.signal(number, self.note)

    def give_back(self) -> None:
        """Let those handle the signals who did before."""
        while self.before:
            signal.signal(*self.before.popitem())

    def note(self, number: int, frame: FrameType | None) -> None:
        """Note a signal; the second Ctrl-C waits for nobody."""
        again = number == signal.SIGINT and number in self.came
        self.came.append(number)
        if again and self.at_once:
            end()
        elif again:
            self.raise_before(number)
        elif number == signal.SIGINT:
            with suppress(OSError):
                os.write(2, self.hint.encode())

    def check(self) -> None:
        """Raise what came first, once."""
        if not self.came or self.raised:
            return
        number, self.raised = self.came[0], True
        if not self.at_once:
            self.raise_before(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            sys.exit(128 + number)

    def raise_before(self, number: int) -> None:
        """Leave a signal to who handled it before, and those to come."""
        self.raised = True
        self.give_back()
        signal.raise_signal(number)


_notes: _Notes | None = None


@contextmanager
def noted(at_once: bool = False, hint: str = "") -> Iterator[None]:
    """Ctrl-C and SIGTERM wait for the next `check`, at the latest for the end of the block.

    In a block inside another, and in other threads than the main one, nothing changes.

    Args:
        at_once: The process is ours: a second Ctrl-C ends it, and SIGTERM raises SystemExit(143).
            Else, in somebody's notebook, handlers as they were get the signal that waits, and a
            second Ctrl-C when it comes.
        hint: What the first Ctrl-C says on stderr.
    """
    global _notes
    if _notes or threading.current_thread() is not threading.main_thread():
        yield
        return
    notes = _notes = _Notes(at_once, hint)
    notes.take()
    try:
        yield
    finally:
        _notes = None
        notes.give_back()
        notes.check()


def waiting() -> bool:
    """Whether the next `check` raises."""
    owner = _here()
    return bool(owner and owner.came and not owner.checked)


def check() -> None:
    """Raise here the signal that came, if one did: KeyboardInterrupt or SystemExit."""
    if _notes and threading.current_thread() is threading.main_thread():
        _notes.check()


def sleep(seconds: float) -> None:
    """As `time.sleep`, but a signal is raised at once."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        check()
        time.sleep(min(left, POLL))
    check()


@contextmanager
def held_back() -> Iterator[None]:
    """Ctrl-C waits for the end of the block; a process started in it waits until it is `ready`."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def ready() -> None:
    """Take the Ctrl-C that was held back when this process was started."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def stop_signal() -> signal.Signals:
    """What a program that this process starts can be told to stop with: it ignores what we do."""
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    return signal.SIGTERM if ignored else signal.SIGINT


def end(*_: Any) -> NoReturn:
    """End this process at once as one that Ctrl-C ended, and the workers that it started."""
    if started := sys.modules.get("multiprocessing"):
        for child in started.active_children():
            child.kill()
    os._exit(128 + signal.SIGINT)
