"""The real `wandb` command and client against a server on 127.0.0.1."""

import json
import os
import signal
import subprocess
import time

import pytest
import yaml
from conftest import ROOT
from wandb_server import ENTITY, KEY, Server, wait_for

from genbench import environment
from genbench.record import read_runs
from genbench.search.launch import expand
from genbench.sweep import read_sweep

# the reference page of W&B, in its order
DOCUMENTED = [
    *("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"),
    *("WANDB_CONFIG_PATHS", "WANDB_CONSOLE", "WANDB_DATA_DIR", "WANDB_DIR", "WANDB_ARTIFACT_DIR"),
    *("WANDB_DISABLE_GIT", "WANDB_DISABLE_CODE", "WANDB_DOCKER", "WANDB_ENTITY"),
    *("WANDB_ERROR_REPORTING", "WANDB_HOST", "WANDB_IGNORE_GLOBS", "WANDB_JOB_NAME"),
    *("WANDB_JOB_TYPE", "WANDB_MODE", "WANDB_NAME", "WANDB_NOTEBOOK_NAME", "WANDB_NOTES"),
    *("WANDB_PROJECT", "WANDB_RESUME", "WANDB_RUN_GROUP", "WANDB_RUN_ID", "WANDB_QUIET"),
    *("WANDB_SILENT", "WANDB_SHOW_RUN", "WANDB_SWEEP_ID", "WANDB_TAGS", "WANDB_USERNAME"),
    "WANDB_USER_EMAIL",
]
TOY = ("--width=16", "--latent_dim=2", "--epochs=1")
SMALL_GAN = ("--images=64", "--held_out=64", "--image_size=32", "--width=4", "--epochs=1")
SMALL_GAN += ("--loss=bce",)


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

    agent = script("wandb", "agent", "--count=1", name, **at)
    assert agent.returncode == 0, agent.stderr
    assert set(server.runs) == {"run00001"}
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
        assert any(line.startswith(" ".join(ours[:4])) for line in started[1:])
        assert record.about["command"][1:] == ours[2:]
    assert server.unknown in ([], ["OrganizationCoreWeaveOrganizationID"])


def test_an_online_vae_delivers_all_that_it_records(server, script, tmp_path):
    done = script("vae.py", *TOY, "--beta=2.0", **server.environment())
    assert done.returncode == 0, done.stderr
    (record,), run = read_runs(tmp_path / "runs"), only(server)
    assert f"W&B: {server.url}/{ENTITY}/genbench/runs/" in done.stderr
    assert run.exit_code == 0
    assert run.config["beta"]["value"] == 2.0
    assert run.display_name == "vae-mnist-mini latent_dim=2 width=16 beta=2 1ep s0"
    for split, name in (("train", "loss"), ("val", "kl"), ("val", "elbo")):
        kept = record.curve(split, name)[1]
        sent = [row[f"{split}/{name}"] for row in run.history if f"{split}/{name}" in row]
        assert sent == pytest.approx(kept)
    for name, value in record.scores.items():
        assert run.summary[name] == pytest.approx(value)
    rates = [row["train/images_per_second"] for row in run.history if "train/lr" in row]
    assert len(rates) == 1  # one epoch
    assert rates[0] > 0
    assert run.summary["train/peak_memory"] > 100
    assert run.summary["samples/samples"]["caption"] == "epoch 1"
    for picture in ("samples/samples", "samples/reconstructions"):
        path = run.summary[picture]["path"]
        assert run.files[path].startswith(b"\x89PNG")
    table = json.loads(run.files[run.summary["val/latents"]["path"]])
    assert table["columns"] == ["label", "z0", "z1"]
    assert len(table["data"]) == run.summary["val/latents"]["nrows"] == 1000


