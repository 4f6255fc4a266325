import numpy as np
import pytest
import torch
import torch_fidelity
from scipy.linalg import sqrtm
from torch.utils.data import Dataset

from genbench.config import GANConfig
from genbench.data import Data, Split
from genbench.evaluate.samples import great_circle, nearest, sample_scores
from genbench.handlers import attach_scores, distances, real_features, render, sample_features
from genbench.handlers import scores as handler
from genbench.metrics import features, fidelity
from genbench.models import MODELS, draw_z, gan


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


# --- features -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen():
    """Eight pictures and their features."""
    images = pictures(8)
    return images, features.extract_features(images)


def test_features_are_the_networks_and_depend_on_the_picture_alone(seen):
    images, found = seen
    assert (found.shape, found.dtype) == ((8, features.FEATURES), np.float32)
    np.testing.assert_array_equal(features.extract_features(images), found)
    part = features.extract_features(torch.from_numpy(images[5:6]))
    np.testing.assert_allclose(part, found[5:6], rtol=1e-3, atol=1e-4)
    spread = np.linalg.norm(found - found.mean(0), axis=1)
    assert spread.min() > 1
    net = features.load_extractor()
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())


def test_features_are_pooled_of_red_green_and_blue_in_the_networks_own_units():
    images = pictures(2, side=features.SMALLEST)
    x = (torch.from_numpy(images).float() - 127) / 128
    expected = features.load_extractor().extract_features(x).mean((2, 3)).numpy()
    found = features.extract_features(images)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert np.abs(features.extract_features(images[:, ::-1].copy()) - found).max() > 0.1


def test_grey_pictures_have_the_features_of_their_three_equal_channels():
    grey = pictures(2, channels=1)
    np.testing.assert_array_equal(
        features.extract_features(grey), features.extract_features(grey.repeat(3, axis=1))
    )


def test_small_pictures_are_enlarged_before(seen):
    images, found = seen
    large = torch.nn.functional.interpolate(
        torch.from_numpy(images[:2]).float(), features.SMALLEST, mode="bilinear"
    )
    other = features.extract_features(large.round().to(torch.uint8))
    np.testing.assert_allclose(other, found[:2], atol=0.1)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_features_of_other_than_bytes_are_refused(kind):
    with pytest.raises(TypeError, match="uint8 pictures, not torch"):
        features.extract_features(pictures(2).astype(kind))


def test_no_pictures_have_no_features():
    assert features.extract_features(pictures(2)[:0]).shape == (0, features.FEATURES)


class Bytes(Dataset):
    def __init__(self, images):
        self.images = torch.from_numpy(images)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i]


class Ours(torch_fidelity.FeatureExtractorBase):
    """The first 64 features of our extractor; all 1280 take the eigenvalues three seconds."""

    def __init__(self, name, features_list, **options):
        super().__init__(name, features_list)

    @staticmethod
    def get_provided_features_list():
        return ("64",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "64"

    @staticmethod
    def can_be_compiled():
        return False

    def forward(self, x):
        return (torch.from_numpy(features.extract_features(x)[:, :64]),)


def test_the_distances_are_those_of_torch_fidelity_end_to_end():
    one, other = pictures(24, seed=1), 255 - pictures(24, seed=2) // 2
    torch_fidelity.register_feature_extractor("ours", Ours)
    theirs = torch_fidelity.calculate_metrics(
        input1=Bytes(one),
        input2=Bytes(other),
        feature_extractor="ours",
        fid=True,
        kid=True,
        kid_subset_size=12,
        kid_subsets=fidelity.KID_SUBSETS,
        rng_seed=fidelity.SEED,
        batch_size=24,
        cuda=False,
        save_cpu_ram=True,
        cache=False,
        verbose=False,
    )
    a, b = (features.extract_features(images)[:, :64] for images in (one, other))
    assert distances(a, b) == {
        "fd_lite0_n24": pytest.approx(theirs["frechet_inception_distance"], rel=1e-6),
        "kid_lite0_n24": pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6),
    }
    assert distances(a, b)["kid_lite0_n24"] > 0


# --- scores of a model ----------------------------------------------------------------------------


def levels(images, device="cpu"):
    """Four features in place of a network's: the mean and the spread of colours."""
    x = torch.as_tensor(images).float().flatten(2) / 255
    return torch.cat([x.mean(2), x.std((1, 2), keepdim=True)[:, 0]], dim=1).cpu().numpy()


