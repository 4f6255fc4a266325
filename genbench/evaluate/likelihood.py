"""What a model with a likelihood gives to pictures, and how it spends its code on them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from genbench import families, losses, signals
from genbench.data import Split
from genbench.evaluate import EVAL_SEED
from genbench.losses import bias_left, importance_bound
from genbench.metrics.cache import Cache, source_hash, sources_of
from genbench.metrics.extractors import hash_weights
from genbench.metrics.latent import active_units, has_collapsed
from genbench.model import Model

PICTURES = 500  # of the split, evenly spaced
VALUES = 2**20
VALUES_GPU = 2**25  # 128 MB a tensor
FEWER = 10  # times fewer draws, and 100 times, tell how far the bound still is from its limit


def likelihood(model: Model, split: str, cache: Cache, draws: int, most: int = 0) -> dict[str, Any]:
    """A model's numbers in nats an image, each over the same pictures of a split, `most` or 500.

    nll: -log p(x) by importance sampling with so many draws of z (an upper bound on average, tight
    for many), of the p(x|z) and binarisation named beside it: unlike ones do not compare.
    nll_error: its standard error over pictures. nll_few: the same bound by a tenth of the draws,
    mean over the ten tenths; nll_bias: by how much nll is then still too high (`bias_left`); both
    from 100 draws on. elbo: with the same draws. elbo_gap: the KL of q(z|x) to the true posterior
    that this leaves. Where the family can tell: rate: the KL to the prior. distortion: -log p(x|z).
    active_units: of the latent dimensions; posterior_collapse: 1 where none is, or the rate is
    below 0.1.
    """
    whole = model.data.splits[split]
    part, config = whole.take(whole.spread(most or PICTURES)), model.config
    weights, pixels = hash_weights(model.state.modules), part.images.cpu().numpy()
    labels = part.labels.cpu().numpy()
    code = source_hash(__file__, *_family_sources(model))
    by_picture = cache.get(
        "likelihood",
        [weights, repr(config), pixels, labels, draws, code],
        lambda: _by_picture(model, part, draws),
    )
    nll, elbo = by_picture["nll"], by_picture["elbo"]
    numbers = {
        "nll": float(nll.mean()),
        "nll_error": float(nll.std(ddof=1) / np.sqrt(len(nll))),
        "elbo": float(elbo.mean()),
        "elbo_gap": float(-elbo.mean() - nll.mean()),
    }
    if draws >= FEWER**2:
        few, fewest = (float(by_picture[name].mean()) for name in ("few", "fewest"))
        left = bias_left(-fewest, -few, -numbers["nll"], FEWER)
        numbers |= {"nll_few": few, "nll_bias": left}
    if model.steps.rate:
        rate = float(by_picture["rate"].mean())
        numbers |= {"rate": rate, "distortion": float(-elbo.mean() - rate)}
    if "encode" in model.family.can:
        numbers["active_units"] = float(active_units(model.codes(split)[0]))
    collapsed = has_collapsed(numbers.get("rate", math.inf), numbers.get("active_units", 1.0))
    if model.steps.rate or collapsed:
        numbers["posterior_collapse"] = float(collapsed)
    return {
        "p": getattr(config, "likelihood", "unnamed"),
        "binarize": getattr(config, "binarize", "none"),
        "given": "class" if config.conditional else "nothing",
        "pictures": len(nll),
        "draws": draws,
        **numbers,
    }


def _family_sources(model: Model) -> list[str]:
    """The files that a likelihood depends on."""
    folder = Path(str(families.__file__)).parent
    ours = map(str, folder.rglob("*.py"))
    own = sources_of(model.steps.log_weights)
    return [str(losses.__file__), *sorted({*ours, *own})]


@torch.inference_mode()
def _by_picture(model: Model, part: Split, draws: int) -> dict[str, np.ndarray]:
    """nll, those by fewer draws, elbo and rate of each picture, (N,); some pictures at a time."""
    model.state.modules.eval()
    values = VALUES if model.device.type == "cpu" else VALUES_GPU
    rows = max(1, values // math.prod(model.shape))
    some = max(1, rows // draws)
    found: list[Tensor] = []
    with tqdm(total=len(part), desc="likelihood", unit="picture", leave=False, disable=None) as bar:
        for first in range(0, len(part), some):
            index = range(first, min(first + some, len(part)))
            found.append(_of_pictures(model, part, index, draws, rows))
            bar.update(len(index))
    names = ("nll", "few", "fewest", "elbo", "rate")
    return dict(zip(names, torch.cat(found, 1).numpy(), strict=True))


def _of_pictures(model: Model, part: Split, index: range, draws: int, rows: int) -> Tensor:
    """The five numbers of some pictures, (5, B), at most so many rows decoded at once.

    Noise and binarisation are each picture's own: what it gets does not depend on the others.
    """
    steps, state = model.steps, model.state
    assert steps.log_weights
    some = part.take(slice(index.start, index.stop))
    images, observed, noises = some.images.float() / 255, [], []
    for row, i in enumerate(index):
        rng = torch.Generator(state.device).manual_seed(EVAL_SEED + i)
        picture, y = images[row, None], model.given(some.labels[row, None])
        observed.append(steps.observe(state, picture, rng, *y) if steps.observe else picture)
        noises.append(torch.randn(draws, *state.z_shape, generator=rng, device=state.device))
    x, noise, y = torch.cat(observed), torch.stack(noises, 1), model.given(some.labels)
    chunks = []
    for part_of_noise in noise.split(max(1, rows // len(x))):
        signals.check()
        chunks.append(steps.log_weights(state, x, part_of_noise, *y).cpu().double())
    log_w = torch.cat(chunks)
    few, fewest = (_mean_bound(log_w, max(1, draws // FEWER**power)) for power in (1, 2))
    rate = steps.rate(state, x, *y).cpu().double() if steps.rate else few.new_zeros(len(x))
    return torch.stack([-importance_bound(log_w), -few, -fewest, log_w.mean(0), rate])


def _mean_bound(log_w: Tensor, draws: int) -> Tensor:
    """The bound (B,) by so many draws, mean over the whole parts of log_w (K, B)."""
    parts = log_w[: len(log_w) // draws * draws].unflatten(0, (-1, draws))
    return importance_bound(parts.transpose(0, 1)).mean(0)
