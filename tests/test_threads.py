"""How torch's threads wait: beside other programs a training must not take their cores."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "experiments"
WATCHED = """
import os, runpy, sys
class Watch:
    def find_spec(self, name, *_):
        if name == "torch":
            sys.exit("torch comes " + os.environ.get("GOMP_SPINCOUNT", "too early"))
sys.meta_path.insert(0, Watch())
runpy.run_path(sys.argv[1], run_name="a module")
import torch
"""


def ends_with(*code: str, **chosen: str) -> str:
    """What a program says last, in an environment where only `chosen` says how threads wait."""
    waits = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    env = {k: v for k, v in os.environ.items() if k not in waits} | chosen
    done = subprocess.run([sys.executable, "-c", *code], env=env, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines()[-1]


@pytest.mark.parametrize("script", ["contest.py", "gan.py"])
def test_torch_is_imported_after_the_threads_are_told_to_wait_briefly(script):
    assert ends_with(WATCHED, str(SCRIPTS / script)) == "torch comes 1000"


@pytest.mark.parametrize(
    "chosen", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}], ids=lambda d: next(iter(d))
)
def test_who_chose_how_threads_wait_keeps_it(chosen):
    code = "import genbench, os; print({k: v for k, v in os.environ.items() if k in %r})"
    assert ends_with(code % (("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"),), **chosen) == str(chosen)
