"""`make soak`: every campaign, bounded, and a table of what was tried and lost."""

import argparse
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from genbench.console import print_table
from soak import Case, fuzz, kills, suites


def campaigns(share: float, seed: int, folder: Path) -> Iterator[Case]:
    """All cases, of each campaign a share."""

    def of(n: int) -> int:
        return max(1, round(share * n))

    rng = random.Random(seed)
    yield from suites.campaign(folder)
    yield from kills.trainings(of(8), rng, folder)
    yield from kills.signalled(of(10), rng, folder)
    yield from kills.searches(of(8), rng, folder)
    yield from kills.evaluations(of(6), rng, folder)
    yield from fuzz.campaign(share, seed, folder)


def main() -> None:
    """Run the campaigns and print the table; exit code 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the cases")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begun, by_kind, bad = time.monotonic(), defaultdict[str, list[Case]](list), 0
    with tempfile.TemporaryDirectory() as folder:
        for case in campaigns(options.share, options.seed, Path(folder)):
            by_kind[case.kind].append(case)
            bad += bool(case.problem)
            seconds = time.monotonic() - begun
            if case.problem:
                print(f"{case.kind}: {case.problem}", flush=True)
            elif len(by_kind[case.kind]) % 50 == 1:
                print(f"{seconds:5.0f} s  {case.kind}", file=sys.stderr, flush=True)
    rows = [
        [kind, len(cases), *(sum(bool(getattr(c, w)) for c in cases) for w in COLUMNS)]
        for kind, cases in by_kind.items()
    ]
    total = ["together", *(sum(row[i] for row in rows) for i in range(1, 5))]
    table = [[str(cell) for cell in row] for row in [*rows, total]]
    print_table(["", "tried", "lost", "tracebacks", "hangs"], table)
    print(f"{time.monotonic() - begun:.0f} s")
    sys.exit(bool(bad))


COLUMNS = ("lost", "traceback", "hang")

if __name__ == "__main__":
    main()
