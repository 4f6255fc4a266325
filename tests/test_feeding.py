"""What faults of W&B cost: a training nothing, and W&B nothing that `genbench sync` cannot give."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from wandb_server import Server, wait_for

from genbench import UserError, environment
from genbench.console import say_once
from genbench.record import Run, read_run, read_runs, wait_for_wandb
from genbench.record.feeding import BOUND, feed
from genbench.record.lock import locked

DRIVE = [sys.executable, str(ROOT / "tests" / "drive.py")]


def start(folder, *flags, **env):
    """A run in a process of its own."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [*DRIVE, *flags],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process, code=0):
    """What it said on stderr."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert code or "imported []" in out
    return err


def complete(folder, steps=40):
    """The one run of a folder, which has all that a run without W&B has."""
    (record,) = read_runs(folder / "runs")
    assert record.status == "finished"
    assert len(record.metrics()) == steps + steps // 10
    assert record.scores == {"val/elbo": -0.5}
    return record


def lines(record):
    return [json.loads(line) for line in (record.path / "metrics.jsonl").read_text().splitlines()]


def sent(run):
    """What a server has of a run: (step, name) -> value, each once."""
    cells = {}
    for row in run.history:
        for name in row.keys() - {"epoch"}:
            if not name.startswith("_"):
                assert (row["_step"], name) not in cells
                cells[row["_step"], name] = row[name]
    return cells


def check_whole(record, run):
    """Every row is at the server exactly once, every picture and the table with it."""
    cells = sent(run)
    for row in lines(record):
        if "file" not in row:
            for name in row.keys() - {"step", "epoch", "split"}:
                value = cells.pop((row["step"], f"{row['split']}/{name}"))
                assert float(value) == float(row[name])
            continue
        value = cells.pop((row["step"], row["name"]))
        data = run.files[value["path"]]
        if row["file"].endswith(".png"):
            assert data == (record.path / row["file"]).read_bytes()
            continue
        with np.load(record.path / row["file"]) as saved:
            expected = [[str(n), *z] for n, z in zip(saved["labels"], saved["z"], strict=True)]
        assert json.loads(data)["data"] == expected
    assert cells == {}
    assert run.summary["status"] == record.status
    assert run.summary["val/elbo"] == pytest.approx(record.scores["val/elbo"])
    assert run.exit_code == 0


def sync(script, record, server, **env):
    return script("genbench", "sync", str(record.path), **server.environment(), **env)


def check_synced(script, record, server):
    """`genbench sync` makes it whole, and a second one sends nothing."""
    done = sync(script, record, server)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(server.url) == 1
    check_whole(record, server.runs[record.about["wandb_run"]])


def feeder_of(process):
    """The feeder's process id, and its wandb-core's."""

    def look():
        (feeder,) = children(process.pid)
        (core,) = (pid for pid in children(feeder) if b"wandb-core" in command_of(pid))
        return feeder, core

    def found():
        try:
            return look()
        except (ValueError, OSError):
            return None

    return wait_for(found, 20)


def children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def fails(where, fault):
    return Server(lambda kind, n: fault if kind == where else None)


FAULTS = [
    ("graphql", "500", "offline instead, `genbench sync` uploads later"),
    ("graphql", "hang", "offline instead, `genbench sync` uploads later"),
    ("graphql", "401", "offline instead, `genbench sync` uploads later"),
    ("graphql", "garbage", "offline instead, `genbench sync` uploads later"),
    ("file_stream", "500", "W&B is behind: `genbench sync runs/"),
    ("file_stream", "hang", "W&B is behind: `genbench sync runs/"),
    ("file_stream", "401", "W&B is behind: `genbench sync runs/"),
    ("file_stream", "garbage", ""),
    ("storage", "drop", "W&B is behind: `genbench sync runs/"),
]


@pytest.mark.parametrize("faults", [FAULTS[:3], FAULTS[3:6], FAULTS[6:]], ids=["1", "2", "3"])
def test_a_server_that_fails_costs_nothing_and_is_given_all_later(script, tmp_path, faults):
    """From the first request of a kind on, until it is repaired."""

    def train(case):
        where, fault, said = case
        folder = tmp_path / f"{where}-{fault}"
        with fails(where, fault) as server:
            begun = time.monotonic()
            err = ended(start(folder, "--seconds=2", **server.environment()))
            assert time.monotonic() - begun < BOUND
            record = complete(folder)
            assert said in err
            server.repair()
            check_synced(script, record, server)

    with ThreadPoolExecutor(len(faults)) as pool:
        list(pool.map(train, faults))


def test_a_silent_server_costs_its_bound_at_most(tmp_path):
    """With the waits as they are."""
    with fails("graphql", "hang") as server:
        begun = time.monotonic()
        err = ended(start(tmp_path, **server.environment()))
    assert time.monotonic() - begun < BOUND + 3  # and of the process itself
    assert err.count("\n") == 1
    record = complete(tmp_path)
    assert offline(record)["summary"]["val/elbo"] == -0.5


def written_offline(folder):
    """The size of W&B's record of the one run."""
    return sum(file.stat().st_size for file in folder.glob("runs/*/wandb/*/run-*.wandb"))


