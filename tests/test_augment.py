import numpy as np
import pytest
import torch

from genbench.families.gan import GANConfig
from genbench.families.gan import steps as gan
from genbench.families.gan.augment import (
    POLICIES,
    augment,
    brightness,
    contrast,
    cutout,
    saturation,
)
from genbench.families.gan.augment import translation as translate

ALL = "color,translation,cutout"


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=6, shape=(3, 16, 16), seed=1):
    return 2 * torch.rand(n, *shape, generator=noise(seed)) - 1


def make(**fields):
    config = GANConfig(**{"width": 4, "latent_dim": 5, "image_size": 16, "loss": "bce"} | fields)
    return gan.build(config, (3, 16, 16), 10, "cpu")


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 32), (3, 8, 24)])
@pytest.mark.parametrize("policy", [*POLICIES, ALL])
def test_shape_and_type_stay_and_every_image_draws_its_own_numbers(policy, shape):
    x = images(1, shape).expand(40, *shape)
    out = augment(x, policy, 1.0, noise())
    assert (out.shape, out.dtype) == (x.shape, x.dtype)
    assert len({picture.numpy().tobytes() for picture in out}) > 10
    assert torch.equal(out, augment(x, policy, 1.0, noise()))
    assert not torch.equal(out, augment(x, policy, 1.0, noise(1)))


@pytest.mark.parametrize(("policy", "p"), [("", 1.0), (ALL, 0.0)])
def test_no_policy_and_no_probability_change_nothing(policy, p):
    x = images()
    assert torch.equal(augment(x, policy, p, noise()), x)


@pytest.mark.parametrize(
    ("policy", "share"),
    [("translation", 0.5 * (1 - 1 / 25)), ("cutout", 0.5), ("color", 1 - 0.5**3)],
)
def test_a_half_probability_changes_half_of_the_images(policy, share):
    x = images(4000, (3, 16, 16))
    changed = (augment(x, policy, 0.5, noise()) != x).flatten(1).any(1).float().mean().item()
    assert changed == pytest.approx(share, abs=0.04)  # color has three transformations


@pytest.mark.parametrize("policy", [*POLICIES, ALL])
def test_the_gradient_is_the_transformations_own(policy):
    x = images(2, (3, 8, 8)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augment(x, policy, 1.0, noise()), x)


def numbers(n, seed=0):
    """The first uniform numbers that a transformation of n images draws."""
    return torch.rand(n, 1, 1, 1, generator=noise(seed))


def test_colours_by_their_formulas():
    x, u = images(), numbers(6)
    torch.testing.assert_close(brightness(x, noise()), x + u - 0.5)
    grey = x.mean(1, keepdim=True)
    torch.testing.assert_close(saturation(x, noise()), grey + 2 * u * (x - grey))
    mean = x.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(contrast(x, noise()), mean + (0.5 + u) * (x - mean))


def test_colours_keep_what_they_should():
    x = images(500)
    bright, pale, flat = (f(x, noise()) for f in (brightness, saturation, contrast))
    shifts = (bright - x).flatten(1)
    assert shifts.std(1).max() < 1e-6
    assert shifts.min() >= -0.5
    assert shifts.max() < 0.5
    assert abs(shifts.mean().item()) < 0.03
    torch.testing.assert_close(pale.mean(1), x.mean(1))
    torch.testing.assert_close(flat.mean((1, 2, 3)), x.mean((1, 2, 3)))
    ratio = flat.flatten(1).std(1) / x.flatten(1).std(1)
    assert 0.5 <= ratio.min() < 0.52
    assert 1.48 < ratio.max() < 1.5


def shifted(picture, down, right):
    """A picture (C, H, W) rolled by hand, with zeros moving in."""
    out = np.roll(picture, (down, right), axis=(1, 2))
    if down:
        out[:, :down] = 0 if down > 0 else out[:, :down]
        out[:, down:] = 0 if down < 0 else out[:, down:]
    if right:
        out[:, :, :right] = 0 if right > 0 else out[:, :, :right]
        out[:, :, right:] = 0 if right < 0 else out[:, :, right:]
    return out


def test_a_translation_is_a_roll_with_zeros_of_up_to_an_eighth():
    x = images(1, (3, 16, 24))[0].numpy()
    known = {
        shifted(x, down, right).tobytes(): (down, right)
        for down in range(-2, 3)
        for right in range(-3, 4)
    }
    out = translate(torch.from_numpy(x).expand(1500, -1, -1, -1), noise()).contiguous().numpy()
    shifts = [known[picture.tobytes()] for picture in out]  # any other one is a KeyError
    counts = [shifts.count(shift) for shift in known.values()]
    assert min(counts) > 20  # each of the 35 is as likely: 43 on average
    assert max(counts) < 75


