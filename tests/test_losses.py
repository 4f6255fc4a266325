import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from genbench import losses


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


@given(st.floats(-4, 4), st.floats(-6, 6))
def test_kl_is_that_of_torch_distributions(mu, logvar):
    mu, logvar = torch.tensor([[mu]]).double(), torch.tensor([[logvar]]).double()
    q, p = Normal(mu, torch.exp(0.5 * logvar)), Normal(torch.zeros(1, 1), torch.ones(1, 1))
    torch.testing.assert_close(losses.kl_standard_normal(mu, logvar), kl_divergence(q, p).double())


def test_bernoulli_nll_of_binary_pixels_is_the_log_probability():
    logits, x = normal(5, 1, 4, 4), (normal(5, 1, 4, 4, seed=1) > 0).double()
    expected = -Bernoulli(logits=logits).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(losses.bernoulli_nll(logits, x), expected)


def test_bernoulli_nll_of_grey_pixels_is_least_at_their_own_entropy():
    x = torch.rand(3, 1, 4, 4, generator=generator()).double()
    entropy = Bernoulli(x).entropy().sum((1, 2, 3))
    torch.testing.assert_close(losses.bernoulli_nll(torch.logit(x), x), entropy)
    assert (losses.bernoulli_nll(torch.logit(x) + 0.1, x) > entropy).all()


def test_gaussian_nll_is_the_log_density():
    mean, x, log_sigma = normal(5, 3, 2, 2), normal(5, 3, 2, 2, seed=1), torch.tensor(-0.7).double()
    expected = -Normal(mean, log_sigma.exp()).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(losses.gaussian_nll(mean, x, log_sigma), expected)


def test_reparameterize_draws_the_distribution_and_passes_gradients():
    mu = torch.full((200_000, 1), 1.5, requires_grad=True)
    logvar = torch.full((200_000, 1), math.log(0.25), requires_grad=True)
    z = losses.reparameterize(mu, logvar, generator())
    assert z.mean().item() == pytest.approx(1.5, abs=0.01)
    assert z.std().item() == pytest.approx(0.5, abs=0.01)
    z.sum().backward()
    torch.testing.assert_close(mu.grad, torch.ones_like(mu))  # dz/dmu = 1
    torch.testing.assert_close(logvar.grad, (z - mu).detach() / 2)  # dz/dlogvar = sigma eps / 2


def test_vae_loss_by_hand():
    reconstruction = torch.tensor([10.0, 20.0])
    kl = torch.tensor([[1.0, 0.1], [3.0, 0.3]])  # means 2 and 0.2
    plain = losses.vae_loss(reconstruction, kl)
    assert {k: round(v.item(), 5) for k, v in plain.items()} == {
        "loss": 17.2,
        "reconstruction": 15.0,
        "kl": 2.2,
        "elbo": -17.2,
    }
    other = losses.vae_loss(reconstruction, kl, beta=4.0, free_bits=0.5)
    assert other["loss"].item() == pytest.approx(15 + 4 * (2 + 0.5))
    assert other["elbo"] == plain["elbo"]  # whatever beta and free bits are
    assert other["kl"] == plain["kl"]


def test_free_bits_stop_the_gradient_of_a_cheap_dimension():
    kl = torch.tensor([[1.0, 0.1]], requires_grad=True)
    losses.vae_loss(torch.zeros(1), kl, free_bits=0.5)["loss"].backward()
    assert kl.grad.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("sigma", [0.002, 0.05, 0.7])
@pytest.mark.parametrize("mean", [0.0, 0.31, 1.0])
def test_a_discretized_logistic_is_the_mass_of_each_byte(sigma, mean):
    x = (torch.arange(256, dtype=torch.float64) / 255).unsqueeze(1)
    log_sigma = torch.tensor(sigma, dtype=torch.float64).log()
    nll = losses.discretized_logistic_nll(torch.full_like(x, mean), x, log_sigma)
    assert (-nll).exp().sum().item() == pytest.approx(1.0)
    assert (nll >= 0).all()
    logistic = stats.logistic(mean, sigma * math.sqrt(3) / math.pi)
    assert logistic.std() == pytest.approx(sigma)
    edges = (np.arange(1, 255)[:, None] + [-0.5, 0.5]) / 255
    inner = logistic.cdf(edges[:, 1]) - logistic.cdf(edges[:, 0])
    seen = inner > 1e-12  # a difference of cumulative shares has no more digits
    assert (-nll[1:-1]).exp().numpy()[seen] == pytest.approx(inner[seen], rel=1e-3)
    assert (-nll[0]).exp().item() == pytest.approx(logistic.cdf(0.5 / 255))
    assert (-nll[-1]).exp().item() == pytest.approx(logistic.sf(254.5 / 255))


@pytest.mark.parametrize("exact", [True, False])
def test_elbo_of_a_linear_gaussian_model_is_its_closed_form(exact):
    """x = W z + b + sigma e: the ELBO is log p(x) - KL(q || p(z|x)), both known exactly."""
    sigma, n = 0.6, 100_000
    w = torch.tensor([[1.2, 0.0], [0.0, -0.7], [0.0, 0.0]]).double()  # orthogonal columns
    b, x = torch.tensor([0.3, -0.2, 0.1]).double(), torch.tensor([1.0, 0.4, -0.5]).double()
    marginal = MultivariateNormal(b, w @ w.T + sigma**2 * torch.eye(3))
    precision = torch.eye(2) + w.T @ w / sigma**2
    posterior = MultivariateNormal(
        torch.inverse(precision) @ w.T @ (x - b) / sigma**2, precision_matrix=precision
    )
    mu, logvar = posterior.mean, posterior.variance.log()
    if not exact:
        mu, logvar = mu + 0.3, logvar + 0.4
    q = MultivariateNormal(mu, torch.diag(logvar.exp()))
    expected = marginal.log_prob(x) - kl_divergence(q, posterior)

    mu, logvar = mu.expand(n, 2), logvar.expand(n, 2)
    z = losses.reparameterize(mu, logvar, generator())
    mean = z @ w.T + b
    nll = losses.gaussian_nll(mean, x.expand(n, 3), torch.tensor(sigma).log().double())
    elbo = losses.vae_loss(nll, losses.kl_standard_normal(mu, logvar))["elbo"]
    assert elbo.item() == pytest.approx(expected.item(), abs=0.02)
    assert elbo.item() < marginal.log_prob(x).item() + 0.02


def test_image_errors_by_hand():
    x = torch.zeros(2, 1, 2, 2)
    x_hat = torch.tensor([0.1, 0.01]).reshape(2, 1, 1, 1).expand_as(x)
    errors = losses.image_errors(torch.logit(x_hat), x)
    assert errors["mse"].item() == pytest.approx((0.01 + 0.0001) / 2)
    assert errors["psnr"].item() == pytest.approx((20 + 40) / 2, rel=1e-5)
    assert errors["bce"].item() == pytest.approx(
        -4 * (math.log(0.9) + math.log(0.99)) / 2, rel=1e-5
    )
