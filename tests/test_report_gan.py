"""The report's part on GANs, on hand-made records: other numbers, other rows and sentences."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from records import FAILURE, KIDS, Records, tile
from scipy import stats

from genbench import UserError
from genbench.families.gan import DCGAN as BASELINE
from genbench.families.gan import GANConfig
from genbench.files import write_json
from genbench.images import first_tiles
from genbench.images import tile as tiled
from genbench.record import read_run, read_runs
from genbench.report import make_report, write_report
from genbench.report.group import make_groups
from genbench.report.part import minutes_of
from genbench.report.sections.contest import said, sides_of
from genbench.report.sections.pictures import evenly
from genbench.stats import Claims

pytestmark = pytest.mark.usefixtures("blank_charts")

FIGURES = {
    *("losses_disc_gene.png", "real_fake_scores.png", "gan_divergence.png"),
    *("generated-images-0006.png", "generated-strip.png", "generated_against_original.png"),
    *("nearest_neighbours.png", "gan_interpolations.png"),
    *("gan_answer.png", "generated-film.gif", "gan_ways.gif"),
}
FD, KID = "test/fd_lite0_n1500", "test/kid_lite0_n1500"
RECALL = "test/recall_lite0_n1500"
FD_TITLE = "Fréchet distance to held-out pictures (lite0, N = 1500) ↓"
KID_TITLE = "KID to held-out pictures (lite0, N = 1500) ↓"
FLOOR = "the same between real pictures (floor)"


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "runs")


def seeds(records, name, values, key="g", **more):
    for seed, value in enumerate(values):
        records.gan(seed=seed, key=key, scores={name: value}, **more)


def both(records, name, ours, baselines):
    """Trainings of a palette with r3 and of the baseline, a value of the score each."""
    seeds(records, name, ours)
    seeds(records, name, baselines, key="b", config=BASELINE)


def report(records, out, data=""):
    write_report(str(records.folder), str(out), data)
    return (out / "summary.md").read_text(), (out / "summary.html").read_text()


# which runs


def test_the_best_stands_first_and_the_baseline_beside_it(records):
    both(records, KID, [0.02, 0.03], [0.05, 0.06])
    records.gan(key="l", config={"arch": "dcgan", "loss": "lsgan"}, scores={KID: 0.001})
    part = records.part()
    titles = [group.title for group in part.groups]
    # two seeds come before one
    assert titles == ["palette, r3", "dcgan, bce (baseline)", "dcgan, lsgan"]
    assert part.split == "test"


def test_the_smaller_kid_is_the_better_and_may_be_the_baselines(records):
    both(records, KID, [0.05, 0.06], [0.02, 0.03])
    assert [e.title for e in records.part().groups] == ["dcgan, bce (baseline)", "palette, r3"]


def test_the_baseline_is_kept_where_more_than_three_pairs_are_better(records):
    for i, loss in enumerate(["r3", "hinge", "lsgan"]):
        records.gan(key=loss, config={"loss": loss}, scores={KID: 0.01 * (i + 1)})
    records.gan(key="b", config=BASELINE, scores={KID: 0.5})
    part = records.part()
    titles = [group.title for group in part.groups]
    assert titles == ["palette, r3", "palette, hinge", "dcgan, bce (baseline)"]
    assert part.left_out == ["1 run of the palette with lsgan"]


def test_tested_runs_come_before_better_untested_ones(records):
    records.gan(key="tested", scores={"val/kid_lite0_n500": 0.5})
    for seed in range(3):
        records.gan(seed=seed, key="untested", tested=False, scores={"val/kid_lite0_n500": 0.1})
    (group,) = records.part().groups
    assert group.about["key"] == "tested"
    assert records.part().left_out == ["3 runs of the palette with r3 under other settings"]


def test_untested_groups_are_ranked_by_validation_kid(records):
    for key, kid in (("worse", 0.2), ("better", 0.1)):
        records.gan(key=key, tested=False, scores={"val/kid_lite0_n500": kid})
    (group,) = records.part().groups
    assert group.about["key"] == "better"
    assert records.part().split == "val"


def test_an_untested_run_is_not_pooled_with_tested_ones(records):
    records.gan(seed=0)
    records.gan(seed=1, tested=False)
    (group,) = records.part().groups
    assert [run.config["seed"] for run in group.runs] == [0]


def test_a_seed_counts_once_the_later_run(records):
    records.gan(seed=0, **FAILURE)
    records.gan(seed=0, scores={KID: 0.5})
    (group,) = records.part().groups
    assert (len(group.runs), len(group.failed)) == (1, 0)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"config": {"data": "abstract-art"}}, "1 run on abstract-art"),
        ({"config": {"image_size": 128}}, "1 run on synthetic-art with image_size=128"),
        ({"config": {"held_out": 100}}, "1 run on synthetic-art with held_out=100"),
        ({"data_hash": "f" * 60}, "1 run on synthetic-art with data_hash=ffffffffffff"),
    ],
)
def test_other_data_share_no_table_and_are_named(records, more, text):
    records.gan(seed=0)
    records.gan(seed=1)
    records.gan(seed=2, scores={KID: 0.0001}, **more)
    part = records.part()
    assert part.left_out == [text]
    assert len(part.groups[0].runs) == 2


def test_only_runs_that_ended_by_themselves_count(records):
    records.gan(seed=0, status="failed", error="KeyboardInterrupt", stability={"diverged": False})
    assert not records.pages()
    records.gan(seed=1, status="pruned")
    assert not records.pages()
    records.gan(seed=2, **FAILURE)
    assert len(records.part().groups[0].failed) == 1


# the tables


def test_scores_stand_above_their_floors_as_mean_and_deviation(records):
    both(records, FD, [100.0, 110.0, 120.0], [300.0])
    rows = records.content("Scores").table
    assert rows[0] == ["", "palette, r3", "dcgan, bce (baseline)"]
    titles = [row[0] for row in rows]
    at = titles.index(FD_TITLE)
    assert rows[at][1:] == ["110.0 ± 10.0", "300.0"]
    assert rows[at + 1] == [FLOOR, "50.0 ± 0.0", "50.0"]
    assert rows[titles.index(KID_TITLE)][1:] == ["0.0200 ± 0.0000", "0.0200"]
    table = {row[0]: row[1] for row in rows}
    assert table["Training seeds"] == "3"
    assert table["KL of the colour histograms, best epoch (nats a pixel) ↓"] == "0.200 ± 0.000"
    stable = {row: cells[0] for row, cells in records.rows("Stability").items()}
    jensen = "Jensen-Shannon divergence, lower bound, last epoch (nats, at most 0.69)"
    assert stable[jensen] == "0.160 ± 0.000"
    assert stable["D's ROC AUC on training / held-out pictures, last epoch"] == "1.05 ± 0.00"
    assert table["Steps trained"] == "120 ± 0"
    assert table["Parameters"] == "4,321"


def test_of_a_normalised_discriminator_lines_and_dots_are_explained(records):
    records.gan(config={"arch": "palette"})
    (figure,) = records.content("Real and fake scores").figures
    assert "batch normalisation" not in figure.caption
    records.gan(config={"arch": "dcgan", "loss": "bce"}, key="d")
    (figure,) = records.content("Real and fake scores").figures
    assert "Where it has batch normalisation, it sees real and generated" in figure.caption


def test_unlike_n_and_extractors_share_no_row(records):
    both(records, FD, [100.0], [300.0])
    other = {KID.replace("1500", "700"): 0.5, KID.replace("lite0", "inception"): 0.7}
    records.gan(key="h", config={"loss": "hinge"}, scores=other)
    rows = records.content("Scores").table
    found = {row[0]: row[1:] for row in rows if row[0].startswith("KID to held-out")}
    assert found["KID to held-out pictures (lite0, N = 700) ↓"].count("—") == 2
    assert found["KID to held-out pictures (inception, N = 1500) ↓"].count("—") == 2
    assert found[KID_TITLE] == ["0.0200"] * 3
    for title in (row[0] for row in rows):
        assert len(re.findall("N = ", title)) <= 1


def test_configurations_are_not_ranked_by_scores_of_unlike_n(records):
    for seed in range(2):
        records.gan(seed=seed, key="a")
    record = records.gan(key="b", config={"loss": "hinge"}, scores={KID: 1e-9}) / "summary.json"
    record.write_text(record.read_text().replace("n1500", "n700"))
    records.gan(seed=1, key="b", config={"loss": "hinge"}, scores={KID: 0.5})
    assert records.part().groups[0].title == "palette, r3"


def test_without_a_test_the_validation_scores_are_shown(records):
    records.gan(tested=False)
    titles = [row[0] for row in records.content("Scores").table]
    assert "KID to validation pictures (lite0, N = 500) ↓" in titles
    assert not any("held-out pictures (lite0" in title for title in titles)


@pytest.mark.parametrize(
    ("crops", "sources"), [(0, None), (750, None), (0, {"train": 17, "val": 2, "test": 2})]
)
def test_of_crops_of_few_sources_the_training_pictures_are_the_reference(records, crops, sources):
    cut = {"data": "propaganda-debian", "crops": crops}  # 0: 200 of each tile, which are 7 then
    path = records.gan(config=cut, scores={"train/kid_lite0_n1000": 0.04})
    if sources:
        about = json.loads((path / "config.json").read_text()) | {"sources": sources}
        write_json(path / "config.json", about)
    part = records.part()
    assert part.split == "train"
    assert (
        records.content("Scores").table[2][0]
        == "Fréchet distance to training pictures (lite0, N = 1000) ↓"
    )
    assert any(
        re.search("of propaganda-debian [27] pictures are held out", note)
        for note in records.content("Scores").notes
    )
    (said,) = records.said("By KID")
    assert said.endswith("farther from training pictures than other real ones are: 0.0400 against "
                         "0.0015 (a single seed: not proven).")  # fmt: skip


def test_few_held_out_pictures_are_pointed_out(records):
    records.gan(scores={"train/kid_lite0_n300": 0.1})
    few = "Held-out scores compare"
    assert not any(few in note for note in records.content("Scores").notes)
    records.gan(seed=1, scores={"test/fd_lite0_n100": 1.0})
    assert any(f"{few} 100 pictures a side" in note for note in records.content("Scores").notes)


def test_what_went_wrong_is_counted_and_left_out_of_means(records):
    records.gan(seed=0, stability={"oscillation_d": 0.2, "spread": 0.5})
    records.gan(seed=1, stability={"oscillation_d": 0.4, "collapsed": True, "spread": 0.1})
    records.gan(seed=2, stability={"oscillation_d": 99.0}, **FAILURE)
    table = records.rows("Stability")
    assert table["Oscillation of the discriminator's loss"] == ["0.300 ± 0.141"]
    assert table["Spread of the samples (1: the real pictures')"] == ["0.30 ± 0.28"]
    assert table["Trainings that collapsed"] == ["1 of 3"]
    assert table["Trainings that diverged"] == ["1 of 3"]


def test_hyper_parameters_that_differ_come_first(records):
    both(records, KID, [0.02], [0.05])
    rows = records.content("Hyper-parameters").table
    differ = [row[1] != row[2] for row in rows[1:]]
    assert differ == sorted(differ, reverse=True)
    assert ["arch", "palette", "dcgan"] in rows[1 : 1 + sum(differ)]
    assert ["loss", "r3", "bce"] in rows[1 : 1 + sum(differ)]
    assert ["diffaugment", "none", "none"] in rows


# the conclusion


def test_the_nearer_configuration_is_said_with_its_factor(records):
    both(records, FD, [100.0, 101.0, 102.0], [300.0, 301.0, 302.0])
    (said,) = records.said("nearer", "Fréchet")
    assert said == (
        "The palette with r3 comes nearer to the held-out pictures by Fréchet distance (lite0, "
        "N = 1500) than the baseline (dcgan with bce): 101.0 ± 1.0 against 301.0 ± 1.0, "
        "a factor of 3.0 (p < 0.001, Welch's test, 3 and 3 seeds)."
    )


def test_other_distances_turn_the_sentence_round(records):
    both(records, KID, [0.08, 0.081], [0.02, 0.021])
    (said,) = records.said("nearer", "KID")
    assert said.startswith("The baseline (dcgan with bce) comes nearer")
    assert said.endswith(
        "palette with r3: 0.0205 ± 0.0007 against 0.0805 ± 0.0007, a factor of 3.9 "
        "(p = 0.0072, Welch's test, 2 and 2 seeds)."
    )


def test_distances_within_the_spread_are_no_difference(records):
    both(records, FD, [100.0, 150.0], [110.0, 160.0])
    (said,) = records.said("No difference in Fréchet distance")
    assert said.endswith(
        "could be shown between the palette with r3 and the baseline (dcgan with bce): "
        "125.0 ± 35.4 against 135.0 ± 35.4 (p = 0.8, Welch's test, 2 and 2 seeds; a factor of 4.80 "
        "would have shown in 80 % of cases)."
    )


def test_a_lone_seed_proves_nothing(records):
    both(records, FD, [100.0], [300.0])
    (said,) = records.said("By Fréchet distance", "has 100.0")
    assert said.endswith(
        "the palette with r3 has 100.0 and the baseline (dcgan with bce) 300.0: without several "
        "seeds of both nobody knows which is better."
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            [100.0, 102.0],
            "are farther from held-out pictures than other real ones are: "
            "101.0 [88.3, 113.7] against 50.0, 2.0 times the floor (95 % interval over 2 seeds).",
        ),
        (
            [49.0, 52.0],
            "are not shown to be farther from held-out pictures than other real ones are: "
            "50.5 [31.4, 69.6] against 50.0.",
        ),
        ([100.0], "100.0 against 50.0, 2.0 times the floor (a single seed: not proven)."),
    ],
)
def test_the_distance_to_the_floor_is_said(records, values, text):
    seeds(records, FD, values)
    (said,) = records.said("By Fréchet")
    assert said.endswith(text)


def test_kid_is_not_divided_by_a_floor_of_chance(records):
    seeds(records, "test/kid_lite0_n1500", [0.25, 0.27])
    (said,) = records.said("By KID")
    assert said.endswith("other real ones are: 0.2600 [0.1329, 0.3871] against 0.0010 "
                         "(95 % interval over 2 seeds).")  # fmt: skip


def test_steadier_losses_are_said_with_a_warning_of_their_scales(records):
    for seed in range(2):
        records.gan(seed=seed, stability={"oscillation_d": 0.1 + seed / 100})
        records.gan(seed=seed, key="b", config=BASELINE, stability={"oscillation_d": 0.4})
    (said,) = records.said("steadier discriminator loss than the baseline")
    assert "0.105 ± 0.007 against 0.400 ± 0.000, a factor of 3.8 (p = 0.023, " in said
    assert records.said("No difference in the steadiness of the generator loss could be shown")
    assert records.said("Their losses, r3 and bce, have unlike scales")


@pytest.mark.parametrize(
    ("collapsed", "failed", "text"),
    [
        (False, False, "Of 2 trainings of the palette with r3, none ended collapsed or diverged."),
        (True, False, "Of 2 trainings of the palette with r3, 1 ended collapsed."),
        (False, True, "Of 2 trainings of the palette with r3, 1 diverged."),
        (True, True, "Of 2 trainings of the palette with r3, 1 ended collapsed and 1 diverged."),
    ],
)
def test_collapses_and_divergences_are_counted(records, collapsed, failed, text):
    records.gan(seed=0, stability={"collapsed": collapsed})
    records.gan(seed=1, **(FAILURE if failed else {}))
    assert records.said(text)


@pytest.mark.parametrize(
    ("epochs", "text"),
    [
        (0.0, "The discriminator of the palette with r3 was never saturated."),
        (2.5, "was saturated in 1 of 2 trainings, for up to 2.5 epochs on end"),
        (0.03, "was saturated in 1 of 2 trainings, for up to 11 steps on end"),  # of 375
    ],
)
def test_saturation_is_said(records, epochs, text):
    records.gan(seed=0, stability={"saturated_epochs": epochs})
    records.gan(seed=1)
    assert records.said(text)


def test_a_discriminator_that_knows_all_tells_nothing_of_memory(records):
    for seed in range(2):
        path = records.gan(seed=seed) / "metrics.jsonl"
        path.write_text(path.read_text().replace('"accuracy": 0.8', '"accuracy": 0.998'))
    (said,) = records.said("memorises training pictures cannot be told")
    assert said.endswith("beside held-out ones too (ROC AUC 1.00 ± 0.00).")


@pytest.mark.parametrize(
    ("ratios", "text"),
    [
        ([1.02, 1.04], "does not memorise training pictures: its ROC AUC on them is 1.03 ± 0.01"),
        ([1.3, 1.32], "memorises training pictures: its ROC AUC on them is 1.31 ± 0.01 times"),
        ([1.0, 1.6], "memorises training pictures is not shown by 2 seeds: its ROC AUC on them"),
    ],
)
def test_a_discriminator_that_memorises_is_named(records, ratios, text):
    for seed, ratio in enumerate(ratios):
        path = records.gan(seed=seed) / "metrics.jsonl"
        path.write_text(path.read_text().replace("1.05", str(ratio)))
    assert records.said(text)


@pytest.mark.parametrize(
    ("kids", "text"),
    [
        ([[8, 8, 6, 6, 3, 3]] * 2, "fell by 50%: longer training may help."),
        ([[8, 8, 6, 6, 6, 6]] * 2, "rose by 0%: longer training alone promises little."),
        ([[8, 8, 4, 4, 6, 6]] * 2, "rose by 50%: longer training alone promises little."),
        ([[8, 8, 6, 6, 3, 3], [8, 8, 6, 6, 6, 6]], "fell by 25% on average, in 1 of 2 trainings"),
    ],
)
def test_a_kid_that_still_falls_asks_for_longer_training(records, kids, text):
    for seed, one in enumerate(kids):
        records.gan(seed=seed, kids=one)
    assert records.said("In the last third of its training the validation KID of the", text)


def test_two_scores_do_not_tell_whether_longer_training_helps(records):
    records.gan(kids=[3, 2])
    assert not records.said("last third")


def test_events_are_told_with_seed_and_epoch(records):
    records.gan(seed=0, events={"the samples have collapsed": 5})
    records.gan(seed=3, events={"the samples have collapsed": 7})
    records.gan(seed=4, **FAILURE)
    (said,) = records.said("Noticed")
    assert said == (
        "Noticed while the palette with r3 trained: the training has diverged (seed 4: epoch 6.0, "
        "train/loss_d is nan at step 50)."
    )


def test_a_collapse_that_passed_is_told_with_the_endings_and_against_the_winner(records):
    for seed in range(3):
        records.gan(seed=seed, events={"the samples have collapsed": 5} if seed else {})
    (said,) = records.said("none ended collapsed")
    assert said.endswith(
        "none ended collapsed or diverged, though 2 had collapsed for a while (seed 1 from epoch "
        "5, seed 2 from epoch 5)."
    )
    assert not records.said("Noticed")
    against = make_report(records.pages()).answers[0].said[1]
    assert against == ("Against the GAN (palette, r3): 2 of 3 trainings had collapsed for a while.")


def test_nothing_is_noticed_where_nothing_happened(records):
    records.gan()
    assert not records.said("Noticed")


# the pages and the figures


def test_a_page_of_gans_alone_has_every_figure_and_no_parts(records, tmp_path):
    both(records, KID, [0.02, 0.03], [0.05, 0.06])
    records.gan(seed=2, **FAILURE)
    text, html = report(records, tmp_path / "out")
    drawn = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert drawn == FIGURES | {"gan_answer-2.png"}
    assert set(re.findall(r"\]\(figures/(.*?)\)", text)) == drawn
    assert html.count("<img ") + html.count('class="chart"') == len(drawn)
    assert not re.findall(r'(?:src|href)="(?!data:image/(?:png|gif);base64,|#)', html)
    assert text.startswith("# GAN on synthetic-art\n\n## The answer\n\n**")
    assert "## Stability" in text
    assert "samples after epoch 6." in text
    assert "Runs in the folder: 1 failed, 4 finished." in text


def test_both_parts_have_their_own_headings_and_anchors(records, tmp_path):
    records.run("ae")
    records.run("vae")
    records.gan()
    text, html = report(records, tmp_path / "out")
    assert text.startswith("# AE, VAE and GAN on mnist-mini and synthetic-art\n")
    body, sure = text.split("## How sure is that?")
    first, second = body.split("## Part 2: GAN on synthetic-art")
    assert "## Part 1: AE or VAE on mnist-mini?" in first
    assert "Runs in the folder: 2 finished." in sure.split("### GAN on synthetic-art")[0]
    assert "Runs in the folder: 1 finished." in sure.split("### GAN on synthetic-art")[1]
    assert "### Scores on the test split" in first
    assert "### Stability" in second
    assert "palette" not in first.split("## Part 1")[1]
    ids = re.findall(r' id="(.*?)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r' href="#(.*?)"', html)) <= set(ids)
    assert "part-2" in ids


@pytest.mark.parametrize(
    ("data", "title"),
    [
        ("synthetic-art", "# GAN on synthetic-art\n"),
        ("mnist-mini", "# AE and GAN on mnist-mini\n"),
        ("fashion-mnist", "# AE on fashion-mnist\n"),
    ],
)
def test_a_data_set_given_picks_the_parts(records, tmp_path, data, title):
    records.run("ae")
    records.run("ae", config={"data": "fashion-mnist"})
    for one in ("synthetic-art", "mnist-mini"):
        records.gan(config={"data": one})
    text, _ = report(records, tmp_path / "out", data)
    assert text.startswith(title)
    with pytest.raises(UserError, match="no finished run on mnist to report on"):
        report(records, tmp_path / "out", "mnist")


def test_trainings_that_all_diverged_are_a_report_too(records, tmp_path):
    records.gan(seed=0, **FAILURE)
    records.gan(seed=1, **FAILURE)
    text, _ = report(records, tmp_path / "out")
    assert "Of 2 trainings of the palette with r3, 2 diverged." in text
    assert "| Trainings that diverged | 2 of 2 |" in text
    drawn = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert {"losses_disc_gene.png", "generated-images-0005.png"} <= drawn
    assert "generated_against_original.png" not in drawn


def test_a_baseline_that_always_diverged_keeps_its_column(records):
    records.gan()
    records.gan(key="b", config=BASELINE, **FAILURE)
    part = records.part()
    assert part.split == "test"
    assert [len(group.runs) for group in part.groups] == [1, 0]
    table = records.rows("Scores", "Stability")
    assert table[KID_TITLE] == ["0.0200", "—"]
    assert table["Trainings that diverged"] == ["0 of 1", "1 of 1"]


def test_grey_pictures_are_drawn_too(records, tmp_path):
    records.gan(grey=True, config={"data": "mnist-mini"})
    report(records, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} == FIGURES


def test_a_run_that_kept_no_pictures_is_reported_without_them(records, tmp_path):
    path = records.gan()
    (path / "pictures.npz").unlink()
    for picture in (path / "samples").iterdir():
        picture.unlink()
    text, _ = report(records, tmp_path / "out")
    assert "losses_disc_gene.png" in text
    assert "Generated pictures" not in text


def pixels(path):
    """A drawn sheet, (H, W[, 3])."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_the_strip_shows_the_same_tiles_epoch_by_epoch(records, tmp_path):
    records.gan()
    report(records, tmp_path / "out")
    sheet = pixels(tmp_path / "out" / "figures" / "generated-strip.png")
    scale = 4  # 6 columns of 18 pixels, enlarged towards 560 x 640
    assert sheet.shape == (8 * 18 * scale, 6 * 18 * scale, 3)
    small = sheet[scale // 2 :: scale, scale // 2 :: scale]
    np.testing.assert_array_equal(small.repeat(scale, 0).repeat(scale, 1), sheet)
    for k in range(8):
        for column, epoch in enumerate(range(1, 7)):
            y, x = 18 * k + 1, 18 * column + 1
            np.testing.assert_array_equal(small[y : y + 16, x : x + 16], tile(epoch, k))


def test_the_generated_pictures_are_the_runs_own_pixel_for_pixel(records, tmp_path):
    run = records.gan()
    report(records, tmp_path / "out")
    mine = np.asarray(Image.open(run / "samples" / "epoch-0006.png"))
    drawn = pixels(tmp_path / "out" / "figures" / "generated-images-0006.png")
    np.testing.assert_array_equal(drawn, mine.repeat(4, 0).repeat(4, 1))


def test_originals_stand_left_of_samples(records):
    both(records, KID, [0.02], [0.05])
    run = next(path for path in sorted(records.folder.iterdir()))
    (figure,) = records.content("Generated against original").figures
    assert figure.columns == ("original", "palette, r3", "dcgan, bce (baseline)")
    drawn = figure.draw()
    assert drawn.shape[1] == 3 * 144 + 2 * 24
    with np.load(run / "pictures.npz") as pictures:
        originals, samples = pictures["originals"], pictures["samples"]
    np.testing.assert_array_equal(first_tiles(drawn[:, :144], 64), originals)
    np.testing.assert_array_equal(first_tiles(drawn[:, 168:312], 64), samples)


def test_epochs_are_spread_evenly_with_both_ends():
    assert evenly(list(range(1, 26)), 10) == [1, 4, 6, 9, 12, 14, 17, 20, 22, 25]
    assert evenly([2, 4], 10) == [2, 4]
    assert evenly([3], 10) == [3]


def test_the_command_line_writes_it(records, script, tmp_path):
    records.gan()
    done = script("genbench", "report", f"--runs_dir={records.folder}", "--out=out")
    assert done.returncode == 0, done.stderr
    assert "# GAN on synthetic-art" in (tmp_path / "out" / "summary.md").read_text()


def test_a_search_is_drawn_and_told_with_its_front(records, tmp_path):
    seeds(records, KID, [0.1, 0.2])
    base = {"base": vars(GANConfig()), "data": "synthetic-art"}
    kid = {"objectives": ["val/kid_lite0_n500"], "directions": ["minimize"]}
    single = records.study("gan", [0.4, 0.3, None, 0.2, 0.5, 0.35], **base, **kid)
    two = [trial | {"values": [t, 60.0 - 10 * i]} for i, trial in enumerate(single["trials"])
           if (t := (trial["values"] or [None])[0])]  # fmt: skip
    both = {"objectives": ["val/kid_lite0_n500", "seconds"], "directions": ["minimize"] * 2}
    other = single | base | both | {"trials": two, "name": "gan-pareto"}
    write_json(records.folder / "studies" / "gan-pareto.json", other)
    text, _ = report(records, tmp_path / "out")
    figures = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert figures >= FIGURES
    assert {f"gan_search_{name}.png" for name in ("history", "slices", "parallel")} <= figures
    assert "gan_pareto_front.png" in figures
    assert "GAN: val/kid_lite0_n500 against seconds; red: no trial is better in both." in text
    (said,) = records.said("The GAN's search ran 6 trials (5 complete, 1 fail)")
    assert "the best val/kid_lite0_n500 was 0.2000, 0.2000 better than the defaults" in said


def gained(records, best, usual):
    """What is said of a search whose winner and defaults have these KIDs over new seeds."""
    seeds(records, KID, best, key="best")
    seeds(records, KID, usual, key="usual")
    base = {"base": vars(GANConfig()), "data": "synthetic-art", "name": "gan-study"}
    kid = {"objectives": ["val/kid_lite0_n500"], "directions": ["minimize"]}
    records.study("gan", [0.4, 0.3], **base, **kid, final_key="best", defaults_key="usual")
    (said,) = records.said("On new seeds the search's winner has KID")
    return said


def test_what_a_search_gained_on_new_seeds_is_told_with_its_interval(records):
    best, usual = [0.10, 0.12, 0.11], [0.20, 0.22, 0.21]
    test = stats.ttest_ind(np.log(best), np.log(usual), equal_var=False)
    ends = 0.21 * np.expm1(test.confidence_interval())
    assert gained(records, best, usual).endswith(
        f"KID 0.1100 ± 0.0100, the defaults 0.2100 ± 0.0100: -0.1000 [{ends[0]:.4f}, {ends[1]:.4f}]"
        f", a gain (p = {test.pvalue:.2g}, Welch's test, 3 and 3 seeds)."
    )


def test_a_search_that_made_things_worse_is_told(records):
    """Its winner and the defaults are of one variant, of which only the better one is shown."""
    said = gained(records, [0.20, 0.22, 0.21], [0.10, 0.12, 0.11])
    assert "KID 0.2100 ± 0.0100, the defaults 0.1100 ± 0.0100: +0.1000 [" in said
    assert ", a loss (p = " in said


def test_what_is_shown_of_a_variant_is_chosen_by_validation(records):
    """The better test score of the two may be the luck of the draw."""
    val = "val/kid_lite0_n500"
    for seed in range(2):
        records.gan(seed=seed, key="chosen", scores={val: 0.02, KID: 0.06 + seed / 100})
        records.gan(seed=seed, key="lucky", scores={val: 0.03, KID: 0.04 + seed / 100})
    (shown,) = records.part().groups
    assert shown.about["key"] == "chosen"


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [(RECALL, [0.0, 1.0], [0.1, 0.9]), (KID, [0.02, 0.07], [0.03, 0.09])],
)
def test_impossible_differences_are_not_said_to_be_visible(records, name, ours, theirs):
    both(records, name, ours, theirs)
    assert records.said("No difference in", "; these seeds are too few to show one).")
    assert not records.said("would have shown")


