"""What `genbench evaluate` found, a configuration and way of drawing at a time."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.metrics.protocol import ModelScores, Protocol
from genbench.record import Record
from genbench.report.group import Group, family_title, one_a_seed

PRIORS = {"mixture": "mixture of Gaussians", "gaussian": "Gaussian"}
Findings = dict[str, Any]  # a line of evaluations.jsonl; of `scores` one entry a protocol


@dataclass(frozen=True)
class Evaluated:
    """The runs of one configuration, one a training seed, as samples were drawn from them."""

    title: str
    runs: list[Record]
    findings: list[Findings]  # of each run

    def having(self, name: str) -> list[Any]:
        """What was found under this name, of the runs of which it was looked for."""
        return [finding[name] for finding in self.findings if finding.get(name)]

    def scores(self) -> Iterator[tuple[ModelScores, dict[str, float]]]:
        """For each protocol by which all runs were scored: the scores, and the floor.

        One run has a value a draw of samples; each of several runs counts by its mean.
        """
        by_protocol: dict[Protocol, list[dict[str, Any]]] = defaultdict(list)
        for scores in self.having("scores"):
            for entry in scores:
                by_protocol[Protocol(**entry["ruler"])].append(entry)
        over = "sampling seeds" if len(self.runs) == 1 else "training seeds"
        for protocol, entries in by_protocol.items():
            if len(entries) == len(self.runs):
                values, errors = _pooled(entries), _numbers(entries[0]["errors"])
                floor = _numbers(entries[0]["floor"])
                yield ModelScores(self.title, protocol, values, errors, over), floor


def _numbers(named: dict[str, Any]) -> dict[str, float]:
    """Values by name; NaN and infinities are text in JSON."""
    return {name: float(value) for name, value in named.items()}


def _pooled(entries: list[dict[str, Any]]) -> dict[str, list[float]]:
    """The draws of a single run; of several runs the mean of each, of the scores that all have."""
    names = [name for name in entries[0]["values"] if all(name in e["values"] for e in entries)]
    draws = {name: [list(map(float, e["values"][name])) for e in entries] for name in names}
    if len(entries) == 1:
        return {name: runs[0] for name, runs in draws.items()}
    return {name: list(map(statistics.fmean, runs)) for name, runs in draws.items()}


def find_evaluated(records: Sequence[Record], data: str = "") -> list[Evaluated]:
    """All that was evaluated on the data with the most evaluated runs (on `data`, if given)."""
    done = [r for r in records if r.status == "finished" and r.evaluations()]
    done = [r for r in done if data in ("", r.config["data"])]
    usual = Counter(r.about["data_hash"] for r in done).most_common(1)
    columns: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in (r for r in done if r.about["data_hash"] == usual[0][0]):
        for sampler in dict.fromkeys(line["sampler"] for line in record.evaluations()):
            columns[sampler, record.about["key"]].append(record)
    times = Counter(sampler for sampler, _ in columns)
    found = []
    for (sampler, key), runs in columns.items():
        seeds = one_a_seed(runs)
        alone = times[sampler] == 1
        apart = "" if alone else f" ({', '.join([*Group(runs=seeds).variant, key])})"
        findings = [merged(run, sampler) for run in seeds]
        found.append(Evaluated(sampler_title(sampler) + apart, seeds, findings))
    return found


def sampler_title(sampler: str) -> str:
    """`vae` and `ae+mixture`, as records have them, in words."""
    model, _, prior = sampler.partition("+")
    fitted = f" ({PRIORS.get(prior, prior)} fitted to its codes)" if prior else ""
    return family_title(model) + fitted


def merged(run: Record, sampler: str) -> Findings:
    """What all evaluations of a run with this sampler found; a score counts as it was last."""
    findings: Findings = {}
    scores: dict[Protocol, dict[str, Any]] = {}
    for line in (line for line in run.evaluations() if line["sampler"] == sampler):
        findings |= line
        for entry in line.get("scores", []):
            known = scores.setdefault(Protocol(**entry["ruler"]), {"ruler": entry["ruler"]})
            for name in ("values", "errors", "floor"):
                known[name] = known.get(name, {}) | entry[name]
    return findings | {"scores": list(scores.values())}
