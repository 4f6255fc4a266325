"""Finished runs as what `genbench evaluate` draws from, looks into and writes to."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from genbench import UserError, signals
from genbench.config import PICTURES, Config, EvaluateConfig, roles
from genbench.console import say
from genbench.data import Data, Split, load_data
from genbench.device import pick_device
from genbench.files import append_line, to_json, whole, writing
from genbench.images import channels_last, framed, tile
from genbench.loading import load
from genbench.metrics import ScoreName
from genbench.metrics.cache import Cache, content_hash
from genbench.metrics.extractors import Extractor, hash_weights
from genbench.metrics.memorization import Spaces, memorization
from genbench.metrics.protocol import Protocol
from genbench.metrics.stability import thumbnails
from genbench.metrics.table import LEAST
from genbench.model import Model
from genbench.record import Record, read_run
from genbench.record.feeding import log_evaluation
from genbench.record.provenance import git, now

KNOWN = 10_000  # at most so many training pictures are searched for copies
CHUNK = 1_000  # pictures looked at together
KEPT = 8  # samples, as a picture
PAIRS = 10  # of sample and training picture, the closest ones, are drawn


@dataclass(frozen=True)
class Candidate:
    """A finished run and its model, and what its evaluation has found so far."""

    record: Record
    model: Model
    findings: dict[str, Any] = field(default_factory=dict)  # what its record will say


def load_candidates(folders: Sequence[Path], options: EvaluateConfig) -> list[Candidate]:
    """Finished runs with their data, which must be the same.

    Of runs of one configuration and training seed the last one named counts.

    Raises:
        UserError: A run is not finished or cannot be loaded, its data have changed, or two were
            trained on unlike data.
    """
    device = pick_device(options.device)
    known: dict[str, Data] = {}  # by where they lie and how they are cut
    cuts: set[str] = set()
    candidates: dict[tuple[str, int], Candidate] = {}
    for folder in folders:
        model = load(folder, device)
        record = read_run(folder)
        assert record  # it has just been read
        if record.status != "finished":
            raise UserError(f"{folder}: {record.status}; only finished runs are scored")
        data_dir = options.data_dir or model.config.data_dir
        config = dataclasses.replace(model.config, test=True, data_dir=data_dir)
        place = _place(config)
        if place not in known:
            known[place] = load_data(config, device)
            cuts.add(_cut(known[place]))
        model.data = known[place]
        model.fitted = model.family.fitted(options.prior)
        if record.lacks:
            raise UserError(f"{folder}/config.json: lacks {', '.join(record.lacks)}; train again")
        if model.data.content_hash != record.about["data_hash"]:
            raise UserError(
                f"{folder}: {config.data} is no longer what the run was trained on; --data_dir "
                "names where it lies, else train again"
            )
        if len(cuts) > 1:
            raise UserError(
                f"{folders[0]} and {folder}: trained on unlike data, so that no table holds both; "
                "evaluate them apart"
            )
        key = record.about["key"], record.config["seed"]
        if before := candidates.get(key):
            say(f"{before.record.path}: like {folder}, which counts instead")
        candidates[key] = Candidate(record, model)
    return list(candidates.values())


def _place(config: Config) -> str:
    """What decides which pictures a configuration reads."""
    cut = [name for name, role in roles(type(config)).items() if role == PICTURES]
    static = getattr(config, "binarize", "") == "static"
    return repr([static, {name: getattr(config, name) for name in ("data", "data_dir", *cut)}])


def _cut(data: Data) -> str:
    """Which pictures there are, and which of them are in which split."""
    rows = [data.splits[name].rows.cpu().numpy() for name in sorted(data.splits)]
    return content_hash([data.content_hash, *rows])


def copies(
    candidate: Candidate, options: EvaluateConfig, extractor: Extractor, cache: Cache
) -> dict[str, Any]:
    """Whether samples are copies of training pictures, and a picture of the closest pairs.

    Of pictures cut from one source one is held against them, since crops of it are alike; empty
    where too few sources are held out.

    Raises:
        DiskError: The picture cannot be written.
    """
    data, folder = candidate.model.data, candidate.record.path
    held_out = _one_a_source(data)
    held_out = held_out.take(held_out.spread(options.n))
    if len(held_out) < LEAST:
        say(f"no test for copies: {len(held_out)} held-out sources, {LEAST} needed")
        return {}
    train = data.splits["train"]
    searched = train.take(train.spread(KNOWN))
    samples = framed(candidate.model.sample_bytes(options.n, options.seed))
    result = memorization(
        _looks([samples], extractor, cache),
        _looks(_parts(held_out), extractor, cache),
        _looks(_parts(searched), extractor, cache),
    )
    path = folder / f"closest_pairs-{candidate.model.sampler}.png"
    closest = np.argsort(result.distances)[:PAIRS]
    near = searched.take(torch.from_numpy(result.nearest[closest]).to(train.rows.device)).images
    pairs = np.concatenate([samples[closest], framed(near.cpu().numpy())])
    with whole(path) as file:
        Image.fromarray(tile(channels_last(pairs), PAIRS)).save(file, "PNG")
    return {
        "copies": result.copies,
        "expected": result.expected,
        "p": result.p,
        "visible": result.visible,
        "alarm": result.alarm,
        "originals": result.originals,
        "searched": len(searched),
        "extractor": extractor.name,
        "picture": path.name,
    }


def _one_a_source(data: Data) -> Split:
    """Held-out pictures, of each source one."""
    test = data.splits["test"]
    first = np.unique(test.sources.cpu().numpy(), return_index=True)[1]
    return test.take(torch.from_numpy(first).to(test.rows.device))


def _parts(split: Split) -> Iterator[np.ndarray]:
    """The pictures of a split, some at a time."""
    for i in range(0, len(split), CHUNK):
        yield framed(split.take(slice(i, i + CHUNK)).images.cpu().numpy())


def _looks(parts: Iterable[np.ndarray], extractor: Extractor, cache: Cache) -> Spaces:
    """What pictures look like, as features and as thumbnails (N, D)."""
    seen = [
        (extractor.cached(part, cache, "looking for copies").features, thumbnails(part))
        for part in parts
    ]
    return [np.concatenate(space) for space in zip(*seen, strict=True)]


@signals.noted()
def keep(candidate: Candidate, options: EvaluateConfig, whole: bool = True) -> None:
    """Append what was found, all or a part, to the run's evaluations.jsonl; its means to W&B.

    Raises:
        DiskError: The file cannot be written.
    """
    model, folder = candidate.model, candidate.record.path
    scores = _scores(candidate.findings)
    line = {
        "created": now(),
        "commit": git("rev-parse", "HEAD"),
        "versions": {name: version(name) for name in ("genbench", "torch", "torch-fidelity")},
        "device": str(model.device),
        "weights": hash_weights(model.state.modules),
        "sampler": model.sampler,
        "whole": whole,
        "seeds": list(range(options.seed, options.seed + options.seeds)),
        **candidate.findings,
        "logged": scores,
    }
    path = folder / "evaluations.jsonl"
    with writing(path), path.open("a+b", buffering=0) as file:
        append_line(file, to_json(line))
    log_evaluation(folder, scores, model.sampler, options.wandb)


def keep_samples(candidate: Candidate, options: EvaluateConfig) -> str:
    """The first samples as a row of pictures beside the record, for reports; the file's name."""
    model = candidate.model
    name = f"samples-{model.sampler}.png"
    samples = channels_last(framed(model.sample_bytes(KEPT, options.seed)))
    with whole(candidate.record.path / name) as file:
        Image.fromarray(tile(samples, KEPT)).save(file, "PNG")
    return name


def _scores(findings: dict[str, Any]) -> dict[str, float]:
    """What was found by the names of scores: means over sets of samples."""
    scores: dict[str, float] = {}
    for entry in findings.get("scores", []):
        protocol = Protocol(**entry["ruler"])
        for name, values in entry["values"].items():
            scores[str(protocol.score(name))] = float(np.mean(values))
        for name, value in entry["floor"].items():
            scores[str(protocol.score(name, floor=True))] = value
    likelihood = findings.get("likelihood", {})
    for name in ("nll", "nll_bias", "elbo", "elbo_gap", "rate", "distortion"):
        if name in likelihood:
            n, draws = likelihood["pictures"], likelihood["draws"]
            scores[str(ScoreName(name, "test", n=n, draws=draws))] = likelihood[name]
    return scores
