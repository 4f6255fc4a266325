"""Several processes train one model: as one does, into one record, and they end together."""

import json
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import forked
import pytest
import torch
import yaml
from conftest import ROOT, later_checkpoint

from genbench import UserError, parallel, signals
from genbench.cli import parse_training
from genbench.families.ae import AEConfig
from genbench.families.gan import GANConfig
from genbench.families.gan.batchnorm import BatchNorm2d
from genbench.record import read_run, read_runs, read_studies
from genbench.resume import check_resume
from genbench.train import train

AE = ("--width=16", "--latent_dim=2", "--batch_size=500", "--save=False", "--wandb=disabled")


def variables(rank, port=0):
    """What torchrun would say to one of two processes."""
    given = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    given |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    return os.environ | {name: str(value) for name, value in given.items()}


def together(script, words, folder):
    """Run a script in two processes that train together; how both ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(rank):
        return forked.run(script, list(words), folder, variables(rank, port), 120)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, range(2)))


AE_SCRIPT = ROOT / "experiments" / "ae.py"


def test_two_processes_train_every_family_as_one_does(tmp_path):
    program, (out, both_out) = (
        Path(__file__).with_name("together.py"),
        (tmp_path / "1", tmp_path / "2"),
    )
    alone = forked.run(program, [str(out)], tmp_path, dict(os.environ), 200)
    for process in (alone, *together(program, [str(both_out)], tmp_path)):
        assert process.returncode == 0, process.stderr
    one, two = torch.load(out), torch.load(both_out)
    assert list(one) == list(two)
    for case in one:
        assert len(one[case]["scalars"]) == 11
        for expected, found in zip(one[case]["scalars"], two[case]["scalars"], strict=True):
            assert found == pytest.approx(expected, rel=1e-6, abs=1e-9), case
        for name, expected in one[case]["weights"].items():
            found = two[case]["weights"][name]
            torch.testing.assert_close(
                found, expected, rtol=1e-6, atol=1e-9, msg=lambda m, n=name, c=case: f"{c} {n} {m}"
            )


def losses(run):
    """The validation losses of a run's epochs."""
    return [row["loss"] for row in run.metrics() if row["split"] == "val"]


def test_any_number_of_processes_writes_one_record_and_goes_on_with_it(tmp_path, monkeypatch):
    words = (*AE[:-2], "--epochs=1", "--seed=3", "--lr_decay=0")  # whatever the length
    first, second = together(AE_SCRIPT, words, tmp_path)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert (second.stdout, second.stderr) == ("", "")
    (run,) = read_runs(tmp_path / "runs")
    assert first.stdout.startswith(f"Run: runs/{run.path.name}\n")
    assert run.status == "finished"
    assert run.about["processes"] == 2
    names = {path.name for path in run.path.iterdir()}
    assert names == {
        *("config.json", "metrics.jsonl", "summary.json", "checkpoints", "samples", "wandb"),
        *("latents.npz", "pictures.npz"),
    }
    assert len(list(run.path.glob("wandb/offline-run-*"))) == 1
    config, _ = parse_training(AEConfig, [f"--config={run.path}/config.json", "--epochs=2"])
    check_resume(run.path, config)
    monkeypatch.setattr("genbench.train.keep_pictures", lambda *_: {})  # which take seconds
    train(config, resume=run.path)  # in this one process
    longer = ("--epochs=3", f"--resume={run.path}", "--save=False")
    first, second = together(AE_SCRIPT, longer, tmp_path)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    found = read_run(run.path)
    assert [at["step"] for at in found.about["resumed"]] == [18, 36]
    again = (f"--config={run.path}/config.json", f"--runs_dir={tmp_path / 'alone'}")
    train(parse_training(AEConfig, again)[0])
    (expected,) = read_runs(tmp_path / "alone")
    assert losses(found) == pytest.approx(losses(expected), rel=1e-4)
    assert len(losses(found)) == 3


def test_samples_and_scores_are_those_of_one_process(tmp_path, monkeypatch):
    words = ["--images=64", "--held_out=50", "--image_size=16", "--width=4", "--epochs=1"]
    words += ["--eval_images=50", "--eval_every=1", "--save=False", "--wandb=disabled"]
    words += ["--lr=1e-30"]  # the weights stay, so that only the scores could differ
    both = together(ROOT / "experiments" / "gan.py", words, tmp_path)
    assert [process.returncode for process in both] == [0, 0], both[0].stderr
    monkeypatch.chdir(tmp_path)
    scores = train(parse_training(GANConfig, words)[0])
    mine, theirs = sorted(read_runs("runs"), key=lambda run: run.about["processes"])
    assert theirs.scores == pytest.approx(scores, rel=1e-4)
    assert "val/kid_lite0_n50" in scores
    (row,), (expected,) = (
        [r for r in run.metrics() if r["split"] == "val"] for run in (theirs, mine)
    )
    for name in ("spread", "nearest", "histogram_kl", "accuracy_train"):
        assert row[name] == pytest.approx(expected[name], rel=1e-4)


ENDS = """
import os, signal
from genbench.cli import train_main
from genbench.families.ae import steps

before = steps.update

def update(state, loss):
    if state.step == 20 and os.environ["RANK"] == "1":
        {what}
    before(state, loss)

steps.update = update
train_main("ae")
"""
LOST = "failed: another process of this training has ended"