def test_a_gain_that_chance_explains_is_none(records):
    said = gained(records, [0.10, 0.22, 0.11], [0.20, 0.12, 0.14])
    assert "no difference that could be shown (p = 0.73, Welch's test" in said


def test_a_report_for_others_has_no_real_pictures(records, tmp_path):
    seeds(records, KID, [0.1, 0.2])
    records.run("vae")
    write_report(str(records.folder), str(tmp_path / "all"))
    write_report(str(records.folder), str(tmp_path / "ours"), originals=False)
    everything, ours = (
        {path.stem for path in (tmp_path / name / "figures").iterdir()} for name in ("all", "ours")
    )
    with pytest.raises(UserError, match="is of an earlier report and may show real pictures"):
        write_report(str(records.folder), str(tmp_path / "all"), originals=False)
    real = {"generated_against_original", "nearest_neighbours", "reconstructions"}
    real |= {"vae_interpolations", "vae_ways"}
    assert everything - ours == real & everything
    assert real <= everything


def test_several_data_sets_stand_in_one_report_and_some_show_no_real_picture(records, tmp_path):
    for data in ("synthetic-art", "folder"):
        for seed in (1, 2):
            records.gan(seed, key=data, data_hash=data * 4, config={"data": data})
    pages = records.pages("folder,synthetic-art")
    assert [part.data for part, _ in pages] == ["folder", "synthetic-art"]
    page = write_report(
        str(records.folder), str(tmp_path / "r"), "folder,synthetic-art", private="folder"
    )
    text = page.with_suffix(".md").read_text()
    of_folder, of_painted = text[text.index("GAN on folder") :].split("GAN on synthetic-art", 1)
    assert "against_original" not in of_folder
    assert "against_original" in of_painted
    with pytest.raises(UserError, match="may show real pictures"):
        write_report(str(records.folder), str(tmp_path / "r"), private="folder")


