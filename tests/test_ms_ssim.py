import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ignite.metrics import SSIM
from scipy.signal import correlate2d

from genbench.evaluate.codes import reconstruction_scores
from genbench.families.vae import VAEConfig
from genbench.metrics.ms_ssim import WEIGHTS, ms_ssim
from genbench.train import train


def pairs(side, channels=1, n=2, noise=0.2):
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(n, channels, side, side, generator=rng)
    return (x + noise * torch.randn(x.shape, generator=rng)).clamp(0, 1), x


def by_scipy(a, b, scales):
    """Of one channel, after Wang et al. 2003, eq. 7, a window at a time by scipy."""
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    value = 1.0
    for scale in range(scales):
        mean = {k: correlate2d(v, window, "valid") for k, v in (("a", a), ("b", b))}
        squares = {k: correlate2d(v, window, "valid") for k, v in (("a", a * a), ("b", b * b))}
        var = {k: squares[k] - mean[k] ** 2 for k in mean}
        cov = correlate2d(a * b, window, "valid") - mean["a"] * mean["b"]
        terms = (2 * cov + 0.03**2) / (var["a"] + var["b"] + 0.03**2)
        if scale == scales - 1:
            c1 = 0.01**2
            terms *= (2 * mean["a"] * mean["b"] + c1) / (mean["a"] ** 2 + mean["b"] ** 2 + c1)
        else:
            a, b = (v.reshape(len(v) // 2, 2, -1, 2).mean((1, 3)) for v in (a, b))
        value *= terms.mean() ** weights[scale]
    return value


@pytest.mark.parametrize(("side", "scales"), [(20, 1), (28, 2), (64, 3), (176, 5)])
def test_it_is_that_of_the_paper_at_the_scales_that_fit(side, scales):
    x_hat, x = pairs(side)
    expected = [by_scipy(*(t[i, 0].double().numpy() for t in (x_hat, x)), scales) for i in (0, 1)]
    assert ms_ssim(x_hat.double(), x.double()).tolist() == pytest.approx(expected, rel=1e-6)
    assert ms_ssim(x_hat, x).tolist() == pytest.approx(expected, rel=1e-3)


def test_at_one_scale_it_is_ignites_ssim_which_reflects_borders():
    x_hat, x = pairs(11, channels=3)
    metric = SSIM(data_range=1.0)
    metric.update((x_hat, x))
    wider = [torch.nn.functional.pad(side, [5] * 4, "reflect") for side in (x_hat, x)]  # 21 px
    assert ms_ssim(*wider).mean().item() == pytest.approx(metric.compute(), rel=1e-4)


def test_it_is_one_of_equal_pictures_and_falls_with_noise():
    x = pairs(64)[1]
    assert ms_ssim(x, x).tolist() == pytest.approx([1, 1])
    falling = [ms_ssim(*pairs(64, noise=noise)).mean().item() for noise in (0.05, 0.2, 0.8)]
    assert 1 > falling[0] > falling[1] > falling[2] > 0
    assert ms_ssim(1 - x, x).max() == 0  # what is the other way round
    tiny = pairs(8)
    assert 0 < ms_ssim(*tiny).min() < 1


def test_of_flat_pictures_it_is_the_luminance_of_the_coarsest_scale():
    a, b = (torch.full((1, 1, 28, 28), value) for value in (0.4, 0.6))
    luminance = (2 * 0.4 * 0.6 + 1e-4) / (0.4**2 + 0.6**2 + 1e-4)
    weight = WEIGHTS[1] / (WEIGHTS[0] + WEIGHTS[1])
    assert ms_ssim(a, b).item() == pytest.approx(luminance**weight, rel=1e-3)


def test_reconstructions_are_scored_at_the_end_of_training(tmp_path, monkeypatch):
    import genbench
    from genbench.data import load_data

    config = VAEConfig(epochs=1, width=32, depth=1, wandb="disabled", runs_dir=str(tmp_path))
    scores = train(config)
    model = genbench.load(next(tmp_path.glob("*vae*")))
    val = load_data(config).splits["val"]
    x = val.images.float() / 255
    expected = ms_ssim(model.reconstruct(x), x).mean().item()
    assert scores["val/ms_ssim"] == pytest.approx(expected, rel=1e-5)
    assert 0.1 < expected < 0.95
    least = F.binary_cross_entropy(x.double(), x.double(), reduction="sum").item() / len(x)
    assert scores["val/floor_bce"] == pytest.approx(least)
    assert 40 < least < scores["val/bce"]
    again = reconstruction_scores(model, val, "val")
    assert again == {name: scores[name] for name in ("val/ms_ssim", "val/floor_bce")}
