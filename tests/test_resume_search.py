"""A trial that was stopped is gone on with by its second try, here and by a program."""

import dataclasses
import signal

import optuna
import pytest
import torch
import yaml
from conftest import ROOT
from killed import train_until

from genbench.config import SearchConfig
from genbench.families import FAMILIES
from genbench.families.vae import VAEConfig
from genbench.record import read_runs
from genbench.search.launch import launch
from genbench.search.search import Search
from genbench.search.study import WORKER, give_up
from genbench.sweep import read_sweep
from genbench.train import train

EVERY_STEP = 1e-9  # minutes between two checkpoints
HELD = {"epochs": 3, "batch_size": 500, "width": 16, "checkpoint_minutes": EVERY_STEP}


@pytest.fixture
def path(tmp_path):
    parameters = {name: {"value": value} for name, value in HELD.items()}
    parameters["latent_dim"] = {"values": [3, 4]}
    content = {
        "program": str(ROOT / "experiments" / "vae.py"),
        "command": ["${env}", "${interpreter}", "${program}", "${args}", "--wandb=disabled"],
        "method": "grid",
        "metric": {"name": "val/elbo", "goal": "maximize"},
        "parameters": parameters,
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "sweep.yaml"


def search_of(tmp_path, path, **options):
    options |= {"wandb": "disabled", "runs_dir": str(tmp_path / "runs")}
    return Search(read_sweep(path, FAMILIES[VAEConfig.model]), SearchConfig(**options))


def only(tmp_path):
    (record,) = read_runs(tmp_path / "runs")
    return record


def test_the_second_try_of_a_killed_trial_goes_on_with_its_run(tmp_path, path):
    search = search_of(tmp_path, path, trials=2)
    with pytest.warns(UserWarning, match="Heartbeat"):  # this trial has none
        trial = search.study.ask()
    latent_dim = trial.suggest_categorical("latent_dim", [3, 4])
    config = search.make_config(trial.params, seed=0, group=search.name, save=False)
    assert train_until(config, ("step", 30)) == -signal.SIGKILL
    trial.set_user_attr(WORKER, "dead")
    trial.set_user_attr("run", only(tmp_path).path.name)
    assert give_up(search.study, trial.number)

    search.run()  # the other point of the grid, and this one again
    runs = {run.path.name: run for run in read_runs(tmp_path / "runs")}
    assert len(runs) == 2
    second = search.study.trials[-1]
    run = runs[second.user_attrs["run"]]
    assert second.user_attrs["run"] == trial.user_attrs["run"]
    assert (run.status, run.about["resumed"][0]["step"]) == ("finished", 30)
    assert second.params == {"latent_dim": latent_dim}
    assert second.value == run.scores["val/elbo"]
    torch.set_num_threads(1)
    whole = train(dataclasses.replace(config, runs_dir=str(tmp_path / "whole")))
    assert second.value == whole["val/elbo"]
    epochs, elbos = run.curve("val", "elbo")
    assert second.intermediate_values == dict(zip(epochs, elbos, strict=True))


def test_a_final_training_that_was_stopped_goes_on(tmp_path, path):
    search = search_of(tmp_path, path, trials=1, final_epochs=3)
    search.run()
    (of_trial,) = read_runs(tmp_path / "runs")
    assert (
        train_until(search.final_config(1, search.best().params), ("step", 30)) == -signal.SIGKILL
    )
    scores = search.train_best()
    finals = [run for run in read_runs(tmp_path / "runs") if run.path != of_trial.path]
    assert [run.status for run in finals] == ["finished"] * 3
    resumed = [[each["step"] for each in run.about.get("resumed", [])] for run in finals]
    assert resumed == [[30], [], []]
    assert [run.scores for run in finals] == scores


def test_a_program_goes_on_with_the_run_of_the_first_try(tmp_path, path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    config = VAEConfig(**HELD, latent_dim=3, wandb="disabled")
    with monkeypatch.context() as patch:
        patch.setenv("WANDB_SWEEP_ID", "local-study")
        patch.setenv("WANDB_RUN_ID", "known")
        assert train_until(config, ("step", 30)) == -signal.SIGKILL
    study = optuna.create_study(direction="maximize")
    first_run = {"run": only(tmp_path).path.name, "wandb_run": "known"}
    study.enqueue_trial({"latent_dim": 3}, user_attrs=first_run)
    trial = study.ask({"latent_dim": optuna.distributions.CategoricalDistribution([3, 4])})
    scores = launch(read_sweep(path), trial, "study", "runs", HELD["epochs"])
    run = only(tmp_path)
    assert run.about["resumed"][0]["step"] == 30
    assert scores == run.scores
    assert trial.user_attrs["run"] == run.path.name
    assert sorted(study.trials[0].intermediate_values) == [1, 2, 3]
