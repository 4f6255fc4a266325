"""What `genbench evaluate` found, a configuration and way of drawing at a time."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from genbench.metrics.protocol import ModelScores, Protocol
from genbench.record import Record
from genbench.report.group import Group, one_a_seed

PRIORS = {"mixture": "a mixture of Gaussians", "gaussian": "a Gaussian"}


@dataclass(frozen=True)
class Evaluated:
    """The runs of one configuration, one a training seed, as samples were drawn from them.

    `findings` are those of each run: lines of evaluations.jsonl as one, `scores` by protocol.
    """

    title: str
    runs: list[Record]
    findings: list[dict[str, Any]]
    prior: str = ""  # what was fitted to its codes
    side: str = ""  # what a contest calls it

    def having(self, name: str) -> list[Any]:
        """What was found under this name, of the runs of which it was looked for."""
        return [finding[name] for finding in self.findings if finding.get(name)]

    def scores(self) -> Iterator[tuple[ModelScores, dict[str, float]]]:
        """For each protocol by which all runs were scored: the scores, and the floor.

        One run has a value a draw of samples; each of several runs counts by its mean.
        """
        for protocol, first in self.findings[0]["scores"].items():
            scored = [f["scores"][protocol] for f in self.findings if protocol in f["scores"]]
            if len(scored) < len(self.runs):
                continue
            values, over = first["values"], "sampling seeds"
            if len(scored) > 1:
                names = [name for name in values if all(name in s["values"] for s in scored)]
                values = {n: [statistics.fmean(s["values"][n]) for s in scored] for n in names}
                over = "training seeds"
            yield ModelScores(self.title, protocol, values, first["errors"], over), first["floor"]


def about_priors(models: Iterable[Evaluated]) -> list[str]:
    """A note on each density that any of them is drawn from in place of its own prior."""
    fitted = sorted({one.prior for one in models if one.prior})
    return [
        f"“+ {prior}” is drawn from {PRIORS.get(prior, prior)} that was fitted to the codes of "
        "training pictures."
        for prior in fitted
    ]


def find_evaluated(
    records: Sequence[Record], data: str = "", sides: Mapping[str, str] | None = None
) -> list[Evaluated]:
    """All that was evaluated on the data with the most evaluated runs (on `data`, if given).

    Args:
        records: Of runs.
        data: The name of a data set.
        sides: What contests call configurations, by their keys.
    """
    done = [r for r in records if r.status == "finished" and r.evaluations()]
    done = [r for r in done if data in ("", r.config["data"])]
    usual = Counter(r.about["data_hash"] for r in done).most_common(1)
    columns: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in (r for r in done if r.about["data_hash"] == usual[0][0]):
        for sampler in dict.fromkeys(line["sampler"] for line in record.evaluations()):
            columns[sampler, record.about["key"]].append(record)
    evaluated = []
    for (sampler, key), runs in columns.items():
        group = Group(runs=one_a_seed(runs), side=(sides or {}).get(key, ""))
        prior = sampler.partition("+")[2]
        title = group.full_title + (f" + {prior}" if prior else "")
        found = [_merged(run, sampler) for run in group.runs]
        evaluated.append(Evaluated(title, group.runs, found, prior, group.side))
    times = Counter(one.title for one in evaluated)
    return [
        replace(one, title=f"{one.title}: {one.runs[0].about['key']}")
        if times[one.title] > 1
        else one
        for one in evaluated
    ]


def _merged(run: Record, sampler: str) -> dict[str, Any]:
    """What all evaluations of a run with this sampler found; a score counts as it was last."""
    findings: dict[str, Any] = {}
    scores: dict[Protocol, dict[str, Any]] = {}
    for line in (line for line in run.evaluations() if line["sampler"] == sampler):
        findings |= line
        for entry in line.get("scores", []):
            known = scores.setdefault(Protocol(**entry["ruler"]), {})
            for part in ("values", "errors", "floor"):
                known[part] = known.get(part, {}) | cast(dict[str, Any], entry)[part]
    return findings | {"scores": scores}
