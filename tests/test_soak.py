"""A tenth of `make soak`; its kills are in test_resume.py, W&B and disks in files of their own."""

from collections import Counter
from pathlib import Path

import pytest
from soak import Case, fuzz

from genbench import UserError


def test_two_hundred_damaged_inputs_are_read_or_refused_in_a_line(tmp_path):
    cases = list(fuzz.campaign(0.1, 7, tmp_path))
    assert [case for case in cases if case.problem] == []
    expected = {f"fuzzed {kind}": n // 10 for kind, (_, n) in fuzz.KINDS.items()}
    assert Counter(case.kind for case in cases) == expected
    assert sum(expected.values()) == 200


def refuse(path: Path) -> None:
    raise UserError(f"{path.name}: is no such thing; name another")


def refuse_at_length(path: Path) -> None:
    raise UserError("this\nand that")


def fail(path: Path) -> None:
    raise KeyError("x")


def lose(path: Path) -> None:
    raise AssertionError("a row is gone")


def hang(path: Path) -> None:
    raise fuzz.Hang


@pytest.mark.parametrize(
    ("read", "found"),
    [
        (refuse, ""),
        (refuse_at_length, "traceback: 2 lines"),
        (fail, "traceback: KeyError: 'x'"),
        (lose, "lost: a row is gone"),
        (hang, "hang: input took 20 s"),
    ],
)
def test_the_campaign_sees_what_goes_wrong(read, found):
    case = Case("any", *fuzz._outcome(read, Path("input")))
    assert case.problem.startswith(found)
    assert bool(case.problem) == bool(found)
