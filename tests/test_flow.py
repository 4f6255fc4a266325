"""Flow matching against closed forms: paths between Gaussians, and linear fields."""

import math

import numpy as np
import pytest
import torch

from genbench import UserError
from genbench.families import FAMILIES
from genbench.families.flow import FlowConfig, steps
from genbench.families.flow.unet import UNet, embed
from genbench.model import Model
from genbench.record import read_runs
from genbench.train import train

MEAN, STD = 0.3, 0.2


def exact_velocity(x, t):
    """E[x_1 - x_0 | x_t] for pixels N(MEAN, STD^2): a linear regression."""
    t = t.view(-1, 1, 1, 1)
    variance = (1 - t) ** 2 + (t * STD) ** 2
    return MEAN + (t * STD**2 - (1 - t)) / variance * (x - t * MEAN)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian_pictures(n, seed=1):
    return MEAN + STD * torch.randn(n, 1, 8, 8, generator=generator(seed))


def residual(t):
    """Var[x_1 - x_0 | x_t], what is left of the loss with the exact velocity."""
    variance = (1 - t) ** 2 + (t * STD) ** 2
    return 1 + STD**2 - (t * STD**2 - (1 - t)) ** 2 / variance


def test_the_loss_of_the_exact_velocity_is_the_variance_that_is_left():
    found = steps.matching_loss(exact_velocity, gaussian_pictures(4000), generator())
    expected = np.mean([residual(t) for t in np.linspace(0, 1, 2001)])
    assert found.item() == pytest.approx(expected, rel=0.02)
    worse = steps.matching_loss(
        lambda x, t: exact_velocity(x, t) + 0.1, gaussian_pictures(4000), generator()
    )
    assert (worse - found).item() == pytest.approx(0.01, abs=0.003)


@pytest.mark.parametrize("solver", ["euler", "midpoint"])
def test_samples_of_the_exact_velocity_have_the_pictures_distribution(solver):
    z = torch.randn(500, 1, 8, 8, generator=generator(2))
    x = steps.integrate(exact_velocity, z, 200, solver)
    # the flow of a linear field keeps the order: each number goes to the same quantile
    torch.testing.assert_close(x, MEAN + STD * z, atol=0.03, rtol=0)
    assert x.mean().item() == pytest.approx(MEAN, abs=0.01)
    assert x.std().item() == pytest.approx(STD, abs=0.01)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2)])
def test_solvers_have_their_order(solver, order):
    """dx/dt = x from 1: e at the end, and n steps of either have a closed form."""
    start = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    ends = {n: steps.integrate(lambda x, t: x, start, n, solver).item() for n in (10, 20)}
    for n, end in ends.items():
        h = 1 / n
        factor = 1 + h if solver == "euler" else 1 + h + h * h / 2
        assert end == pytest.approx(factor**n, rel=1e-12)
    errors = [math.e - ends[10], math.e - ends[20]]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


def test_solvers_look_at_the_right_times():
    """dx/dt = 2t ends at 1 by the midpoint rule, and below it by Euler's left ends."""
    start = torch.zeros(1, 1, 1, 1)
    field = lambda x, t: 2 * t.view(-1, 1, 1, 1)  # noqa: E731
    assert steps.integrate(field, start, 4, "midpoint").item() == pytest.approx(1.0)
    assert steps.integrate(field, start, 4, "euler").item() == pytest.approx(0.75)


@pytest.mark.parametrize(("channels", "side"), [(1, 16), (3, 32), (3, 64), (1, 128)])
def test_the_network_keeps_the_shape_and_starts_at_zero_velocity(channels, side):
    net = UNet(channels, side, 8)
    x, t = torch.randn(2, channels, side, side), torch.tensor([0.0, 0.7])
    assert torch.equal(net(x, t), torch.zeros_like(x))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.1)
    assert net(x, t).shape == x.shape
    assert not torch.allclose(net(x, t), net(x, t.flip(0)))  # it knows the time


