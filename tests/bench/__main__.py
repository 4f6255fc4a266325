"""`make bench`, `bench-full`, `bench-check`: measure what is not measured yet, and say it."""

import argparse
import inspect
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import FOLDER, ROOT, page
from bench.lines import GROWTHS, LINES, PROGRAMS, Call
from genbench.console import print_table, say
from genbench.files import to_json, write_json
from genbench.record.provenance import git

LIMIT = 1_800  # seconds after which a task is given up
PACKAGES = ("torch", "pytorch-ignite", "optuna", "wandb", "torch-fidelity", "pythae")
COMMITTED = ROOT / "reports" / "benchmarks.json"
Todo = tuple[str, str, int, Call]  # name, side, pair, task


def todo(pairs: int, full: bool, only: str) -> Iterator[Todo]:
    """All that is to be measured, a pair of every line before the next pair; sides take turns."""
    for pair in range(pairs):
        for line in LINES:
            if only.lower() not in f"{line.part} {line.name}".lower():
                continue
            if full or line.quick is not None:
                change = {} if full else line.quick or {}
                sides = [("ours", line.ours), ("theirs", line.theirs)]
                for side, (name, arguments) in sides[:: 1 - 2 * (pair % 2)]:
                    own = {k: v for k, v in change.items() if k in arguments}
                    own |= {"seed": pair} if line.seeded else {}
                    yield line.name, side, pair, (name, arguments | own)
        for program in PROGRAMS:
            if only.lower() in f"programs {program.title}".lower():
                yield program.title, "ours", pair, program.call
    for growth in GROWTHS:
        if full and only.lower() in f"growth {growth.title}".lower():
            for size in growth.sizes:
                call = growth.task, growth.arguments | {growth.what: size}
                yield growth.title, "ours", size, call


def measure(call: Call) -> dict[str, Any]:
    """Run a task in a process of its own.

    Raises:
        subprocess.CalledProcessError: It failed; what it said was shown.
    """
    from bench import peers  # noqa: F401 - its tasks, to know who wants a folder
    from bench.tasks import TASKS

    name, arguments = call
    with tempfile.TemporaryDirectory() as folder:
        wants = "folder" in inspect.signature(TASKS[name]).parameters
        given = arguments | ({"folder": folder} if wants else {})
        done = subprocess.run(
            [sys.executable, "-m", "bench.tasks", name, json.dumps(given)],
            cwd=ROOT,
            env=os.environ
            | {
                "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT / 'experiments'}",
                "WANDB_MODE": "offline",
            },
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
    if done.returncode:
        print(done.stdout[-2_000:], done.stderr[-4_000:], file=sys.stderr)
        done.check_returncode()
    return json.loads(done.stdout.splitlines()[-1])


def results(file: Path, wanted: list[Todo]) -> page.Rows:
    """The answers to all that is wanted; those that the file has are not asked again."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    there = {(row["name"], row["side"], row["pair"]) for row in rows}
    missing = [one for one in wanted if one[:3] not in there]
    begun = time.monotonic()
    for i, (name, side, pair, call) in enumerate(missing, 1):
        say(f"{i}/{len(missing)}  {time.monotonic() - begun:4.0f} s  {name}: {side}, {pair}")
        rows.append({"name": name, "side": side, "pair": pair, **measure(call)})
        with file.open("a") as log:
            log.write(to_json(rows[-1]) + "\n")
    return rows


def about() -> dict[str, str]:
    """The machine, the commit and the versions that the numbers are of."""
    import torch

    facts = {"commit": git("rev-parse", "--short", "HEAD") or "unknown"}
    facts |= {"CPU": cpu(), "Python": platform.python_version(), "cores": f"{os.cpu_count()}"}
    if torch.cuda.is_available():
        facts["GPU"] = torch.cuda.get_device_name()
    return facts | {name: version(name) for name in PACKAGES}


def cpu() -> str:
    """What the processor is called."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def show(rows: page.Rows) -> None:
    """The tables on stdout."""
    print_table(page.LINE_HEADER, page.line_rows(rows), left=True)
    print_table(page.PROGRAM_HEADER, page.program_rows(rows), left=True)
    if growth := page.growth_rows(rows):
        print_table(page.GROWTH_HEADER, growth, left=True)


def main() -> None:
    """Measure and show; with --full also write reports/benchmarks.md, .json and the figure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--pairs", type=int, default=0, help="of a line (default: 3, full: 5)")
    parser.add_argument("--full", action="store_true", help="longer work, all lines; resumable")
    parser.add_argument("--check", action="store_true", help="name what got slower since --full")
    parser.add_argument("--only", default="", help="lines with this in their name")
    options = parser.parse_args()
    if options.check and not COMMITTED.exists():
        parser.error(f"{COMMITTED}: not there to compare with; run `make bench-full` once")
    pairs = options.pairs or (5 if options.full else 3)
    commit, kind = git("rev-parse", "--short", "HEAD"), "full" if options.full else "quick"
    file = FOLDER / f"{kind}-{commit}.jsonl"
    rows = results(file, list(todo(pairs, options.full, options.only)))
    show(rows)
    if options.full and not options.only:
        (ROOT / "reports" / "benchmarks.md").write_text(page.page(rows, about()))
        page.figure(rows, ROOT / "reports" / "figures" / "benchmarks.svg")
        found = {line.name: page.ratios(line, rows) for line in LINES}
        write_json(COMMITTED, {"about": about(), "ratios": found})
        print("reports/benchmarks.md")
    if options.check:
        slower = page.slower(rows, json.loads(COMMITTED.read_text())["ratios"])
        print(*(slower or ["nothing got slower"]), sep="\n")
        sys.exit(bool(slower))


if __name__ == "__main__":
    main()