def offline(record):
    """W&B's own dump of a run's one offline record."""
    (folder,) = (record.path / "wandb").glob("*run-*_*")
    assert folder.name.startswith("offline-run-")
    command = ["wandb", "leet", "inspect", "--summary", "--json", str(folder)]
    return json.loads(subprocess.check_output(command, text=True))


def test_a_server_that_dies_half_way_costs_nothing(script, tmp_path):
    with Server() as server:
        process = start(tmp_path, "--pause=0.1", "--seconds=2", **server.environment())
        assert wait_for(lambda: server.runs)
        time.sleep(0.5)
        server.die()
        err = ended(process)
    record = complete(tmp_path)
    assert f"W&B is behind: `genbench sync {record.path.relative_to(tmp_path)}` upl" in err
    with Server() as later:
        later.runs.update(server.runs)
        check_synced(script, record, later)
        stored = len(later.stored)
        check_synced(script, record, later)  # again: nothing is sent twice
        assert len(later.runs[record.path.name].history) == 40
        assert not [name for name in later.stored[stored:] if name.startswith("media/")]


@pytest.mark.parametrize(("victim", "has"), [("core", 0), ("core", 8_000), ("feeder", 8_000)])
def test_a_kill_of_wandbs_processes_costs_an_offline_run_nothing(script, tmp_path, victim, has):
    """A core may also die while it begins the record, of which nobody need know."""
    process = start(tmp_path, "--pause=0.1")
    feeder, core = feeder_of(process)
    assert wait_for(lambda: written_offline(tmp_path) > has)
    os.kill(core if victim == "core" else feeder, signal.SIGKILL)
    err = ended(process)
    assert "going on without" not in err
    assert not has or ("is begun again" in err) is (victim == "core")
    record = complete(tmp_path)
    dump = offline(record)
    assert (dump["state"], dump["summary"]["val/elbo"]) == ("finished", -0.5)
    with Server() as server:
        check_synced(script, record, server)


@pytest.mark.parametrize("victim", ["core", "feeder"])
def test_a_kill_of_wandbs_processes_leaves_an_online_run_whole(tmp_path, victim):
    with Server() as server:
        process = start(tmp_path, "--pause=0.1", **server.environment())
        feeder, core = feeder_of(process)
        assert wait_for(lambda: any(run.history for run in server.runs.values()))
        os.kill(core if victim == "core" else feeder, signal.SIGKILL)
        ended(process)
        record = complete(tmp_path)
        check_whole(record, server.runs[record.path.name])


def test_a_feeder_that_hangs_is_named_and_costs_the_bound(script, tmp_path):
    process = start(tmp_path, "--pause=0.05", "--bound=2")
    feeder, _ = feeder_of(process)
    os.kill(feeder, signal.SIGSTOP)
    err = ended(process)
    record = complete(tmp_path)
    name = record.path.relative_to(tmp_path)
    assert f"W&B: its process was killed; `genbench sync {name}` uploads what is left" in err
    with Server() as server:
        check_synced(script, record, server)


