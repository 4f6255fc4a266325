"""The report on hand-made records: change the numbers and the sentences change."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from optuna.distributions import FloatDistribution, IntDistribution, distribution_to_json
from records import CONFIG, Records
from scipy import stats

from genbench import UserError
from genbench.report import write_report
from genbench.report.sections.codes import projections
from genbench.report.sections.search import shown
from genbench.report.trials import contradiction, explained, seen


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "runs")


def seeds(records, model, name, values, **more):
    for seed, value in enumerate(values):
        records.run(model, seed=seed, scores={name: value}, **more)


def test_the_better_reconstruction_is_said_with_both_numbers(records):
    seeds(records, "ae", "bce", [70.0, 71.0, 72.0])
    seeds(records, "vae", "bce", [80.0, 81.0, 82.0])
    (said,) = [s for s in records.said() if "reconstructs better" in s]
    assert said == (
        "The AE reconstructs better than the VAE: 71.00 ± 1.00 against 81.00 ± 1.00 nats an image "
        "(p < 0.001, Welch's test, 3 and 3 seeds)."
    )


def test_other_numbers_turn_the_sentence_round(records):
    seeds(records, "ae", "bce", [80.0, 81.0, 82.0])
    seeds(records, "vae", "bce", [70.0, 71.0, 72.0])
    assert any(s.startswith("The VAE reconstructs better than the AE") for s in records.said())


def test_a_difference_within_the_spread_is_no_difference(records):
    seeds(records, "ae", "bce", [70.0, 75.0, 80.0])
    seeds(records, "vae", "bce", [72.0, 77.0, 82.0])
    (said,) = records.said("No difference in reconstruction could be shown")
    assert said.endswith(
        "between the AE and the VAE: 75.00 ± 5.00 against 77.00 ± 5.00 nats an image "
        "(p = 0.65, Welch's test, 3 and 3 seeds; a factor of 1.22 would have shown in 80 % of "
        "cases)."
    )
    ae, vae = np.log([70.0, 75.0, 80.0]), np.log([72.0, 77.0, 82.0])  # compared by their ratio
    error = np.hypot(ae.std(ddof=1), vae.std(ddof=1)) / np.sqrt(3)
    freedom = stats.ttest_ind(ae, vae, equal_var=False).df
    shift = np.log(1.2244) / error
    assert stats.nct.sf(stats.t.ppf(0.975, freedom), freedom, shift) == pytest.approx(0.8, abs=1e-3)


def test_all_differences_that_are_claimed_are_judged_together(records, tmp_path, blank_charts):
    seeds(records, "ae", "bce", [70.0, 70.5, 71.0])  # by itself p = 0.02
    seeds(records, "vae", "bce", [72.0, 72.5, 73.5])
    alone = records.said("The AE reconstructs better than the VAE")
    assert alone
    for i in range(4):  # experiments of two values each
        for beta in (1.0, 2.0):
            about = {"group": f"experiment {i}", "beta": beta}
            for seed, more in enumerate((0.0, 2.0, 5.0 + i)):
                scores = {"elbo": -200 - beta - more}
                records.run("vae", seed, key=f"{i}-{beta}", config=about, scores=scores)
    page = write_report(str(records.folder), str(tmp_path / "out"))
    text = page.with_suffix(".md").read_text()
    assert "No difference in reconstruction could be shown" in text
    assert "are judged together (Holm 1979)" in text


def test_one_seed_is_said_to_be_one(records):
    seeds(records, "ae", "bce", [70.0])
    seeds(records, "vae", "bce", [80.0])
    said = "By reconstruction, the AE has 70.00 and the VAE 80.00 nats an image: without several"
    assert any(sentence.startswith(said) for sentence in records.said())


def test_codes_of_unlike_size_are_pointed_out(records):
    records.run("ae", config={"latent_dim": 8})
    records.run("vae", config={"latent_dim": 30}, scores={"bce": 70.0, "active_units": 30.0})
    assert any("differ in size, 8 numbers (AE), 30 numbers (VAE)" in s for s in records.said())


@pytest.mark.parametrize(
    ("scores", "text"),
    [
        ({"kl": 0.3, "active_units": 0.0}, "posterior has collapsed: 0.30 nats"),
        ({"active_units": 5.0}, "uses 5.0 of its 8 latent dimensions"),
        ({"active_units": 8.0}, "uses all of its 8 latent dimensions"),
        (
            {"elbo": -95.5, "reconstruction": 75.0, "kl": 20.5},
            "ELBO is -95.50 nats an image: 75.00",
        ),
    ],
)
def test_the_code_and_the_bound_are_described(records, scores, text):
    records.run("vae", scores=scores)
    assert any(text in s for s in records.said())


@pytest.mark.parametrize(
    ("best_epoch", "text"),
    [
        (4, "was 4 of 4: more epochs may help"),
        (2, "was 2 of 4: the epochs were enough"),
    ],
)
@pytest.mark.parametrize("model", ["ae", "vae"])
def test_training_is_judged_by_its_best_epoch_and_gap(records, model, best_epoch, text):
    records.run(model, best_epoch=best_epoch)
    (said,) = [s for s in records.said() if text in s]
    assert "is 1.50 nats an image worse than its training mean" in said


def test_epochs_are_those_that_were_trained_not_those_that_time_cut_off(records):
    records.run("vae", best_epoch=4, config={"epochs": 1000, "minutes": 1.0})
    assert records.said("its best epoch was 4 of 4: more epochs may help")


def test_the_search_is_summed_up(records):
    records.run("vae")
    records.study("vae", [-120.0, -110.0, None, -130.0, -100.5, -140.0])
    (said,) = [s for s in records.said() if "search ran" in s]
    assert "6 trials (5 complete, 1 fail) of 4 epochs" in said
    assert "the best val/elbo was -100.50, 19.50 nats an image better than the defaults" in said


def test_importance_names_what_the_score_follows(tmp_path):
    rng = np.random.default_rng(0)
    space = {"lr": FloatDistribution(0.0, 1.0), "latent_dim": IntDistribution(2, 64)}
    trials = []
    for i in range(60):
        lr = float(rng.uniform())
        params = {"lr": lr, "latent_dim": int(rng.integers(2, 65))}
        trials.append(
            {
                "number": i,
                "state": "COMPLETE",
                "values": [(lr - 0.3) ** 2],
                "params": params,
                "intermediate": {},
            }
        )
    record = {
        "directions": ["minimize"],
        "space": {name: distribution_to_json(d) for name, d in space.items()},
        "trials": trials,
    }
    shares = explained(record)
    assert next(iter(shares)) == "lr"
    assert shares["lr"] > 0.5
    assert abs(shares["latent_dim"]) < 0.2
    assert explained(record | {"trials": trials[:3]}) == {}
    low, high = (end(t["values"][0] for t in trials) for end in (min, max))
    assert f"loss from {low:.4g} to {high:.4g}." in seen(record | {"objectives": ["loss"]})
    outside = {**trials[0], "params": {"lr": 2.0, "latent_dim": 2}}
    assert contradiction(record) == ""
    assert "lr=2.0 is not in its space" in contradiction(record | {"trials": [outside]})
    from_0 = distribution_to_json(FloatDistribution(1e-9, 1.0, log=True)).replace("1e-09", "0.0")
    assert "ValueError" in contradiction(record | {"space": record["space"] | {"lr": from_0}})


def test_the_table_is_mean_and_standard_deviation_over_seeds(records):
    seeds(records, "ae", "bce", [1.0, 2.0, 6.0])
    records.run("vae")
    table = records.rows("Scores")
    assert table[""] == ["AE", "VAE"]
    assert table["Training seeds"] == ["3", "1"]
    assert table["Reconstruction, BCE (nats an image) ↓"] == ["3.00 ± 2.65", "80.00"]
    assert table["ELBO (nats an image) ↑"] == ["—", "-100.00"]
    assert table["Parameters"] == ["1,234", "1,234"]


@pytest.mark.parametrize(("final_key", "mark"), [("k", " (searched)"), ("other", "")])
def test_hyper_parameters_are_marked_if_these_runs_were_searched(records, final_key, mark):
    records.run("vae", key="k")
    records.study("vae", [-1.0], final_key=final_key)
    table = records.rows("Hyper-parameters")
    assert table["lr"] == [f"0.001{mark}"]
    assert table["epochs"] == ["4"]
    assert "runs_dir" not in table


def test_the_study_shown_is_the_one_that_chose_the_runs(records):
    records.run("vae", key="chosen")
    records.study("vae", [-120.0, -110.0], final_key="chosen", name="mine")
    first = records.folder / "studies" / "vae.json"
    first.rename(first.with_name("first.json"))
    records.study("vae", [-120.0, -90.0], final_key="another", name="later")
    os.utime(first.with_name("first.json"), (1, 1))
    part = records.part()
    assert shown(part, part.groups[0], objectives=1)["name"] == "mine"


def test_the_best_group_is_tested_then_seeded_then_good_on_validation(records):
    records.run("vae", key="untested", split="val", scores={"elbo": -1.0})
    records.run("vae", key="alone", scores={"elbo": -2.0})
    for seed in (1, 2, 3):
        records.run("vae", key="winner", seed=seed, scores={"elbo": -50.0})
        records.run("vae", key="other", seed=seed, scores={"elbo": -60.0})
    records.run("vae", key="broken", status="failed", scores={"elbo": 0.0})
    (group,) = records.part().groups
    assert {run.about["key"] for run in group.runs} == {"winner"}
    assert [run.config["seed"] for run in group.runs] == [1, 2, 3]


def test_a_repeated_seed_counts_once_the_later_run(records):
    records.run("vae", seed=1, scores={"elbo": -90.0})
    records.run("vae", seed=1, scores={"elbo": -80.0})
    (group,) = records.part().groups
    assert len(group.runs) == 1
    assert group.score("test/elbo").mean == -80.0


def test_other_likelihoods_and_data_share_no_table(records):
    records.run("ae")
    records.run("vae")
    records.run("vae", key="g", config={"likelihood": "gaussian"}, scores={"elbo": 900.0})
    records.run("vae", key="d", config={"data": "fashion-mnist"})
    part = records.part()
    assert [group.title for group in part.groups] == ["AE", "VAE"]
    assert part.groups[1].score("test/elbo").mean == -100.0
    assert part.left_out == [
        "1 run on mnist-mini with likelihood=gaussian",
        "1 run on fashion-mnist",
    ]
    assert records.part("fashion-mnist").data == "fashion-mnist"


def test_models_scored_on_unlike_splits_are_compared_on_validation(records):
    records.run("ae", split="test", scores={"bce": 70.0})
    records.run("vae", split="val", scores={"bce": 60.0})
    assert records.part().split == "val"
    table = records.rows("Scores on the val split")
    assert table["Reconstruction, BCE (nats an image) ↓"] == ["70.00", "60.00"]
    figures = [figure.name for figure in records.content("Latent spaces").figures]
    assert figures == ["vae_latent_space"]  # the AE's codes are of test images


def test_runs_with_and_without_a_test_are_not_pooled(records):
    records.run("vae", seed=0, split="val", scores={"elbo": -1.0})
    for seed in (1, 2, 3):
        records.run("vae", seed=seed, scores={"elbo": -50.0})
    (group,) = records.part().groups
    assert records.part().split == "test"
    assert group.score("test/elbo").mean == -50.0


def test_a_study_under_another_likelihood_is_not_shown(records):
    records.run("vae")
    records.study("vae", [-1.0], base=CONFIG | {"likelihood": "gaussian"})
    assert not records.part().studies
    assert not records.content("Search").figures


def test_nothing_to_report_is_said(records, tmp_path):
    runs, out = str(records.folder), str(tmp_path / "out")
    with pytest.raises(UserError, match="runs: no such folder"):
        write_report(runs, out)
    records.run("vae", status="failed")
    with pytest.raises(UserError, match="no finished run to report on"):
        write_report(runs, out)
    with pytest.raises(UserError, match="no finished run on mnist to report on"):
        write_report(runs, out, "mnist")


def test_the_page_is_one_escaped_file_with_every_figure(records, tmp_path):
    evil = "<script>alert(1)</script>"
    for model in ("ae", "vae"):
        records.run(model, config={"data": evil})
        base = CONFIG | {"data": evil}
        records.study(model, [90.0, 80.0, 70.0, 60.0, 50.0], data=evil, base=base)
    page = write_report(str(records.folder), str(tmp_path / "out"))
    html = page.read_text()
    assert evil not in html
    assert "&lt;script&gt;" in html
    assert not re.findall(r'(?:src|href)="(?!data:image/(?:png|gif);base64,|#)', html)
    text = (tmp_path / "out" / "summary.md").read_text()
    shown = re.findall(r"\]\(figures/(.*?)\)", text)
    drawn = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert set(shown) == drawn
    assert html.count("<img ") + html.count('class="chart"') == len(drawn)
    for name in ("loss", "latent_space", "manifold", "interpolations", "search_history"):
        assert {f"ae_{name}.png", f"vae_{name}.png"} <= drawn
    assert {"reconstructions.png", "vae_samples.png", "vae_search_slices.png"} <= drawn


def test_the_report_stands_on_files_alone(records, tmp_path):
    records.run("ae")
    records.run("vae")
    code = (
        "import sys; from genbench.report import write_report; "
        f"write_report({str(records.folder)!r}, {str(tmp_path / 'out')!r}); "
        "print([name for name in ('torch', 'wandb', 'ignite', 'optuna') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_out_that_cannot_be_written_is_named(records, tmp_path):
    records.run("ae")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"out=.*file: cannot be written"):
        write_report(str(records.folder), str(tmp_path / "file"))


def test_codes_of_two_dimensions_are_shown_as_they_are():
    z = np.random.default_rng(0).normal(size=(50, 2))
    np.testing.assert_array_equal(projections(z)["code"], z)
    np.testing.assert_array_equal(projections(z[:, :1])["code"], np.c_[z[:, 0], np.zeros(50)])
    three = np.random.default_rng(0).normal(0, [5.0, 1.0, 0.1], (50, 3))
    pca = projections(three)["PCA"]
    assert np.abs(np.corrcoef(pca[:, 0], three[:, 0])[0, 1]) > 0.99
