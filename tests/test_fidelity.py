from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from genbench.data import Data, Split
from genbench.evaluate import distances as module
from genbench.evaluate.distances import (
    real_features,
    sample_features,
    sample_scores,
    val_distances,
)
from genbench.evaluate.gallery import gallery, nearest
from genbench.evaluate.reals import sides
from genbench.families import FAMILIES
from genbench.families.gan import GANConfig
from genbench.handlers import attach_scores
from genbench.metrics import METRICS, extractors, fidelity
from genbench.metrics.extractors import load_extractor
from genbench.model import Model
from genbench.prior import great_circle


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(n, d=8, seed=0, mean=0.0, scale=1.0):
    return (mean + scale * rng(seed).normal(size=(n, d))).astype(np.float32)


def pictures(n, seed=0, side=32, channels=3):
    """Noise that is smooth over 8 x 8 pixels."""
    cells = rng(seed).integers(0, 256, (n, channels, side // 8, side // 8), dtype=np.uint8)
    return cells.repeat(8, axis=2).repeat(8, axis=3)


# --- distances ------------------------------------------------------------------------------------


def whitened(n, d, mean, std, seed=0):
    """(n, d) whose mean and standard deviations are exactly these, without a correlation."""
    x = rng(seed).normal(size=(n, d))
    x = x - x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return mean + x * std


@pytest.mark.parametrize("seed", [0, 1])
def test_frechet_distance_of_diagonal_gaussians_is_its_closed_form(seed):
    means, stds = rng(seed).normal(size=(2, 5)), rng(seed).uniform(0.2, 3, (2, 5))
    a, b = (whitened(200, 5, means[i], stds[i], seed=i) for i in range(2))
    expected = ((means[0] - means[1]) ** 2).sum() + ((stds[0] - stds[1]) ** 2).sum()
    assert fidelity.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_is_that_of_scipys_matrix_root():
    mix = rng(3).normal(size=(2, 6, 6))
    a, b = normal(300, 6) @ mix[0] + 1, normal(200, 6, seed=1) @ mix[1]
    one, other = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(one @ other).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(one + other - 2 * root)
    assert fidelity.frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)
    assert fidelity.frechet_distance(b, a) == pytest.approx(expected, rel=1e-5)


def test_frechet_distance_to_itself_is_zero_and_falls_with_n():
    a = normal(100)
    assert fidelity.frechet_distance(a, a) == pytest.approx(0, abs=1e-5)
    biases = [
        fidelity.frechet_distance(normal(n, 16, seed=1), normal(n, 16, seed=2))
        for n in (40, 400, 4000)
    ]
    assert biases[0] > 3 * biases[1] > 9 * biases[2] > 0


def mmd(x, y):
    """Unbiased squared MMD with kernel (x.y/D + 1)^3."""

    def kernel(a, b):
        return (a.astype(np.float64) @ b.T / a.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    own = [kernel(side, side) for side in (x, y)]
    inside = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in own]
    return sum(inside) - 2 * kernel(x, y).sum() / (n * m)


def test_kernel_distance_of_one_subset_of_everything_is_the_mmd(monkeypatch):
    x, y = normal(40), normal(40, seed=1, mean=0.3)
    seen = {}
    import torch_fidelity.metric_kid as theirs

    original = theirs.kid_features_to_metric

    def whole(a, b, **options):
        seen.update(options)
        return original(a, b, **options | {"kid_subset_size": len(a)})

    monkeypatch.setattr(theirs, "kid_features_to_metric", whole)
    assert fidelity.kernel_distance(x, y) == pytest.approx(mmd(x, y), rel=1e-4)
    assert seen["kid_subset_size"] == 20


@pytest.mark.parametrize(("n", "m", "subset"), [(4, 40, 2), (50, 50, 25), (2200, 2100, 1000)])
def test_kernel_distance_takes_half_of_the_smaller_side_up_to_a_thousand(monkeypatch, n, m, subset):
    import torch_fidelity.metric_kid as theirs

    def note(a, b, **options):
        assert (options["kid_subsets"], options["kid_subset_size"]) == (100, subset)
        return {theirs.KEY_METRIC_KID_MEAN: 0.5}

    monkeypatch.setattr(theirs, "kid_features_to_metric", note)
    assert fidelity.kernel_distance(normal(n), normal(m)) == 0.5


def test_kernel_distance_is_zero_on_average_and_sees_a_shift():
    found = [
        fidelity.kernel_distance(normal(60, seed=seed), normal(60, seed=100 + seed))
        for seed in range(25)
    ]
    error = np.std(found) / 5
    assert abs(np.mean(found)) < 3 * error
    assert min(found) < 0 < max(found)
    shifted = fidelity.kernel_distance(normal(60), normal(60, seed=1, mean=1.0))
    assert shifted > 5 * np.std(found)
    assert fidelity.kernel_distance(normal(60), normal(60, seed=1, mean=1.0)) == shifted


# --- the other scores -----------------------------------------------------------------------------


def test_inception_score_of_certain_classes_is_their_number():
    one_hot = 100 * np.eye(7, dtype=np.float32)[np.arange(14000) % 7]
    assert fidelity.inception_score(one_hot) == pytest.approx(7, rel=0.02)
    assert fidelity.inception_score(np.zeros((100, 7), np.float32)) == pytest.approx(1)
    assert fidelity.inception_score(one_hot[:100] * 0 + one_hot[0]) == pytest.approx(1)


def test_gaussian_kl_is_torchs(monkeypatch):
    from torch.distributions import MultivariateNormal, kl_divergence

    mix = rng(3).normal(size=(2, 4, 4))
    reals, fakes = normal(4000, 4) @ mix[0], normal(4000, 4, seed=1) @ mix[1] + 1
    sides = [
        MultivariateNormal(torch.from_numpy(x.mean(0)), torch.from_numpy(np.cov(x, rowvar=False)))
        for x in (reals, fakes)
    ]
    found = fidelity.gaussian_kl(fakes, reals)
    assert found == pytest.approx(kl_divergence(*sides).item(), rel=1e-6)
    assert fidelity.gaussian_kl(reals, reals) == pytest.approx(0, abs=1e-9)
    assert fidelity.gaussian_kl(reals, fakes) != pytest.approx(found, rel=0.01)


def test_gaussian_kl_looks_along_the_reals_main_axes_alone():
    reals = normal(500, 80) * np.geomspace(10, 0.01, 80)
    fakes = normal(500, 80, seed=1) * np.geomspace(10, 0.01, 80)
    near = fidelity.gaussian_kl(fakes, reals)
    fakes[:, -1] += 0.1  # ten of its standard deviations; but 50 axes for 500 pictures leave it out
    assert fidelity.gaussian_kl(fakes, reals) == pytest.approx(near, rel=0.01)
    fakes[:, 0] += 100
    assert fidelity.gaussian_kl(fakes, reals) > near + 10


def test_gaussian_kl_of_samples_that_are_all_one_is_infinite():
    assert fidelity.gaussian_kl(np.ones((100, 5)), normal(100, 5)) == np.inf


def test_the_distance_at_infinite_n_has_lost_its_bias():
    same = [normal(1200, 32, seed=seed) for seed in (1, 2)]
    biased = fidelity.frechet_distance(*same)
    assert abs(fidelity.frechet_at_infinity(*same)) < biased / 5
    shifted = normal(1200, 32, seed=3, mean=0.5)
    expected = 32 * 0.25
    found = fidelity.frechet_at_infinity(same[0], shifted)
    assert abs(found - expected) < abs(fidelity.frechet_distance(same[0], shifted) - expected)
    assert fidelity.frechet_at_infinity(same[0], shifted) == found


def test_half_samples_give_the_standard_error_of_a_mean():
    found = [
        fidelity.half_sample_error(lambda x: float(x.mean()), normal(400, 1, seed=seed))
        for seed in range(20)
    ]
    assert np.mean(found) == pytest.approx(1 / np.sqrt(400), rel=0.15)


def test_half_samples_give_the_spread_of_kid_between_draws():
    def kid(x, y):
        return fidelity.kernel_distance(x, y, subsets=1, subset=len(x))

    pairs = [(normal(150, seed=2 * i), normal(150, seed=2 * i + 1, mean=0.5)) for i in range(30)]
    spread = np.std([kid(*pair) for pair in pairs])
    found = np.mean([fidelity.half_sample_error(kid, *pair) for pair in pairs[:5]])
    assert found == pytest.approx(spread, rel=0.4)


def test_kids_interval_of_one_distribution_holds_zero():
    from genbench.evaluate.measures import errors, measure
    from genbench.metrics.cache import Cache
    from genbench.metrics.features import Features
    from genbench.metrics.protocol import ModelScores, Protocol

    protocol = Protocol("toy", "", "", "folder", 8, 200)
    inside = 0
    for i in range(20):
        a, b = (Features(normal(200, seed=2 * i + k), np.zeros((200, 0))) for k in (0, 1))
        kid = measure(a, b, ("kid",), Cache(None))["kid"]
        spread = errors(a, b, ("kid",), Cache(None))
        row = ModelScores("x", protocol, {"kid": [kid]}, spread)
        low, high = row.interval("kid")
        inside += low < 0 < high
    assert inside >= 18


# --- scores of a model ----------------------------------------------------------------------------


def levels(images, device="cpu"):
    """Four features in place of a network's: the mean and the spread of colours."""
    x = torch.as_tensor(images).float().flatten(2) / 255
    return torch.cat([x.mean(2), x.std((1, 2), keepdim=True)[:, 0]], dim=1).cpu().numpy()


@pytest.fixture
def toy(monkeypatch):
    """A GAN at its start, and pictures of which two follow each other from one source."""
    counted = []

    def look(images):
        counted.append(len(images))
        found = torch.from_numpy(levels(images))
        return found, found[:, :0]

    toy = extractors.Extractor("toy", "toy", look, "cpu")
    monkeypatch.setattr(module, "load_extractor", lambda device: toy)
    config = GANConfig(image_size=16, width=4, latent_dim=5, eval_images=60, eval_every=2)
    pool = torch.from_numpy(pictures(300, side=16))
    parts = {"train": slice(0, 160), "val": slice(160, 230), "test": slice(230, 300)}
    rows = torch.arange(300)
    splits = {
        name: Split(pool, rows[part], 0 * rows[part], rows[part] // 2)
        for name, part in parts.items()
    }
    return Model.build(config, Data(splits, "toy"), "cpu"), counted


def test_features_of_reals_are_computed_once(toy):
    model, counted = toy
    val, index = model.data.splits["val"], torch.tensor([7, 3])
    first = real_features(val.take(index)).features
    np.testing.assert_allclose(first, levels(val.images[index]))
    np.testing.assert_array_equal(real_features(val.take(index)).features, first)
    real_features(model.data.splits["train"].take(index))
    real_features(val.take(index.flip(0)))
    assert counted == [2, 2, 2]  # what was seen before is read from the cache


def test_features_of_samples_are_those_of_their_codes(toy):
    model, _ = toy
    expected = levels(model.sample_bytes(7, 3))
    np.testing.assert_allclose(sample_features(model, 7, seed=3).features, expected)


def test_scores_are_of_pictures_from_all_over_the_val_split(toy):
    model, _ = toy
    found = val_distances(model)
    reals = levels(model.data.splits["val"].images[[70 * i // 60 for i in range(60)]])
    fakes = levels(model.sample_bytes(60, 0))
    assert found == {
        "fd_lite0_n60": fidelity.frechet_distance(fakes, reals),
        "kid_lite0_n60": fidelity.kernel_distance(fakes, reals),
    }


def test_kid_of_few_pictures_is_the_mean_over_several_draws(toy):
    model, _ = toy
    model.state.config = replace(model.config, eval_images=150)
    found = val_distances(model)  # of 70 validation pictures
    reals, fakes = levels(model.data.splits["val"].images), levels(model.sample_bytes(140, 0))
    kids = [fidelity.kernel_distance(half, reals) for half in (fakes[:70], fakes[70:])]
    assert found["kid_lite0_n70"] == pytest.approx(np.mean(kids))
    assert found["fd_lite0_n70"] == pytest.approx(fidelity.frechet_distance(fakes[:70], reals))


def test_scores_are_of_the_networks_features(monkeypatch):
    cheap = replace(METRICS["fd"], compute=lambda *_: 0.0)  # takes seconds at 1280
    monkeypatch.setitem(METRICS._items, "fd", cheap)
    config = GANConfig(image_size=16, width=4, latent_dim=5, eval_images=50)
    state = FAMILIES["gan"].steps.build(config, (3, 16, 16), 10, "cpu")
    pool = torch.from_numpy(pictures(50, side=16))
    data = Data({"val": Split(pool, *[torch.arange(50)] * 3)}, "fifty")
    model = Model(FAMILIES["gan"], state, (3, 16, 16), data)
    found = val_distances(model)
    fakes = model.sample_bytes(50, 0)
    sides = [load_extractor()(images).features for images in (fakes, pool)]
    assert found["kid_lite0_n50"] == pytest.approx(fidelity.kernel_distance(*sides), rel=1e-6)
    assert found["kid_lite0_n50"] > 0.01


def test_final_scores_stand_beside_floors_of_pictures_with_no_common_source(toy, monkeypatch):
    model, _ = toy
    asked = []

    def spy(pictures):
        asked.append(pictures.sources.tolist())
        return real_features(pictures)

    monkeypatch.setattr(module, "real_features", spy)
    scores = sample_scores(model)
    assert [len(sources) for sources in asked] == [80, 80, 70, 70]
    halves, (test, others) = (list(map(set, pair)) for pair in (asked[:2], asked[2:]))
    assert [len(half) for half in halves] == [40, 40]  # sources: both pictures of each
    assert not halves[0] & halves[1]
    assert max(halves[0] | halves[1]) < 80  # of the 160 training pictures
    assert min(test) >= 115
    assert max(others) < 80
    assert set(scores) == {
        f"{split}/{floor}{kind}_lite0_n{n}"
        for split, n in (("train", 80), ("test", 70))
        for floor in ("", "floor_")
        for kind in ("fd", "kid", "precision", "recall")
    }
    assert scores["train/fd_lite0_n80"] > 10 * scores["train/floor_fd_lite0_n80"]
    assert scores == sample_scores(model)


def test_a_floor_takes_validation_pictures_where_the_training_ones_are_too_few():
    pool, rows = torch.zeros(100, 3, 16, 16, dtype=torch.uint8), torch.arange(100)
    parts = {"train": slice(0, 30), "val": slice(30, 50), "test": slice(50, 100)}
    data = Data({n: Split(pool, *[rows[p]] * 3) for n, p in parts.items()}, "toy")
    test, others = sides(data, "test")
    assert sorted(test.sources.tolist()) == list(range(50, 100))
    assert sorted(others.sources.tolist()) == list(range(50))


def test_digits_are_scored_against_all_classes(toy, monkeypatch):
    model, _ = toy
    splits = model.data.splits
    digits = {name: Split(s.pool, s.rows, s.rows % 10, s.rows) for name, s in splits.items()}
    model.data = Data(digits, "digits")
    asked = []
    monkeypatch.setattr(
        module,
        "real_features",
        lambda pictures: asked.append(pictures.labels) or real_features(pictures),
    )
    sample_scores(model)
    assert all(len(labels.unique()) == 10 for labels in asked)


def test_scores_come_every_few_epochs_and_at_the_last(toy):
    from ignite.engine import Engine

    model, _ = toy
    trainer, evaluator = Engine(lambda *_: None), Engine(lambda *_: None)
    attach_scores(trainer, evaluator, model)
    found = []
    for epoch in (1, 2, 3, 4, 5, 3):
        trainer.state.epoch, trainer.state.max_epochs = epoch, 5
        trainer.should_terminate = len(found) == 5  # by a limit, in epoch 3
        evaluator.run([0])
        found.append(sorted(evaluator.state.metrics))
    names = ["fd_lite0_n60", "kid_lite0_n60"]
    assert found == [[], names, [], names, names, names]


# --- pictures of the gallery ----------------------------------------------------------------------


def test_the_nearest_pictures_are_found_in_all_parts_of_a_split(toy, monkeypatch):
    model, _ = toy
    monkeypatch.setattr("genbench.evaluate.gallery.CHUNK", 50)
    train = model.data.splits["train"]
    images = train.images[[3, 77, 159]].numpy()
    found = nearest((images // 4) * 4, train)
    assert found.shape == (3, 3, 3, 16, 16)
    np.testing.assert_array_equal(found[:, 0], images)
    pool = train.images.numpy().astype(float)
    for image, neighbours in zip(images, found, strict=True):
        order = ((pool - image // 4 * 4) ** 2).sum((1, 2, 3)).argsort()[:3]
        np.testing.assert_array_equal(neighbours, train.images[order].numpy())


def test_originals_are_of_all_sources_of_the_held_out_pictures(toy):
    model, _ = toy
    pool, rows = model.data.splits["train"].pool, torch.arange(256)
    crops = Split(pool, rows, 0 * rows, rows // 32)  # of eight pictures, one after the other
    model.data = Data(model.data.splits | {"test": crops}, "crops")
    found = gallery(model)["originals"]
    np.testing.assert_array_equal(found, pool[0:256:4].permute(0, 2, 3, 1).numpy())


def test_great_circles_keep_their_distance_and_turn_evenly():
    a, b = 3 * torch.eye(8)[0], 3 * torch.eye(8)[1]
    line = great_circle(a, b, 5)
    torch.testing.assert_close(line[[0, 4]], torch.stack([a, b]))
    torch.testing.assert_close(line.norm(dim=1), torch.full((5,), 3.0))
    angles = torch.atan2(line[:, 1], line[:, 0])
    torch.testing.assert_close(angles, torch.linspace(0, torch.pi / 2, 5))
    assert great_circle(a, a, 3).isfinite().all()
    opposite = great_circle(torch.tensor([0.5]), torch.tensor([-1.3]), 3)
    torch.testing.assert_close(opposite, torch.tensor([[0.5], [-0.4], [-1.3]]))
