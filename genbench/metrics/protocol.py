"""How samples were scored; only scores of one protocol are ranked."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from genbench import UserError
from genbench.metrics.names import SPLITS, ScoreName, short_name
from genbench.metrics.table import METRICS, RANKED_BY
from genbench.scalars import Scalar
from genbench.stats import Interval, Sample


@dataclass(frozen=True)
class Protocol:
    """All that two scores must share to be compared."""

    extractor: str
    weights: str  # start of the SHA-256 of the extractor's weights
    reals: str  # start of the SHA-256 of the real pictures' pixels
    split: str  # train, test; `folder` of two folders
    size: int  # side of the pictures in pixels
    n: int  # pictures a side

    def score(self, metric: str, floor: bool = False) -> ScoreName:
        """The name of one of METRICS by this protocol."""
        return ScoreName(metric, self.split, floor, short_name(self.extractor), self.n)

    @property
    def title(self) -> str:
        """What it holds samples against."""
        return f"{SPLITS[self.split]} pictures, {self.extractor}, N = {self.n}"


@dataclass(frozen=True)
class ModelScores:
    """Scores of one model by one protocol: a value a draw of samples, or a training seed."""

    title: str
    protocol: Protocol
    values: dict[str, list[float]]
    errors: dict[str, float] = field(default_factory=dict)  # by half samples, of a single draw
    over: str = "sampling seeds"  # what the draws are: else training seeds

    def sample(self, metric: str) -> Sample:
        """The values of a metric."""
        return Sample.of(self.values[metric])

    def interval(self, metric: str) -> Interval | None:
        """The 95 % interval of the mean against these real pictures; half samples vary them too."""
        error = self.errors.get(metric, math.nan)
        return self.sample(metric).interval(error, _scalar(metric).within)

    @property
    def basis(self) -> str:
        """What the numbers behind the means are: `±` over training seeds, else intervals."""
        draws = max((len(values) for values in self.values.values()), default=0)
        if self.over == "training seeds" and draws > 1:
            return f"± over {draws} training seeds"
        return f"95 % interval over {f'{draws} {self.over}' if draws > 1 else 'half samples'}"

    def show(self, metric: str) -> str:
        """`mean ± std` over training seeds, else `mean [a, b]`; a dash where there is no score."""
        if metric not in self.values:
            return "—"
        scalar, error = _scalar(metric), self.errors.get(metric, math.nan)
        if self.over == "training seeds" and self.sample(metric).n > 1:
            return self.sample(metric).show(scalar.digits)
        return self.sample(metric).show_interval(scalar.digits, error, scalar.within)


def _scalar(metric: str) -> Scalar:
    return METRICS[metric] if metric in METRICS else Scalar(title=metric)


def ranking(rows: Sequence[ModelScores], by: str = RANKED_BY) -> list[ModelScores]:
    """The rows, the best first.

    Raises:
        UserError: Their protocols differ, or a row has no such score.
    """
    for row in rows[1:]:
        unlike = [
            f"{each.name} {getattr(rows[0].protocol, each.name)} and "
            f"{getattr(row.protocol, each.name)}"
            for each in dataclasses.fields(Protocol)
            if getattr(rows[0].protocol, each.name) != getattr(row.protocol, each.name)
        ]
        if unlike:
            raise UserError(
                f"{rows[0].title} and {row.title} cannot be ranked: {', '.join(unlike)}; "
                "score both alike"
            )
    if missing := [row.title for row in rows if by not in row.values]:
        raise UserError(f"{missing[0]}: has no {by} to be ranked by")
    return sorted(rows, key=lambda row: -METRICS[by].sign * row.sample(by).mean)
