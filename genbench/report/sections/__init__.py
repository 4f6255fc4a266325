"""The sections of the report, in its order. A new one is a function and a line here."""

from genbench.report.part import Section
from genbench.report.sections import (
    adversarial,
    codes,
    contest,
    evaluations,
    pictures,
    scores,
    search,
    series,
    training,
)

SECTIONS: list[Section] = [
    contest.contests,
    scores.scores,
    training.distances,
    adversarial.stability,
    training.losses,
    adversarial.real_fake_scores,
    pictures.generated,
    pictures.against_originals,
    pictures.reconstructions,
    codes.latent_spaces,
    codes.manifolds,
    pictures.kept,
    series.series,
    search.search,
    scores.hyperparameters,
    evaluations.against,
    evaluations.samples,
    evaluations.classes,
    evaluations.likelihoods,
    evaluations.copies,
]
