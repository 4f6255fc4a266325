"""A trained model as an object, and README's snippet of it."""

import re
import shutil
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT

import genbench
from genbench import UserError, commands
from genbench.data import LABELLED
from genbench.data.digits import read_mini
from genbench.families.ae import AEConfig
from genbench.families.gan import GANConfig
from genbench.families.vae import VAEConfig
from genbench.record import read_runs
from genbench.report import write_report
from genbench.train import train

EVALUATION = ["--extractor=lenet-digits", "--n=100", "--seeds=2", "--split=test", "--metrics=kid"]
EVALUATION += ["--wandb=disabled"]
TOY = {"epochs": 1, "wandb": "disabled", "width": 16, "latent_dim": 3, "data": "mnist-mini"}


pytestmark = pytest.mark.usefixtures("few_digits")


def trained(tmp_path, config, **fields):
    train(config(**TOY | {"runs_dir": str(tmp_path / "runs")} | fields))
    return genbench.load(read_runs(tmp_path / "runs")[-1].path)


def digits(n):
    images, _ = LABELLED["mnist-mini"](None, "test")
    return images[:n]


def test_the_readmes_snippet_runs(tmp_path, monkeypatch):
    trained(tmp_path, VAEConfig)
    (run,) = read_runs(tmp_path / "runs")
    run.path.rename(run.path.with_name("RUN"))
    monkeypatch.chdir(tmp_path)
    (snippet,) = re.findall(
        r"```python\n(import genbench.*?)```", (ROOT / "README.md").read_text(), re.S
    )
    names: dict = {}
    exec(snippet, names)
    assert names["pictures"].shape == names["x_hat"].shape == (64, 1, 28, 28)
    assert names["z"].shape == (64, 3)
    assert names["between"].shape == (2, 9, 1, 28, 28)
    for name in ("pictures", "x_hat", "between"):
        found = names[name]
        assert found.numpy().min() >= 0  # which has no gradient, and is on the CPU
        assert found.max() <= 1
    torch.testing.assert_close(names["between"][:, 0], names["x_hat"][:2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(names["between"][:, -1], names["x_hat"][2:4], atol=1e-5, rtol=1e-5)


def test_bytes_are_taken_for_what_they_are(tmp_path):
    model = trained(tmp_path, VAEConfig)
    images = digits(5)
    expected = model.encode(torch.from_numpy(images) / 255)
    torch.testing.assert_close(model.encode(images), expected)
    torch.testing.assert_close(model.reconstruct(images), model.decode(expected))
    with pytest.raises(ValueError, match=r"images must be \(N, 1, 28, 28\), not"):
        model.encode(np.zeros((2, 1, 32, 32), np.uint8))


def test_samples_are_the_seeds_and_the_first_ones_the_same_for_any_number(tmp_path):
    model = trained(tmp_path, VAEConfig)
    torch.testing.assert_close(model.sample(150, seed=3)[:7], model.sample(7, seed=3))
    assert not torch.equal(model.sample(7, seed=3), model.sample(7, seed=4))
    assert (model.sample_bytes(7, 3) == np.round(255 * model.sample(7, 3).numpy())).all()
    with pytest.raises(UserError, match=r"n=0, seed=0, truncation=0.0: at least 1, 0 and 0"):
        model.sample(0)


def test_truncated_samples_are_of_truncated_codes(tmp_path):
    model = trained(tmp_path, VAEConfig)
    z = model.draw_z(40, seed=1)
    half = torch.distributions.Normal(0, 1).cdf(torch.tensor(0.5))
    u = (1 - half) + torch.distributions.Normal(0, 1).cdf(z) * (2 * half - 1)
    expected = model.generate(torch.distributions.Normal(0, 1).icdf(u))
    found = model.sample(40, seed=1, truncation=0.5)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_an_autoencoder_samples_through_the_density_of_its_codes(tmp_path):
    model = trained(tmp_path, AEConfig)
    assert model.sampler == "ae+mixture"
    drawn = model.sample(16, seed=0)
    assert drawn.shape == (16, 1, 28, 28)
    torch.testing.assert_close(model.sample(16, seed=0), drawn)
    codes, labels = model.codes("train")
    assert codes.shape == (270, 3)
    assert labels.shape == (270,)
    drawn_codes = model.prior.sample(4000, seed=1)
    np.testing.assert_allclose(drawn_codes.mean(0), codes.mean(0), atol=0.2 * codes.std())
    np.testing.assert_allclose(np.cov(drawn_codes.T), np.cov(codes.T), atol=0.2 * codes.var())
    with pytest.raises(UserError, match=r"truncation=0.5: the codes of AE have no prior"):
        model.sample(4, truncation=0.5)


def test_samples_are_joined_by_great_circles_and_cut_off_as_they_are(tmp_path):
    model = trained(tmp_path, VAEConfig)
    lines = model.interpolate_samples(2, seed=5, steps=3)
    assert lines.shape == (2, 3, 1, 28, 28)
    torch.testing.assert_close(lines[:, [0, 2]].flatten(0, 1), model.sample(4, seed=5))
    a, b = model.draw_z(4, seed=5)[:2]
    angle = torch.arccos(a @ b / a.norm() / b.norm())
    middle = torch.sin(angle / 2) * (a + b) / torch.sin(angle)
    torch.testing.assert_close(lines[0, 1:2], model.generate(middle[None]), atol=1e-5, rtol=1e-4)
    cut = model.interpolate_samples(2, seed=5, steps=3, truncation=0.5)
    expected = model.sample(4, seed=5, truncation=0.5)
    torch.testing.assert_close(cut[:, [0, 2]].flatten(0, 1), expected)
    assert not torch.allclose(cut, lines)
    with pytest.raises(UserError, match="seed=-1"):
        model.interpolate_samples(2, seed=-1)


def test_an_autoencoders_samples_are_joined_too(tmp_path):
    model = trained(tmp_path, AEConfig)
    lines = model.interpolate_samples(2, seed=5, steps=3)
    torch.testing.assert_close(lines[:, [0, 2]].flatten(0, 1), model.sample(4, seed=5))


def test_codes_can_be_learned_from(tmp_path):
    z = trained(tmp_path, VAEConfig).encode(digits(5))
    weight = torch.zeros(3, requires_grad=True)
    (z @ weight).sum().backward()
    torch.testing.assert_close(weight.grad, z.sum(0))


def test_what_a_family_cannot_do_is_refused_by_name(tmp_path):
    fields = {"arch": "dcgan", "width": 4, "image_size": 32, "eval_every": 0}
    model = trained(tmp_path, GANConfig, **fields)
    assert model.sample(2).shape == (2, 1, 32, 32)
    with pytest.raises(UserError, match="model gan: cannot encode; it can generate"):
        model.encode(np.zeros((1, 1, 32, 32), np.uint8))
    with pytest.raises(UserError, match="model gan: cannot decode"):
        model.decode(torch.zeros(1, 3))


def test_a_loaded_model_knows_where_it_stands_and_draws_as_it_did(tmp_path):
    model = trained(tmp_path, VAEConfig, epochs=2)
    run = read_runs(tmp_path / "runs")[-1]
    assert model.state.epoch == run.summary["best_epoch"]
    assert not model.state.modules.training
    with np.load(run.path / "pictures.npz") as pictures:
        np.testing.assert_array_equal(pictures["samples"], model.sample_bytes(64, 0)[:, 0])


def test_the_package_offers_load_and_model_and_names_what_it_lacks():
    assert genbench.load
    assert genbench.Model
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        genbench.lod  # noqa: B018


@pytest.fixture
def earlier(tmp_path):
    """A run folder that commit ecb8ee3 left, of a tiny VAE that was evaluated too."""
    return shutil.copytree(ROOT / "tests" / "earlier", tmp_path / "runs" / "earlier")


def test_a_run_of_an_earlier_genbench_is_loaded_and_reported(earlier, tmp_path):
    model = genbench.load(earlier)
    (run,) = read_runs(earlier.parent)
    assert model.state.epoch == run.summary["best_epoch"]
    assert model.config == VAEConfig(
        width=4,
        latent_dim=2,
        epochs=1,
        test=True,
        wandb="disabled",
        precision="fp32",
        compile="False",
    )
    error = model.reconstruct(digits(200)) - torch.from_numpy(digits(200)) / 255
    assert error.square().mean().item() == pytest.approx(run.scores["test/mse"], rel=0.1)
    write_report(str(earlier.parent), str(tmp_path / "out"))
    text = (tmp_path / "out" / "summary.md").read_text()
    assert f"| ELBO (nats an image) ↑ | {run.scores['test/elbo']:.2f} |" in text
    kid = np.mean(run.evaluations()[0]["scores"][0]["values"]["kid"])
    assert f"| KID ↓ | {kid:.4f} [" in text


def test_an_earlier_run_is_scored_again_beside_what_it_had(earlier, monkeypatch):
    monkeypatch.setitem(LABELLED, "mnist-mini", read_mini)  # its data, whole
    monkeypatch.setattr(sys, "argv", ["genbench", "evaluate", str(earlier), *EVALUATION])
    commands.main()
    before, now = (line["scores"][0] for line in read_runs(earlier.parent)[0].evaluations())
    assert before["ruler"] == now["ruler"]
    assert now["values"]["kid"] == pytest.approx(before["values"]["kid"], rel=0.02)
    assert now["floor"]["kid"] == pytest.approx(before["floor"]["kid"], abs=1e-4)
