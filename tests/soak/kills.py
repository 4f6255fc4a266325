"""Processes killed with -9 at random times, aimed at writers too, and the command that goes on."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from killed import weights_hash

from genbench.record import Record, read_runs, read_studies
from soak import Case

ROOT = Path(__file__).parents[2]
HANG = 240.0  # seconds that a command may take before the campaign gives it up
TINY = ["--wandb=disabled", "--checkpoint_minutes=0.0001", "--device=cpu"]
DIGITS = [*TINY, "--epochs=12", "--batch_size=200", "--width=16", "--latent_dim=4"]
ART = [
    *TINY,
    "--epochs=10",
    "--images=64",
    "--held_out=16",
    "--image_size=16",
    "--batch_size=8",
    "--eval_every=0",
]
FAMILIES = {
    "ae": DIGITS,
    "vae": [*DIGITS, "--kl_warmup=2"],
    "gan": [*ART, "--width=4"],
    "flow": [*ART, "--width=8"],
}


class Command:
    """A command in a folder of its own, in one process group with what it starts."""

    def __init__(self, line: list[str], folder: Path):
        program = [sys.executable, "-c", "from genbench.commands import main; main()"]
        if line[0].endswith(".py"):
            program, line = [sys.executable, str(ROOT / "experiments" / line[0])], line[1:]
        self.log = (folder / "log").open("ab")
        self.process = subprocess.Popen(
            [*program, *line],
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def kill(self) -> None:
        """Kill the process and all that it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait(self) -> int | None:
        """Its exit code; None: it hung."""
        try:
            return self.process.wait(HANG)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        finally:
            self.log.close()

    def kill_when(self, seconds: float, writing: str = "") -> bool:
        """Kill it after so many seconds, then at once when a file like `writing` is being written.

        Returns:
            Whether it was killed; it may have ended before.
        """
        end = time.monotonic() + seconds
        aim = time.monotonic() + seconds + 2
        folder = Path(self.log.name).parent
        while self.process.poll() is None:
            now = time.monotonic()
            there = bool(writing) and any(folder.rglob(writing))
            if now > end and (not writing or there or now > aim):
                self.kill()
                self.log.close()
                return True
            time.sleep(0.001 if writing and now > end else 0.01)
        self.log.close()
        return False


def trace(folder: Path) -> str:
    """The last line of a traceback in a folder's log, if there is one."""
    text = (folder / "log").read_text(errors="replace")
    if "Traceback (most recent call last)" not in text and "Exception ignored" not in text:
        return ""
    return text.strip().splitlines()[-1][:200]


def trainings(kills: int, rng: random.Random, folder: Path) -> Iterator[Case]:
    """Kill trainings of each family, and compare what goes on to the end with one never killed."""
    for model, flags in FAMILIES.items():
        whole = new(folder / f"{model}-whole")
        begun = time.monotonic()
        yield ended(Command(["train", model, *flags], whole), whole, "whole trainings")
        seconds = time.monotonic() - begun
        killed, tries = 0, 0
        while killed < kills:
            broken, line = new(folder / f"{model}-{tries}"), ["train", model, *flags]
            tries += 1
            for _ in range(5):
                command = Command(line, broken)
                writing = rng.choice(["", "*.pt.*.part", "config.json.*.part", "*.png.*.part"])
                if not command.kill_when(rng.uniform(0.4, 0.9) * seconds, writing):
                    break
                killed += 1
                runs = read_runs(broken / "runs") if (broken / "runs").is_dir() else []
                line = ["resume", runs[0].path.name] if runs else line
                lost = f"{len(runs)} runs" if len(runs) > 1 else ""
                yield Case("kill -9 in training", lost, trace(broken))
            finished = [run for run in read_runs(broken / "runs") if run.status == "finished"]
            if not finished:
                yield ended(Command(line, broken), broken, "resumed trainings")
            yield Case("resumed runs equal to the whole ones", difference(whole, broken))


def difference(whole: Path, broken: Path) -> str:
    """What of two folders' only runs is not the same to the bit."""
    (a,), (b,) = (read_runs(place / "runs") for place in (whole, broken))
    if a.metrics() != b.metrics():
        return "the metrics differ"
    if a.scores != b.scores:
        return "the scores differ"
    last = [weights_hash(run.path / "checkpoints" / "last.pt") for run in (a, b)]
    return "" if last[0] == last[1] else "the weights differ"


