"""Distances of samples to real pictures, while training and of its best epoch."""

from functools import partial
from statistics import fmean

from genbench import UserError, parallel
from genbench.console import say
from genbench.data import Split
from genbench.evaluate import EVAL_SEED
from genbench.evaluate.reals import sides
from genbench.images import framed
from genbench.metrics import METRICS, Features, ScoreName
from genbench.metrics.cache import feature_cache
from genbench.metrics.extractors import DEFAULT, load_extractor
from genbench.metrics.names import short_name
from genbench.metrics.table import FEWEST, LEAST, RANKED_BY
from genbench.model import Model

SCORED = 1_500  # pictures a side of the final scores and of their floors, where there are so many
SCORE_SEED = 1  # of the samples that are scored at the end


def distances(samples: Features, reals: Features, at_end: bool = False) -> dict[str, float]:
    """The scores while training, or at its end, of as many samples as reals: `kid_lite0_n500`."""
    assert len(samples) == len(reals)
    extractor = short_name(DEFAULT)
    return {
        str(ScoreName(name, extractor=extractor, n=len(reals))): metric.compute(samples, reals)
        for name, metric in METRICS.items()
        if metric.while_training or (at_end and metric.at_end)
    }


def real_features(part: Split) -> Features:
    """Features of real pictures, computed once on this machine."""
    extractor = load_extractor(device=str(part.labels.device))
    return extractor.cached(framed(part.images.cpu().numpy()), feature_cache())


def sample_features(model: Model, n: int, seed: int) -> Features:
    """Features of n samples."""
    return load_extractor(device=str(model.device))(framed(model.sample_bytes(n, seed)))


def val_pictures(model: Model) -> Split | None:
    """The reals of the scores while training; None if these are off or pictures too few."""
    val = model.data.splits["val"]
    index = val.spread(model.config.eval_images)
    if not model.config.eval_every or len(index) < LEAST:
        return None
    return val.take(index)


def val_floors(model: Model) -> dict[str, float]:
    """The scores while training of real pictures against the same others, if there are any.

    They are as many training pictures, none of which shares a source with the reference's.
    """
    reals = val_pictures(model) if "generate" in model.family.can else None
    rivals = sides(model.data, "val")[1]
    if reals is None or len(rivals) < len(reals):
        return {}
    found = distances(real_features(rivals.take(slice(len(reals)))), real_features(reals))
    return {str(ScoreName.parse(name).as_floor): value for name, value in found.items()}


def val_distances(model: Model) -> dict[str, float]:
    """The scores while training, if there are any.

    Where there are fewer pictures than `eval_images`, KID is the mean over several draws of as many
    samples: epochs are chosen by it, and by 50 samples alone mostly a lucky one would be.
    """
    reals = val_pictures(model)
    if reals is None:
        return {}
    n = len(reals)
    samples = sample_features(model, max(1, model.config.eval_images // n) * n, EVAL_SEED)
    return parallel.first(lambda: _mean_distances(samples, real_features(reals)))


def _mean_distances(samples: Features, reference: Features) -> dict[str, float]:
    """The scores of the first N samples to N reals, but KID as the mean over all draws of N."""
    n = len(reference)
    draws = [samples[first : first + n] for first in range(0, len(samples), n)]
    scores = distances(draws[0], reference)
    name = str(ScoreName(RANKED_BY, extractor=short_name(DEFAULT), n=n))
    others = [METRICS[RANKED_BY].compute(draw, reference) for draw in draws[1:]]
    return scores | {name: fmean([scores[name], *others])}


def sample_scores(model: Model) -> dict[str, float]:
    """Distances of N samples to N training and N test pictures, as `split/fd_lite0_nN`.

    Beside each stands its floor, `split/floor_fd_lite0_nN`: the same distance between N real
    pictures and N others, of which no two share a source (`reals.sides`).
    """
    scores: dict[str, float] = {}
    drawn: dict[int, Features] = {}  # by number of samples: often the same for both splits
    for split in ("train", "test"):
        pictures, others = sides(model.data, split)
        n = min(SCORED, len(pictures), len(others))
        if n < FEWEST:
            say(f"no {split} scores: {n} pictures, {FEWEST} needed; --crops cuts more")
            continue
        warn_of_few(f"{split} scores", n)
        if n not in drawn:
            drawn[n] = sample_features(model, n, SCORE_SEED)
        held = pictures.take(slice(n)), others.take(slice(n))
        found = parallel.first(partial(_with_floors, drawn[n], *held))
        scores |= {f"{split}/{name}": value for name, value in found.items()}
    return scores


def _with_floors(samples: Features, pictures: Split, others: Split) -> dict[str, float]:
    """The final scores of samples against real pictures, and of others against the same."""
    reals, rivals = real_features(pictures), real_features(others)
    floor = distances(rivals, reals, at_end=True)
    floors = {str(ScoreName.parse(name).as_floor): value for name, value in floor.items()}
    return distances(samples, reals, at_end=True) | floors


def warn_of_few(what: str, n: int) -> None:
    """Say that scores of n pictures a side are wide, where they are."""
    if n < LEAST:
        say(f"{what}: of {n} pictures a side; {n} others might give quite another score")


def check_logged(metric: str, n: int) -> None:
    """Refuse a distance of another number of pictures than the n that this training scores.

    Args:
        metric: Of the search, `kid_lite0_n500`; other scalars pass.
        n: `eval_images`, or the validation pictures if they are fewer.
    """
    name = ScoreName.parse(metric)
    if name.is_sample_score and name.n != n:
        there = ScoreName(name.metric, "val", extractor=name.extractor, n=n)
        raise UserError(f"metric: val/{metric} is never logged; here it is {there}")


def late(metric: str) -> bool:
    """Whether a validation scalar is a score of samples, which is not measured at every epoch."""
    return ScoreName.parse(metric).is_sample_score
