"""What a model with a likelihood gives to pictures, and how it spends its code on them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from genbench import families, losses, signals
from genbench.data import Split
from genbench.evaluate import EVAL_SEED
from genbench.losses import importance_bound
from genbench.metrics.cache import Cache, source_hash, source_of
from genbench.metrics.extractors import hash_weights
from genbench.metrics.latent import active_units
from genbench.model import Model

DRAWS = 5_000  # of z for each picture (Burda et al. 2016)
PICTURES = 500  # of the split, evenly spaced
ROWS = 1_000  # pictures decoded at once
COLLAPSED_RATE = 0.1  # nats an image; below it the code says nothing


def likelihood(model: Model, split: str, cache: Cache) -> dict[str, Any]:
    """A model's numbers in nats an image, each over the same pictures of a split.

    nll: -log p(x) by importance sampling with so many draws of z (an upper bound on average, tight
    for many), of the p(x|z) and binarisation named beside it: unlike ones do not compare.
    nll_error: its standard error over pictures. elbo: with the same draws. elbo_gap:
    the KL of q(z|x) to the true posterior that this leaves. Where the family can tell: rate: the KL
    to the prior. distortion: -log p(x|z). active_units: of the latent dimensions;
    posterior_collapse: 1 where none is, or the rate is below 0.1.
    """
    whole = model.data.splits[split]
    part, config = whole.take(whole.spread(PICTURES)), model.config
    weights, pixels = hash_weights(model.state.modules), part.images.cpu().numpy()
    labels = part.labels.cpu().numpy()
    code = source_hash(__file__, *_family_sources(model))
    by_picture = cache.get(
        "likelihood",
        [weights, repr(config), pixels, labels, DRAWS, code],
        lambda: _by_picture(model, part),
    )
    nll, elbo = by_picture["nll"], by_picture["elbo"]
    numbers = {
        "nll": float(nll.mean()),
        "nll_error": float(nll.std(ddof=1) / np.sqrt(len(nll))),
        "elbo": float(elbo.mean()),
        "elbo_gap": float(-elbo.mean() - nll.mean()),
    }
    if model.steps.rate:
        rate = float(by_picture["rate"].mean())
        numbers |= {"rate": rate, "distortion": float(-elbo.mean() - rate)}
        numbers["posterior_collapse"] = float(rate < COLLAPSED_RATE)
    if "encode" in model.family.can:
        numbers["active_units"] = float(active_units(model.codes(split)[0]))
        if numbers["active_units"] == 0:
            numbers["posterior_collapse"] = 1.0
    return {
        "p": getattr(config, "likelihood", "unnamed"),
        "binarize": getattr(config, "binarize", "none"),
        "given": "class" if config.conditional else "nothing",
        "pictures": len(nll),
        "draws": DRAWS,
        **numbers,
    }


def _family_sources(model: Model) -> list[str]:
    """The files that a likelihood depends on."""
    folder = Path(str(families.__file__)).parent
    own = source_of(model.steps.log_weights)
    return [str(losses.__file__), *filter(None, [own]), *map(str, sorted(folder.rglob("*.py")))]


@torch.inference_mode()
def _by_picture(model: Model, part: Split) -> dict[str, np.ndarray]:
    """nll, elbo and rate of each picture, (N,)."""
    steps, state = model.steps, model.state
    assert steps.log_weights
    state.modules.eval()
    rng = torch.Generator(state.device).manual_seed(EVAL_SEED)
    rows: list[Tensor] = []
    images = part.images.float() / 255
    bar = tqdm(images, "likelihood", unit="picture", leave=False, disable=None)
    for picture, label in zip(bar, part.labels, strict=True):
        signals.check()
        y = model.given(label[None])
        x = steps.observe(state, picture[None], rng, *y) if steps.observe else picture[None]
        chunks = [
            steps.log_weights(state, x, min(ROWS, DRAWS - first), rng, *y)
            for first in range(0, DRAWS, ROWS)
        ]
        log_w = torch.cat(chunks).cpu().double()
        rate = steps.rate(state, x, *y)[0].cpu().double() if steps.rate else log_w.new_zeros(())
        rows.append(torch.stack([-importance_bound(log_w)[0], log_w.mean(), rate]))
    nll, elbo, rates = torch.stack(rows).numpy().T
    return {"nll": nll, "elbo": elbo, "rate": rates}
