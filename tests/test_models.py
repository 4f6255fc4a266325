import dataclasses
import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbench import losses
from genbench.families import FAMILIES
from genbench.families.ae import AEConfig
from genbench.families.ae.nets import ACTIVATIONS, make_decoder, make_encoder
from genbench.families.ae.steps import decode_logits, reconstruction_nll
from genbench.families.family import CAPABILITIES
from genbench.families.state import draw_z
from genbench.families.vae import VAEConfig
from genbench.families.vae.steps import beta_at, posterior
from genbench.loading import load
from genbench.record import read_runs
from genbench.train import train

SMALL = {"width": 16, "latent_dim": 3, "depth": 2}


def make(kind, shape=(1, 8, 8), **fields):
    config = kind(**SMALL | fields)
    steps = FAMILIES[config.model].steps
    return steps, steps.build(config, shape, 10, "cpu")


def images(n=4, shape=(1, 8, 8)):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(5))


@settings(max_examples=40, deadline=None)
@given(
    arch=st.sampled_from(["mlp", "conv"]),
    shape=st.tuples(st.sampled_from([1, 3]), st.integers(1, 40), st.integers(1, 40)),
    depth=st.integers(1, 6),
    width=st.integers(4, 64),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
)
def test_every_decoder_mirrors_its_encoder(arch, shape, depth, width, activation):
    encoder = make_encoder(arch, shape, 5, width, depth, activation)
    decoder = make_decoder(arch, shape, 5, width, depth, activation)
    code = encoder(torch.zeros(2, *shape))
    assert code.shape == (2, 5)
    assert decoder(code).shape == (2, *shape)


@pytest.mark.parametrize("kind", [AEConfig, VAEConfig])
@pytest.mark.parametrize("arch", ["mlp", "conv"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "discretized-logistic"])
def test_training_on_one_batch_learns_it(kind, arch, likelihood):
    steps, state = make(kind, arch=arch, likelihood=likelihood, lr=0.01)
    x = images()
    first = steps.train_step(state, x)["reconstruction"].item()
    for _ in range(200):
        last = steps.train_step(state, x)["reconstruction"].item()
    assert last < first - 3
    assert state.step == 201


@pytest.mark.parametrize("kind", [AEConfig, VAEConfig])
def test_a_saved_state_goes_on_as_if_nothing_had_happened(kind, tmp_path):
    steps, state = make(kind)
    x = images()
    steps.train_step(state, x)
    torch.save(state.state_dict(), tmp_path / "state.pt")
    expected = [steps.train_step(state, x)["loss"].item() for _ in range(3)]
    _, other = make(kind, seed=9)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert other.step == 1
    assert [steps.train_step(other, x)["loss"].item() for _ in range(3)] == expected


def test_the_vaes_scalars_are_the_losses_of_its_own_distributions():
    steps, state = make(VAEConfig, beta=3.0)
    x = images()
    mu, logvar = posterior(state, x)
    z = losses.reparameterize(mu, logvar, torch.Generator().manual_seed(2))
    logits = state.modules["decoder"](z)
    nll, kl = losses.bernoulli_nll(logits, x).mean(), losses.kl_standard_normal(mu, logvar).sum(1)
    got = steps.eval_step(state, x, torch.Generator().manual_seed(2))
    torch.testing.assert_close(got["elbo"], -(nll + kl.mean()))
    torch.testing.assert_close(got["loss"], nll + 3 * kl.mean())
    torch.testing.assert_close(got["bce"], losses.bernoulli_nll(decode_logits(state, mu), x).mean())


def test_an_outlying_image_cannot_overflow_the_posterior():
    steps, state = make(VAEConfig)
    x = images()
    before = posterior(state, x)[1]
    raw = state.modules["encoder"](x).chunk(2, 1)[1]
    torch.testing.assert_close(before, raw, atol=0.03, rtol=0)  # as it is where it matters
    scalars = steps.train_step(state, torch.cat([x, 1e4 * x]))
    assert all(torch.isfinite(value) for value in scalars.values())
    assert posterior(state, 1e4 * x)[1].max() <= 4


def test_the_ae_has_one_loss_for_training_and_validation():
    steps, state = make(AEConfig)
    x = images()
    evaluated = steps.eval_step(state, x, torch.Generator())
    trained = steps.train_step(state, x)
    assert evaluated["loss"] == trained["loss"] == evaluated["reconstruction"] == evaluated["bce"]


def test_warm_up_raises_beta_linearly():
    config = VAEConfig(beta=2.0, kl_warmup=4.0)
    assert [beta_at(config, epoch) for epoch in (0, 1, 2, 4, 9)] == [0, 0.5, 1, 2, 2]
    assert beta_at(VAEConfig(beta=2.0), 0) == 2.0


