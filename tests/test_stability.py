import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from scipy.stats import entropy

from genbench.data import Data, Split
from genbench.families.gan import GANConfig
from genbench.families.gan import steps as gan
from genbench.families.state import State
from genbench.handlers import Diverged, attach_lr_decay, attach_time_limit, training
from genbench.metrics import stability
from genbench.record import read_runs
from genbench.train import train


def rng(seed=0):
    return np.random.default_rng(seed)


def noise_pictures(n, seed=0, side=16, channels=3):
    return rng(seed).integers(0, 256, (n, channels, side, side), dtype=np.uint8)


def two_modes(n, share, seed=0):
    """Noisy pictures, so many of them dark and the others bright."""
    level = np.where(np.arange(n) < share * n, 60, 190)[:, None, None, None]
    return (level + rng(seed).normal(0, 8, (n, 3, 16, 16))).clip(0, 255).astype(np.uint8)


# --- how much samples differ ----------------------------------------------------------------------


def test_diversity_by_hand():
    """Uniform pictures are points on a line: their distance is the difference of their levels."""

    def line(*levels):
        return np.array(levels, np.uint8)[:, None, None, None] * np.ones((1, 3, 32, 32), np.uint8)

    reals = line(0, 10, 40)  # pairs 10, 30, 40; nearest 10, 10, 30
    fakes = line(0, 4, 5)  # pairs 4, 1, 5; nearest 4, 1, 1
    found = stability.diversity(fakes, reals)
    assert found["spread"] == pytest.approx(10 / 80, rel=1e-3)
    assert found["nearest"] == pytest.approx(1 / 10, rel=1e-2)


def test_thumbnails_are_means_of_cells():
    x = noise_pictures(3, side=64)
    thumbs = stability.thumbnails(x)
    assert thumbs.shape == (3, 3 * 16 * 16)
    expected = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(x).float() / 255, 16)
    np.testing.assert_allclose(thumbs, expected.flatten(1).numpy(), atol=1e-6)
    small = noise_pictures(2, side=8)
    np.testing.assert_allclose(stability.thumbnails(small), small.reshape(2, -1) / 255, atol=1e-6)


def test_squared_distances_are_those_of_each_pair():
    a, b = rng().normal(size=(5, 7)), rng(1).normal(size=(4, 7))
    expected = ((a[:, None] - b[None]) ** 2).sum(2)
    np.testing.assert_allclose(stability.squared_distances(a, b), expected)
    assert stability.squared_distances(a + 1e6, a + 1e6).min() >= 0  # whatever rounding does


def test_reals_against_themselves_are_one():
    reals = noise_pictures(30)
    assert stability.diversity(reals, reals) == {"spread": 1.0, "nearest": 1.0}
    other = stability.diversity(noise_pictures(30, seed=1), reals)
    assert other == pytest.approx({"spread": 1.0, "nearest": 1.0}, abs=0.03)


def test_copies_of_one_picture_have_no_spread():
    fakes = np.repeat(noise_pictures(1, seed=1), 30, axis=0)
    found = stability.diversity(fakes, noise_pictures(30))
    assert found == pytest.approx({"spread": 0, "nearest": 0}, abs=2e-3)
    assert stability.collapsed(**found)


def test_copies_of_several_pictures_are_near_each_other_but_spread():
    fakes = np.repeat(noise_pictures(5, seed=1), 6, axis=0)
    found = stability.diversity(fakes, noise_pictures(30))
    assert found["spread"] > 0.7
    assert found["nearest"] == pytest.approx(0, abs=2e-3)
    assert stability.collapsed(**found)


def test_one_mode_of_two_is_a_collapse_and_both_are_none():
    reals = two_modes(100, 0.5)
    assert not stability.collapsed(**stability.diversity(two_modes(100, 0.4, seed=1), reals))
    assert stability.collapsed(**stability.diversity(two_modes(100, 1.0, seed=1), reals))


def test_reals_that_are_all_alike_are_no_measure():
    same = np.repeat(noise_pictures(1), 4, axis=0) * 0
    assert stability.diversity(noise_pictures(4), same) == {"spread": 1.0, "nearest": 1.0}


def test_one_picture_has_no_neighbours_and_no_nan():
    found = stability.diversity(noise_pictures(1), noise_pictures(1, seed=1))
    assert all(math.isfinite(value) for value in found.values())


# --- colours --------------------------------------------------------------------------------------