def test_the_hole_is_half_of_each_side_and_its_centre_anywhere():
    holes = cutout(torch.ones(4000, 3, 16, 32), noise()) == 0
    assert torch.equal(holes[:, 0], holes[:, 1])
    holes = holes[:, 0]
    rows, columns = holes.any(2), holes.any(1)
    assert torch.equal(holes, rows[:, :, None] & columns[:, None, :])  # a rectangle
    for lines, size in ((rows, 16), (columns, 32)):
        count = lines.sum(1)
        edge = lines[:, 0] | lines[:, -1]
        assert (count[~edge] == size // 2).all()
        assert set(count[edge].tolist()) <= set(range(size // 4, size // 2 + 1))  # cut off
        expected = (size // 2 - 1) / size  # of centres whose hole touches no edge
        assert (~edge).float().mean().item() == pytest.approx(expected, abs=0.04)
    kept = cutout(images(), noise())
    assert (kept[kept != 0] == images()[kept != 0]).all()


# --- in the training steps ------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch):
    """What the steps have augmented: (images, policy, p) of each call."""
    seen = []

    def spy(x, policy, p, generator):
        seen.append((x, policy, p))
        return augment(x, policy, p, generator)

    monkeypatch.setattr(gan, "augment", spy)
    return seen


@pytest.mark.parametrize("loss", ["r3", "bce"])
def test_reals_and_fakes_are_augmented_alike(calls, loss):
    state = make(diffaugment=ALL, loss=loss, r1=0.0, r2=0.0)
    x = (images() + 1) / 2
    gan.train_step(state, x)
    assert {(policy, p) for _, policy, p in calls} == {(ALL, 1.0)}
    reals = [(seen - (2 * x - 1)).abs().max() < 1e-6 for seen, *_ in calls]
    # the discriminator's step, then the generator's, where only r3 looks at reals again
    assert reals == [True, False, False, True][: 4 if loss == "r3" else 3]
    assert [seen.requires_grad for seen, *_ in calls][:3] == [False, False, True]
    torch.testing.assert_close(calls[1][0], calls[2][0].detach())


def test_the_gradient_reaches_the_generator_through_the_augmentation(monkeypatch):
    for factor in (1.0, 0.0):
        state = make(diffaugment="color", r1=0.0, r2=0.0)
        monkeypatch.setattr(gan, "augment", lambda x, *_, factor=factor: x * factor)
        norm = gan.train_step(state, images() / 2 + 0.5)["grad_norm_g"].item()
        assert (norm > 0) is (factor > 0)


def test_penalties_see_augmented_pictures_too(calls):
    state = make(diffaugment=ALL, loss="wgan-gp", r1=1.0, r2=1.0)
    gan.gradient_penalties(state, images(), images(seed=2))
    assert len(calls) == 3
    assert all(seen.requires_grad for seen, *_ in calls)


def test_nothing_is_augmented_in_evaluation_nor_without_a_policy(calls):
    state = make(diffaugment=ALL)
    state.modules.eval()
    gan.eval_step(state, images() / 2 + 0.5, noise())
    state = make()
    gan.train_step(state, images() / 2 + 0.5)
    assert calls == []


# --- the adaptive probability ---------------------------------------------------------------------


def p_of(state):
    return state.modules["augment"].get_buffer("p").item()


def test_p_rises_above_the_target_falls_below_it_and_stays_a_probability():
    state = make(diffaugment=ALL, ada_target=0.6)
    found = []
    for r_t in (0.9, 0.61, 0.6, -1.0, 0.0, 0.0, *[1.0] * 12):
        gan.adapt(state, torch.tensor(r_t), n=2000)
        found.append(p_of(state))
    expected = [0.1, 0.2, 0.2, 0.1, 0, 0, *np.linspace(0.1, 1, 10), 1, 1]
    assert found == pytest.approx(expected, abs=1e-6)
    assert min(found) >= 0
    assert max(found) <= 1


@pytest.mark.parametrize(("target", "p"), [(0.0, 1.0), (0.5, 0.0)])
def test_the_augmentation_is_always_on_unless_it_is_steered(target, p, calls):
    state = make(diffaugment=ALL, ada_target=target)
    assert p_of(state) == p
    scalars = gan.train_step(state, images() / 2 + 0.5)
    assert {p for _, _, p in calls[:2]} == {p}
    assert ("augment_p" in scalars) is (target > 0)


def test_p_follows_the_steps_own_r_t_and_is_used_and_saved():
    state = make(diffaugment=ALL, ada_target=0.5)
    p = 0.5
    state.modules["augment"].get_buffer("p").fill_(p)
    for _ in range(4):
        scalars = gan.train_step(state, images() / 2 + 0.5)
        p += np.sign(scalars["r_t"].item() - 0.5) * 6 / 20_000
        assert scalars["augment_p"].item() == pytest.approx(p, abs=1e-6)
    other = make(diffaugment=ALL, ada_target=0.5, seed=1)
    other.load_state_dict(state.state_dict())
    assert p_of(other) == p_of(state) == pytest.approx(p, abs=1e-6)