def test_warm_up_begins_without_kl_in_the_loss():
    steps, state = make(VAEConfig, kl_warmup=1.0)
    first = steps.train_step(state, images())
    assert first["loss"] == first["reconstruction"]
    second = steps.train_step(state, images())
    torch.testing.assert_close(second["loss"], second["reconstruction"] + 0.1 * second["kl"])


@pytest.mark.parametrize(("learn", "moved"), [(True, True), (False, False)])
def test_sigma_is_learned_or_fixed(learn, moved):
    steps, state = make(AEConfig, likelihood="gaussian", sigma=0.2, learn_sigma=learn)
    log_sigma = state.modules["sigma"].log_sigma
    assert log_sigma.exp().item() == pytest.approx(0.2)
    steps.train_step(state, images())
    assert (log_sigma.exp().item() != pytest.approx(0.2, abs=1e-5)) is moved


def test_the_gaussian_mean_is_the_sigmoid_of_the_logits():
    _, state = make(AEConfig, likelihood="gaussian", sigma=0.5)
    logits, x = torch.zeros(2, 1, 8, 8), torch.full((2, 1, 8, 8), 0.5)
    expected = -torch.distributions.Normal(0.5, 0.5).log_prob(torch.tensor(0.5)) * 64
    torch.testing.assert_close(reconstruction_nll(state, logits, x), expected.expand(2))


def test_dynamic_binarisation_scores_zeros_and_ones():
    steps, state = make(VAEConfig, binarize="dynamic")
    x = images(2000)
    seen = []
    original = steps.eval_step.__globals__["bound"]

    def spy(state, x, beta, generator, y=None):
        seen.append(x)
        return original(state, x, beta, generator, y)

    steps.eval_step.__globals__["bound"] = spy
    try:
        steps.eval_step(state, x, torch.Generator().manual_seed(0))
    finally:
        steps.eval_step.__globals__["bound"] = original
    assert set(seen[0].unique().tolist()) == {0.0, 1.0}
    assert (seen[0].mean(0) - x.mean(0)).abs().max() < 0.06


def test_samples_are_decoded_draws_of_the_prior():
    steps, state = make(VAEConfig)
    z = draw_z(state, 5000, seed=1)
    assert z.shape == (5000, 3)
    assert z.mean(0).abs().max() < 0.06
    assert (z.T.cov() - torch.eye(3)).abs().max() < 0.08
    drawn = steps.generate(state, z[:7])
    torch.testing.assert_close(drawn, torch.sigmoid(decode_logits(state, z[:7])))
    assert FAMILIES["ae"].steps.generate is None  # it has no prior


def test_the_first_codes_are_the_same_for_any_number_of_them():
    _, state = make(VAEConfig)
    z = draw_z(state, 7, seed=1)
    assert torch.equal(draw_z(state, 3, seed=1), z[:3])
    assert not torch.equal(draw_z(state, 7, seed=2), z)


def test_the_seed_gives_the_weights():
    weights = [
        torch.nn.utils.parameters_to_vector(make(VAEConfig, seed=seed)[1].modules.parameters())
        for seed in (0, 0, 1)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_every_model_is_listed_under_its_configs_name():
    assert {"ae", "vae", "gan"} <= set(FAMILIES)
    for name, family in FAMILIES.items():
        assert family.config.model == family.name == name
        assert dataclasses.is_dataclass(family.config)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_family_can_do_what_it_says_and_nothing_else(name):
    family = FAMILIES[name]
    functions = {what for what in CAPABILITIES if getattr(family.steps, what)}
    assert functions == family.can
    if "log_weights" in family.can:
        assert family.steps.rate
        assert family.steps.observe


def test_what_families_say_of_themselves_needs_no_torch():
    code = (
        "import sys; from genbench.families import FAMILIES; from genbench.metrics import METRICS;"
        "assert len(FAMILIES) > 2 and len(METRICS) > 6; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["ae", "vae"])
def test_codes_of_pictures_are_learned_as_those_of_digits(tmp_path, name):
    fields = {"data": "synthetic-art", "images": 100, "held_out": 60, "image_size": 16}
    fields |= {"epochs": 6, "width": 64, "batch_size": 20, "depth": 1, "test": True, "lr": 0.01}
    place = {"runs_dir": str(tmp_path / "runs"), "wandb": "disabled"}
    scores = train(FAMILIES[name].config(**fields, **place))
    (run,) = read_runs(tmp_path / "runs")
    errors = run.curve("val", "mse")[1]
    assert errors[-1] < 0.7 * errors[0]  # of colours, under a Gaussian likelihood
    assert scores["test/psnr"] == pytest.approx(-10 * math.log10(scores["test/mse"]), abs=2)
    assert "test/knn_accuracy" not in scores  # pictures have no classes
    shapes = {k: a.shape for k, a in run.arrays("pictures").items()}
    assert shapes["reconstructions"] == shapes["originals"] == (16, 16, 16, 3)
    model = load(run.path)
    assert model.shape == (3, 16, 16)
    assert model.sample(5).shape == (5, 3, 16, 16)
