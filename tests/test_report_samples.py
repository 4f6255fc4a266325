"""Part 3 of the report on hand-made evaluations: change the numbers and the sentences change."""

import json

import numpy as np
import pytest
from PIL import Image
from records import Records
from scipy import stats

from genbench.record import read_runs
from genbench.report import write_report
from genbench.report.evaluated import find_evaluated
from genbench.report.overview import answer
from genbench.report.sections.evaluations import score_table, scored

pytestmark = pytest.mark.usefixtures("blank_charts")

RULER = {
    **{"extractor": "efficientnet-lite0", "weights": "aa11", "reals": "bb22"},
    **{"split": "test", "size": 32, "n": 1500},
}
COPIES = {"copies": 0.004, "expected": 0.01, "p": 0.9, "alarm": False, "picture": "pairs.png"}
COPIES |= {"visible": 0.023}


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "runs")


def evaluation(path, sampler, values, ruler=RULER, **more):
    floor = {"fd": 20.0, "kid": 0.0001}
    scores = [{"ruler": ruler, "values": values, "errors": {}, "floor": floor}]
    line = {"sampler": sampler, "scores": scores, "memorization": COPIES} | more
    with (path / "evaluations.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path / "pairs.png")
    return path


def families(records, kids=((0.3, 0.31, 0.32), (0.2, 0.21, 0.22))):
    ae, vae = (records.run(model, key=model) for model in ("ae", "vae"))
    evaluation(ae, "ae+mixture", {"kid": kids[0], "recall": [0.5] * 3})
    nll = {"p": "bernoulli", "binarize": "none", "pictures": 500, "draws": 5000, "nll": 95.0}
    nll |= {"elbo": -98.0, "elbo_gap": 3.0, "rate": 20.0, "nll_few": 95.9, "nll_bias": 0.1}
    likelihood = {"likelihood": nll | {"distortion": 78.0, "active_units": 8.0}}
    evaluation(vae, "vae", {"kid": kids[1], "recall": [0.4] * 3}, **likelihood)
    return ae, vae


def tables(records):
    """(rows, floor) of each protocol."""
    return scored(records.last_part()[0].evaluated)


BASIS = "95 % interval over 3 sampling seeds"
AE, VAE = "AE + mixture", "VAE"


def test_the_table_has_a_column_a_model_the_best_first_and_the_floor(records):
    families(records)
    ((rows, floor),) = tables(records)
    reach = stats.sem([0.2, 0.21, 0.22]) * stats.t.ppf(0.975, 2)
    assert score_table(rows, floor) == [
        ["", VAE, AE, "Real pictures (floor)"],
        ["Spread", BASIS, BASIS, "—"],
        [
            "KID ↓",
            f"0.2100 [{0.21 - reach:.4f}, {0.21 + reach:.4f}]",
            "0.3100 [0.2852, 0.3348]",
            "0.0001",
        ],
        ["Recall ↑", "0.400 [0.400, 0.400]", "0.500 [0.500, 0.500]", "—"],
    ]
    said = " ".join(records.content("Against").notes)
    assert "1500 samples against 1500 held-out pictures, efficientnet-lite0, N = 1500" in said
    assert "no FID" in said
    assert "“+ mixture” is drawn from a mixture of Gaussians that was fitted to the codes" in said


def test_the_nearest_is_said_with_both_numbers(records):
    families(records)
    said = records.last_part()[1]
    assert said[0].startswith("The samples of the VAE come nearest by KID to the held-out pictures")
    assert said[0].endswith(
        ": 0.2100 [0.1852, 0.2348] against 0.3100 [0.2852, 0.3348]; other real pictures are at "
        "0.0001 (a single training: another seed may differ)."
    )
    assert said[1] == f"The largest of these scores: recall of the {AE}, 0.500 [0.500, 0.500]."


def test_other_numbers_turn_the_sentence_round(records):
    families(records, kids=((0.2, 0.21, 0.22), (0.3, 0.31, 0.32)))
    said = records.last_part()[1]
    assert said[0].startswith(f"The samples of the {AE} come nearest")
    assert said[1] == f"The largest of these scores: recall of the {AE}, 0.500 [0.500, 0.500]."


def test_overlapping_intervals_are_no_difference(records):
    families(records, kids=((0.2, 0.3, 0.4), (0.21, 0.31, 0.41)))
    said = records.last_part()[1][0]
    assert said.startswith(f"The samples of the {AE} come nearest, if not surely, by KID")
    assert said.endswith("(their intervals overlap; a single training: another seed may differ).")


def test_the_sides_of_a_contest_are_called_so(records):
    for key, kid in (("d1", 0.3), ("e1", 0.2), ("other", 0.4)):
        evaluation(records.gan(key=key), "gan", {"kid": [kid]})
    sides = {"d1": "dcgan", "e1": "default (+ palette)"}
    found = find_evaluated(read_runs(records.folder), "", sides)
    titles = [one.title for one in found]
    assert titles == ["GAN (dcgan)", "GAN (default + palette)", "GAN (palette, r3)"]
    same = {"d1": "dcgan", "e1": "dcgan"}
    titles = [one.title for one in find_evaluated(read_runs(records.folder), "", same)]
    assert titles == ["GAN (dcgan): d1", "GAN (dcgan): e1", "GAN (palette, r3)"]


def test_of_a_score_the_last_evaluation_counts_and_of_a_configuration_all_seeds(records):
    paths = [records.run("vae", seed=seed, key="v") for seed in (0, 1, 1)]
    evaluation(paths[0], "vae", {"kid": [9.0], "recall": [0.5]})
    evaluation(paths[0], "vae", {"kid": [0.1, 0.3]})  # says nothing of recall: what was known stays
    evaluation(paths[1], "vae", {"kid": [7.0], "recall": [0.9]})
    evaluation(paths[2], "vae", {"kid": [0.4, 0.6], "recall": [0.7]})  # the same seed, later
    ((rows, _),) = tables(records)
    (row,) = rows
    assert row.values == {"kid": pytest.approx([0.2, 0.5]), "recall": [0.5, 0.7]}
    assert row.basis == "± over 2 training seeds"


def test_two_densities_of_an_autoencoder_are_two_columns(records):
    ae = records.run("ae", key="a")
    evaluation(ae, "ae+mixture", {"kid": [0.1, 0.2]})
    evaluation(ae, "ae+gaussian", {"kid": [0.3, 0.4]})
    ((rows, _),) = tables(records)
    assert [row.title for row in rows] == [AE, "AE + gaussian"]
    assert [row.values["kid"] for row in rows] == [[0.1, 0.2], [0.3, 0.4]]


def test_infinite_scores_and_unknown_errors_are_shown_as_they_are(records):
    vae = records.run("vae", key="v")
    evaluation(vae, "vae", {"kid": [0.1], "kl": ["Infinity", "Infinity", "Infinity"]})
    ((rows, floor),) = tables(records)
    assert [row[1] for row in score_table(rows, floor)[2:]] == ["0.1000", "inf"]
    assert records.last_part()[1]  # of one model: copies alone
    assert write_report(str(records.folder), str(records.folder / "out"))


def test_runs_that_are_not_finished_are_left_out(records):
    evaluation(records.run("vae", status="failed"), "vae", {"kid": [0.1]})
    assert not records.pages()


def test_a_difference_of_single_draws_is_not_sure(records):
    families(records, kids=((0.3,), (0.2,)))
    assert "come nearest, nobody knows how surely, by KID" in records.last_part()[1][0]


def test_unlike_rulers_have_tables_of_their_own(records):
    _, vae = families(records)
    evaluation(vae, "vae", {"kid": [0.001]}, RULER | {"n": 500})
    (first, _), (second, _) = tables(records)
    assert [(rows[0].protocol.n, len(rows)) for rows in (first, second)] == [(1500, 2), (500, 1)]
    assert first[0].values["kid"] == [0.2, 0.21, 0.22]
    assert not any("N = 500" in sentence for sentence in records.last_part()[1])


def test_a_likelihood_has_a_table_of_its_own(records):
    families(records)
    rows = records.content("Likelihood").table
    assert rows[0] == ["", VAE]
    assert ["-log p(x), importance sampling (nats) ↓", "95.00"] in rows
    assert ["Draws of z a picture", "5000"] in rows
    assert ["By a tenth of the draws (nats) ↓", "95.90"] in rows
    assert ["Still too high by about (nats)", "0.10"] in rows
    assert len(rows) == 13


def test_a_model_stands_there_as_it_was_drawn_from(records):
    _, vae = families(records)
    evaluation(vae, "vae+mixture", {"kid": [0.1, 0.11, 0.12]})
    fitted = "VAE + mixture"
    ((rows, _),) = tables(records)
    assert [row.title for row in rows] == [fitted, VAE, AE]
    assert records.content("Likelihood").table[0] == ["", VAE]
    first = answer("digits", [part for part, _ in records.pages()])
    assert [row[0] for row in first.table[1:4]] == [fitted, VAE, AE]
    assert "no likelihood" not in " ".join(first.said)


def test_copies_are_said(records):
    _, vae = families(records)
    assert (
        f"The {AE} shows no sign of copying training pictures (2.3 % copies would show in 80 "
        "% of cases): 0.4 %"
    ) in " ".join(records.last_part()[1])
    thief = COPIES | {"copies": 0.3, "p": 1e-9, "alarm": True, "originals": 2}
    evaluation(vae, "vae", {"kid": [0.2, 0.21, 0.22]}, memorization=thief)
    content = nearest_content(records)
    assert content.said[0].startswith(  # alarms first
        "The VAE may copy training pictures, in 1 of 1 trainings: 30.0 % of its samples"
    )
    assert content.said[0].endswith(", but to 2 of them: a collapse does so, too.")
    assert not content.notes
    some = COPIES | {"copies": 0.012, "searched": 40}
    evaluation(vae, "vae", {"kid": [0.2, 0.21, 0.22]}, memorization=some)
    evaluation(vae, "vae+mixture", {"kid": [0.3]}, memorization={})
    content = nearest_content(records)
    assert content.said[1] == (
        "The VAE raises no alarm of copying training pictures (2.3 % copies would show in 80 % of "
        "cases): 1.2 % of its samples are as near to a training picture as 1.0 % of held-out "
        "pictures are (40 of 90 of these)."
    )
    assert content.notes == ["Not looked for among samples of the VAE + mixture."]


def nearest_content(records):
    """The section on copies, of the part on evaluations."""
    _, contents = records.pages()[-1]
    return next(one for one in contents if one.heading.startswith("Samples and their nearest"))


def test_what_a_likelihood_is_of_and_how_long_each_trained_is_said_beside_the_answer(records):
    families(records)
    first = answer("digits", [part for part, _ in records.pages()])
    (nll,) = [note for note in first.notes if note.startswith("NLL")]
    assert nll == (
        "NLL is that of `genbench evaluate`, of 500 held-out pictures, their ELBO is -98.00, still "
        "too high by about 0.10; of grey pixels as probabilities: no published nats of binarised "
        "digits compare."
    )
    (budgets,) = [note for note in first.notes if note.startswith("Trained for")]
    each = "40 steps, 4 epochs, no search"
    assert budgets == f"Trained for: VAE {each}; AE {each}."


def test_precision_without_recall_is_no_merit(records):
    for name, recall in (("a", 0.5), ("b", 0.004)):
        precision = 0.7 if name == "a" else 1.0
        values = {"kid": [0.2], "precision": [precision], "recall": [recall]}
        evaluation(records.gan(key=name), "gan", values)
    (said,) = records.said("The largest of these scores")
    assert said == "The largest of these scores: recall of the GAN (palette, r3): a, 0.500."


def test_without_an_evaluation_there_is_no_such_part(records):
    records.run("vae")
    assert [part.title for part, _ in records.pages()] == ["VAE on mnist-mini"]


def test_the_report_holds_the_part_and_its_pictures(records, tmp_path):
    families(records)
    page = write_report(str(records.folder), str(tmp_path / "out"))
    text = page.with_suffix(".md").read_text()
    assert "Part 2: Who generates best on mnist-mini?" in text
    assert "| KID ↓ | 0.2100 [0.1852, 0.2348] | 0.3100 [0.2852, 0.3348] | 0.0001 |" in text
    assert (tmp_path / "out" / "figures" / "closest_pairs_2.png").is_file()
    assert "closest_pairs_2.png" in text
    assert "Likelihood of held-out pictures" in text
