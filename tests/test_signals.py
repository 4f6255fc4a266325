"""Ctrl-C and SIGTERM: at any moment, twice, ignored, and in code that is not ours."""

import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from pathlib import Path

import pytest
from test_workers import open_search, write_sweep
from wandb_server import wait_for

from genbench import signals
from genbench.cli import guard, run_search
from genbench.search import trial as trials


class Thing:
    """Something that can be referred to weakly."""


def interrupt_in_a_callback():
    """Ctrl-C where Python throws away what is raised."""
    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    del thing
    return reference


def churn(seconds):
    """Keep Python in callbacks of weak references, as a real search does at times."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        references = weakref.WeakKeyDictionary()
        for _ in range(100):
            thing = Thing()
            references[thing] = thing.cycle = [thing]


@pytest.fixture
def search(tmp_path, monkeypatch):
    """A search of a thousand trials; `search.step` is what each does between two looks."""
    path = write_sweep(tmp_path, {"latent_dim": {"min": 1, "max": 64}}, method="random")
    one = open_search(path, tmp_path / "runs", trials=1000)
    one.step = lambda: None

    def train(config, *, trial, **more):
        trial.set_user_attr("run", "none")
        with signals.noted():
            for _ in range(3):
                one.step()
                signals.check()
        return {"val/elbo": 0.0}

    monkeypatch.setattr(trials, "train", train)
    return one


def begun(search):
    return sum(trial.state.name != "WAITING" for trial in search.study.trials)


def interrupted(search, press=lambda: None):
    """Run the search as a command until Ctrl-C ends it; how many trials that took."""
    before = begun(search)

    def main():
        press()
        run_search(search)

    with pytest.raises(SystemExit) as left:
        guard(main)
    assert left.value.code == 130
    return begun(search) - before


def test_ctrl_c_in_a_callback_of_a_weak_reference_ends_a_search(search, capsys):
    search.step = interrupt_in_a_callback
    assert interrupted(search) == 1
    out, err = capsys.readouterr()
    assert "interrupted; what is done is kept" in err
    assert "Exception ignored" not in err
    assert "the same command again goes on with this study" in out


def test_ctrl_c_at_any_moment_ends_a_search(search):
    search.step = lambda: churn(0.002)
    handlers = [signal.getsignal(number) for number in signals.CAUGHT]
    rng = random.Random(0)
    for _ in range(25):
        delay = rng.uniform(0, 0.15)
        key = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
        assert interrupted(search, key.start) < 50
        key.join()
        assert [signal.getsignal(number) for number in signals.CAUGHT] == handlers


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_python_throws_away_elsewhere_is_raised_by_the_next_look():
    seen = []

    def main():
        interrupt_in_a_callback()
        seen.append("lost")
        with signals.noted():
            seen.append("on")

    with pytest.raises(SystemExit) as left:
        guard(main)
    assert left.value.code == 130
    assert seen == ["lost"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_command_that_never_looks_still_says_that_it_was_interrupted(capsys):
    with pytest.raises(SystemExit) as left:
        guard(lambda: interrupt_in_a_callback() and None)
    assert left.value.code == 130
    assert "interrupted; what is done is kept" in capsys.readouterr().err


def test_sigterm_is_raised_where_it_is_looked_for_and_ctrl_c_after_it_is_none_more():
    seen = []

    def main():
        with signals.noted():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            seen.append("on")
            signals.check()

    with pytest.raises(SystemExit) as left:
        guard(main)
    assert left.value.code == 143
    assert seen == ["on"]


def test_sigterm_while_a_command_ends_cuts_nothing_short():
    seen = []

    def main():
        try:
            with signals.noted():
                signal.raise_signal(signal.SIGINT)
                signals.check()
        finally:
            signal.raise_signal(signal.SIGTERM)
            seen.append("closed")

    with pytest.raises(SystemExit) as left:
        guard(main)
    assert left.value.code == 130
    assert seen == ["closed"]


def test_in_somebodys_notebook_their_handler_gets_what_waited():
    got, handlers = [], {}
    for number in signals.CAUGHT:
        handlers[number] = signal.signal(number, lambda n, _: got.append(n))
    try:
        with signals.noted():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            assert got == []
            signals.check()
            assert got == [signal.SIGINT]
        with signals.noted():
            signal.raise_signal(signal.SIGTERM)
        assert got == [signal.SIGINT, signal.SIGTERM]
        signal.raise_signal(signal.SIGINT)
        assert len(got) == 3
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_another_thread_changes_no_handler_and_takes_no_signal():
    before, seen = signal.getsignal(signal.SIGINT), []

    def other():
        with signals.noted():
            seen.append(signal.getsignal(signal.SIGINT) is before)
            signals.check()
        seen.append("done")

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [True, "done"]

    def main():
        with signals.noted():
            signal.raise_signal(signal.SIGINT)
            thread = threading.Thread(target=lambda: seen.append(signals.check()))
            thread.start()
            thread.join()
            signals.check()

    with pytest.raises(SystemExit):
        guard(main)
    assert seen[2:] == [None]


def test_sleep_ends_soon_after_ctrl_c():
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), signals.noted():
        signals.sleep(30)
    assert 0.2 < time.monotonic() - start < 5


def start(code, **more):
    """A program of these lines, whose first line of output has been read."""
    begin = "import atexit, signal, sys, time\nfrom genbench import signals\n"
    begin += "from genbench.cli import guard\n"
    lines = begin + textwrap.dedent(code)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-u", "-c", lines], **pipes, **more)
    assert process.stdout.readline() == "begun\n"
    return process


BUSY = """
    def main():
        with signals.noted():
            print("begun")
            time.sleep({seconds})  # and looks at nothing
        print("done")
    guard(main)
    print("after")
