import dataclasses
import math
import signal

import numpy as np
import pytest
import torch
from killed import reproducible

from genbench import UserError, engines
from genbench.data import LABELLED, load_data
from genbench.device import pick_device
from genbench.engines import make_evaluator, split_scores
from genbench.families.ae import AEConfig
from genbench.families.flow import FlowConfig
from genbench.families.vae import VAEConfig
from genbench.families.vae import steps as vae
from genbench.handlers import Diverged, training
from genbench.handlers.training import slowdown
from genbench.images import to_grid, to_uint8
from genbench.loading import load
from genbench.model import Model
from genbench.record import read_runs
from genbench.train import train

TOY = {"width": 16, "latent_dim": 3, "batch_size": 20, "epochs": 2, "wandb": "disabled"}


pytestmark = pytest.mark.usefixtures("few_digits")


def toy(tmp_path, kind=VAEConfig, **fields):
    return kind(**TOY | {"runs_dir": str(tmp_path / "runs")} | fields)


def record(tmp_path):
    return read_runs(tmp_path / "runs")[-1]


@pytest.mark.parametrize("kind", [AEConfig, VAEConfig])
def test_one_seed_gives_identical_metrics(tmp_path, kind):
    logs = []
    for name in ("a", "b"):
        train(toy(tmp_path / name, kind, arch="conv", test=True))
        logs.append(reproducible(record(tmp_path / name)))
    assert logs[0] == logs[1]
    train(toy(tmp_path / "c", kind, arch="conv", test=True, seed=1))
    assert reproducible(record(tmp_path / "c")) != logs[0]


def test_pictures_and_logs_do_not_touch_the_training(tmp_path):
    curves = []
    for name, fields in (("a", {"save": True}), ("b", {"save": False, "log_every": 3})):
        train(toy(tmp_path / name, **fields))
        curves.append(record(tmp_path / name).curve("val", "elbo"))
    assert curves[0] == curves[1]


def test_the_best_epoch_is_kept_scored_and_restored(tmp_path):
    scores = train(toy(tmp_path, lr=0.05, epochs=6, test=True))
    run = record(tmp_path)
    epochs, elbos = run.curve("val", "elbo")
    best = int(np.argmax(elbos))
    assert run.summary["best_epoch"] == epochs[best]
    assert scores["val/elbo"] == pytest.approx(elbos[best], rel=1e-6)
    assert run.scores == pytest.approx(scores)
    assert run.curve("test", "elbo") == ([6.0], [scores["test/elbo"]])  # logged at the end
    saved = {
        name: torch.load(run.path / "checkpoints" / f"{name}.pt", weights_only=True)["step"]
        for name in ("best", "last")
    }
    steps_per_epoch = 14  # 270 images, 20 a step
    assert saved == {"best": steps_per_epoch * (best + 1), "last": steps_per_epoch * 6}


def test_the_record_says_what_was_trained_on_what(tmp_path):
    train(toy(tmp_path, beta=2.0))
    about = record(tmp_path).about
    assert about["model"] == "vae"
    assert about["config"]["beta"] == 2.0
    assert about["images"] == {"train": 270, "val": 30}
    assert about["objective"] == "val/elbo"
    assert len(about["data_hash"]) == 64
    # 784-16-16-6 and 3-16-16-784 with biases
    assert about["parameters"] == 12560 + 272 + 102 + 64 + 272 + 13328


def test_the_last_train_means_weigh_every_image_alike(tmp_path, monkeypatch):
    """With lr so small that nothing moves, a run's train loss is the loss of all its images."""
    train(toy(tmp_path, AEConfig, lr=1e-12, epochs=1, batch_size=200, log_every=1000))
    run = record(tmp_path)
    (one,) = run.curve("train", "reconstruction")[1]
    train(toy(tmp_path, AEConfig, lr=1e-12, epochs=1, batch_size=270, log_every=1000))
    (other,) = record(tmp_path).curve("train", "reconstruction")[1]
    assert one == pytest.approx(other, rel=1e-5)


