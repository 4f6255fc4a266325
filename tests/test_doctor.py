"""`genbench doctor`: every line says what was found and what to do."""

import fcntl
import json
import os
import shutil
import sys
import time

import pytest
import torch
from records import FAILURE, Records
from test_data import write_set

from genbench import UserError, commands
from genbench.doctor import machine
from genbench.doctor.folder import look_into
from genbench.doctor.machine import disk_row, look_around, wandb_row


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "runs")


@pytest.fixture
def quick(monkeypatch):
    """W&B is not asked."""
    monkeypatch.setattr(machine, "HAS_KEY", "print('none')")


def rows(records, clean=False):
    """what was found -> what to do, of a folder's runs."""
    return {f"{name}: {found}": remedy for name, found, remedy in look_into(records.folder, clean)}


def old(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (1, 1))
    return path


def around(tmp_path):
    return {name: (found, remedy) for name, found, remedy in look_around(tmp_path / "runs")}


def test_a_folder_with_nothing_wrong_has_no_lines(records):
    records.run("ae")
    records.gan(status="pruned")
    records.study("ae", [80.0])
    assert rows(records) == {}


def test_an_unfinished_run_is_resumed(records):
    path = records.run("vae")
    (path / "summary.json").unlink()
    torch.save({"step": 1}, old(path / "checkpoints" / "last.pt"))
    assert rows(records) == {"run-001: unfinished": f"genbench resume {path}"}
    shutil.rmtree(path / "checkpoints")
    assert rows(records) == {
        "run-001: unfinished": f"genbench resume {path} begins it anew: no checkpoint"
    }


def test_a_run_that_still_runs_is_waited_for(records):
    path = records.run("vae")
    (path / "summary.json").unlink()
    old(path / "summary.json.room.part")  # it is held by the run
    with (path / "metrics.jsonl").open("ab") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        assert rows(records, clean=True) == {"run-001: running": "wait"}
    assert (path / "summary.json.room.part").exists()


def test_failed_and_diverged_runs_say_why(records):
    records.run("ae", status="failed", error="SystemExit: 143\nsecond line")
    records.gan(**FAILURE)
    found = rows(records)
    assert found.pop("run-001: failed: SystemExit: 143").startswith("genbench resume ")
    ((said, remedy),) = found.items()
    assert said.startswith("run-002: failed: Diverged: train/loss_d is nan at step 50")
    assert "try a smaller --lr" in remedy


def test_a_run_that_was_killed_before_its_first_step_is_named(records):
    path = records.run("ae")
    (path / "config.json").unlink()
    assert rows(records) == {
        "run-001: unfinished, no config.json": (
            "delete the folder: it was killed before its first step"
        )
    }


@pytest.mark.parametrize(
    ("name", "content", "found", "remedy"),
    [
        ("config.json", b"{", "config.json damaged: no JSON", "restore it, else delete"),
        ("summary.json", b'{"status": 1}', "summary.json damaged: status: 1 is none of", "resume"),
        ("metrics.jsonl", b"[]\n", "metrics.jsonl damaged: line 1: [] is no", "the other lines"),
        ("evaluations.jsonl", b"[]\n", "evaluations.jsonl damaged: line 1: []", "evaluate"),
        ("pictures.npz", b"x", "pictures.npz damaged: ", "the report does without"),
        ("latents.npz", b"x", "latents.npz damaged: ", "the report does without"),
        ("checkpoints/last.pt", b"PK", "checkpoints/last.pt is torn", "delete it: the run can"),
    ],
)
def test_what_is_damaged_is_named_with_a_remedy(records, name, content, found, remedy):
    path = records.run("ae") / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    said = rows(records)
    (line,) = [line for line in said if line.startswith(f"run-001: {found}")]
    assert remedy in said[line]


def test_a_damaged_study_is_written_by_its_search_again(records):
    records.run("ae")
    records.study("ae", [80.0])
    (records.folder / "studies" / "ae.json").write_text("[]")
    assert rows(records) == {
        "studies: ae.json damaged: [] is no object": "the same search again writes it"
    }


LEFT = (
    *("run-001/config.json.0a1b2c3d.part", "run-001/samples/epoch-0001.png.0a1b2c3d.part"),
    *("run-001/checkpoints/tmpab12_x9z", "studies/x.json.0a1b2c3d.part", "summary.json.room.part"),
)
KEPT = (
    *("run-001/wandb/x.part", "run-001/tmpab12_x9z", "run-001/checkpoints/tmp.pt.x"),
    *("run-001/notes.txt", "run-001/part", "run-001/x.tmp", "mine/movie.mp4.part"),
)


def test_clean_removes_what_killed_writers_left_and_nothing_else(records, tmp_path):
    records.run("ae")
    before = {path for path in records.folder.rglob("*") if path.is_file()}
    left = [old(records.folder / name) for name in LEFT] + [old(tmp_path / "cache/y.0a1b2c3d.part")]
    kept = [old(records.folder / name) for name in KEPT]
    said = rows(records)
    assert len(said) == len(left)
    assert set(said.values()) == {"genbench doctor --clean removes it"}
    assert all(path.exists() for path in left)
    assert set(rows(records, clean=True).values()) == {"removed"}
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in {*kept, *before})
    assert rows(records) == {}


def test_what_was_changed_lately_may_be_in_the_making(records):
    path = old(records.run("ae") / "config.json.0a1b2c3d.part")
    os.utime(path, (time.time(), time.time() - 30))
    ((found, remedy),) = rows(records, clean=True).items()
    assert found == f"run-001: {path}: half written"
    assert remedy.startswith("wait: it was changed 30 s ago")
    assert path.exists()