"""


def test_a_second_ctrl_c_ends_at_once():
    process = start(BUSY.format(seconds=60))
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == signals.HINT
    assert process.poll() is None
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")
    assert time.monotonic() - begun < 5


def test_a_second_ctrl_c_also_ends_what_the_first_one_left_to_close():
    """W&B's last words take seconds, in its own exit handler."""
    process = start(
        """
        def close():
            print("closing")
            time.sleep(60)
        def main():
            atexit.register(close)
            print("begun")
            time.sleep(60)
        guard(main)
        """
    )
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "closing\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "interrupted; what is done is kept\n")


def test_the_end_takes_the_workers_along():
    process = start(
        """
        import multiprocessing
        if __name__ == "__main__":
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
            child.start()
            print("begun")
            print(child.pid)
            signals.end()
        """
    )
    child = int(process.stdout.readline())
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert wait_for(lambda: not runs(child), 10)


def runs(pid):
    """Whether a process lives: it may be dead, and nobody has asked how it ended."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def ignore():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_ctrl_c_that_is_ignored_stays_so_and_sigterm_is_not():
    """As in a process that a script has put into the background."""
    process = start(BUSY.format(seconds=1), preexec_fn=ignore)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "done\nafter\n", "")
    process = start(BUSY.format(seconds=1), preexec_fn=ignore)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (143, "")


def test_a_program_is_stopped_by_a_signal_that_it_does_not_ignore():
    assert signals.stop_signal() is signal.SIGINT
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert signals.stop_signal() is signal.SIGTERM
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_while_a_worker_is_started_waits_and_is_not_lost():
    code = "import re; print(re.search(r'SigBlk:.*', open('/proc/self/status').read())[0])"
    said = []

    def start_one():
        with signals.held_back():
            signal.raise_signal(signal.SIGINT)
            said.append(subprocess.check_output([sys.executable, "-c", code], text=True))

    with pytest.raises(KeyboardInterrupt):
        start_one()
    blocked = int(re.search(r"\w+$", said[0].strip())[0], 16)
    assert blocked & 1 << (signal.SIGINT - 1)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_what_a_finally_keeps_is_kept_whole_after_ctrl_c():
    kept = []
    keep = signals.noted()(kept.append)

    def work():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        finally:
            keep(1)
            keep(2)

    with pytest.raises(KeyboardInterrupt), signals.owned():
        work()
    assert kept == [1, 2]