def test_a_private_data_set_may_be_named_by_its_folder_and_a_typo_shows_nothing(records, tmp_path):
    for seed in (1, 2):
        records.gan(seed, config={"data": "folder", "data_dir": "/pictures/paintings"})
    with pytest.raises(UserError, match="private='paintigns': nothing of it to report on; there "):
        write_report(str(records.folder), str(tmp_path / "r"), private="paintigns")
    assert not (tmp_path / "r").exists()
    page = write_report(str(records.folder), str(tmp_path / "r"), private="paintings")
    assert "against_original" not in page.with_suffix(".md").read_text()


def test_a_search_on_other_pictures_is_not_this_parts(records):
    seeds(records, KID, [0.1, 0.2])
    base = {"base": vars(GANConfig(image_size=32)), "data": "synthetic-art"}
    records.study("gan", [0.4, 0.3], **base, objectives=["val/kid_lite0_n500"])
    assert not records.part().studies


def test_the_first_of_each_row_is_of_each_class():
    pictures = np.arange(24, dtype=np.uint8)[:, None, None] + np.zeros((1, 4, 4), np.uint8)
    grid = tiled(pictures, 8)
    assert [int(p[0, 0]) for p in first_tiles(grid, 8, a_row=True)] == [0, 8, 16]
    assert [int(p[0, 0]) for p in first_tiles(grid, 2, a_row=True)] == [0, 8]
    assert [int(p[0, 0]) for p in first_tiles(grid, 9)] == list(range(9))


