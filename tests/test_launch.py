"""`genbench sweep`: the file's own command, what the program is given, and how its end is read."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import fmean

import optuna
import pytest
import yaml
from conftest import ROOT
from wandb_server import wait_for

from genbench import UserError
from genbench.config import SearchConfig
from genbench.files import DiskError
from genbench.record import read_runs, read_studies
from genbench.search.launch import expand, launch, program_environment
from genbench.search.search import Search
from genbench.sweep import read_sweep

TOY = {"arch": {"value": "mlp"}, "depth": {"value": 1}, "width": {"values": [16, 32]}}


def write_sweep(folder, parameters, program="experiments/vae.py", **more):
    path = folder / "sweep.yaml"
    content = {"program": str(ROOT / program), "method": "random"}
    content |= {"metric": {"name": "val/elbo", "goal": "maximize"}, "parameters": parameters}
    path.write_text(yaml.safe_dump(content | more))
    return path


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (None, ["/usr/bin/env", "python", "PROGRAM", "--lr=0.01", "--arch=mlp"]),
        (
            ["nice", "${interpreter}", "-X", "utf8", "${program}", "${args_no_equals}"],
            ["nice", "python", "-X", "utf8", "PROGRAM", "--lr", "0.01", "--arch", "mlp"],
        ),
        (
            ["${envvar:SHELLY}", "${program}", "${args}", "--device=cpu"],
            ["fish", "PROGRAM", "--lr=0.01", "--arch=mlp", "--device=cpu"],
        ),
    ],
)
def test_the_command_is_the_one_that_wandbs_agent_starts(tmp_path, monkeypatch, command, expected):
    monkeypatch.setenv("SHELLY", "fish")
    more = {"command": command} if command else {}
    sweep = read_sweep(write_sweep(tmp_path, TOY, **more))
    line = expand(sweep, {"lr": {"value": 0.01}, "arch": {"value": "mlp"}})
    assert line == [sweep.program if part == "PROGRAM" else part for part in expected]


def test_the_variables_are_the_agents_and_the_user_chooses_the_mode(tmp_path, monkeypatch):
    sweep = read_sweep(write_sweep(tmp_path, TOY))
    given = program_environment(sweep, "vae-x", "abc", tmp_path / "p.yaml")
    assert given["WANDB_SWEEP_ID"] == "local-vae-x"
    assert given["WANDB_RUN_ID"] == "abc"
    assert given["WANDB_SWEEP_PARAM_PATH"] == str(tmp_path / "p.yaml")
    assert given["WANDB_MODE"] == "offline"
    assert given["PATH"].startswith(str(Path(sys.executable).parent))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert program_environment(sweep, "s", "r", tmp_path / "p")["WANDB_MODE"] == "disabled"


def test_a_sweep_runs_with_no_server_and_is_reported(script, tmp_path):
    parameters = TOY | {"epochs": {"value": 1}}
    path = write_sweep(tmp_path, parameters, scheduler={"engine": "optuna"})
    done = script("genbench", "sweep", str(path), "--count=1")
    assert done.returncode == 0, done.stderr
    assert "Best of vae-mnist-mini-1ep-" in done.stdout
    (record,) = read_studies(tmp_path / "runs")
    assert [trial["state"] for trial in record["trials"]] == ["COMPLETE"]
    runs = {run.path.name: run for run in read_runs(tmp_path / "runs")}
    for trial in record["trials"]:
        run = runs[trial["run"]]
        assert run.scores["val/elbo"] == trial["values"][0]
        assert run.config["width"] == trial["params"]["width"]
        assert run.about["sweep"] == f"local-{record['name']}"
        dump = script("wandb", "leet", "inspect", "--summary", "--json", str(run.path / "wandb"))
        assert json.loads(dump.stdout)["summary"]["val/elbo"] == pytest.approx(trial["values"][0])
        given = tmp_path / "runs" / "studies" / record["name"]
        said = yaml.safe_load((given / f"config-{run.about['wandb_run']}.yaml").read_text())
        assert said["width"] == {"value": trial["params"]["width"]}
    assert script("genbench", "report").returncode == 0


POINTS = """#!{python}
import sys
sys.path[:0] = [{root!r}]
from genbench.cli import guard
from genbench.record import Run
given = dict(word.removeprefix("--").split("=") for word in sys.argv[1:])
config = {{name: int(given[name]) for name in ("width", "seed")}}
def main():
    with Run({runs!r}, "fake", "disabled") as run:
        run.begin(config, model="vae")
        run.summary["scores"] = {{"val/elbo": -100.0 * config["width"] - config["seed"]}}