def test_a_search_trial_keeps_scalars_and_no_heavy_files(tmp_path):
    train(toy(tmp_path, save=False))
    names = {path.name for path in record(tmp_path).path.iterdir()}
    assert names == {"config.json", "metrics.jsonl", "summary.json", "samples"}


def test_the_test_split_is_read_only_when_asked_for(tmp_path, monkeypatch):
    read, seen = LABELLED["mnist-mini"], []
    monkeypatch.setitem(LABELLED, "mnist-mini", lambda r, s: seen.append(s) or read(r, s))
    scores = train(toy(tmp_path))
    assert seen == ["train"]
    assert not [name for name in scores if name.startswith("test/")]


def test_a_scalar_that_is_not_finite_stops_and_says_so(tmp_path):
    with pytest.raises(Diverged, match=r"/\w+ is (nan|-?inf) at step \d+; try a smaller --lr"):
        train(toy(tmp_path, lr=1e6, epochs=50))
    run = record(tmp_path)
    assert run.status == "failed"
    assert run.summary["error"].startswith("Diverged: ")
    assert not math.isfinite(run.metrics()[-1]["loss"])


@pytest.mark.parametrize("during", ["train", "val", "checkpoint"])
def test_ctrl_c_waits_for_the_end_of_the_step(tmp_path, monkeypatch, during):
    """Even where the code that it falls into would make an error of its own of it."""

    def interrupted(function):
        def wrapper(*args, **more):
            result = function(*args, **more)
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt as error:
                raise RuntimeError("torn file") from error
            return result

        return wrapper

    if during == "checkpoint":
        monkeypatch.setattr(torch, "save", interrupted(torch.save))
    else:
        name = {"train": "train_step", "val": "eval_step"}[during]
        steps = dataclasses.replace(vae.STEPS, **{name: interrupted(getattr(vae, name))})
        monkeypatch.setattr(vae, "STEPS", steps)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(toy(tmp_path))
    assert signal.getsignal(signal.SIGINT) is handler
    run = record(tmp_path)
    assert (run.status, run.summary["error"]) == ("failed", "KeyboardInterrupt")
    steps = [row["step"] for row in run.metrics() if row["split"] == "val"]
    assert steps == {"train": [], "val": [14], "checkpoint": [14]}[during]


def test_patience_stops_early(tmp_path):
    train(toy(tmp_path, lr=0.2, epochs=40, patience=2))
    epochs, elbos = record(tmp_path).curve("val", "elbo")
    assert len(epochs) < 40
    assert len(epochs) - 1 - int(np.argmax(elbos)) == 2


def test_a_run_is_loaded_with_the_weights_of_its_best_epoch(tmp_path):
    scores = train(toy(tmp_path, lr=0.05, epochs=3))
    run = record(tmp_path)
    model = load(run.path)
    assert model.config.latent_dim == 3
    assert model.state.epoch == run.summary["best_epoch"]
    evaluator = make_evaluator(model)
    assert split_scores(evaluator, model, "val")["val/elbo"] == scores["val/elbo"]
    with pytest.raises(UserError, match="none: no run with checkpoints"):
        load(tmp_path / "none")