def test_minutes_are_those_of_who_was_ended_by_them(records):
    for epochs, expected in ((1000, (2.0, 2.0 / len(KIDS))), (len(KIDS), None)):
        path = records.gan(key=f"k{epochs}", config={"minutes": 2.0, "epochs": epochs})
        (group,) = make_groups([read_run(path)], [])
        assert minutes_of(group) == expected


def test_equal_scores_of_a_contest_are_no_defeat(records):
    sides = {"dcgan": "d", "dcgan + ema": "e"}
    for key, kid in (("d", 0.3), ("e", 0.2)):
        records.gan(key=key, config={"test": True}, scores={KID: kid, RECALL: 0.0, FD: 100 + kid})
    rungs = {name: {"key": key, "untrained": {}} for name, key in sides.items()}
    contest = {"minutes": 1.0, "sides": rungs}
    found = sides_of(contest, read_runs(records.folder))
    told = list(said(Claims(), contest, found))
    assert "dcgan + ema comes nearest" in told[0]
    assert not any("recall" in text.lower() for text in told[1:])


def test_whom_a_short_training_took_away_from_the_pictures_is_told(records):
    for key, kid in (("d", 0.8), ("e", 0.2)):
        for seed in range(2):
            records.gan(seed, key=key, config={"test": True}, scores={KID: kid + seed / 100})
    sides = {"dcgan": "d", "default": "e"}
    rungs = {name: {"key": key, "untrained": {KID: 0.5}} for name, key in sides.items()}
    contest = {"minutes": 2.0, "sides": rungs}
    told = list(said(Claims(), contest, sides_of(contest, read_runs(records.folder))))
    assert told[2] == (
        "By KID, dcgan (0.8050 ± 0.0071 against 0.5000) is farther from the held-out "
        "pictures than before the first step: so short a training says little of them."
    )


