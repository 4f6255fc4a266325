"""Trainings side by side, in real processes: what they find, and what ends them."""

import itertools
import os

import pytest
from conftest import later_checkpoint, torn_mnist

from genbench import UserError, crew
from genbench.crew import train_all
from genbench.families.ae import AEConfig
from genbench.record import read_runs


def config(folder, seed, **more):
    small = {"width": 8, "depth": 1, "epochs": 1, "batch_size": 1000, "save": False}
    given = small | {"runs_dir": str(folder / "runs"), "wandb": "disabled"} | more
    return AEConfig(seed=seed, **given)


def jobs(folder, seeds, **more):
    return [(config(folder, seed, **more), f"seed {seed}") for seed in seeds]


def test_two_at_a_time_find_what_one_after_the_other_does(tmp_path):
    alone = train_all(jobs(tmp_path / "alone", (1, 2, 3)), workers=1)
    together = train_all(jobs(tmp_path / "together", (1, 2, 3)), workers=2)
    for one, other in zip(alone, together, strict=True):
        assert one.keys() == other.keys()
        assert other["val/bce"] == pytest.approx(one["val/bce"], rel=1e-4)
    assert len({one["val/bce"] for one in alone}) == 3
    runs = read_runs(tmp_path / "together" / "runs")
    assert {run.about["threads"] for run in runs} == {max(1, len(os.sched_getaffinity(0)) // 2)}


def test_what_all_would_say_is_said_once(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(crew, "_started", itertools.count())
    train_all(jobs(tmp_path, (1, 2, 3), wandb="auto"), workers=2)
    assert capfd.readouterr().err.count("no key, so offline") == 1
    assert all(list(run.path.glob("wandb/offline-run-*")) for run in read_runs(tmp_path / "runs"))


def test_a_commit_while_they_train_costs_no_second_training(tmp_path, monkeypatch):
    """What they found is theirs to say: their records name a commit that nobody waits for."""
    found = train_all(jobs(tmp_path, (1, 2)), workers=2, commit="c" * 40)
    runs = read_runs(tmp_path / "runs")
    assert len(runs) == 2
    assert sorted(run.scores["val/bce"] for run in runs) == sorted(s["val/bce"] for s in found)


def test_what_is_there_is_not_trained_again(tmp_path):
    first = train_all(jobs(tmp_path, (1, 2)), workers=2)
    again = train_all(jobs(tmp_path, (2, 1, 3)), workers=2)
    assert again[:2] == first[::-1]
    assert len(read_runs(tmp_path / "runs")) == 3


def test_what_a_training_finds_wrong_is_the_line_that_ends_all(tmp_path):
    torn = str(torn_mnist(tmp_path))
    wrong = config(tmp_path, 1, data="mnist", data_dir=torn), "torn"
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte: cannot be read \(truncated"):
        train_all([wrong, *jobs(tmp_path, (2,))], workers=2)


def once_both_train(monkeypatch, folder, act):
    """Let something happen while both trainings run."""
    real, done = crew.ended, []
    (folder / "runs").mkdir()

    def look(workers):
        runs = [run for run in read_runs(folder / "runs") if run.metrics()]
        if len(runs) == 2 and not done:
            done.append(act(workers))
        return real(workers)

    monkeypatch.setattr(crew, "ended", look)


def interrupt(workers):
    raise KeyboardInterrupt


def test_a_killed_training_ends_all_and_they_go_on(tmp_path, monkeypatch):
    long = jobs(tmp_path, (1, 2), epochs=40, save=True)
    once_both_train(monkeypatch, tmp_path, lambda workers: workers[1].process.kill())
    with pytest.raises(UserError, match=r"seed 2: killed \(SIGKILL\); the same command goes on"):
        train_all(long, workers=2)
    runs = read_runs(tmp_path / "runs")
    assert sorted(run.status for run in runs) == ["failed", "unfinished"]
    assert {run.summary.get("error") for run in runs} == {None, "SystemExit: 143"}
    train_all(long, workers=2)
    assert [run.status for run in read_runs(tmp_path / "runs")] == ["finished"] * 2


def test_ctrl_c_ends_all_in_good_order(tmp_path, monkeypatch):
    once_both_train(monkeypatch, tmp_path, interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_all(jobs(tmp_path, (1, 2), epochs=3000, save=True), workers=2)
    runs = read_runs(tmp_path / "runs")
    assert [run.summary["error"] for run in runs] == ["SystemExit: 143"] * 2
    for run in runs:
        assert later_checkpoint(run.path)["step"] >= max(row["step"] for row in run.metrics())
