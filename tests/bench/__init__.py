"""How fast, beside what people would use instead: `make bench`, `bench-full`, `bench-check`.

Every measurement is a task (tasks.py, peers.py) in a process of its own, so that its memory is its
own too. A line (lines.py) is two tasks that do the same work, in alternation; page.py writes them.
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "runs" / "bench"  # what was measured, and pictures that tasks share
