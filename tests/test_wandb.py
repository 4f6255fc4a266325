"""The real `wandb` command and client against a server on 127.0.0.1, and a server that fails."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from conftest import ROOT
from wandb_server import ENTITY, KEY, Server, wait_for

from genbench.record import read_runs
from genbench.search.launch import expand
from genbench.sweep import read_sweep

TOY = ("--width=16", "--latent_dim=2", "--epochs=1")
SMALL_GAN = ("--images=64", "--held_out=64", "--image_size=32", "--width=4", "--epochs=1")


@pytest.fixture
def server():
    with Server() as running:
        yield running


def toy_sweep(tmp_path, model):
    """The shipped sweep file with a budget of seconds; program and metric by the same rules."""
    content = yaml.safe_load((ROOT / "sweeps" / f"{model}.yaml").read_text())
    content["program"] = str(ROOT / content["program"])
    content["parameters"]["epochs"] = {"value": 1}
    if model == "gan":
        small = {"images": 64, "held_out": 64, "image_size": 32, "eval_images": 50, "width": 4}
        content["parameters"] |= {name: {"value": value} for name, value in small.items()}
        content["metric"]["name"] = "val/kid_lite0_n50"
    path = tmp_path / f"{model}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def only(server):
    (run,) = server.runs.values()
    return run


def test_wandb_login_sweep_and_agent_run_the_gans_sweep(server, script, tmp_path):
    path = toy_sweep(tmp_path, "gan")
    at = {"WANDB_BASE_URL": server.url, "WANDB_AGENT_REPORT_INTERVAL": "0"}
    login = script("wandb", "login", f"--host={server.url}", KEY, **at)
    assert login.returncode == 0, login.stderr
    made = script("wandb", "sweep", "--project=genbench", str(path), **at)
    assert made.returncode == 0, made.stderr
    name = f"{ENTITY}/genbench/sweep0"
    assert f"wandb agent {name}" in made.stderr
    assert server.sweeps["sweep0"]["parameters"]["lr"]["distribution"] == "log_uniform_values"

    agent = script("wandb", "agent", "--count=2", name, **at)
    assert agent.returncode == 0, agent.stderr
    assert set(server.runs) == {"run00001", "run00002"}
    sweep = read_sweep(path)
    records = {run.about["wandb_run"]: run for run in read_runs(tmp_path / "runs")}
    for given, (run_id, run) in zip(server.launched, sorted(server.runs.items()), strict=True):
        record = records[run_id]
        assert run.sweep == record.about["sweep"] == "sweep0"
        assert run.exit_code == 0
        for parameter, value in given.items():
            assert record.config[parameter] == value
            assert run.config[parameter]["value"] == value
        (row,) = [row for row in run.history if sweep.metric in row]
        (kept,) = [row for row in record.metrics() if row["split"] == "val"]
        assert row[sweep.metric] == pytest.approx(kept[sweep.metric.removeprefix("val/")])
        assert run.summary[sweep.metric] == pytest.approx(record.scores[sweep.metric])
        # the line that `genbench sweep` would have started is the one that the agent started
        ours = expand(sweep, {name: {"value": value} for name, value in given.items()})
        started = agent.stderr.split("About to run command: ")
        assert any(line.startswith(" ".join(ours[:5])) for line in started[1:])
        assert record.about["command"] == ours[1:]
    assert server.unknown in ([], ["OrganizationCoreWeaveOrganizationID"] * 2)


def test_an_online_vae_delivers_all_that_it_records(server, script, tmp_path):
    done = script("vae.py", *TOY, "--beta=2.0", **server.environment())
    assert done.returncode == 0, done.stderr
    (record,), run = read_runs(tmp_path / "runs"), only(server)
    assert f"W&B: {server.url}/{ENTITY}/genbench/runs/" in done.stderr
    assert run.exit_code == 0
    assert run.config["beta"]["value"] == 2.0
    assert run.display_name == record.path.name
    for split, name in (("train", "loss"), ("val", "kl"), ("val", "elbo")):
        kept = [row[name] for row in record.metrics() if row["split"] == split]
        sent = [row[f"{split}/{name}"] for row in run.history if f"{split}/{name}" in row]
        assert sent == pytest.approx(kept)
    for name, value in record.scores.items():
        assert run.summary[name] == pytest.approx(value)
    for picture in ("samples/samples", "samples/reconstructions"):
        path = run.summary[picture]["path"]
        assert run.files[path].startswith(b"\x89PNG")
    table = json.loads(run.files[run.summary["val/latents"]["path"]])
    assert table["columns"] == ["label", "z0", "z1"]
    assert len(table["data"]) == run.summary["val/latents"]["nrows"] == 1000


def test_an_online_gan_delivers_scores_and_pictures(server, script, tmp_path):
    done = script("gan.py", *SMALL_GAN, "--eval_images=50", **server.environment())
    assert done.returncode == 0, done.stderr
    (record,), run = read_runs(tmp_path / "runs"), only(server)
    (kept,) = [row for row in record.metrics() if row["split"] == "val"]
    (sent,) = [row for row in run.history if "val/kid_lite0_n50" in row]
    for name in ("kid_lite0_n50", "d_real", "d_fake", "loss_d", "js_bound"):
        assert sent[f"val/{name}"] == pytest.approx(kept[name])
    assert run.files[run.summary["samples/samples"]["path"]].startswith(b"\x89PNG")


def complete(record):
    """Whether a run has all that a run without W&B has."""
    rows = record.metrics()
    return (
        record.status == "finished"
        and {row["split"] for row in rows} == {"train", "val"}
        and (record.path / "latents.npz").exists()
        and (record.path / "checkpoints" / "best.pt").exists()
        and "val/elbo" in record.scores
    )


def transaction_log(record):
    """What W&B's own file of a run holds, read by W&B's own tool; of two, the later."""
    folder = max((record.path / "wandb").glob("*run-*"), key=lambda path: path.stat().st_mtime)
    command = ["wandb", "leet", "inspect", "--summary", "--json", str(folder)]
    return json.loads(subprocess.check_output(command, text=True))


FAULTS = [
    ("graphql", "500"),
    ("graphql", "hang"),
    ("file_stream", "500"),
    ("file_stream", "hang"),
    ("storage", "drop"),
]


def test_a_server_that_fails_costs_no_run_its_data(script, tmp_path):
    """From the first request of a kind on. All at once: they wait, most of the time."""

    def train(case):
        where, fault = case
        runs = tmp_path / f"{where}-{fault}"
        with Server(lambda kind, n: fault if kind == where else None) as server:
            env = server.environment(OMP_NUM_THREADS="1")
            return script("vae.py", *TOY, f"--runs_dir={runs}", **env), runs

    with ThreadPoolExecutor(len(FAULTS)) as pool:
        for done, runs in pool.map(train, FAULTS):
            assert done.returncode == 0, done.stderr
            assert "Traceback" not in done.stderr
            (record,) = read_runs(runs)
            assert complete(record)
            kept = transaction_log(record)["summary"]
            assert kept["val/elbo"] == pytest.approx(record.scores["val/elbo"])


def test_a_server_that_dies_in_the_middle_costs_no_run_its_data(script, tmp_path):
    with Server() as server:
        command = [sys.executable, str(ROOT / "experiments" / "vae.py"), "--width=16"]
        command += ["--latent_dim=2", "--epochs=3"]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=os.environ | server.environment(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert wait_for(lambda: server.runs and any(r.history for r in server.runs.values()), 60)
        server.die()
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    (record,) = read_runs(tmp_path / "runs")
    assert complete(record)
    # and another server is given all of it later
    with Server() as later:
        (folder,) = (record.path / "wandb").glob("*run-*")
        synced = script("wandb", "sync", "--include-online", str(folder), **later.environment())
        assert synced.returncode == 0, synced.stderr
        run = only(later)
        assert run.summary["val/elbo"] == pytest.approx(record.scores["val/elbo"])


def test_the_agents_stop_makes_a_pruned_run(server, tmp_path):
    """W&B's hyperband runs on its server, which tells the agent, which sends SIGTERM."""
    content = yaml.safe_load(toy_sweep(tmp_path, "vae").read_text())
    content["parameters"] |= {"epochs": {"value": 1000}, "width": {"value": 16}}
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump(content))
    env = os.environ | server.environment()
    subprocess.run(["wandb", "sweep", "--project=genbench", str(path)], env=env, check=True,
                   capture_output=True)  # fmt: skip
    agent = subprocess.Popen(
        ["wandb", "agent", "--count=1", f"{ENTITY}/genbench/sweep0"],
        cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert wait_for(lambda: any(run.history for run in server.runs.values()), 60)
        server.stops.add("run00001")
        assert agent.wait(60) == 0
    finally:
        agent.send_signal(signal.SIGKILL)
        agent.wait()
    (record,) = read_runs(tmp_path / "runs")
    assert record.status == "pruned"
    assert len(record.metrics()) > 1
    assert server.runs["run00001"].exit_code == 0


def test_an_offline_sweep_is_uploaded_as_a_group(server, script, tmp_path):
    path = toy_sweep(tmp_path, "vae")
    done = script("genbench", "sweep", str(path), "--count=1")
    assert done.returncode == 0, done.stderr
    (record,) = read_runs(tmp_path / "runs")
    (folder,) = (record.path / "wandb").glob("offline-run-*")
    synced = script("wandb", "sync", str(folder), **server.environment())
    assert synced.returncode == 0, synced.stderr
    run = only(server)
    assert run.group == record.about["sweep"].removeprefix("local-")
    assert run.sweep is None  # no server knows it
    assert run.summary["val/elbo"] == pytest.approx(record.scores["val/elbo"])
