"""Ctrl-C and SIGTERM: noted when they come, raised where a loop looks.

A KeyboardInterrupt that is raised at any point whatever tears what is being written there, and in
a weakref's callback or a `__del__` Python throws it away. So while a training, a search or a report
runs (`noted`), signals are noted only, and `check` raises them: between steps, trials, figures.
Elsewhere in a command (`owned`: imports, downloads, scores), where no file is torn, they are raised
when they come; one that is thrown away is raised again by the next `check`. A second Ctrl-C ends
the process. Standard library alone: everything may ask.
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


class _Owner:
    """Who handles the signals while a block runs, who did before, and what has come."""

    def __init__(self, at_once: bool, hint: str = ""):
        self.at_once, self.hint = at_once, hint
        self.before: dict[int, Any] = {}
        self.came: list[int] = []
        self.expected: list[int] = []  # came to another process first, and will come here too
        self.only_note = False
        self.checked = False  # `check` has raised what came first, where it is not lost

    def take(self) -> None:
        """Handle the signals from now on; one that is ignored, as under nohup, stays so."""
        for number in CAUGHT:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self.before[number] = signal.signal(number, self.handle)

    def give_back(self) -> None:
        """Let those handle the signals who did before."""
        while self.before:
            signal.signal(*self.before.popitem())

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note a signal, and raise it unless that has to wait; the second Ctrl-C ends all."""
        if number in self.expected:
            self.expected.remove(number)
            return
        again = number in self.came
        self.came.append(number)
        if again and number == signal.SIGINT and self.at_once:
            end()
        if again or self.checked:
            return
        if not self.only_note:
            _throw(number)
        if number == signal.SIGINT:
            with suppress(OSError):
                os.write(2, self.hint.encode())

    def check(self) -> None:
        """Raise what came first, once; not where it is being raised already, in a `finally`."""
        if not self.came or self.checked:
            return
        self.checked = True
        if isinstance(sys.exception(), KeyboardInterrupt | SystemExit):
            return
        if self.at_once:
            _throw(self.came[0])
        self.give_back()  # in somebody's notebook they decide what to do
        signal.raise_signal(self.came[0])


def _throw(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


_owner: _Owner | None = None


def _here() -> _Owner | None:
    """The owner, for the main thread: no other one is sent signals."""
    return _owner if threading.current_thread() is threading.main_thread() else None


@contextmanager
def _own(owner: _Owner) -> Iterator[None]:
    """Handle the signals in the block, unless somebody does already."""
    global _owner
    if _owner or threading.current_thread() is not threading.main_thread():
        yield
        return
    _owner = owner
    owner.take()
    try:
        yield
    finally:
        _owner = None
        owner.give_back()
        owner.check()


@contextmanager
def owned(hint: str = "") -> Iterator[None]:
    """The process is ours: Ctrl-C raises KeyboardInterrupt, SIGTERM SystemExit(143).

    None is lost, also where Python throws the exception away.

    Args:
        hint: What stderr says of a Ctrl-C that has to wait.
    """
    with _own(_Owner(at_once=True, hint=hint)):
        yield


@contextmanager
def noted() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait for the next `check`, at the latest for the end of the block.

    Outside of `owned`, in somebody's notebook, they then go to who handled them before. In other
    threads than the main one nothing changes.
    """
    with _own(_Owner(at_once=False)):
        owner = _here()
        if not owner:
            yield
            return
        owner.check()
        before, owner.only_note = owner.only_note, True
        try:
            yield
        finally:
            owner.only_note = before
            owner.check()


def waiting() -> int:
    """The signal that the next `check` raises; 0: none."""
    owner = _here()
    return owner.came[0] if owner and owner.came and not owner.checked else 0


def came_elsewhere(number: int) -> None:
    """Note a signal that another process of the same training was sent, and this one will be."""
    owner = _here()
    if owner and number not in owner.came:
        owner.came.append(number)
        owner.expected.append(number)


def check() -> None:
    """Raise here the signal that came, if one did: KeyboardInterrupt or SystemExit."""
    if owner := _here():
        owner.check()


def sleep(seconds: float) -> None:
    """As `time.sleep`, but a signal is raised soon."""
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