@pytest.fixture
def toy(monkeypatch):
    """A GAN at its start, and pictures of which two follow each other from one source."""
    counted = []

    def extract(images, device="cpu"):
        counted.append(len(images))
        return levels(images)

    monkeypatch.setattr(handler, "extract_features", extract)
    monkeypatch.setattr(handler, "_known", {})
    config = GANConfig(image_size=16, width=4, latent_dim=5, score_images=60, score_every=2)
    state = gan.build(config, (3, 16, 16), 10, "cpu")
    pool = torch.from_numpy(pictures(300, side=16))
    parts = {"train": slice(0, 160), "val": slice(160, 230), "test": slice(230, 300)}
    rows = torch.arange(300)
    splits = {name: Split(pool, rows[part], rows[part] // 2) for name, part in parts.items()}
    return config, MODELS["gan"], state, Data(splits, "toy", sourced=True), counted


def test_features_of_reals_are_computed_once(toy):
    _, _, _, data, counted = toy
    index = torch.tensor([7, 3])
    first = real_features(data, "val", index)
    np.testing.assert_allclose(first, levels(data.splits["val"].images[index]))
    assert real_features(data, "val", index) is first
    real_features(data, "train", index)
    real_features(data, "val", index.flip(0))
    assert counted == [2, 2, 2]


def test_features_of_samples_are_those_of_their_codes(toy):
    config, recipe, state, _, _ = toy
    found = sample_features(recipe, state, config, 7, seed=3)
    expected = levels(render(recipe, state, draw_z(state, config, 7, 3)))
    np.testing.assert_allclose(found, expected)


def test_scores_are_of_pictures_from_all_over_the_val_split(toy):
    config, recipe, state, data, _ = toy
    found = handler.val_distances(recipe, state, config, data)
    reals = levels(data.splits["val"].images[[70 * i // 60 for i in range(60)]])
    fakes = levels(render(recipe, state, draw_z(state, config, 60, 0)))
    assert found == {
        "fd_lite0_n60": fidelity.frechet_distance(fakes, reals),
        "kid_lite0_n60": fidelity.kernel_distance(fakes, reals),
    }


def test_scores_are_of_the_networks_features(monkeypatch):
    monkeypatch.setattr(handler, "frechet_distance", lambda *_: 0.0)  # takes seconds at 1280
    config = GANConfig(image_size=16, width=4, latent_dim=5, score_images=50)
    state = gan.build(config, (3, 16, 16), 10, "cpu")
    pool = torch.from_numpy(pictures(50, side=16))
    data = Data({"val": Split(pool, torch.arange(50), torch.arange(50))}, "fifty")
    found = handler.val_distances(MODELS["gan"], state, config, data)
    fakes = render(MODELS["gan"], state, draw_z(state, config, 50, 0))
    sides = [features.extract_features(images) for images in (fakes, pool)]
    assert found["kid_lite0_n50"] == pytest.approx(fidelity.kernel_distance(*sides), rel=1e-6)
    assert found["kid_lite0_n50"] > 0.01


def test_final_scores_stand_beside_floors_of_pictures_with_no_common_source(toy, monkeypatch):
    config, recipe, state, data, _ = toy
    asked = []

    def spy(data, split, index):
        asked.append((split, data.splits[split].labels[index].tolist()))
        return real_features(data, split, index)

    monkeypatch.setattr("genbench.evaluate.samples.real_features", spy)
    scores = sample_scores(recipe, state, config, data)
    assert [split for split, _ in asked] == ["train", "train", "test", "train"]
    assert [len(sources) for _, sources in asked] == [80, 80, 70, 70]
    one, other = (set(sources) for _, sources in asked[:2])
    assert len(one) == len(other) == 40  # sources: both pictures of each
    assert not one & other
    assert not set(asked[2][1]) & set(asked[3][1])
    assert set(scores) == {
        f"{split}/{floor}{kind}_lite0_n{n}"
        for split, n in (("train", 80), ("test", 70))
        for floor in ("", "floor_")
        for kind in ("fd", "kid")
    }
    assert scores["train/fd_lite0_n80"] > 10 * scores["train/floor_fd_lite0_n80"]
    assert scores == sample_scores(recipe, state, config, data)


def test_digits_are_scored_against_all_classes(toy, monkeypatch):
    config, recipe, state, data, _ = toy
    digits = {name: Split(s.pool, s.rows, s.rows % 10) for name, s in data.splits.items()}
    asked = []
    monkeypatch.setattr(
        "genbench.evaluate.samples.real_features",
        lambda data, split, index: (
            asked.append(data.splits[split].labels[index]) or real_features(data, split, index)
        ),
    )
    sample_scores(recipe, state, config, Data(digits, "digits"))
    assert all(len(labels.unique()) == 10 for labels in asked)


def test_scores_come_every_few_epochs_and_at_the_last(toy):
    from ignite.engine import Engine

    config, recipe, state, data, _ = toy
    trainer, evaluator = Engine(lambda *_: None), Engine(lambda *_: None)
    attach_scores(trainer, evaluator, recipe, state, config, data)
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
    *_, data, _ = toy
    monkeypatch.setattr("genbench.evaluate.samples.CHUNK", 50)
    train = data.splits["train"]
    images = train.images[[3, 77, 159]].numpy()
    found = nearest((images // 4) * 4, train)
    assert found.shape == (3, 3, 3, 16, 16)
    np.testing.assert_array_equal(found[:, 0], images)
    pool = train.images.numpy().astype(float)
    for image, neighbours in zip(images, found, strict=True):
        order = ((pool - image // 4 * 4) ** 2).sum((1, 2, 3)).argsort()[:3]
        np.testing.assert_array_equal(neighbours, train.images[order].numpy())


def test_great_circles_keep_their_distance_and_turn_evenly():
    a, b = 3 * torch.eye(8)[0], 3 * torch.eye(8)[1]
    line = great_circle(a, b, 5)
    torch.testing.assert_close(line[[0, 4]], torch.stack([a, b]))
    torch.testing.assert_close(line.norm(dim=1), torch.full((5,), 3.0))
    angles = torch.atan2(line[:, 1], line[:, 0])
    torch.testing.assert_close(angles, torch.linspace(0, torch.pi / 2, 5))
    assert great_circle(a, a, 3).isfinite().all()
