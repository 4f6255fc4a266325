"""Finished runs as what `genbench evaluate` draws from, looks into and writes to."""

import dataclasses
import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from genbench import UserError
from genbench.config import Config, EvaluateConfig
from genbench.data import Data, Split, load_data
from genbench.engines import pick_device
from genbench.evaluate import load_run
from genbench.evaluate.sampling import Sampler, make_sampler
from genbench.images import tile
from genbench.handlers import FEWEST, as_pictures, framed
from genbench.metrics.cache import Cache
from genbench.metrics.extractors import Extractor, hash_weights
from genbench.metrics.memorization import memorization
from genbench.models import Recipe, State
from genbench.record import Record, read_run
from genbench.rulers import Ruler
from genbench.run import git, log_evaluation, say, to_json, writable

KNOWN = 10_000  # at most so many training pictures are searched for copies
CHUNK = 1_000  # pictures looked at together
CUT = ("image_size", "crops", "images", "held_out")  # fields that say how pictures are cut
PAIRS = 10  # of sample and training picture, the closest ones, are drawn


@dataclass(frozen=True)
class Model:
    """A finished run, ready to be drawn from."""

    record: Record
    recipe: Recipe
    config: Config
    state: State
    data: Data
    sampler: Sampler
    found: dict[str, Any] = field(default_factory=dict)  # what its record will say


def load_models(folders: Sequence[Path], options: EvaluateConfig) -> list[Model]:
    """Finished runs with their data, which must be the same.

    Of runs of one configuration and training seed the last one named counts.

    Raises:
        UserError: A run is not finished or cannot be loaded, its data have changed, or two were
            trained on unlike data.
    """
    device = pick_device(options.device)
    known: dict[str, Data] = {}
    models: dict[tuple[str, int], Model] = {}
    for folder in folders:
        recipe, config, state = load_run(folder, device)
        record = read_run(folder)
        assert record  # it has just been read
        if record.status != "finished":
            raise UserError(f"{folder}: {record.status}; only finished runs are scored")
        data_dir = options.data_dir or config.data_dir
        config = dataclasses.replace(config, test=True, data_dir=data_dir)
        place = repr([getattr(config, name, None) for name in ("data", "data_dir", *CUT)])
        if place not in known:
            known[place] = load_data(config, device)
        data = known[place]
        if data.content_hash != record.about["data_hash"]:
            raise UserError(
                f"{folder}: {config.data} is no longer what the run was trained on; --data_dir "
                "names where it lies, else train again"
            )
        if len({one.content_hash for one in known.values()}) > 1:
            raise UserError(
                f"{folders[0]} and {folder}: trained on unlike data, so that no table holds both; "
                "evaluate them apart"
            )
        key = record.about["key"], record.config["seed"]
        if before := models.get(key):
            say(f"{before.record.path}: like {folder}, which counts instead")
        sampler = make_sampler(recipe, state, config, data, options.prior)
        models[key] = Model(record, recipe, config, state, data, sampler)
    return list(models.values())


def copies(
    model: Model, options: EvaluateConfig, extractor: Extractor, cache: Cache
) -> dict[str, Any]:
    """Whether samples are copies of training pictures, and a picture of the closest pairs.

    Of pictures cut from one source one is held against them, since crops of it are alike; empty
    where too few sources are held out.

    Raises:
        UserError: The picture cannot be written.
    """
    train, test = model.data.splits["train"], model.data.splits["test"]
    alone = np.unique(test.labels.cpu().numpy(), return_index=True)[1]
    index = torch.from_numpy(alone) if model.data.sourced else torch.arange(len(test))
    held_out = test.take(index.to(test.rows.device))
    held_out = held_out.take(held_out.spread(options.n))
    if len(held_out) < FEWEST:
        say(f"no test for copies: {len(held_out)} held-out sources, {FEWEST} needed")
        return {}

    def features(split: Split) -> np.ndarray:
        """Of all pictures of a split, some at a time."""
        parts = [split.take(slice(i, i + CHUNK)).images for i in range(0, len(split), CHUNK)]
        return np.concatenate(
            [
                extractor.cached(framed(part.cpu().numpy()), cache, "looking for copies").features
                for part in parts
            ]
        )

    searched = train.take(train.spread(KNOWN))
    samples = framed(model.sampler.draw(options.n, options.seed))
    seen = extractor.cached(samples, cache, "looking for copies").features
    found = memorization(seen, features(held_out), features(searched))
    path = model.record.path / "closest_pairs.png"
    closest = np.argsort(found.distances)[:PAIRS]
    near = searched.take(torch.from_numpy(found.nearest[closest]).to(train.rows.device)).images
    pairs = np.concatenate([samples[closest], framed(near.cpu().numpy())])
    with writable(str(model.record.path.parent)):
        Image.fromarray(tile(as_pictures(pairs), PAIRS)).save(path)
    return {
        **{"copies": found.copies, "expected": found.expected, "p": found.p, "alarm": found.alarm},
        **{"searched": len(searched), "extractor": extractor.name, "picture": path.name},
    }


def record(model: Model, options: EvaluateConfig) -> None:
    """Append what was found to the run's evaluations.jsonl, and give its means to W&B."""
    line = {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "commit": git("rev-parse", "HEAD"),
        "versions": {name: version(name) for name in ("genbench", "torch", "torch-fidelity")},
        "device": str(model.state.device),
        "weights": hash_weights(model.state.modules),
        "sampler": model.sampler.title,
        "seeds": list(range(options.seed, options.seed + options.seeds)),
        **model.found,
    }
    folder = model.record.path
    with writable(str(folder.parent)), (folder / "evaluations.jsonl").open("a+") as file:
        file.seek(0)
        before = file.read()
        torn = before and not before.endswith("\n")  # half a line, of a process that was killed
        file.write(("\n" if torn else "") + to_json(line) + "\n")
    scores: dict[str, float] = {}
    for one in model.found.get("scores", []):
        ruler = Ruler(**one["ruler"])
        for floor, named in (("", one["values"]), ("floor_", one["floor"])):
            for name, values in named.items():
                key = f"{ruler.split}/{floor}{ruler.column(name)}"
                scores[key] = float(np.mean(values))
    found = model.found.get("likelihood", {})
    for name in ("nll", "elbo", "elbo_gap", "rate", "distortion"):
        if name in found:
            key = f"test/{name}_is{found['draws']}_n{found['pictures']}"
            scores[key] = found[name]
    log_evaluation(folder, model.record.about, scores, options.wandb)