@pytest.mark.parametrize(
    ("what", "codes", "said", "done"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", (1, -9), LOST, 18),
        ("raise ValueError('no more')", (1, 1), "failed: rank 1 of 2: ValueError: no more\n", 18),
        ("os.kill(os.getpid(), signal.SIGTERM)", (143, 143), "", 21),
    ],
)
def test_where_one_process_ends_all_do_and_the_run_can_go_on(tmp_path, what, codes, said, done):
    program = tmp_path / "ends.py"
    program.write_text(ENDS.format(what=what))
    both = together(program, (*AE, "--epochs=3"), tmp_path)
    assert tuple(process.returncode for process in both) == codes
    lines = [line for process in both for line in process.stderr.splitlines(keepends=True)]
    assert [line.startswith(said) for line in lines] == [True] * bool(said)
    (run,) = read_runs(tmp_path / "runs")
    assert not run.problems
    assert run.status == "failed"
    saved = later_checkpoint(run.path)
    assert saved["step"] == done
    if done == 21:
        config, _ = parse_training(AEConfig, [f"--config={run.path}/config.json"])
        train(config, resume=run.path)
        assert len(losses(read_run(run.path))) == 3


def test_time_and_patience_end_all_processes_at_the_same_step(tmp_path):
    words = (*AE, "--epochs=1000", "--minutes=0.01", "--lr_decay=0.5")
    both = together(AE_SCRIPT, words, tmp_path)
    assert [process.returncode for process in both] == [0, 0], both[0].stderr
    words = (*AE, "--epochs=1000", "--patience=1", "--lr=0.5")
    both = together(AE_SCRIPT, words, tmp_path)
    assert [process.returncode for process in both] == [0, 0], both[0].stderr
    timed, patient = read_runs(tmp_path / "runs")
    assert timed.status == patient.status == "finished"
    scores = losses(patient)
    assert scores[-1] > min(scores[:-1])


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("script", "words", "named"),
    [
        ("ae.py", ("--batch_size=1",), "batch_size=1: is not a picture for each of 2 processes"),
        ("optuna_ae.py", ("--trials=1",), "optuna_ae.py --trials=1 is one process, not the 2 "),
        ("contest.py", ("--minutes=1",), "contest.py --minutes=1 is one process, not the "),
        ("", ("sweep", "ae"), "genbench sweep is one process, not the 2 of WORLD_SIZE"),
    ],
)
def test_what_several_processes_cannot_do_is_refused_once(tmp_path, rank, script, words, named):
    program = ROOT / "experiments" / script if script else None
    done = forked.run(program, list(words), tmp_path, variables(rank), 60)
    assert done.returncode == 2
    assert done.stdout == ""
    if rank:
        assert done.stderr == ""
    else:
        assert done.stderr.startswith(f"error: {named}")
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"WORLD_SIZE": "many"}, "WORLD_SIZE=many: must be a number of processes"),
        ({"WORLD_SIZE": "2"}, "start them with torchrun, or unset WORLD_SIZE"),
    ],
)
def test_an_environment_that_is_not_torchruns_is_refused(monkeypatch, given, named):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=named):
        parallel.start("cpu")


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for name, value in variables(0).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="2 processes, but 1 GPU on this machine: use --nproc_per"):
        parallel.start("auto")


def test_a_sweep_file_may_start_torchrun(script, tmp_path):
    path = tmp_path / "sweep.yaml"
    parameters = {"width": {"values": [16, 32]}, "latent_dim": {"value": 2}}
    parameters |= {"epochs": {"value": 1}, "batch_size": {"value": 500}}
    content = {"program": str(AE_SCRIPT), "method": "random", "parameters": parameters}
    content["metric"] = {"name": "val/reconstruction", "goal": "minimize"}
    start = ["${env}", "torchrun", "--nproc_per_node=2"]
    content["command"] = [*start, "${program}", "${args}", "--save=False", "--wandb=disabled"]
    path.write_text(yaml.safe_dump(content))
    done = script("genbench", "sweep", str(path), "--count=1")
    assert done.returncode == 0, done.stderr
    (study,) = read_studies(tmp_path / "runs")
    (trial,) = study["trials"]
    (run,) = read_runs(tmp_path / "runs")
    assert trial["state"] == "COMPLETE"
    assert trial["values"] == [run.scores["val/reconstruction"]]
    assert run.about["processes"] == 2
    assert run.about["sweep"] == f"local-{study['name']}"
    rows = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows if '"val"' in row] == [18]


def test_a_signal_that_another_process_had_first_does_not_count_twice():
    def told_twice():
        with signals.owned(), signals.noted():
            signals.came_elsewhere(signal.SIGINT)
            assert signals.waiting() == signal.SIGINT
            signal.raise_signal(signal.SIGINT)  # a second Ctrl-C would end this process
            assert signals.waiting() == signal.SIGINT

    with pytest.raises(KeyboardInterrupt):
        told_twice()


def test_alone_everything_is_as_without_others():
    x = torch.randn(4, 3, 5, 5)
    norm, theirs = BatchNorm2d(3), torch.nn.BatchNorm2d(3)
    assert torch.equal(norm(x), theirs(x))
    assert torch.equal(norm.running_var, theirs.running_var)
    assert parallel.split(lambda y: y, x) is x
    assert parallel.complete(x) is x
    assert parallel.first(lambda: x) is x
    assert parallel.most(2.5) == 2.5
    assert parallel.share(7) == slice(7)
