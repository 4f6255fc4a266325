"""What was measured as a table, a page, a figure, and against what was measured before."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.lines import GROWTHS, LINES, PROGRAMS, Growth, Line, memory, pace

Rows = list[dict[str, Any]]  # of results.jsonl: name, side, pair, and the task's answer


def answers(rows: Rows, name: str, side: str) -> dict[int, dict[str, Any]]:
    """What a side of a line answered, by pair."""
    return {row["pair"]: row for row in rows if (row["name"], row["side"]) == (name, side)}


def ratios(line: Line, rows: Rows) -> list[float]:
    """Of each pair that is whole."""
    ours, theirs = (answers(rows, line.name, side) for side in ("ours", "theirs"))
    return [line.compare(ours[pair], theirs[pair]) for pair in sorted(ours.keys() & theirs.keys())]


def verdict(value: float, target: float | None) -> str:
    """The target and whether it is met; no target, no word."""
    return "" if target is None else f"≤ {target:.2f}: {'met' if value <= target else 'not met'}"


def spread(values: Sequence[float]) -> str:
    """Median and range of several measurements."""
    middle, least, most = (
        f"{value:.2f}" if math.isfinite(value) else "never"
        for value in (statistics.median(values), min(values), max(values))
    )
    return f"{middle} [{least}, {most}]"


def line_rows(rows: Rows) -> list[list[str]]:
    """A row a line that was measured: what, peer, both in their unit, ratio, target, pairs."""
    table = []
    for line in LINES:
        if not (found := ratios(line, rows)):
            continue
        sides = [list(answers(rows, line.name, side).values()) for side in ("ours", "theirs")]
        shown = [cost(line, side) for side in sides]
        target = verdict(statistics.median(found), line.target)
        table.append([line.title, line.peer, *shown, spread(found), target, str(len(found))])
    return table


def cost(line: Line, side: Sequence[dict[str, Any]]) -> str:
    """What a side of a line takes, the median, in the line's unit."""
    if line.compare is memory:
        return f"{statistics.median(a['peak_mb'] for a in side):,.0f} MB"
    if line.compare is pace:
        each = statistics.median(a["seconds"] / a["images"] for a in side)
        return f"{1e3 * each:.1f} ms an image"
    return f"{statistics.median(a['seconds'] for a in side):.1f} s"


def program_rows(rows: Rows) -> list[list[str]]:
    """A row a program: median seconds and range, and its target."""
    table = []
    for program in PROGRAMS:
        if found := [a["seconds"] for a in answers(rows, program.title, "ours").values()]:
            target = verdict(statistics.median(found), program.target).replace(":", " s:")
            table.append([program.title, f"{spread(found)} s", target])
    return table


def growth_rows(rows: Rows) -> list[list[str]]:
    """A row a quantity: seconds and memory at each size, and the power of the seconds' growth."""
    table = []
    for growth in GROWTHS:
        at = answers(rows, growth.title, "ours")
        if len(at) < len(growth.sizes):
            continue
        found = [at[size] for size in growth.sizes]
        times = [answer[growth.answer] for answer in found]
        peaks = [answer["peak_mb"] for answer in found]
        table.append(
            [
                growth.title,
                ", ".join(f"{size:,}" for size in growth.sizes),
                ", ".join(f"{value:.3g} s" for value in times),
                ", ".join(f"{value:,.0f} MB" for value in peaks),
                f"{power(growth, times):.2f}",
                growth.linear,
            ]
        )
    return table


def power(growth: Growth, values: Sequence[float]) -> float:
    """The exponent p of cost ~ size^p between the two largest sizes; 1 is linear."""
    a, b = growth.sizes[-2:]
    return math.log(values[-1] / values[-2]) / math.log(b / a)


LINE_HEADER = ["genbench", "beside", "genbench takes", "the other", "ratio", "target", "pairs"]
PROGRAM_HEADER = ["program", "takes", "target"]
GROWTH_HEADER = ["what grows", "sizes", "takes", "peak", "power", "more than linear because"]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table."""
    right = {"genbench takes", "the other", "ratio", "pairs", "power"}
    rule = ["---:" if name in right else "---" for name in header]
    return ["| " + " | ".join(row) + " |" for row in (header, rule, *rows)]


def page(rows: Rows, about: dict[str, str]) -> str:
    """reports/benchmarks.md."""
    facts = ", ".join(f"{name} {value}" for name, value in about.items())
    parts = [
        "# Benchmarks",
        "",
        "Made by `make bench-full`. Each line is the same work done by genbench and by what stands "
        "beside it, in alternation, each in a process of its own; seconds are of the work without "
        "imports, their medians over the pairs; a ratio is the median over pairs of ours to "
        "theirs, with its least and largest value in brackets. Below 1 genbench is faster.",
        "",
        facts + ".",
        "",
        *markdown(LINE_HEADER, line_rows(rows)),
        "",
        "![Ratios of every line](figures/benchmarks.svg)",
        "",
        "## Programs",
        "",
        "From the command to its end, or to its first step; medians, least and largest.",
        "",
        *markdown(PROGRAM_HEADER, program_rows(rows)),
        "",
        "## How cost grows",
        "",
        "One measurement a size. Power is p of cost ~ size^p between the two largest sizes: 1 is "
        "linear, 0 does not grow. Of reports the memory is that of the program that starts them.",
        "",
        *markdown(GROWTH_HEADER, growth_rows(rows)),
        "",
    ]
    return "\n".join(parts)


def figure(rows: Rows, path: Path) -> None:
    """Every pair's ratio as a dot, its median as a line, on a logarithmic scale."""
    from matplotlib import pyplot as plt

    from genbench.report.drawing import COLOURS, STYLE

    lines = [line for line in LINES if ratios(line, rows)][::-1]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8, 0.5 + 0.34 * len(lines)))
        for y, line in enumerate(lines):
            found = ratios(line, rows)
            axes.plot(found, [y] * len(found), "o", color=COLOURS[0], alpha=0.5, markersize=4)
            axes.plot([statistics.median(found)], [y], "|", color=COLOURS[1], markersize=14)
        axes.axvline(1, color="#222222", linewidth=0.8)
        labels = [f"{line.title.split(',')[0]} / {line.peer.split(' (')[0]}" for line in lines]
        axes.set(yticks=range(len(lines)), yticklabels=labels, xscale="log")
        axes.set_xlabel("ours / theirs: below 1 genbench takes less")
        axes.set_xticks([0.25, 0.5, 1, 2], ["0.25", "0.5", "1", "2"])
        axes.minorticks_off()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
        plt.close(figure)


def slower(rows: Rows, before: dict[str, list[float]]) -> list[str]:
    """The lines whose median ratio is above all that were measured before."""
    return [
        f"{line.name}: {spread(found)}, before {spread(before[line.name])}"
        for line in LINES
        if line.name in before
        and (found := ratios(line, rows))
        and statistics.median(found) > max(before[line.name])
    ]