guard(main)
"""


def test_a_grid_over_seeds_repeats_every_point(script, tmp_path):
    program = fake(tmp_path, [], text=POINTS)
    path = write_sweep(
        tmp_path,
        TOY | {"width": {"values": [8, 16]}, "seed": {"values": [1, 0]}, "epochs": {"value": 1}},
        method="grid",
        command=[str(program), "${args}"],
    )
    checked = script("genbench", "sweep", "check", str(path))
    said = "1 parameter to search, each point over 2 seeds, nothing wrong"
    assert checked.stdout == f"{path}: {said}\n"
    done = script("genbench", "sweep", str(path), "--count=9")
    assert done.returncode == 0, done.stderr
    runs = read_runs(tmp_path / "runs")
    points = sorted((run.config["width"], run.config["seed"]) for run in runs)
    assert points == [(8, 0), (8, 1), (16, 0), (16, 1)]
    (study,) = read_studies(tmp_path / "runs")
    for trial in study["trials"]:
        own = [run for run in runs if run.config["width"] == trial["params"]["width"]]
        mean = fmean(run.scores["val/elbo"] for run in own)
        assert trial["values"] == [pytest.approx(mean, rel=1e-12)]
        names = {run.config["seed"]: run.path.name for run in own}
        assert (trial["run"], trial["run_0"]) == (names[1], names[0])


def test_the_checker_prints_every_problem_and_runs_nothing(script, tmp_path):
    path = write_sweep(tmp_path, {"latent": {"value": 1}, "beta": {"min": 2, "max": 1}})
    done = script("genbench", "sweep", "check", str(path))
    assert done.returncode == 2
    assert "unknown parameter 'latent'; did you mean latent_dim?" in done.stderr
    assert "min 2 must be below max 1" in done.stderr
    assert len(done.stderr.splitlines()) == 3  # and the way out
    assert not (tmp_path / "runs").exists()
    good = script("genbench", "sweep", "check", "gan")
    assert (good.returncode, good.stderr) == (0, "")
    shipped = ROOT / "sweeps" / "gan.yaml"
    assert good.stdout == f"{shipped}: 7 parameters to search, nothing wrong\n"
    shown = script("genbench", "sweep", "show", "sweeps/gan.yaml")
    assert (shown.returncode, shown.stdout) == (0, shipped.read_text())
    assert script("genbench", "sweep", str(path), "--count=0").returncode == 2
    assert script("genbench", "sweep", "one", "two").returncode == 2
    none = script("genbench", "sweep")
    assert (none.returncode, "Traceback" in none.stderr) == (2, False)
    assert script("genbench", "sweep", "none.yaml").returncode == 2


PROGRAM = """#!{python}
import json, os, sys, time
sys.path[:0] = [{root!r}]
from genbench.cli import guard
from genbench.record import Run
def main():
    with Run({runs!r}, "fake", "disabled") as run:
        run.begin({{}}, model="vae")
        for epoch, elbo in enumerate({elbos}, 1):
            run.log("val", {{"elbo": elbo}}, epoch, epoch)
            time.sleep({pause})
        {end}
