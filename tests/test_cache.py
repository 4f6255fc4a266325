import importlib
import os
from functools import partial

import numpy as np
import pytest

from genbench.metrics import cache as module
from genbench.metrics.cache import Cache, content_hash

KEY = ["weights", np.arange(6).reshape(2, 3)]


class Once:
    """Computes anew each time that it is asked, and counts."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return {"x": np.full((3, 2), self.times, np.float32), "none": np.zeros((3, 0))}


def test_what_was_computed_is_read_back_by_another_process(tmp_path):
    make = Once()
    first = Cache(tmp_path / "new").get("features", KEY, make)
    again = Cache(tmp_path / "new").get("features", list(KEY), make)
    assert make.times == 1
    assert set(again) == {"x", "none"}
    for name, array in first.items():
        np.testing.assert_array_equal(again[name], array)
        assert again[name].dtype == array.dtype


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("other", KEY),
        ("features", ["weights2", KEY[1]]),
        ("features", ["weights", KEY[1] + 1]),
        ("features", ["weights", KEY[1].astype(np.int32)]),
        ("features", ["weights", KEY[1].reshape(3, 2)]),
        ("features", [*KEY, 1]),
    ],
)
def test_another_key_is_computed(tmp_path, name, key):
    make = Once()
    cache = Cache(tmp_path)
    cache.get("features", KEY, make)
    assert cache.get(name, key, make)["x"][0, 0] == 2


def test_a_key_is_its_parts_and_not_their_text_run_together():
    assert content_hash(["ab", "c"]) != content_hash(["a", "bc"])
    assert content_hash(["1"]) != content_hash([1])


def test_the_sources_of_a_function_are_those_it_may_call(tmp_path, monkeypatch):
    (tmp_path / "of_a_user.py").write_text(
        "from its_helper import f\ndef score(a, b): return f()\n"
    )
    (tmp_path / "its_helper.py").write_bytes(
        b"# -*- coding: latin-1 -*- \xe9\ndef f(): return 1.0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    score = importlib.import_module("of_a_user").score
    files = [str(tmp_path / "its_helper.py"), str(tmp_path / "of_a_user.py")]
    assert module.sources_of(score) == module.sources_of(partial(partial(score, 1), 2)) == files
    before = module.source_hash(*files)
    (tmp_path / "its_helper.py").write_text("def f(): return 2.0\n")
    assert module.source_hash(*files) != before


def test_what_stands_in_no_file_has_no_sources():
    assert module.sources_of(max) == []
    assert module.sources_of(eval("lambda: 1.0")) == []


@pytest.mark.parametrize("harm", ["short", "flip", "empty", "text"])
def test_a_damaged_file_is_said_and_computed_anew(tmp_path, capsys, harm):
    make, cache = Once(), Cache(tmp_path)
    cache.get("features", KEY, make)
    (path,) = tmp_path.glob("*.npz")
    content = bytearray(path.read_bytes())
    middle = content.index(np.float32(1).tobytes() * 3)  # inside x
    content[middle] ^= 1
    harmed = {"short": path.read_bytes()[:-30], "flip": content, "empty": b"", "text": b"hello"}
    path.write_bytes(harmed[harm])
    assert cache.get("features", KEY, make)["x"][0, 0] == 2
    assert capsys.readouterr().err == f"{path}: damaged; computed anew\n"
    assert cache.get("features", KEY, make)["x"][0, 0] == 2  # and kept


def test_a_file_under_a_wrong_name_is_not_used(tmp_path, capsys):
    make, cache = Once(), Cache(tmp_path)
    cache.get("features", KEY, make)
    (path,) = tmp_path.glob("*.npz")
    cache.get("features", ["other"], make)
    (other,) = set(tmp_path.glob("*.npz")) - {path}
    os.replace(other, path)
    assert cache.get("features", KEY, make)["x"][0, 0] == 3
    assert "of something else; computed anew" in capsys.readouterr().err


def test_what_was_not_read_for_the_longest_time_goes_first(tmp_path, monkeypatch):
    make, cache = Once(), Cache(tmp_path)
    for i, age in enumerate((300, 200, 100)):
        cache.get("features", [i], make)
        path = max(tmp_path.glob("*.npz"), key=os.path.getmtime)
        os.utime(path, (os.path.getmtime(path) - age,) * 2)
    size = path.stat().st_size
    cache.get("features", [0], make)  # read: now the youngest
    monkeypatch.setattr(module, "LIMIT", 3 * size + size // 2)
    cache.get("features", [3], make)
    assert make.times == 4
    assert len(list(tmp_path.glob("*.npz"))) == 3
    for kept in (0, 2, 3):
        cache.get("features", [kept], make)
    assert make.times == 4
    cache.get("features", [1], make)
    assert make.times == 5


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    make = Once()
    cache = Cache(tmp_path / "file" / "below")
    assert cache.get("features", KEY, make)["x"][0, 0] == 1
    assert cache.get("features", KEY, make)["x"][0, 0] == 2
    assert "cannot be kept" in capsys.readouterr().err


def test_without_a_folder_nothing_is_kept():
    make = Once()
    assert [Cache(None).get("f", KEY, make)["x"][0, 0] for _ in range(2)] == [1, 2]