def searches(kills: int, rng: random.Random, folder: Path) -> Iterator[Case]:
    """Kill a search, and repeat its command: each trial that was complete stays so."""
    place = new(folder / "search")
    flags = ["--trials=3", "--epochs=2", "--final_epochs=2", "--wandb=disabled", "--device=cpu"]
    line = ["search", "ae", *flags]
    seconds, killed, complete = 8.0, 0, 0
    while killed < kills:
        begun = time.monotonic()
        writing = rng.choice(["", "*.json.*.part", "optuna.db-journal"])
        if not Command(line, place).kill_when(rng.uniform(0.3, 1.0) * seconds, writing):
            seconds = time.monotonic() - begun
            continue
        killed += 1
        before, complete = complete, completed(place)
        lost = f"{before} complete trials, then {complete}" if complete < before else ""
        yield Case("kill -9 in a search", lost, trace(place))
    yield ended(Command(line, place), place, "searches gone on with")
    (study,) = read_studies(place / "runs")
    best = [run for run in read_runs(place / "runs") if run.config["group"].endswith("-best")]
    finals = sum(run.status == "finished" for run in best)
    enough = completed(place) >= complete + 1 and finals >= 3 and study["best"] is not None
    yield Case("kill -9 in a search", "" if enough else f"{finals} finals at the end")


def completed(place: Path) -> int:
    """The complete trials of the only study, whose records must be whole."""
    database = place / "runs" / "optuna.db"
    if not database.exists():
        return 0
    with sqlite3.connect(database) as connection:
        count = "select count(*) from trials where state = 'COMPLETE'"
        try:
            return int(connection.execute(count).fetchone()[0])
        except sqlite3.OperationalError:  # no table yet
            return 0


def evaluations(kills: int, rng: random.Random, folder: Path) -> Iterator[Case]:
    """Kill `genbench evaluate`, then `genbench report`, and repeat them."""
    place = new(folder / "evaluate")
    yield ended(Command(["train", "vae", *DIGITS, "--test=True"], place), place, "whole trainings")
    (run,) = read_runs(place / "runs")
    commands = {
        "evaluate": (["evaluate", run.path.name, "--n=100", "--seeds=1", "--metrics=fd,kid"], ""),
        "report": (["report"], "*.html.*.part"),
    }
    for name, (line, writing) in commands.items():
        yield ended(Command(line, place), place, f"whole {name}s")
        seconds, killed = 8.0, 0
        while killed < kills:
            begun, before = time.monotonic(), len(one(place).evaluations())
            if not Command(line, place).kill_when(rng.uniform(0.2, 0.9) * seconds, writing):
                seconds = time.monotonic() - begun
                continue
            killed += 1
            lost = "" if len(one(place).evaluations()) >= before else "an evaluation"
            page = place / "reports" / "summary.html"
            if name == "report" and not page.read_text().rstrip().endswith("</html>"):
                lost = "half a page"
            yield Case(f"kill -9 in {name}", lost, trace(place))
        yield ended(Command(line, place), place, f"{name} gone on with")


def one(place: Path) -> Record:
    """The only run."""
    (record,) = read_runs(place / "runs")
    return record


def signalled(n: int, rng: random.Random, folder: Path) -> Iterator[Case]:
    """Ctrl-C and SIGTERM at random times: the exit code says so, and the run goes on."""
    for i in range(n):
        model = list(FAMILIES)[i % len(FAMILIES)]
        number = (signal.SIGINT, signal.SIGTERM)[i // len(FAMILIES) % 2]
        place, line = new(folder / f"signal-{i}"), ["train", model, *FAMILIES[model]]
        command = Command(line, place)
        while command.process.poll() is None and not any(place.rglob("metrics.jsonl")):
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 1.5))
        command.process.send_signal(number)
        yield ended(command, place, f"{number.name} in training", (0, 128 + number))
        if one(place).status != "finished":
            again = Command(["resume", one(place).path.name], place)
            yield ended(again, place, "resumed after a signal")
        whole = folder / f"{model}-whole"
        if whole.is_dir():
            yield Case("resumed runs equal to the whole ones", difference(whole, place))


def new(folder: Path) -> Path:
    """A folder that is made."""
    folder.mkdir(parents=True)
    return folder


def ended(command: Command, folder: Path, kind: str, codes: tuple[int, ...] = (0,)) -> Case:
    """How a command ended that nobody killed."""
    code = command.wait()
    if code is None:
        return Case(kind, hang=f"it took {HANG} s")
    return Case(kind, "" if code in codes else f"exit code {code}", trace(folder))