@pytest.mark.parametrize(("kind", "step"), [(VAEConfig, 1), (FlowConfig, 3)])
def test_where_samples_are_judged_losses_are_of_some_images_of_a_split(monkeypatch, kind, step):
    config = kind(width=8, data="mnist-mini")
    data = load_data(config)
    whole = data.splits["val"].images.float() / 255
    assert len(whole) % 3 == 0
    monkeypatch.setattr(engines, "EVAL_MOST", len(whole) // 3)
    batches = engines.eval_batches(Model.build(config, data, "cpu"), "val")
    assert torch.equal(torch.cat([x for x, _ in batches]), whole[::step])


@pytest.mark.parametrize(("kind", "has"), [(AEConfig, False), (VAEConfig, True)])
def test_active_units_are_counted_where_a_prior_gives_codes_a_scale(tmp_path, kind, has):
    scores = train(toy(tmp_path, kind, test=True))
    assert ("test/active_units" in scores) is has
    assert {"val/knn_accuracy", "test/knn_accuracy", "test/probe_accuracy"} <= set(scores)


def test_one_dimensional_codes_have_a_manifold_of_one_row(tmp_path):
    train(toy(tmp_path, latent_dim=1))
    with np.load(record(tmp_path).path / "pictures.npz") as pictures:
        assert pictures["manifold"].shape == (1, 15, 28, 28)


def test_latents_and_pictures_are_those_of_the_held_out_images(tmp_path):
    train(toy(tmp_path, test=True))
    run = record(tmp_path)
    _, labels = LABELLED["mnist-mini"](None, "test")
    images, _ = LABELLED["mnist-mini"](None, "test")
    with np.load(run.path / "latents.npz") as latents, np.load(run.path / "pictures.npz") as pics:
        assert latents["labels"].tolist() == labels.tolist()
        assert latents["z"].shape == (300, 3)
        np.testing.assert_array_equal(latents["pictures"], images[:, 0])
        np.testing.assert_array_equal(pics["originals"], images[np.arange(16) * 300 // 16, 0])
        # an interpolation's ends are the reconstructions of its two images
        np.testing.assert_allclose(
            pics["interpolations"][0][[0, -1]].astype(int), pics["reconstructions"][:2], atol=1
        )
        assert pics["manifold"].shape == (15, 15, 28, 28)


def test_a_device_that_is_not_there_is_named():
    if torch.cuda.is_available():
        pytest.skip("this machine has it")
    with pytest.raises(UserError, match="device=cuda: not available"):
        pick_device("cuda")
    assert pick_device("auto") in ("cpu", "mps")


def test_grids_put_images_row_by_row_between_white_lines():
    x = torch.tensor([0.0, 0.2, 0.4]).reshape(3, 1, 1, 1).expand(3, 1, 2, 2)
    grid = to_grid(x, columns=2)
    assert grid.shape == (8, 8)
    assert grid[1:3, 1:3].tolist() == [[0, 0]] * 2
    assert grid[1:3, 5:7].tolist() == [[51, 51]] * 2
    assert grid[5:7, 1:3].tolist() == [[102, 102]] * 2
    assert (grid[4:, 4:] == 255).all()  # the last row is filled up
    colour = torch.rand(2, 3, 4, 5)
    assert to_grid(colour, columns=2).shape == (6, 14, 3)
    np.testing.assert_array_equal(to_grid(colour, 2)[1:5, 1:6], to_uint8(colour)[0])


@pytest.mark.parametrize(
    ("marks", "factor"),
    [
        ([], 0),
        ([9.0, 10.0], 0),  # the first stretch warms up
        ([9.0, 10.0, 11.0], 0),
        ([9.0, 10.0, 11.4], 0),  # a little
        ([9.0, 10.0, 11.0, 13.0], 2),
        ([9.0, 13.0, 14.0], 0.25),  # a machine that was busy at the start
    ],
)
def test_a_change_of_the_speed_of_steps_is_noticed(marks, factor):
    assert slowdown(marks) == pytest.approx(factor)


def test_minutes_on_a_busy_machine_are_said_to_be_other_steps(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "STRETCH", 2)
    monkeypatch.setattr(training, "slowdown", lambda marks: float(len(marks) > 2 and len(marks)))
    train(toy(tmp_path, minutes=5.0))
    said = [line for line in capsys.readouterr().err.splitlines() if "steps take" in line]
    assert len(said) == 1  # once
    assert said[0].startswith("steps take 3.0 times as long as at the start, so that --minutes buy")