@pytest.mark.parametrize(
    ("precision", "recall", "against"),
    [
        (
            0.9,
            0.2,
            "Against it: b has the better Precision (0.905 ± 0.007 against 0.505 ± 0.007, p",
        ),
        (0.9, 0.0, None),  # noise may have it
        (0.51, 0.2, None),  # not shown
    ],
)
def test_what_speaks_against_the_first_of_a_contest_is_shown(records, precision, recall, against):
    names = KID, "test/precision_lite0_n1500", "test/recall_lite0_n1500"
    for key, values in {"a": (0.1, 0.5, 0.4), "b": (0.3, precision, recall)}.items():
        for seed in range(2):
            scores = dict(zip(names, values, strict=True))
            scores[names[1]] += seed / 100
            records.gan(seed, key=key, config={"test": True}, scores=scores)
    contest = {"minutes": 1.0, "sides": {key: {"key": key, "untrained": {}} for key in "ab"}}
    told = list(said(Claims(), contest, sides_of(contest, read_runs(records.folder))))
    found = [sentence for sentence in told if sentence.startswith("Against it")]
    assert len(found) == bool(against)
    assert all(sentence.startswith(against) for sentence in found)


def test_the_first_of_a_contest_is_held_against_all_others(records):
    """The next one is surely worse; a noisy one behind it may be better."""
    kids = {"a": (0.10, 0.11, 0.12), "b": (0.30, 0.31, 0.32), "c": (0.05, 0.30, 0.90)}
    for key, three in kids.items():
        for seed, kid in enumerate(three):
            records.gan(seed, key=key, config={"test": True}, scores={KID: kid})
    contest = {"minutes": 1.0, "sides": {key: {"key": key, "untrained": {}} for key in kids}}
    found, claims = sides_of(contest, read_runs(records.folder)), Claims()
    for _ in range(2):
        won, *_ = said(claims, contest, found)
        claims.judge()
    assert "a comes nearest" in won
    assert "next b with 0.3100 ± 0.0100" in won
    assert won.endswith("; not shown against the c).")
