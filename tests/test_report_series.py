"""Runs that share a --group: their table, what it says, and its figures."""

import pytest
from records import Records

from genbench.files import write_json
from genbench.report.drawing import save


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path)


def over_beta(records, elbos, group="what beta does"):
    for beta, values in elbos.items():
        for seed, elbo in enumerate(values):
            config = {"beta": beta, "group": group}
            scores = {"elbo": elbo, "kl": 20 / beta, "reconstruction": 80 + beta}
            records.run("vae", seed, key=f"b{beta}", config=config, scores=scores)


def test_configurations_that_share_a_name_stand_in_one_table_by_what_varies(records):
    over_beta(records, {4.0: [-110, -112], 0.25: [-103, -104], 1.0: [-100, -101]})
    content = records.content("Experiment: what beta does")
    assert content.table[0][1:] == ["VAE, beta = 0.25", "VAE, beta = 1", "VAE, beta = 4"]
    rows = {row[0]: row[1:] for row in content.table if row}
    assert rows["Training seeds"] == ["2", "2", "2"]
    assert rows["KL (nats an image)"] == ["80.00 ± 0.00", "20.00 ± 0.00", "5.00 ± 0.00"]
    assert content.notes == [
        "Trained with, beside the defaults: VAE: latent_dim 8, lr 0.001, 4 epochs."
    ]
    (said,) = (s for s in content.said if "ELBO" in s)
    assert said == (
        "What beta does: ELBO is best at beta = 1, -100.50 ± 0.71; that it is better than at "
        "beta = 0.25, -103.50 ± 0.71, is not shown (p = 0.051, Welch's test, 2 and 2 seeds)."
    )


def test_a_number_that_varies_gives_curves_and_the_rate_distortion_plane(records, tmp_path):
    over_beta(records, {0.25: [-103, -104], 1.0: [-100, -101], 4.0: [-110, -112]})
    figures = records.content("Experiment").figures
    names = [figure.name for figure in figures]
    assert names == ["series-what-beta-does", "rate-distortion-what-beta-does"]
    _, curves = save(figures[0].draw, tmp_path / "curves")
    _, plane = save(figures[1].draw, tmp_path / "plane")
    assert ">beta<" in curves
    assert all(f"beta = {value}" in plane for value in ("0.25", "1", "4"))


def test_two_values_make_no_curve_and_two_families_are_compared(records):
    for seed, gain in enumerate((0.0, 0.2, 0.1)):
        config = {"group": "equal terms"}
        records.run("vae", seed, key="v", config=config, scores={"bce": 90 + gain})
        records.run("ae", seed, key="a", config=config, scores={"bce": 70 + gain})
    content = records.content("Experiment: equal terms")
    assert content.table[0] == ["", "AE", "VAE"]
    assert not content.figures
    (said,) = (s for s in content.said if "reconstructs better" in s)
    text = "Equal terms: the AE reconstructs better than the VAE: 70.10 ± 0.10 against 90.10"
    assert said.startswith(text)


def test_what_was_varied_does_not_stand_for_a_family_beside_others(records):
    """Even where it is better; of a family of which there is nothing else it does."""
    for seed in range(2):
        for beta, elbo in ((0.5, -80.0), (1.0, -70.0)):
            config = {"beta": beta, "group": "what beta does"}
            records.run("vae", seed, key=f"b{beta}", config=config, scores={"elbo": elbo})
        records.run("vae", seed, key="usual")
    part = records.part()
    assert [group.about["key"] for group in part.groups] == ["usual"]
    assert not part.left_out


def test_the_runs_of_a_search_and_of_a_contest_are_no_experiment(records):
    for i, group in enumerate(("vae-study", "vae-study-best", "contest-folder-64px-5min")):
        for key in "ab":
            records.run("vae", key=f"{i}{key}", config={"group": group, "beta": ord(key)})
    records.study("vae", [-100.0, -90.0])
    records.run("vae", key="alone", config={"group": "one configuration"})
    (part, _), *_ = records.pages()
    assert part.series == {}


def test_nor_are_those_of_a_search_whose_study_is_lost(records):
    for i, job_type in enumerate(("trial", "trial", "final", "final")):
        config = {"group": "lost", "job_type": job_type, "beta": float(i)}
        records.run("vae", key=str(i), config=config)
    (part, _), *_ = records.pages()
    assert part.series == {}


def test_a_family_without_a_score_has_no_line_in_its_panel(records, tmp_path):
    """An AE has no ELBO; that both are drawn over the code's size ends no report."""
    for size in (2, 8, 32):
        config = {"latent_dim": size, "group": "code"}
        for model in ("ae", "vae"):
            records.run(model, key=f"{model}{size}", config=config, scores={"bce": 100 - size})
    figures = records.content("Experiment: code").figures
    assert [figure.name for figure in figures] == [
        *("series-code", "ae_latent_space-code", "vae_latent_space-code"),
        *("ae_manifold-code", "vae_manifold-code"),
    ]
    _, svg = save(figures[0].draw, tmp_path / "code")
    assert svg.count(">VAE<") == svg.count(">AE<") + 1 > 1


def test_codes_of_two_numbers_are_drawn_as_they_are_with_what_they_decode_to(records, tmp_path):
    for size in (2, 3):
        records.run("ae", key=f"a{size}", config={"latent_dim": size, "group": "two"})
    records.run("vae", key="v", config={"latent_dim": 2, "group": "two"})
    figures = records.content("Experiment: two").figures
    assert [figure.name for figure in figures] == [
        *("ae_latent_space-two", "vae_latent_space-two", "ae_manifold-two", "vae_manifold-two"),
    ]
    _, svg = save(figures[1].draw, tmp_path / "codes")
    assert ">VAE: code<" in svg
    assert "PCA" not in svg


def test_where_no_claimed_score_is_known_nothing_is_drawn(records):
    for width in (8, 16, 32):
        path = records.gan(key=f"w{width}", config={"width": width, "group": "w"})
        summary = {"status": "finished", "seconds": 9.0, "best_epoch": 1, "scores": {}}
        write_json(path / "summary.json", summary)
    assert records.content("Experiment: w").figures == []


def test_configurations_that_differ_in_nothing_known_are_not_said_to_be_best(records):
    for key, elbo in (("v1", -100), ("v2", -101)):  # of two versions of genbench
        records.run("vae", key=key, config={"group": "again"}, scores={"elbo": elbo})
    assert not records.said("is best at")