guard(main)
"""


def fake(tmp_path, elbos, pause=0.0, end="run.summary['scores'] = {'val/elbo': elbo}", text=""):
    """A program whose validation goes as planned."""
    program = tmp_path / "vae.py"
    values = {"python": sys.executable, "root": str(ROOT), "runs": str(tmp_path / "runs")}
    text = text or PROGRAM
    program.write_text(text.format(**values, elbos=list(elbos), pause=pause, end=end))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "runs").mkdir(exist_ok=True)
    return program


class Never(optuna.pruners.BasePruner):
    """Prunes at a step."""

    def __init__(self, step):
        self.step = step

    def prune(self, study, trial):
        return trial.last_step is not None and trial.last_step >= self.step


def run_fake(tmp_path, program, step=99, parameters=TOY, **more):
    command = [str(program), "${args}"]
    path = write_sweep(tmp_path, parameters, command=command, early_terminate=HYPERBAND, **more)
    study = optuna.create_study(direction="maximize", pruner=Never(step))
    trial = study.ask({})
    try:
        return launch(read_sweep(path), trial, "study", str(tmp_path / "runs"), 12), trial
    except (optuna.TrialPruned, RuntimeError) as error:
        return error, trial


HYPERBAND = {"type": "hyperband", "min_iter": 1}


def reported(trial):
    return trial.study.trials[0].intermediate_values


def test_a_programs_epochs_are_reported_and_its_score_is_the_best_epochs(tmp_path):
    scores, trial = run_fake(tmp_path, fake(tmp_path, [-300.0, -200.0], pause=0.5))
    assert scores == {"val/elbo": -200.0}
    assert reported(trial) == {1: -300.0, 2: -200.0}


def test_a_hopeless_program_is_told_to_stop_and_leaves_a_pruned_record(tmp_path):
    start = time.monotonic()
    error, trial = run_fake(tmp_path, fake(tmp_path, [-300.0] * 60, pause=1.0), step=2)
    assert isinstance(error, optuna.TrialPruned)
    assert time.monotonic() - start < 20
    assert set(reported(trial)) == {1, 2}
    (run,) = read_runs(tmp_path / "runs")
    assert run.status == "pruned"


def test_a_program_that_fails_says_why(tmp_path):
    error, _ = run_fake(tmp_path, fake(tmp_path, [-1.0], end="raise ValueError('out of ink')"))
    assert isinstance(error, RuntimeError)
    assert "ValueError: out of ink" in str(error)


def test_a_program_that_diverges_is_pruned(tmp_path):
    end = "from genbench.handlers import Diverged; raise Diverged('val/elbo is nan')"
    error, _ = run_fake(tmp_path, fake(tmp_path, [-1.0], end=end))
    assert isinstance(error, optuna.TrialPruned)
    assert "val/elbo is nan" in str(error)


def test_a_killed_program_is_a_failed_trial(tmp_path):
    end = "os.kill(os.getpid(), 9)"
    error, _ = run_fake(tmp_path, fake(tmp_path, [-1.0], end=end))
    assert isinstance(error, RuntimeError)
    assert "its process died" in str(error)


def test_bad_input_to_the_program_ends_the_sweep(tmp_path):
    end = "from genbench import UserError; raise UserError('no such data')"
    with pytest.raises(UserError, match="exit code 2, see above"):
        run_fake(tmp_path, fake(tmp_path, [-1.0], end=end))


def test_a_full_disk_of_a_sweeps_program_ends_the_sweep(tmp_path):
    end = "from genbench.files import DiskError; raise DiskError('x: cannot be written (full)')"
    with pytest.raises(DiskError, match="a file of it cannot be written, see above"):
        run_fake(tmp_path, fake(tmp_path, [-1.0], end=end))


def test_a_command_that_cannot_be_started_is_named(tmp_path):
    with pytest.raises(UserError, match="no-such-program cannot be started"):
        run_fake(tmp_path, tmp_path / "no-such-program")
    with pytest.raises(UserError, match="left no record"):
        run_fake(tmp_path, "true")


def test_ctrl_c_ends_the_program_too(tmp_path):
    path = write_sweep(tmp_path, TOY | {"epochs": {"value": 500}})
    command = ["genbench", "sweep", str(path), "--count=2"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    metrics = tmp_path / "runs"
    assert wait_for(lambda: list(metrics.glob("2*/metrics.jsonl")), 60)
    time.sleep(1)
    (program,) = children(process.pid)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert not Path(f"/proc/{program}").exists()
    (run,) = read_runs(tmp_path / "runs")
    assert (run.status, run.summary["error"]) == ("failed", "KeyboardInterrupt")
    (record,) = read_studies(tmp_path / "runs")
    assert [trial["state"] for trial in record["trials"]] == ["FAIL"]


def test_a_worker_killed_with_9_takes_its_program_with_it(tmp_path):
    """Else its trial would be trained twice at once."""
    go = tmp_path / "go"  # until it is there no training ends
    end = "run.summary['scores'] = {'val/elbo': elbo}"
    end += f"\n        while not os.path.exists({str(go)!r}): time.sleep(0.1)"
    program = fake(tmp_path, [-1.0], end=end)
    parameters = {"latent_dim": {"values": [2, 3, 4]}}
    command = [str(program), "${args}"]
    path = write_sweep(tmp_path, parameters, program, method="grid", command=command)
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            ["genbench", "sweep", str(path), "--count=4", "--workers=2"],
            **{"cwd": tmp_path, "stdout": out, "stderr": out},
            env=os.environ | {"WANDB_MODE": "disabled"},
        )
    try:
        assert wait_for(lambda: len(read_begun(tmp_path)) >= 2, 90), log.read_text()
        workers = [pid for pid in children(process.pid) if b"spawn_main" in command_of(pid)]
        victim = workers[0]
        (started,) = children(victim)
        assert str(program).encode() in command_of(started)
        os.kill(victim, signal.SIGKILL)
        assert wait_for(lambda: not Path(f"/proc/{started}").exists(), 20)
        go.touch()
        assert process.wait(200) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    (record,) = read_studies(tmp_path / "runs")
    states = Counter(trial["state"] for trial in record["trials"])
    assert states == {"COMPLETE": 3, "FAIL": 1}, log.read_text()
    done = [t["params"]["latent_dim"] for t in record["trials"] if t["state"] == "COMPLETE"]
    assert sorted(done) == [2, 3, 4]
    statuses = Counter(run.status for run in read_runs(tmp_path / "runs"))
    assert statuses == {"finished": 3, "failed": 1}


def read_begun(folder):
    return list(folder.glob("runs/2*/config.json"))  # one without is none that began


def children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_the_files_project_and_entity_are_its_runs(script, tmp_path):
    parameters = TOY | {"epochs": {"value": 1}}
    path = write_sweep(tmp_path, parameters, project="sweeping", entity="painters")
    assert script("genbench", "sweep", str(path), "--count=1").returncode == 0
    (log,) = tmp_path.glob("runs/2*/wandb/offline-run-*/run-*.wandb")
    assert b"sweeping" in log.read_bytes()
    assert b"painters" in log.read_bytes()


def test_a_distance_that_the_run_will_not_log_ends_the_sweep_at_once(tmp_path):
    program = fake(tmp_path, [-1.0] * 60, pause=1.0)
    said = program.read_text()
    facts = '{"eval_images": 500}, model="vae", images={"val": 300}'
    program.write_text(said.replace('begin({}, model="vae"', f"begin({facts}"))
    parameters = TOY | {"eval_every": {"value": 1}}
    start = time.monotonic()
    with pytest.raises(UserError, match=r"kid_lite0_n500 is never logged; here it is .*_n300"):
        run_fake(tmp_path, program, parameters=parameters, metric={"name": "val/kid_lite0_n500"})
    assert time.monotonic() - start < 40
    (run,) = read_runs(tmp_path / "runs")
    assert run.status == "failed"


@pytest.mark.parametrize("launched", [True, False])
def test_a_runs_folder_of_the_command_must_be_the_searchs(tmp_path, launched):
    path = write_sweep(tmp_path, TOY, command=["python", "${program}", "${args}", "--runs_dir=x"])
    options = SearchConfig(runs_dir=str(tmp_path / "runs"))
    with pytest.raises(UserError, match="--runs_dir=x; give the search the same"):
        Search(read_sweep(path), options, launched=launched)