def test_a_run_is_what_the_environment_calls_it_there_and_when_it_is_uploaded_later(
    server, script, tmp_path
):
    named = {
        "WANDB_NAME": "my first",
        "WANDB_NOTES": "smaller steps",
        "WANDB_TAGS": "digits, small",
        "WANDB_JOB_TYPE": "trial",
        "WANDB_RUN_GROUP": "mine",
        "WANDB_RUN_ID": "abc123",
        "WANDB_PROJECT": "other",
        "WANDB_DIR": str(tmp_path / "elsewhere"),  # the run's folder has W&B's files
        "WANDB_RESUME": "must",  # of a run that W&B does not know yet
    }
    done = script("vae.py", *TOY, **server.environment(**named))
    assert done.returncode == 0, done.stderr
    done = script(
        "vae.py",
        *TOY,
        "--wandb=offline",
        **server.environment(**named | {"WANDB_RUN_ID": "abc124"}),
    )
    assert done.returncode == 0, done.stderr
    records = read_runs(tmp_path / "runs")
    folders = [str(record.path) for record in records]
    synced = script("genbench", "sync", *folders, **server.environment())
    assert synced.returncode == 0, synced.stderr
    assert {*server.runs} == {"abc123", "abc124"}
    for run in server.runs.values():
        assert (run.display_name, run.notes, run.job_type) == ("my first", "smaller steps", "trial")
        assert (run.tags, run.group) == (["vae", "mnist-mini", "digits", "small"], "mine")
    assert all(record.about["wandb"]["project"] == "other" for record in records)
    assert not (tmp_path / "elsewhere").exists()
    assert all((record.path / "wandb").is_dir() for record in records)


@pytest.mark.parametrize("variable", DOCUMENTED)
def test_every_variable_that_wandb_documents_has_its_place(monkeypatch, variable):
    """It is ours, in a run's record; or W&B itself reads it, in the process that feeds it."""
    monkeypatch.setenv(variable, "given")
    recorded = "given" in environment.wandb_place({}).values()
    ours = variable in environment.OF_ONE_RUN
    assert recorded or ours or environment.for_wandb().get(variable) == "given"
    assert f"`{variable}`" in (ROOT / "README.md").read_text()


def test_an_online_gan_delivers_scores_and_pictures(server, script, tmp_path):
    done = script("gan.py", *SMALL_GAN, "--eval_images=50", **server.environment())
    assert done.returncode == 0, done.stderr
    (record,), run = read_runs(tmp_path / "runs"), only(server)
    (kept,) = [row for row in record.metrics() if row["split"] == "val"]
    (sent,) = [row for row in run.history if "val/kid_lite0_n50" in row]
    for name in ("kid_lite0_n50", "d_real", "d_fake", "loss_d", "js_bound"):
        assert sent[f"val/{name}"] == pytest.approx(kept[name])
    assert run.files[run.summary["samples/samples"]["path"]].startswith(b"\x89PNG")


def test_the_agents_stop_makes_a_pruned_run(server, tmp_path):
    """W&B's hyperband runs on its server, which tells the agent, which sends SIGTERM."""
    content = {"program": str(ROOT / "tests" / "drive.py"), "method": "random"}
    content["parameters"] = {
        "lr": {"min": 0.1, "max": 0.2},
        "steps": {"value": 5000},
        "pause": {"value": 0.02},
    }
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump(content))
    at = {"WANDB_AGENT_REPORT_INTERVAL": "0", "PYTHONPATH": str(ROOT)}
    env = os.environ | server.environment(**at)
    subprocess.run(["wandb", "sweep", "--project=genbench", str(path)], env=env, check=True,
                   capture_output=True)  # fmt: skip
    agent = subprocess.Popen(
        ["wandb", "agent", "--count=1", f"{ENTITY}/genbench/sweep0"],
        cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert wait_for(lambda: "run00001" in server.runs, 60)
        time.sleep(1)
        server.stops.add("run00001")
        assert agent.wait(60) == 0
    finally:
        agent.send_signal(signal.SIGKILL)
        agent.wait()
    (record,) = read_runs(tmp_path / "runs")
    assert record.status == "pruned"
    assert record.about["wandb_run"] == "run00001"
    assert len(record.metrics()) > 1
    run = server.runs["run00001"]
    assert (run.sweep, run.exit_code, run.summary["status"]) == ("sweep0", 0, "pruned")
    assert len(run.history) == record.curve("train", "kl")[1][-1]  # a row a step


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