def test_the_machine_is_described(tmp_path, quick, monkeypatch):
    write_set(tmp_path / "data" / "MNIST" / "raw")
    (tmp_path / "kaggle/datasets/bryanb/abstract-art-gallery/versions/1/a").mkdir(parents=True)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    found = around(tmp_path)
    assert f"Python {sys.version.split()[0]}" in found["genbench"][0]
    assert found["torch"][0].startswith(f"{torch.__version__} on ")
    assert found["threads"][0].startswith(f"{torch.get_num_threads()} of ")
    assert found["W&B"][1] == "wandb login sets one"
    assert found["data=mnist"] == (str(tmp_path / "data" / "MNIST" / "raw"), "")
    assert found["data=mnist-mini"][0].endswith("mnist_12k.npz")
    assert found["data=synthetic-art"] == ("painted here", "")
    assert found["data=abstract-art"][0].endswith("versions")
    assert found["efficientnet-lite0"][0].endswith(".pth")
    assert found["lenet-digits"][0].endswith("lenet_digits.pt")
    assert found["inception-v3-compat"][0] == f"not in {tmp_path}/hub/checkpoints"
    for name in ("runs_dir", "data folder", "cache folder"):
        assert " GB free" in found[name][0]


def test_what_is_not_there_comes_with_a_way_to_have_it(tmp_path, quick, monkeypatch):
    from genbench.data import art, digits

    monkeypatch.setattr(digits, "DEBIAN_FASHION", tmp_path)
    monkeypatch.setattr(art, "PROPAGANDA", tmp_path)
    monkeypatch.setattr(digits, "MINI", tmp_path / "x")
    old(tmp_path / "hub" / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    found = around(tmp_path)
    for name, remedy in {
        "mnist": f"fetched once, or put into {tmp_path}/data/MNIST/raw",
        "fashion-mnist": f"fetched once, or put into {tmp_path}/data/FashionMNIST/raw",
        "mnist-mini": "install genbench again",
        "propaganda-debian": "apt install propaganda-debian",
    }.items():
        assert found[f"data={name}"] == ("not on disk", remedy)
    assert found["data=abstract-art"][0] == "not on disk"
    assert found["inception-v3-compat"][0].endswith("6726825d.pth")


@pytest.mark.parametrize(
    ("mode", "answer", "found", "remedy"),
    [
        ("", ["key"], "is not set, a key is set: runs are online", ""),
        ("", ["none"], "is not set, no key is set: runs are offline", "wandb login"),
        ("", [], "whether a key is set it does not say: runs are offline", ""),
        ("offline", ["key"], "is offline, a key is set: runs are offline", ""),
        ("disabled", ["none"], "is disabled, no key is set: runs are disabled", "wandb login"),
        ("ofline", ["key"], "WANDB_MODE=ofline", "unset it, or choose one of auto, online"),
    ],
)
def test_wandbs_mode_is_what_a_run_will_have(monkeypatch, mode, answer, found, remedy):
    monkeypatch.setenv("WANDB_MODE", mode)
    name, said, todo = wandb_row(answer)
    assert name == "W&B"
    assert said.endswith(found)
    assert todo.startswith(remedy)


@pytest.mark.parametrize("key", ["", "0" * 40])
def test_wandb_is_asked_for_its_key_in_a_process_of_its_own(tmp_path, monkeypatch, key):
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    before = set(sys.modules)
    found = around(tmp_path)["W&B"][0]
    assert ("a key is set" in found, "no key is set" in found) == (bool(key), not key)
    assert "wandb" in before or "wandb" not in sys.modules


def test_more_threads_than_cores_are_pointed_out():
    assert machine._threads_remedy(8, 2).startswith("OMP_NUM_THREADS=2: ")
    assert machine._threads_remedy(2, 2) == ""
    assert machine._threads_remedy(1, 2) == "OMP_NUM_THREADS sets them"


def test_a_disk_that_is_nearly_full_or_closed_is_pointed_out(tmp_path, monkeypatch):
    found, _ = disk_row(tmp_path / "not" / "yet")
    assert found.startswith(f"{tmp_path}/not/yet: ")
    (tmp_path / "file").write_text("")
    assert disk_row(tmp_path / "file" / "x")[0].endswith("cannot be written")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 10**9))
    assert disk_row(tmp_path) == [
        f"{tmp_path}: 1.0 GB free",
        "make room: a full disk ends a training",
    ]


def test_the_command_prints_both_tables(records, quick, capsys):
    path = records.run("vae")
    (path / "summary.json").unlink()
    commands.doctor(str(records.folder))
    out = capsys.readouterr().out
    assert "This machine" in out
    assert f"Runs in {records.folder}" in out
    assert f"genbench resume {path}" in out
    shutil.rmtree(path)
    commands.doctor(str(records.folder))
    assert f"Runs in {records.folder}: nothing wrong" in capsys.readouterr().out


def test_the_default_folder_need_not_be_there_but_one_that_is_named(tmp_path, quick, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands.doctor()
    with pytest.raises(UserError, match="none: no folder of runs; name another"):
        commands.doctor("none")
    (tmp_path / "runs").write_text("")
    with pytest.raises(UserError, match="runs: no folder of runs"):
        commands.doctor()


def test_the_real_command_cleans_and_ends_well(script, tmp_path):
    records = Records(tmp_path / "mine")
    path = old(records.run("ae") / "config.json.0a1b2c3d.part")
    (records.folder / "run-001" / "config.json").write_text("{")
    done = script("genbench", "doctor", "mine", "--clean")
    assert (done.returncode, done.stderr) == (0, "")
    assert not path.exists()
    assert "restore it, else delete the folder" in done.stdout
    assert json.loads((records.folder / "run-001" / "summary.json").read_text())
    assert script("genbench", "doctor", "nothing").returncode == 2
