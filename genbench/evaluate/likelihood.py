"""What a VAE gives to pictures: their likelihood, and how it spends its code on them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from genbench import losses
from genbench.data import Data, Split
from genbench.engines import EVAL_SEED
from genbench.evaluate.codes import encode_all
from genbench.losses import importance_bound, kl_standard_normal
from genbench.metrics.cache import Cache, source_hash
from genbench.metrics.extractors import hash_weights
from genbench.metrics.latent import active_units
from genbench.models import Recipe, State, ae, nets, vae

DRAWS = 5_000  # of z for each picture (Burda et al. 2016)
PICTURES = 500  # of the split, evenly spaced
ROWS = 1_000  # pictures decoded at once
CODE = [str(module.__file__) for module in (vae, ae, nets, losses)]  # what a likelihood depends on
COLLAPSED_RATE = 0.1  # nats an image; below it the code says nothing


def likelihood(
    recipe: Recipe, state: State, config: Any, data: Data, split: str, cache: Cache
) -> dict[str, Any]:
    """A VAE's numbers in nats an image, each over the same pictures of a split.

    nll: -log p(x) by importance sampling with so many draws of z (an upper bound on average, tight
    for many), of the p(x|z) and binarisation named beside it: unlike ones do not compare.
    nll_error: its standard error over pictures. elbo: with the same draws. elbo_gap:
    the KL of q(z|x) to the true posterior that this leaves. rate: the KL to the prior.
    distortion: -log p(x|z). active_units: of the latent dimensions; posterior_collapse: 1 where
    none is, or the rate is below 0.1.
    """
    part = data.splits[split].take(data.splits[split].spread(PICTURES))
    found = cache.get(
        "likelihood",
        [
            *(hash_weights(state.modules), repr(config), part.images.cpu().numpy(), DRAWS),
            source_hash(__file__, *CODE),
        ],
        lambda: _by_picture(recipe, state, config, part),
    )
    nll, elbo, rate = (found[name] for name in ("nll", "elbo", "rate"))
    active = active_units(encode_all(recipe, state, data.splits[split])[0])
    return {
        **{"p": config.likelihood, "binarize": config.binarize},
        **{"pictures": len(nll), "draws": DRAWS},
        "nll": float(nll.mean()),
        "nll_error": float(nll.std(ddof=1) / np.sqrt(len(nll))),
        "elbo": float(elbo.mean()),
        "elbo_gap": float(-elbo.mean() - nll.mean()),
        "rate": float(rate.mean()),
        "distortion": float(-elbo.mean() - rate.mean()),
        "active_units": float(active),
        "posterior_collapse": float(active == 0 or rate.mean() < COLLAPSED_RATE),
    }


@torch.inference_mode()
def _by_picture(recipe: Recipe, state: State, config: Any, part: Split) -> dict[str, np.ndarray]:
    """nll, elbo and rate of each picture, (N,)."""
    assert recipe.log_weights
    state.modules.eval()
    generator = torch.Generator(state.device).manual_seed(EVAL_SEED)
    rows: list[Tensor] = []
    images = part.images.float() / 255
    bar = tqdm(images, desc="likelihood", unit="picture", leave=False, disable=None)
    for x in bar:
        x = vae.binarized(config, x[None], generator)
        chunks = [
            recipe.log_weights(state, config, x, min(ROWS, DRAWS - first), generator)
            for first in range(0, DRAWS, ROWS)
        ]
        log_w = torch.cat(chunks).cpu().double()
        rate = kl_standard_normal(*vae.posterior(state, x)).sum().cpu().double()
        rows.append(torch.stack([-importance_bound(log_w)[0], log_w.mean(), rate]))
    nll, elbo, rates = torch.stack(rows).numpy().T
    return {"nll": nll, "elbo": elbo, "rate": rates}
