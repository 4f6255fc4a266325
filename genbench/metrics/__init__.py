"""Pictures -> features -> scores; METRICS is the table of scores, `ScoreName` their names."""

from genbench.metrics.features import Features
from genbench.metrics.names import ScoreName
from genbench.metrics.table import METRICS, RANKED_BY, Metric

__all__ = ["METRICS", "RANKED_BY", "Features", "Metric", "ScoreName"]