def test_every_weight_learns_once_the_network_has_left_its_start():
    torch.manual_seed(0)
    net = UNet(3, 32, 8)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.1)
    net(torch.randn(2, 3, 32, 32), torch.rand(2)).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_times_are_embedded_as_sines_and_cosines():
    found = embed(torch.tensor([0.0, 0.001]), 4)
    torch.testing.assert_close(found[0], torch.tensor([0.0, 0.0, 1.0, 1.0]))
    expected = [math.sin(1), math.sin(0.01), math.cos(1), math.cos(0.01)]
    torch.testing.assert_close(found[1], torch.tensor(expected))


def make(**fields):
    config = FlowConfig(**{"image_size": 16, "width": 8} | fields)
    return steps.build(config, (3, 16, 16), 10, "cpu")


def test_training_on_one_batch_learns_it():
    state = make(lr=3e-3, lr_decay=0.0)
    x = torch.rand(1, 3, 16, 16, generator=generator(3)).repeat(16, 1, 1, 1)
    first = steps.train_step(state, x)["loss"].item()
    for _ in range(150):
        last = steps.train_step(state, x)["loss"].item()
    assert last < first / 3
    drawn = steps.generate(state, torch.randn(4, 3, 16, 16, generator=generator(4)))
    assert (drawn - x[:4]).abs().mean() < (0.5 - x[:4]).abs().mean() / 2


def test_scores_and_samples_are_of_the_averaged_network():
    state = make(ema=0.999)
    x = torch.rand(8, 3, 16, 16)
    steps.train_step(state, x)
    with torch.no_grad():
        for parameter in state.modules["network"].parameters():
            parameter.fill_(torch.nan)
    assert steps.eval_step(state, x, generator())["loss"].isfinite()
    assert steps.generate(state, torch.randn(1, 3, 16, 16)).isfinite().all()
    alone = make(ema=0.0)
    assert set(alone.modules) == {"network"}
    assert steps.generate(alone, torch.randn(1, 3, 16, 16)).shape == (1, 3, 16, 16)


def test_a_saved_flow_goes_on_as_if_nothing_had_happened(tmp_path):
    state, x = make(), torch.rand(8, 3, 16, 16)
    steps.train_step(state, x)
    torch.save(state.state_dict(), tmp_path / "state.pt")
    expected = [steps.train_step(state, x)["loss"].item() for _ in range(3)]
    other = make(seed=9)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [steps.train_step(other, x)["loss"].item() for _ in range(3)] == expected


def test_a_flow_is_trained_scored_and_recorded(tmp_path):
    config = FlowConfig(
        image_size=16,
        width=8,
        images=100,
        held_out=60,
        epochs=2,
        eval_every=0,
        sample_steps=2,
        test=True,
        wandb="disabled",
        runs_dir=str(tmp_path),
    )
    scores = train(config)
    (run,) = read_runs(tmp_path)
    assert (run.about["objective"], run.about["direction"]) == ("val/loss", "minimize")
    assert {"val/loss", "test/loss", "test/kid_lite0_n60", "train/floor_fd_lite0_n50"} <= set(
        scores
    )
    assert run.summary["best_epoch"] == 1 + int(np.argmin(run.curve("val", "loss")[1]))
    with np.load(run.path / "pictures.npz") as pictures:
        assert pictures["samples"].shape == (64, 16, 16, 3)
        assert pictures["interpolations"].shape == (6, 9, 16, 16, 3)


def test_digits_are_drawn_in_grey():
    family = FAMILIES["flow"]
    state = family.steps.build(FlowConfig(image_size=32, width=8), (1, 32, 32), 10, "cpu")
    assert Model(family, state, (1, 32, 32)).sample(3, seed=1).shape == (3, 1, 32, 32)


def test_a_width_that_the_norms_cannot_share_is_named():
    with pytest.raises(UserError, match="width=20: must be a multiple of 8"):
        FlowConfig(width=20)