def test_a_training_killed_with_9_is_fed_to_its_last_row(script, tmp_path):
    process = start(tmp_path, "--pause=0.1", "--steps=1000")
    assert wait_for(lambda: written_offline(tmp_path) > 8_000)
    process.kill()
    ended(process, -signal.SIGKILL)
    (record,) = read_runs(tmp_path / "runs")
    assert record.status == "unfinished"

    def fed():
        return offline(record)["state"] == "failed"

    assert wait_for(fed, 10)
    last = [row["kl"] for row in record.metrics() if "kl" in row][-1]
    assert offline(record)["summary"]["train/kl"] == last > 10
    with Server() as server:
        assert sync(script, record, server).returncode == 0
        (run,) = server.runs.values()
        assert [row["train/kl"] for row in run.history] == list(range(1, int(last) + 1))
        assert (run.summary["status"], run.exit_code) == ("unfinished", 1)


def interrupted(folder, mode):
    """A run that is stopped before the validation of its second step."""
    with Run(str(folder), "toy", mode) as run:
        run.begin({}, model="vae")
        run.log("train", {"loss": 3.0}, 1, 0.5)
        run.log("train", {"loss": 2.0, "kl": 1.0}, 2, 1.0)
        raise KeyboardInterrupt


def test_a_run_that_goes_on_is_one_run(tmp_path, monkeypatch):
    """Its folder has one offline record, and online its last step is completed."""
    for mode in ("offline", "online"):
        with Server() as server:
            if mode == "online":
                monkeypatch.setenv("WANDB_BASE_URL", server.url)
                monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
            with pytest.raises(KeyboardInterrupt):
                interrupted(tmp_path / mode, mode)
            wait_for_wandb()
            (record,) = read_runs(tmp_path / mode)
            (record.path / "summary.json").unlink()
            with (record.path / "metrics.jsonl").open("a") as file:
                for row in (
                    {"step": 2, "epoch": 1.0, "split": "val", "elbo": -4.0},
                    {"step": 3, "epoch": 1.5, "split": "train", "loss": 1.0, "kl": 0.5},
                ):
                    file.write(json.dumps(row) + "\n")
            (record.path / "summary.json").write_text('{"status": "finished", "scores": {}}')
            feed(record.path, mode)
            feed(record.path, mode, over=True)
            wait_for_wandb()
            if mode == "offline":
                summary = offline(record)["summary"]
                assert (summary["train/loss"], summary["val/elbo"]) == (1.0, -4.0)
                continue
            (done,) = server.runs.values()
            assert sorted(sent(done)) == [
                (1, "train/loss"),
                (2, "train/kl"),
                (2, "train/loss"),
                (3, "train/kl"),
                (3, "train/loss"),
                (3, "val/elbo"),  # of step 2, which the server no longer takes
            ]
            assert (done.summary["status"], done.exit_code) == ("finished", 0)


def test_runs_of_a_process_are_fed_one_after_another(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "chosen")
    for i in range(3):
        with Run(str(tmp_path), f"toy{i}", "offline") as run:
            run.begin({}, model="vae")
            run.log("val", {"elbo": float(i)}, 1, 1.0)
    wait_for_wandb()
    records = read_runs(tmp_path)
    assert [record.about["wandb_run"] for record in records] == [
        "chosen",
        *(record.path.name for record in records[1:]),
    ]
    assert [offline(record)["summary"]["val/elbo"] for record in records] == [0, 1, 2]


@pytest.mark.parametrize("bad", ["a/b", "x" * 101, " a"])
def test_an_id_that_wandb_refuses_is_named_and_replaced(tmp_path, monkeypatch, capfd, bad):
    say_once.cache_clear()
    monkeypatch.setenv("WANDB_RUN_ID", bad)
    with Run(str(tmp_path), "toy", "offline") as run:
        run.begin({}, model="vae")
        run.log("val", {"elbo": 2.0}, 1, 1.0)
    wait_for_wandb()
    said = capfd.readouterr().err
    assert said.startswith(f"WANDB_RUN_ID={bad[:100]}: no id of a run (at most 100 characters, ")
    assert said.endswith(f"; it is {run.id} instead\n")
    (record,) = read_runs(tmp_path)
    assert record.about["wandb_run"] == run.id
    monkeypatch.delenv("WANDB_RUN_ID")  # W&B's own tools do not start with it
    assert offline(record)["summary"]["val/elbo"] == 2.0