def test_histogram_kl_by_hand():
    reals = np.zeros((1, 1, 1, 4), np.uint8)
    reals[..., 3] = 255  # bins: 3, 0, ..., 1; with one more each: 4, 1, ..., 2 of 12
    fakes = np.full((1, 1, 2, 2), 31, np.uint8)  # 4, 0, ...: 5, 1, ..., 1 of 12
    expected = (4 * math.log(4 / 5) + 2 * math.log(2)) / 12
    assert stability.histogram_kl(reals, fakes) == pytest.approx(expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_histogram_kl_is_scipys_of_the_smoothed_joint_histogram(channels):
    reals = noise_pictures(6, channels=channels)
    fakes = (noise_pictures(9, seed=1, channels=channels) // 2) + 40
    counts = []
    for images in (reals, fakes):
        pixels = np.moveaxis(images, 1, -1).reshape(-1, channels)
        bins = [np.arange(0, 257, 32)] * channels
        counts.append(np.histogramdd(pixels, bins)[0].ravel() + 1)
    assert stability.histogram_kl(reals, fakes) == pytest.approx(entropy(*counts), rel=1e-9)
    assert stability.histogram_kl(reals, reals) == 0


def test_histogram_kl_sees_colours_and_nothing_of_where():
    reals = noise_pictures(4)
    shuffled = rng().permuted(reals.reshape(4, 3, -1).transpose(0, 2, 1), axis=1)
    pixels = reals.reshape(4, 3, -1)[:, :, rng().permutation(256)].reshape(reals.shape)
    assert stability.histogram_kl(reals, pixels) == 0
    assert stability.histogram_kl(reals, shuffled.transpose(0, 2, 1).reshape(reals.shape)) > 0


# --- curves ---------------------------------------------------------------------------------------


def test_oscillation_is_what_a_line_leaves():
    assert stability.oscillation([]) == stability.oscillation([1, 5]) == 0
    assert stability.oscillation([1, 3, 5, 7]) == pytest.approx(0)
    assert stability.oscillation([0, 1, 0]) == pytest.approx(math.sqrt(2) / 3)  # around 1/3
    y = rng().normal(size=40)
    line = np.polyval(np.polyfit(np.arange(40), y, 1), np.arange(40))
    assert stability.oscillation(y.tolist()) == pytest.approx((y - line).std())
    assert stability.oscillation((y + 3 * np.arange(40)).tolist()) == pytest.approx(
        stability.oscillation(y.tolist())
    )


@pytest.mark.parametrize(
    ("flags", "longest"),
    [
        ([0, 0, 0, 0], 0.0),
        ([1, 1, 1, 1], 4.0),
        ([1, 0, 0, 0], 0.5),
        ([0, 1, 1, 0], 1.5),
        ([1, 1, 0, 1], 2.0),
        ([1, 0, 1, 0], 1.0),
    ],
)
def test_the_longest_stretch_by_hand(flags, longest):
    found = stability.longest_stretch([0.5, 1.0, 2.0, 4.0], [bool(flag) for flag in flags])
    assert found == longest


def row(split, epoch, **scalars):
    return {"step": epoch * 10, "epoch": epoch, "split": split, **scalars}


def test_a_runs_rows_are_summarised():
    gaps = [0.5, 0.96, 0.97, 0.9]
    rows = [
        row("train", i / 2, loss_d=[0.0, 1.0, 0.0, 1.0][i], d_real=0.99, d_fake=0.99 - gap)
        for i, gap in enumerate(gaps, start=0)
    ]
    rows[0] |= {"loss_g": 2.0}
    rows[2] |= {"loss_g": 3.0}
    rows[3] |= {"loss_g": 7.0}
    rows += [row("val", 1.0, spread=0.9, nearest=0.8), row("val", 2.0, spread=0.2, nearest=0.7)]
    rows += [row("test", 2.0, fd_lite0_n50=3.0)]
    found = stability.summarise(rows)
    assert found == {
        "oscillation_d": pytest.approx(stability.oscillation([0, 1, 0, 1])),
        "oscillation_g": pytest.approx(stability.oscillation([2, 3, 7])),
        "saturated_epochs": 1.0,
        "diverged": False,
        "spread": 0.2,
        "nearest": 0.7,
        "collapsed": True,
    }
    assert stability.summarise([*rows, row("val", 2.0, loss_d=math.nan)])["diverged"] is True
    assert stability.summarise([]) == {
        "oscillation_d": 0.0,
        "oscillation_g": 0.0,
        "saturated_epochs": 0.0,
        "diverged": False,
    }


# --- the time limit -------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test moves on by hand."""
    now = [100.0]
    monkeypatch.setattr(training.time, "monotonic", lambda: now[0])
    return now


def timed(clock, minutes, step, between):
    """How many steps and completed epochs of 10 steps a training of at most 5 epochs has."""
    trainer = Engine(lambda engine, batch: clock.__setitem__(0, clock[0] + step))
    attach_time_limit(trainer, minutes)
    epochs = []

    @trainer.on(Events.EPOCH_COMPLETED)
    def rest():
        epochs.append(trainer.state.epoch)
        clock[0] += between

    trainer.run(range(10), max_epochs=5)
    return trainer.state.iteration, epochs


@pytest.mark.parametrize("between", [0.0, 1e6])
def test_a_time_limit_counts_the_steps_alone_and_completes_the_epoch(clock, between):
    assert timed(clock, 1.0, 4.0, between) == (15, [1, 2])  # 15 steps are a minute


@pytest.mark.parametrize(
    ("minutes", "steps", "epochs"),
    [(0.0, 50, 5), (1e6, 50, 5), (1e-9, 1, 1), (40 / 60, 10, 1), (41 / 60, 11, 2)],
)
def test_time_limits(clock, minutes, steps, epochs):
    assert timed(clock, minutes, 4.0, 0.0) == (steps, list(range(1, epochs + 1)))


@pytest.mark.parametrize(
    ("share", "minutes", "factors"),
    [
        (0.0, 0.0, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        (1.0, 0.0, [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
        (0.4, 0.0, [1, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]),
        (0.5, 20 / 60, [1, 1, 1, 0.8, 0.4]),  # 5 steps of 4 s before the 10 steps are over
        (0.5, 32 / 60, [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]),  # a pause between epochs costs nothing
    ],
)
def test_learning_rates_fall_over_the_last_share_of_steps_or_time(clock, share, minutes, factors):
    weights = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    optimizers = {
        "a": torch.optim.Adam(weights[:1], lr=0.1),
        "b": torch.optim.Adam(weights[1:], lr=2),
    }
    modules = torch.nn.ModuleDict()
    config = GANConfig(lr_decay=share, minutes=minutes, epochs=2)
    state = State(config, modules, optimizers, torch.Generator(), (1,), 5)
    found = []

    def step(engine, batch):
        clock[0] += 4
        found.append([each.param_groups[0]["lr"] for each in optimizers.values()])

    trainer = Engine(step)
    attach_lr_decay(trainer, state, attach_time_limit(trainer, minutes))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: clock.__setitem__(0, clock[0] + 1e6))
    trainer.run(range(5), max_epochs=2)
    expected = [pytest.approx([0.1 * factor, 2 * factor]) for factor in factors]
    assert found == expected


# --- what is noticed in a training ----------------------------------------------------------------


@pytest.fixture
def colours(monkeypatch):
    """Sixty-four pictures to train on and thirty-two to validate, in place of a data set."""
    pool = torch.from_numpy(noise_pictures(96))
    labels, parts = torch.arange(96), {"train": slice(0, 64), "val": slice(64, 96)}
    splits = {name: Split(pool, *[labels[rows]] * 3) for name, rows in parts.items()}
    monkeypatch.setattr("genbench.train.load_data", lambda config, device: Data(splits, "noise"))


def toy(tmp_path, **fields):
    fields = {
        "image_size": 16,
        "width": 4,
        "loss": "bce",
        "latent_dim": 5,
        "batch_size": 16,
        "wandb": "disabled",
        "eval_every": 0,
        "save": False,
        "runs_dir": str(tmp_path / "runs"),
    } | fields
    return GANConfig(**fields)


def start_from(monkeypatch, change):
    """Change the networks of every new GAN."""
    build = gan.build

    def changed(*args):
        state = build(*args)
        with torch.no_grad():
            change(state)
        return state

    monkeypatch.setattr(gan, "STEPS", dataclasses.replace(gan.STEPS, build=changed))


def last_run(tmp_path):
    return read_runs(tmp_path / "runs")[-1]


def test_a_generator_of_one_colour_is_noticed_after_its_infancy_and_once(
    tmp_path, monkeypatch, colours, capsys
):
    def same_colour(state):
        for name in ("generator", "ema"):
            for p in state.modules[name].parameters():
                p.zero_()

    start_from(monkeypatch, same_colour)
    # a palette has grain even if all its weights are 0
    train(toy(tmp_path, arch="dcgan", epochs=6, lr=1e-9))
    run = last_run(tmp_path)
    assert run.curve("val", "spread") == ([1, 2, 3, 4, 5, 6], pytest.approx([0] * 6, abs=1e-2))
    assert run.summary["events"] == {"the samples have collapsed": 4}
    assert run.summary["stability"]["collapsed"] is True
    assert run.status == "finished"
    said = capsys.readouterr().err
    assert said.count("the samples have collapsed") == 1
    assert "epoch 4: the samples have collapsed; the training goes on" in said


def test_a_saturated_discriminator_is_noticed(tmp_path, monkeypatch, colours, capsys):
    def certain(state, images, y=None):
        logits = discriminate(state, images, y)
        return logits + (20 if images.std() > 0.5 else -20)  # the noise of the reals, or fakes

    discriminate = gan.discriminate
    monkeypatch.setattr(gan, "discriminate", certain)
    # whose first pictures are faint; a palette's are not
    train(toy(tmp_path, arch="dcgan", epochs=2, lr=1e-9))
    run = last_run(tmp_path)
    assert run.summary["events"] == {"the discriminator is saturated": 1}
    assert run.summary["stability"]["saturated_epochs"] == 2.0
    assert "epoch 1: the discriminator is saturated" in capsys.readouterr().err
    (*_, last) = run.curve("val", "js_bound")[1]
    assert last == pytest.approx(math.log(2), abs=1e-3)


@pytest.mark.parametrize(("share", "left"), [(0.0, 1.0), (1.0, 1 / 12)])
def test_a_training_ends_at_a_low_learning_rate(tmp_path, colours, share, left):
    train(toy(tmp_path, epochs=3, lr=1e-3, lr_decay=share, save=True))  # 12 steps
    last = torch.load(last_run(tmp_path).path / "checkpoints" / "last.pt", weights_only=True)
    for optimizer in last["optimizers"].values():
        assert optimizer["param_groups"][0]["lr"] == pytest.approx(1e-3 * left)


def test_a_healthy_start_has_no_events(tmp_path, colours):
    train(toy(tmp_path, epochs=1))
    run = last_run(tmp_path)
    assert run.summary["events"] == {}
    val = run.metrics()[-1]
    assert val["split"] == "val"
    assert {"spread", "nearest", "histogram_kl"} <= set(val)
    assert val["accuracy_ratio"] == pytest.approx(val["accuracy_train"] / val["accuracy"])


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_a_weight_that_is_not_a_number_ends_the_run(tmp_path, monkeypatch, colours, name):
    def broken(state):
        next(state.modules[name].parameters()).fill_(math.nan)

    start_from(monkeypatch, broken)
    with pytest.raises(Diverged) as error:
        train(toy(tmp_path, epochs=2))
    assert "\n" not in str(error.value)
    assert "is nan at step 4; try a smaller --lr" in str(error.value)
    summary = json.loads((last_run(tmp_path).path / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert summary["error"] == f"Diverged: {error.value}"
    assert summary["stability"]["diverged"] is True


def test_minutes_end_a_training_that_is_finished_all_the_same(tmp_path, colours):
    train(toy(tmp_path, epochs=50, minutes=1e-6))
    run = last_run(tmp_path)
    assert run.status == "finished"
    assert [r["step"] for r in run.metrics() if r["split"] == "val"] == [1]


def gan_rows(kids, spreads=None, gap=0.2):
    """A record: two training rows and a validation an epoch."""
    rows = []
    for epoch, kid in enumerate(kids, 1):
        for part in (0.5, 1.0):
            scores = {"d_real": 0.5 + gap / 2, "d_fake": 0.5 - gap / 2}
            rows.append({"split": "train", "epoch": epoch - 1 + part} | scores)
        spread = spreads[epoch - 1] if spreads else 1.0
        health = {"spread": spread, "nearest": 1.0}
        rows.append({"split": "val", "epoch": epoch, "kid_lite0_n500": kid} | health)
    return rows


@pytest.mark.parametrize(
    ("kids", "spreads", "gap", "why"),
    [
        ([0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1], None, 0.2, ""),
        ([0.1, 0.2, 0.3], None, 0.2, ""),  # two rises are chance
        ([0.5, 0.1, 0.2, 0.3, 0.4], None, 0.2, "KID has risen 3 times in a row"),
        ([0.08, -0.001, -0.0006, -0.0004, -0.0002], None, 0.2, ""),  # as near as real pictures are
        ([0.5, 0.1, 0.2, 0.3, 0.25], None, 0.2, ""),
        ([0.5] * 6, [1, 1, 1, 0.1, 0.1, 0.1], 0.2, "collapsed for 3 epochs"),
        ([0.5] * 6, [1, 1, 1, 0.1, 0.9, 0.1], 0.2, ""),
        ([0.5] * 3, [0.1] * 3, 0.2, ""),  # in its infancy
        ([0.5] * 7, None, 0.99, "saturated for 3 epochs and KID is no better"),
        ([0.5, 0.5, 0.5, 0.5, 0.4, 0.3, 0.2], None, 0.99, ""),  # it still learns
        ([0.5] * 5, None, 0.99, ""),
        ([0.050, 0.051, 0.052, 0.053], None, 0.2, ""),  # by chance
    ],
)
def test_a_gan_is_given_up_for_what_will_not_pass(kids, spreads, gap, why):
    said = stability.hopeless(gan_rows(kids, spreads, gap))
    assert bool(said) == bool(why)
    assert why in said


def test_a_record_without_kid_or_rows_is_no_reason_to_stop():
    assert stability.hopeless([]) == ""
    rows = [{k: v for k, v in row.items() if "kid" not in k} for row in gan_rows([0.1] * 9)]
    assert stability.hopeless(rows) == ""
