"""How near the samples of each class come to the real pictures of that class."""

from typing import Any

import numpy as np
import torch

from genbench.config import EvaluateConfig
from genbench.console import say
from genbench.evaluate.measures import measure
from genbench.evaluate.reals import sides
from genbench.images import framed
from genbench.metrics.cache import Cache
from genbench.metrics.extractors import Extractor
from genbench.metrics.table import FEWEST
from genbench.model import Model

SCORES = ("kid", "precision", "recall")


def by_class(
    model: Model, options: EvaluateConfig, extractor: Extractor, cache: Cache
) -> list[dict[str, Any]]:
    """Scores of N samples of a class against N held-out pictures of it, for each class.

    label: the class. n: pictures a side. values: KID, precision and recall, of those that are
    asked for means over the sets of samples. floor: the same of training pictures of the class.
    A class with fewer than 10 pictures a side has none.
    """
    found, few = [], []
    pictures, others = sides(model.data, "test")
    for label, name in enumerate(model.classes.counts):
        own, rivals = pictures.of_class(label), others.of_class(label)
        n = min(options.n, len(own), len(rivals))
        if n < FEWEST:
            few.append(name)
            continue
        reals, real_rivals = (
            extractor.cached(framed(side.take(slice(n)).images.cpu().numpy()), cache)
            for side in (own, rivals)
        )
        y = torch.full((n,), label)
        draws = []
        for seed in range(options.seed, options.seed + options.seeds):
            samples = framed(model.sample_bytes(n, seed, y=y))
            features = extractor.cached(samples, cache, f"samples of class {name}")
            draws.append(measure(features, reals, SCORES, cache))
        values = {score: float(np.mean([draw[score] for draw in draws])) for score in SCORES}
        floor = measure(real_rivals, reals, SCORES, cache)
        found.append({"label": name, "n": n, "values": values, "floor": floor})
    if few:
        say(f"no scores of class {', '.join(few)}: fewer than {FEWEST} pictures a side")
    return found
