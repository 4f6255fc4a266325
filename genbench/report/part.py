"""A part of the report, which sections look at, and what they give."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from genbench.families import FAMILIES
from genbench.metrics.names import ScoreName
from genbench.record import Contest, Study
from genbench.report.drawing import Clock, Drawn
from genbench.report.evaluated import Evaluated
from genbench.report.group import Group, data_title, epochs_done, sample_scores
from genbench.stats import Claims

Contests = Sequence[tuple[Contest, Mapping[str, Group]]]  # each with its sides by name


@dataclass(frozen=True)
class Part:
    """A part of the report.

    title, data: Its own, and that of its data set.
    groups: What it shows; the best stand first where samples are judged, else by family.
    split: Of the scores that groups are compared by, the same for all.
    studies: Searches whose scores are of the same kind.
    finals: Of a study, by its name, the final trainings of its winner and of the defaults.
    counts: Runs of its families in the folder, by status.
    left_out: Runs that are not shown, in words.
    contests: Each with its sides by name, which need not be among the groups shown.
    evaluated: Of the part on evaluations, which has no groups: what was drawn from.
    series: Configurations that share a name that was given with --group, by that name.
    claims: All comparisons of the report.
    """

    title: str
    data: str
    groups: list[Group] = field(default_factory=list)
    split: str = "test"
    studies: list[Study] = field(default_factory=list)
    finals: dict[str, tuple[Group, Group]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    evaluated: list[Evaluated] = field(default_factory=list)
    series: dict[str, list[Group]] = field(default_factory=dict)
    contests: Contests = field(default_factory=list)
    claims: Claims = field(default_factory=Claims)

    @property
    def data_title(self) -> str:
        """What its data set is called."""
        runs = [*(g.ended[0] for g in self.groups), *(one.runs[0] for one in self.evaluated)]
        return data_title(runs[0].config) if runs else self.data

    @property
    def leading(self) -> list[Group]:
        """The first group of each family, in the order in which families are registered."""
        first = {group.model: group for group in reversed(self.groups)}
        return [first[model] for model in in_order(first)]

    @property
    def comparisons(self) -> list[tuple[Group, Group]]:
        """Groups to compare: the first with the others, each family's first with its baselines."""
        pairs = [(self.groups[0], other) for other in self.groups[1:]] if self.groups else []
        for lead in self.leading:
            own = [g for g in self.groups if g.is_baseline and g.model == lead.model and g != lead]
            pairs += [(lead, baseline) for baseline in own if (lead, baseline) not in pairs]
        return pairs

    @property
    def clock(self) -> Clock | None:
        """Minutes an epoch of each group, where all were trained for the same time; else None."""
        known = {id(g): one for g in self.groups if (one := minutes_of(g, self.contests))}
        given = [minutes for minutes, _ in known.values()]
        if not given or len(given) < len(self.groups) or max(given) > 1.01 * min(given):
            return None
        return lambda group: known[id(group)][1]

    @property
    def judged_by_samples(self) -> bool:
        """Whether its models' samples are all there is to judge."""
        return all(group.judged_by_samples for group in self.groups)

    def sample_scores(self, split: str) -> list[ScoreName]:
        """The scores of samples against a split's pictures that any run has."""
        return sample_scores((k for g in self.groups for r in g.runs for k in r.scores), split)


def side_of(group: Group, contests: Contests) -> tuple[Contest, str] | None:
    """The contest that a configuration was trained for, and what it is called there."""
    for contest, _ in contests:
        for name, rung in contest["sides"].items():
            if rung["key"] == group.about["key"]:
                return contest, name
    return None


def minutes_of(group: Group, contests: Contests = ()) -> tuple[float, float] | None:
    """The minutes that a training was given, and those of an epoch; None where epochs were given.

    Args:
        group: The trainings.
        contests: In which steps were given, as many as take so many minutes.
    """
    if side := side_of(group, contests):
        contest, name = side
        return contest["minutes"], contest["minutes"] / contest["sides"][name]["epochs"]
    epochs = epochs_done(group)
    ended_by_time = group.minutes and 0 < epochs < group.config.get("epochs", math.inf)
    return (group.minutes, group.minutes / epochs) if ended_by_time else None


def in_order(models: Iterable[str]) -> list[str]:
    """Names of families without repetition, as they are registered; unknown ones at the end."""
    order = [*FAMILIES, *models]
    return sorted(dict.fromkeys(order[len(FAMILIES) :]), key=order.index)


@dataclass(frozen=True)
class Drawing:
    """A figure to come: its file's name, its caption, and what draws it.

    `family` stands before the name where that is taken; `real`: real pictures are in it, or what a
    model makes of single ones; `alt`: what is seen, if the caption does not say it; `columns`: what
    stands above its equal columns.
    """

    name: str
    caption: str
    draw: Callable[[], Drawn]
    family: str = ""
    real: bool = False
    alt: str = ""
    columns: tuple[str, ...] = ()


def each(
    groups: Iterable[Group],
    name: str,
    caption: str,
    draw: Callable[[Group], Drawn],
    real: bool = False,
    alt: Callable[[Group], str] | None = None,
) -> list[Drawing]:
    """A figure a group; name and caption may name what is `group`'s: `{group.title}`."""
    return [
        Drawing(
            name.format(group=g),
            caption.format(group=g),
            partial(draw, g),
            g.model,
            real,
            alt(g) if alt else "",
        )
        for g in groups
    ]


Cell = str | Drawing  # of a table; a picture has no caption there


@dataclass(frozen=True)
class Content:
    """What a section says: sentences, the most important first; a table, notes, figures.

    The table is rows, the first one its header. The part's conclusion has the first sentence of
    each section and others as long as there is room.
    """

    heading: str
    sentences: list[str | None] = field(default_factory=list)
    table: Sequence[Sequence[Cell]] = ()
    notes: list[str] = field(default_factory=list)
    figures: list[Drawing] = field(default_factory=list)

    @property
    def said(self) -> list[str]:
        """The sentences that there are."""
        return [sentence for sentence in self.sentences if sentence]

    @property
    def drawings(self) -> list[Drawing]:
        """All figures, those in the table among them."""
        cells = (cell for row in self.table for cell in row)
        return [*(cell for cell in cells if isinstance(cell, Drawing)), *self.figures]


Section = Callable[[Part], Iterator[Content]]  # nothing where the records hold nothing for it
Page = tuple[Part, list[Content]]  # a part, and what all sections say of it
