import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from genbench import UserError, losses
from genbench.data import Data, Split
from genbench.evaluate import likelihood as module
from genbench.evaluate.likelihood import likelihood
from genbench.families import FAMILIES
from genbench.families.vae import VAEConfig
from genbench.families.vae import steps as vae
from genbench.metrics.cache import Cache
from genbench.model import Model

SIGMA, SIDE = 0.1, 4


class Linear(nn.Module):
    """z -> logits of the means 0.5 + W z of pixels."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, z):
        return torch.logit((0.5 + z @ self.weight.T).unflatten(1, (1, SIDE, SIDE)))


class Posterior(nn.Module):
    """The exact posterior of `Linear`, its variances, all of them `wider` times too large."""

    def __init__(self, weight, wider):
        super().__init__()
        precision = torch.eye(2) + weight.T @ weight / SIGMA**2
        self.mean = torch.linalg.solve(precision, weight.T) / SIGMA**2
        self.logvar = torch.log(wider * torch.linalg.inv(precision).diag())

    def forward(self, x):
        mu = (x.flatten(1) - 0.5) @ self.mean.T
        return torch.cat([mu, self.logvar.expand_as(mu)], 1)


@pytest.fixture
def linear():
    """A VAE whose p(x) is N(0.5, W W' + sigma^2), and pictures of that distribution."""
    torch.manual_seed(0)
    weight = 0.05 * torch.randn(SIDE**2, 2)
    config = VAEConfig(latent_dim=2, likelihood="gaussian", sigma=SIGMA)
    state = vae.build(config, (1, SIDE, SIDE), 1, "cpu")
    state.modules["decoder"], state.modules["encoder"] = Linear(weight), Posterior(weight, 1.5)
    marginal = MultivariateNormal(
        torch.full((SIDE**2,), 0.5), weight @ weight.T + SIGMA**2 * torch.eye(SIDE**2)
    )
    images = (marginal.sample((40,)).clamp(0, 1) * 255).round().to(torch.uint8)
    images = images.unflatten(1, (1, SIDE, SIDE))
    split = Split(images, torch.arange(40), torch.zeros(40, dtype=torch.int64), torch.arange(40))
    data = Data({"test": split}, "linear")
    return Model(FAMILIES["vae"], state, (1, SIDE, SIDE), data), marginal


def test_nll_of_a_linear_gaussian_vae_is_its_exact_marginal_likelihood(linear, tmp_path):
    model, marginal = linear
    state = model.state
    found = likelihood(model, "test", Cache(tmp_path), draws=5000)
    x = model.data.splits["test"].images.flatten(1) / 255
    exact = -marginal.log_prob(x)
    assert found["nll"] == pytest.approx(exact.mean().item(), abs=0.05)
    assert found["nll_error"] == pytest.approx(exact.std().item() / math.sqrt(40), rel=0.02)
    assert -found["elbo"] == pytest.approx(found["rate"] + found["distortion"])
    # what is left is KL(q || posterior): q has the right means, the wrong widths, no correlation
    encoder, decoder = state.modules["encoder"], state.modules["decoder"]
    precision = torch.eye(2) + decoder.weight.T @ decoder.weight / SIGMA**2
    q = MultivariateNormal(torch.zeros(2), encoder.logvar.exp().diag())
    p = MultivariateNormal(torch.zeros(2), precision_matrix=precision)
    gap = torch.distributions.kl_divergence(q, p).item()
    assert found["elbo_gap"] == pytest.approx(gap, abs=0.05)
    assert (found["active_units"], found["posterior_collapse"]) == (2, 0)
    assert (found["p"], found["binarize"]) == ("gaussian", "none")
    assert (found["pictures"], found["draws"]) == (40, 5000)


def test_likelihoods_are_computed_once_of_the_same_weights_and_pictures(
    linear, tmp_path, monkeypatch
):
    model, _ = linear
    state = model.state
    computed = []
    original = module._by_picture
    monkeypatch.setattr(module, "_by_picture", lambda *a: computed.append(1) or original(*a))
    first = likelihood(model, "test", Cache(tmp_path), draws=5000)
    assert likelihood(model, "test", Cache(tmp_path), draws=5000) == first
    assert len(computed) == 1
    with torch.no_grad():
        state.modules["decoder"].weight.mul_(0.9)
    assert likelihood(model, "test", Cache(tmp_path), draws=5000) != first
    assert len(computed) == 2


def test_a_picture_has_its_own_noise_whatever_is_decoded_with_it(linear, monkeypatch):
    model, _ = linear
    model.state.config = replace(model.config, likelihood="bernoulli", binarize="dynamic")
    pixels = nn.Sequential(nn.Linear(2, SIDE**2), nn.Unflatten(1, (1, SIDE, SIDE)))
    model.state.modules["decoder"] = pixels
    part = model.data.splits["test"]
    found = []
    for values in (1, SIDE**2 * 7, SIDE**2 * 120, 2**20):  # a row, 7, 4 pictures, all of them
        monkeypatch.setattr(module, "VALUES", values)
        found.append(module._by_picture(model, part, 30))
    for other in found[1:]:
        for name, numbers in found[0].items():
            np.testing.assert_allclose(other[name], numbers, rtol=1e-5)
    assert len(np.unique(found[0]["nll"])) == 40
    few = module._by_picture(model, part.take(slice(0, 3)), 30)
    np.testing.assert_allclose(few["nll"], found[0]["nll"][:3], rtol=1e-5)


def bounds(log_w):
    """By a hundredth, a tenth and all of the draws, means over all."""
    return [module._mean_bound(log_w, len(log_w) // part).mean().item() for part in (100, 10, 1)]


def test_the_bias_that_is_left_is_that_of_weights_whose_mean_is_known():
    """Log-normal ones of mean 1: the bound by K of them is (exp(s^2) - 1) / 2K too low."""
    s = 0.5
    log_w = s * torch.randn(200, 60_000, generator=torch.Generator().manual_seed(0)) - s**2 / 2
    left, expected = losses.bias_left(*bounds(log_w), 10), math.expm1(s**2) / 400
    assert -bounds(log_w)[2] == pytest.approx(expected, rel=0.25)
    assert left == pytest.approx(expected, rel=0.25)


def test_heavy_tails_leave_more_than_one_over_k_says():
    """Pareto weights of infinite variance, tail 1.3: mean 1.3 / 0.3, slowly reached."""
    tail = 1.3
    uniform = torch.rand(2_000, 6_000, generator=torch.Generator().manual_seed(0)).double()
    log_w = -torch.log(uniform) / tail - math.log(tail / (tail - 1))
    fewest, few, many = bounds(log_w)
    bias = -many  # the exact bound is log 1
    assert losses.bias_left(fewest, few, many, 10) == pytest.approx(bias, rel=0.3)
    assert (many - few) / 9 < bias / 3


def test_what_is_left_is_the_rest_of_the_series():
    for power in (1.0, 0.5):
        fewest, few, many = (-90.0 - 3.0 * k**-power for k in (50, 500, 5000))
        expected = pytest.approx(3.0 * 5000**-power, rel=1e-6)
        assert losses.bias_left(fewest, few, many, 10) == expected
    assert losses.bias_left(-90.0, -90.0, -90.0, 10) == 0
    assert math.isnan(losses.bias_left(-93.0, -92.0, -91.0, 10))  # no end of it is in sight


def test_bias_is_said_from_a_hundred_draws_on(linear):
    model, _ = linear
    found = likelihood(model, "test", Cache(None), draws=100)
    by_picture = module._by_picture(model, model.data.splits["test"], 100)
    assert found["nll_few"] == pytest.approx(by_picture["few"].mean())
    assert by_picture["fewest"].mean() == pytest.approx(-found["elbo"])  # of a draw each
    means = [-by_picture[name].mean() for name in ("fewest", "few", "nll")]
    assert found["nll_bias"] == pytest.approx(losses.bias_left(*means, 10))
    assert not {"nll_few", "nll_bias"} & set(likelihood(model, "test", Cache(None), draws=99))


def test_without_gradients_bernoulli_pixels_are_the_same():
    logits, x = 20 * torch.randn(50, 1, 28, 28), torch.rand(50, 1, 28, 28)
    expected = losses.bernoulli_nll(logits.double(), x.double())
    with torch.no_grad():
        torch.testing.assert_close(
            losses.bernoulli_nll(logits, x).double(), expected, rtol=1e-6, atol=1e-4
        )


def test_a_code_that_says_nothing_is_an_alarm(linear):
    model, _ = linear
    state = model.state
    state.modules["encoder"] = Posterior(torch.zeros(SIDE**2, 2), 1.0)
    found = likelihood(model, "test", Cache(None), draws=50)
    assert found["rate"] == pytest.approx(0, abs=0.01)  # logvar's soft limit leaves a little
    assert (found["active_units"], found["posterior_collapse"]) == (0, 1)


def test_log_normal_is_torchs():
    z, mu, logvar = torch.randn(3, 5, 4), torch.randn(5, 4), torch.randn(5, 4)
    expected = Normal(mu, (logvar / 2).exp()).log_prob(z).sum(-1)
    torch.testing.assert_close(losses.log_normal(z, mu, logvar), expected)


def test_the_importance_bound_is_the_log_of_the_mean_weight():
    log_w = torch.randn(7, 3)
    torch.testing.assert_close(losses.importance_bound(log_w), log_w.exp().mean(0).log())
    torch.testing.assert_close(
        losses.importance_bound(log_w - 1e4), losses.importance_bound(log_w) - 1e4
    )
    torch.testing.assert_close(losses.importance_bound(log_w[:1]), log_w[0])


def make(**fields):
    config = VAEConfig(width=32, depth=1, latent_dim=3, **fields)
    return vae.build(config, (1, 8, 8), 10, "cpu")


def images(n=6):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_log_weights_are_those_of_the_vaes_own_distributions():
    state = make()
    x = images()
    noise = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(5))
    found = vae.log_weights(state, x, noise)
    mu, logvar = vae.posterior(state, x)
    q = Normal(mu, (logvar / 2).exp())
    z = mu + (logvar / 2).exp() * noise
    for k in range(4):
        likelihoods = torch.distributions.Bernoulli(
            logits=state.modules["decoder"](z[k]), validate_args=False
        ).log_prob(x)
        expected = likelihoods.flatten(1).sum(1) + Normal(0, 1).log_prob(z[k]).sum(1)
        torch.testing.assert_close(found[k], expected - q.log_prob(z[k]).sum(1))


def test_training_on_the_importance_bound_minimises_it():
    state = make(importance_samples=5, lr=0.01)
    x = images(4).round().repeat(8, 1, 1, 1)
    scalars = vae.train_step(state, x)
    assert scalars["loss"] == -scalars["iwae"]
    assert scalars["iwae"] > scalars["elbo"]  # in expectation; by far with fresh weights
    for _ in range(200):
        last = vae.train_step(state, x)
    assert last["iwae"] > scalars["iwae"] + 15
    seen = vae.eval_step(state, x, torch.Generator().manual_seed(0))
    assert seen["loss"] == -seen["iwae"]


def test_more_draws_give_a_tighter_bound():
    state = make()
    noise = torch.randn(4000, 6, 3, generator=torch.Generator().manual_seed(0))
    log_w = vae.log_weights(state, images(), noise)
    bounds = [
        np.mean([losses.importance_bound(part).mean().item() for part in log_w.split(k)])
        for k in (1, 10, 100)
    ]
    assert bounds[0] < bounds[1] < bounds[2]


@pytest.mark.parametrize("field", [{"beta": 2.0}, {"kl_warmup": 1.0}, {"free_bits": 0.1}])
def test_the_importance_bound_has_no_separate_kl(field):
    with pytest.raises(UserError, match="importance_samples=2: the bound has no separate KL"):
        VAEConfig(importance_samples=2, **field)
    assert make(importance_samples=1, **field).config.importance_samples == 1
