"""Faults that the test suite has already: each of its tests is a case."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from soak import Case

TESTS = Path(__file__).parents[1]
SUITES = {"faults of W&B": "test_feeding.py", "faults of disks": "test_disk.py"}
SECONDS = 400


def campaign(folder: Path) -> Iterator[Case]:
    """Run the suites; a test that fails has lost something, or shown a traceback."""
    for kind, name in SUITES.items():
        results = folder / f"{name}.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", f"--junit-xml={results}"]
        try:
            subprocess.run(
                [*command, str(TESTS / name)],
                cwd=TESTS.parent,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdout=subprocess.DEVNULL,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            yield Case(kind, hang=f"{name} took {SECONDS} s")
            continue
        for test in ET.parse(results).iter("testcase"):
            if test.find("skipped") is None:
                broken = [*test.iterfind("failure"), *test.iterfind("error")]
                yield Case(kind, lost=f"{test.get('name')}" if broken else "")