@pytest.mark.parametrize(
    ("variable", "choice", "mode"),
    [
        ("run", "auto", "online"),
        ("dryrun", "auto", "offline"),
        ("shared", "auto", "shared"),
        ("", "auto", "auto"),
        ("offline", "run", "online"),
        ("online", "dryrun", "offline"),
    ],
)
def test_wandbs_own_words_for_modes(monkeypatch, variable, choice, mode):
    monkeypatch.setenv("WANDB_MODE", variable)
    assert environment.wandb_mode(choice) == mode


def test_a_mode_that_is_none_is_refused_before_anything_is_made(script, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="wandb=on: choose one of auto, online, offline, disabled"):
        Run(str(tmp_path / "runs"), "toy", "on")
    done = script("vae.py", "--wandb=on")
    assert done.returncode == 2
    done = script(*DRIVE, WANDB_MODE="ofline", PYTHONPATH=str(ROOT))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: WANDB_MODE=ofline: choose one of auto, online, offline")
    assert not (tmp_path / "runs").exists()


def toy_run(folder):
    """A folder of a run that W&B has never heard of."""
    with Run(str(folder), "toy", "disabled") as run:
        run.begin({"lr": 0.1}, model="vae")
        for step in (1, 2):
            run.log("train", {"loss": 1.0 / step}, step, step)
            run.picture("samples", np.full((8, 8, 3), step, np.uint8), step, step)
        run.picture("interpolations", np.full((8, 8, 3), 9, np.uint8), 2, 2)
        run.log("val", {"elbo": -1.0}, 2, 2)
        run.latents(np.ones((3, 2), np.float32), np.arange(3), "val", 2)
        run.summary["scores"] = {"val/elbo": -1.0}
    return read_run(run.dir)


def test_a_run_of_an_earlier_version_is_uploaded_with_its_pictures(script, tmp_path):
    path = toy_run(tmp_path / "runs").path
    about = json.loads((path / "config.json").read_text())
    named = lines(read_run(path))
    del about["wandb_run"], about["wandb"]
    (path / "config.json").write_text(json.dumps(about))
    (path / "wandb" / "offline-run-20260101_000000-k3j5h8").mkdir(parents=True)
    kept = [json.dumps(row) + "\n" for row in named if "file" not in row]
    (path / "metrics.jsonl").write_text("".join(kept))
    with Server() as server:
        assert sync(script, read_run(path), server).returncode == 0
        assert list(server.runs) == ["k3j5h8"]  # the id that W&B chose
        assert server.runs["k3j5h8"].display_name == path.name
        (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in named))
        check_whole(read_run(path), server.runs["k3j5h8"])


def test_later_scores_are_uploaded_too(script, tmp_path):
    record = toy_run(tmp_path / "runs")
    scores = {"test/kid_lite0_n50": 0.25}
    (record.path / "evaluations.jsonl").write_text(
        json.dumps({"sampler": "vae", "logged": scores}) + "\n"
    )
    with Server() as server:
        for _ in range(2):
            assert sync(script, record, server).returncode == 0
        (run,) = (run for name, run in server.runs.items() if "-evaluation-" in name)
        assert (run.summary["test/kid_lite0_n50"], run.history) == (0.25, [])
        assert run.display_name == f"{record.path.name} evaluation, vae"


def test_what_cannot_be_synced_is_one_line(script, tmp_path):
    record = toy_run(tmp_path / "runs")
    name = record.path.name
    dead = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40}
    for words, env, said in [
        ([], {}, "error: name runs, such as runs/2*"),
        (["none"], {}, "error: runs/none: no run; `genbench runs` lists those of a folder"),
        ([name], {}, "error: W&B: no key; `wandb login` or WANDB_API_KEY sets one"),
        ([name], dead, f"error: runs/{name}: not uploaded: Failed to"),  # after 15 s
    ]:
        done = script("genbench", "sync", *words, **env)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(said)
        assert done.stderr.count("\n") == 1
    with locked(record.path):
        done = script("genbench", "sync", name, WANDB_API_KEY="0" * 40)
    assert "fed with it by its own training" in done.stderr


def test_a_sync_is_over_after_its_timeout(script, tmp_path):
    record = toy_run(tmp_path / "runs")
    with fails("file_stream", "hang") as server:
        done = script("genbench", "sync", str(record.path), "--timeout=1", **server.environment())
        assert done.returncode == 2
        assert "has not taken all of it in 1 s; the same command goes on with it" in done.stderr
        server.repair()
        check_synced(script, record, server)
