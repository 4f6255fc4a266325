"""Runs that share a --group: their table, what it says, and its figures."""

import pytest
from records import Records

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
    (said,) = (s for s in content.said if "ELBO" in s)
    assert said == (
        "ELBO is best at beta = 1, -100.50 ± 0.71; that it is better than at beta = 0.25, "
        "-103.50 ± 0.71, is not shown (p = 0.051, Welch's test, 2 and 2 seeds)."
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
    assert said.startswith("The AE reconstructs better than the VAE: 70.10 ± 0.10 against 90.10")


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
