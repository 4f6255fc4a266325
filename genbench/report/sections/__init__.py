"""The sections of the report, in its order. A new one is a function and a line here."""

from genbench.report.part import Section
from genbench.report.sections.adversarial import real_fake_scores, stability
from genbench.report.sections.evaluations import against, copies, likelihoods
from genbench.report.sections.pictures import (
    against_originals,
    generated,
    kept,
    latent_spaces,
    manifolds,
    reconstructions,
)
from genbench.report.sections.scores import hyperparameters, scores
from genbench.report.sections.search import search
from genbench.report.sections.training import distances, losses

SECTIONS: list[Section] = [
    scores,
    stability,
    hyperparameters,
    losses,
    real_fake_scores,
    distances,
    generated,
    against_originals,
    reconstructions,
    latent_spaces,
    manifolds,
    kept,
    search,
    against,
    likelihoods,
    copies,
]
