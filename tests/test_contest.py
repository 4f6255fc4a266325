import dataclasses
import itertools
import json
import math
import statistics

import contest as module
import pytest
from contest import CHOICES, SIDES, ContestConfig, Unequal, calibrate, configure, contest
from scipy.stats import t

from genbench import UserError
from genbench.data import load_data
from genbench.families.gan import DCGAN, GANConfig
from genbench.handlers import Diverged
from genbench.record import Run, read_contests, read_runs
from genbench.report import make_pages, write_report
from genbench.report.leaderboard import write_leaderboard
from genbench.report.sections.contest import contest_table, said, side_names, sides_of
from genbench.stats import Claims

KIDS = {(16, 2e-4): 0.7, (16, 1e-3): 0.5, (64, 2e-4): 0.6, (64, 1e-3): 0.8}  # of batch, lr
DEFAULT = "default (+ generator: palette)"
LADDER = [side.name for side in SIDES if side.name not in (DEFAULT, "flow", "vae")][:-1]


def lost(config):
    return config.model == "gan" and config.arch == "dcgan" and config.seed == 3


@pytest.fixture
def trained(monkeypatch):
    """The configurations that were trained, in order; a training writes scores made of its seed."""
    configs = []

    def train(config, resume, title):
        configs.append(config)
        ours = config.model == "gan" and config.arch == "palette"
        about = {"objective": "val/kid_lite0_n500", "direction": "minimize", "data_hash": "d"}
        about |= {
            "images": {"train": 9, "val": 9},
            "parameters": 1,
            "hardware": "cpu",
            "threads": 2,
        }
        with Run(config.runs_dir, "toy", "disabled") as run:
            fields = dataclasses.asdict(config)
            run.begin(fields, model=config.model, key=config.key, **about)
            run.summary["stability"] = {
                "saturated_epochs": 0.0 if ours else 2.0,
                "collapsed": not ours and config.seed == 2,
                "diverged": lost(config),
            }
            if lost(config):
                raise Diverged("train/loss_d is nan")
            batch_lr = (config.batch_size, config.lr)
            scores = {"val/kid_lite0_n500": 0.3 if ours else KIDS.get(batch_lr, 0.9)}
            if config.test:
                fd = 100.0 + config.seed if ours else 200.0 + 10 * config.seed
                scores |= {"test/fd_lite0_n1500": fd, "test/floor_fd_lite0_n1500": 75.0}
                scores |= {"test/kid_lite0_n1500": fd / 1000, "test/elbo": 1.0}
            run.summary["scores"] = scores
        return scores

    def calibrate(configs, data, record, known=None):
        record["milliseconds"] |= dict.fromkeys(configs, 60.0)

    monkeypatch.setattr("genbench.train.train", train)
    monkeypatch.setattr(module, "calibrate", calibrate)
    monkeypatch.setattr(module, "sample_scores", lambda model: {"test/kid_lite0_n1500": 0.4})
    return configs


def options(tmp_path, **fields):
    """64 painted pictures, 500 steps of which are half a minute."""
    small = {"image_size": 16, "images": 64, "held_out": 50, "minutes": 0.5}
    return ContestConfig(runs_dir=str(tmp_path / "runs"), wandb="disabled", **small | fields)


def test_the_dcgan_gets_the_settings_with_the_least_kid_at_seed_0(trained, tmp_path):
    record = contest(options(tmp_path, seeds=1))
    assert record["choice"] == "width 32, batch 16, lr 0.001"
    trials = trained[:4]
    assert {(c.batch_size, c.lr) for c in trials} == set(KIDS)
    assert {(c.arch, c.seed, c.test) for c in trials} == {("dcgan", 0, False)}


def test_settings_that_are_known_are_not_chosen_again(trained, tmp_path):
    known = "width 32, batch 64, lr 0.0002"
    record = contest(options(tmp_path, seeds=1, sides="dcgan", choice=known))
    assert record["choice"] == known
    assert [(c.seed, c.batch_size, c.lr) for c in trained] == [(1, 64, 2e-4)]


def test_each_step_of_the_ladder_changes_what_it_says(trained, tmp_path):
    o = options(tmp_path)
    by_name = {side.name: side for side in SIDES}
    choice, chosen = list(CHOICES.items())[-1]
    configs = {name: dataclasses.asdict(configure(by_name[name], o, choice)) for name in by_name}
    published = {k: v for k, v in DCGAN.items() if k not in chosen}
    assert {k: configs["dcgan"][k] for k in published} == published
    assert {k: configs["dcgan"][k] for k in chosen} == chosen
    for before, name in itertools.pairwise(LADDER):
        differ = {k for k, v in configs[name].items() if v != configs[before][k]}
        changed = set(by_name[name].change)
        assert differ <= changed
        assert differ
    alike = {"precision": "fp32", "compile": "False"}
    assert configs[DEFAULT] == dataclasses.asdict(GANConfig(**alike, **o.common))
    last = {k for k, v in configs[DEFAULT].items() if v != configs[LADDER[-1]][k]}
    assert last == {"arch", "latent_dim", "width"}


def test_all_train_for_the_same_time_and_a_step_of_the_ladder_once(trained, tmp_path):
    record = contest(options(tmp_path, seeds=2))
    finals = trained[4:]
    twice = sum(not side.step for side in SIDES)
    assert len(finals) == len(SIDES) + twice
    assert {c.group for c in trained} == {"contest-synthetic-art-16px-0.5min"}
    for side, rung in record["sides"].items():
        assert rung["steps"] == pytest.approx(500, rel=0.01), side
    assert {c.minutes for c in trained} == {0.0}
    assert all(c.epochs / c.eval_every <= 10 for c in finals)
    assert all(c.epochs / (c.eval_every - 1) > 10 for c in finals if c.eval_every > 1)


def test_minutes_that_are_no_whole_epochs_of_all_are_refused(trained, tmp_path):
    """An epoch of 4 steps of 60 ms is 0.004 minutes: 1.5 are 1 or 2; flow's 2 steps fit."""
    o = options(tmp_path, seeds=1, sides="dcgan,flow", choice=next(iter(CHOICES)), minutes=0.006)
    with pytest.raises(Unequal, match=r"an epoch of dcgan takes 0.004.*--minutes=0.1 or more"):
        contest(o)
    assert not trained
    assert read_contests(tmp_path / "runs")[0]["milliseconds"].keys() == {"dcgan", "flow"}
    record = contest(dataclasses.replace(o, minutes=0.1))
    lengths = {side: rung["epochs"] for side, rung in record["sides"].items()}
    assert lengths == {"dcgan": 25, "flow": 50}


def test_the_same_command_repeats_nothing_and_more_seeds_add_to_it(trained, tmp_path):
    contest(options(tmp_path, seeds=1, sides=f"dcgan,{DEFAULT}"))
    assert len(trained) == 6
    record = contest(options(tmp_path, seeds=2, sides=f"dcgan,{DEFAULT}"))
    assert len(trained) == 8
    assert read_contests(tmp_path / "runs") == [record]
    contest(options(tmp_path, seeds=2, sides="flow"))
    assert len(trained) == 10
    assert list(read_contests(tmp_path / "runs")[0]["sides"]) == ["dcgan", DEFAULT, "flow"]


def test_a_training_that_diverged_is_not_repeated_either(trained, tmp_path, capsys):
    contest(options(tmp_path, seeds=3, sides="dcgan"))
    assert "dcgan, seed 3: train/loss_d is nan" in capsys.readouterr().err
    count = len(trained)
    contest(options(tmp_path, seeds=3, sides="dcgan"))
    assert len(trained) == count


def test_every_side_can_be_named_and_named_twice_is_one(trained, tmp_path):
    for side in SIDES:
        assert "," not in side.name
    record = contest(options(tmp_path, seeds=1, sides=f"flow,{DEFAULT},flow"))
    assert list(record["sides"]) == [DEFAULT, "flow"]
    assert [config.model for config in trained] == ["gan", "flow"]


def test_other_settings_of_the_dcgan_are_those_of_all_that_build_on_it(trained, tmp_path):
    first, second = list(CHOICES)[:2]
    contest(options(tmp_path, seeds=1, sides=f"dcgan,dcgan + ema,{DEFAULT}", choice=first))
    record = contest(options(tmp_path, seeds=1, sides="dcgan", choice=second))
    assert (record["choice"], set(record["sides"])) == (second, {"dcgan", DEFAULT})


def test_settings_that_are_given_after_a_choice_are_not_called_chosen(trained, tmp_path):
    """All of them were tried then; a side that an earlier version had is in nobody's way."""
    contest(options(tmp_path, seeds=1, sides="dcgan"))
    path = next((tmp_path / "runs" / "contests").glob("*.json"))
    record = json.loads(path.read_text())
    record["sides"]["gone"] = record["sides"]["dcgan"]
    path.write_text(json.dumps(record))
    given = list(CHOICES)[-1]
    record = contest(options(tmp_path, seeds=1, sides="dcgan", choice=given))
    assert record["choice"] == given
    pages = make_pages(read_runs(tmp_path / "runs"), [], contests=[record])
    (found,) = [c for _, contents in pages for c in contents if "Contest" in c.heading]
    assert f"Settings of the DCGAN, given, not chosen here: {given}" in str(found.notes)


def test_a_contest_goes_on_by_the_means_it_was_begun_with(trained, tmp_path, monkeypatch):
    contest(options(tmp_path, seeds=1, sides="flow"))
    monkeypatch.setattr(module.torch, "get_num_threads", lambda: 64)
    with pytest.raises(
        UserError, match=r"was begun on cpu with \d threads?, here it is cpu with 64"
    ):
        contest(options(tmp_path, seeds=1, sides="flow"))


def test_the_settings_are_only_called_chosen_where_they_were(trained, tmp_path):
    for name, given, how in (("a", "", "chosen by validation"), ("b", list(CHOICES)[1], "given")):
        o = options(tmp_path / name, seeds=1, sides="dcgan", choice=given)
        contest(o)
        pages = make_pages(read_runs(o.runs_dir), [], contests=read_contests(o.runs_dir))
        (found,) = [c for _, contents in pages for c in contents if "Contest" in c.heading]
        assert f"Settings of the DCGAN, {how}" in str(found.notes)


def test_what_cannot_be_is_named(trained, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="sides='dcgn': unknown; any of dcgan, "):
        contest(options(tmp_path, sides="flow,dcgn"))
    with pytest.raises(UserError, match="choice='lr 1': unknown; any of: width 32, batch 16, "):
        contest(options(tmp_path, choice="lr 1"))
    contest(options(tmp_path, sides="flow", seeds=1))
    with pytest.raises(UserError, match=r"was begun with --held_out=50 .* --held_out=60; name"):
        contest(options(tmp_path, held_out=60))
    with pytest.raises(UserError, match="20 pictures to choose an epoch by, 50 needed"):
        contest(options(tmp_path, held_out=20))
    monkeypatch.setattr(module, "_kid", lambda scores: None)
    with pytest.raises(UserError, match="no training of the DCGAN has a validation KID"):
        contest(options(tmp_path, seeds=1))


def test_a_calibration_measures_what_is_not_known(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WARM", 1)
    monkeypatch.setattr(module, "ROUND", 1)
    small = {"width": 4, "image_size": 16, "images": 64, "held_out": 16, "data": "synthetic-art"}
    config = GANConfig(**small, loss="bce")
    record = {"milliseconds": {"known": 7.0}}
    calibrate({"known": config, "new": config}, load_data(config), record)
    assert record["milliseconds"]["known"] == 7.0
    assert record["milliseconds"]["new"] > 0


def test_what_is_measured_later_is_measured_beside_what_is_known(monkeypatch):
    """The machine is now half as fast as when the first side was measured."""
    now = {"known": 0.014, "new": 0.030}  # seconds a step
    monkeypatch.setattr(module, "_steps", lambda config, data: config)
    monkeypatch.setattr(module, "_take", lambda name, n: n * now[name])
    record = {"milliseconds": {"known": 7.0}}
    calibrate({"new": "new"}, None, record, {"known": "known"})
    assert record["milliseconds"] == {"known": 7.0, "new": pytest.approx(15.0)}


def test_the_table_and_what_is_said_of_it(trained, tmp_path):
    o = options(tmp_path, seeds=3, sides=f"dcgan,{DEFAULT}")
    record = contest(o)
    sides = sides_of(record, read_runs(o.runs_dir))
    header, *rows = contest_table(record, sides)
    cells = {name: dict(zip(header[1:], row, strict=True)) for name, *row in rows}
    untrained = [f"{name}, untrained" for name in ("dcgan", DEFAULT)]
    assert list(cells) == ["dcgan", DEFAULT, *untrained, "other real pictures"]
    assert cells[DEFAULT]["Fréchet distance ↓"] == "102.0 ± 1.0"
    spread = statistics.stdev([210, 220])  # seed 3 diverged and has no score
    assert cells["dcgan"]["Fréchet distance ↓"] == f"215.0 ± {spread:.1f}"
    assert cells[f"{DEFAULT}, untrained"]["KID ↓"] == "0.4000"
    assert cells["other real pictures"]["Fréchet distance ↓"] == "75.0"
    assert cells["dcgan"]["seeds"] == "3"
    assert cells["dcgan"]["trouble"] == "diverged 1 of 3, collapsed 1 of 3, saturated 3 of 3"
    assert cells[DEFAULT]["trouble"] == ""
    won, earned = said(Claims(), record, sides)
    assert won.startswith(f"After 0.5 minutes each, {DEFAULT} comes nearest")
    assert "KID: 0.1020 ± 0.0010, next dcgan with 0.2150 ± 0.0071 (p =" in won
    assert earned == (
        f"The untrained network of {DEFAULT} has 0.4000: training leaves 25% of that."
    )


def test_the_leaderboard_has_all_contests_the_best_first_with_intervals(trained, tmp_path):
    o = options(tmp_path, seeds=3, sides=f"dcgan,flow,{DEFAULT}")
    contest(o)
    contest(options(tmp_path, seeds=1, sides="vae", minutes=1.0))
    runs = read_runs(o.runs_dir)
    path = write_leaderboard(read_contests(o.runs_dir), runs, tmp_path)
    first, second = path.read_text().split("\n## ")[1:]
    assert first.startswith("synthetic-art, 16 px, 0.5 minutes each\n\n1500 samples against 1500")
    assert second.startswith("synthetic-art, 16 px, 1 minute each")
    rows = [line[2:-2].split(" | ") for line in first.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == [DEFAULT, "dcgan", "flow", "other real pictures"]
    reach = t.ppf(0.975, 2) * 1.0 / math.sqrt(3)  # of 101, 102 and 103
    assert rows[0][1:3] == ["Fréchet distance ↓", "KID ↓"]
    assert rows[2][1] == f"102.0 [{102 - reach:.1f}, {102 + reach:.1f}]"
    assert rows[-1][1] == "75.0"
    assert "| vae | 210.0 | 0.2100 |" in second  # of one seed there is no interval
    assert write_leaderboard([], runs, tmp_path) is None


def test_the_report_has_the_contest_of_its_data(trained, tmp_path):
    """Once and whole, whichever parts its sides' families stand in."""
    o = options(tmp_path, seeds=1, sides=f"dcgan,vae,{DEFAULT}")
    record = contest(o)
    pages = make_pages(read_runs(o.runs_dir), [], contests=[record])
    (found,) = [c for _, contents in pages for c in contents if "Contest" in c.heading]
    assert found.heading == "Contest: 0.5 minutes of training each, 16 px"
    assert {row[0] for row in found.table} >= {"dcgan", "vae", DEFAULT}
    other = {**record, "data": "folder"}
    pages = make_pages(read_runs(o.runs_dir), [], contests=[other])
    assert not any("Contest" in c.heading for _, contents in pages for c in contents)


def test_a_report_on_some_data_has_the_leaderboard_of_it(trained, tmp_path):
    o = options(tmp_path, seeds=1, sides=f"dcgan,{DEFAULT}")
    contest(o)
    (path,) = (tmp_path / "runs" / "contests").glob("*.json")
    other = json.loads(path.read_text()) | {"data": "folder"}
    path.with_name("other.json").write_text(json.dumps(other))
    for data, tables in (("synthetic-art", 1), ("", 2)):
        write_report(o.runs_dir, str(tmp_path / "out"), data)
        text = (tmp_path / "out" / "leaderboard.md").read_text()
        assert text.count("\n## ") == tables


def test_a_side_of_an_earlier_version_is_trained_anew(trained, tmp_path):
    contest(options(tmp_path, sides="flow", seeds=1))
    path = next((tmp_path / "runs" / "contests").glob("*.json"))
    record = json.loads(path.read_text())
    record["sides"]["flow"]["key"] = "0ther"
    path.write_text(json.dumps(record))
    record = contest(options(tmp_path, sides="flow", seeds=1))
    assert record["sides"]["flow"]["key"] == trained[-1].key


def test_a_side_has_one_name_in_a_report_with_its_minutes_where_two_contests_have_it():
    def told(minutes, data="folder", **keys):
        sides = {name: {"key": key, "model": "flow"} for name, key in keys.items()}
        return {"data": data, "minutes": minutes, "sides": sides}

    first, second = told(2.0, flow="a", dcgan="b"), told(5.0, dcgan="c")
    other = told(1.0, data="synthetic-art", dcgan="d")
    assert side_names([first]) == {"b": "dcgan"}  # the family's title says flow
    assert side_names([first, second, other]) == {
        "b": "dcgan, 2 minutes",
        "c": "dcgan, 5 minutes",
        "d": "dcgan",
    }


def test_the_groups_of_a_part_are_called_as_in_its_contest(trained, tmp_path):
    sides, choice = f"dcgan,dcgan + ema,{DEFAULT}", list(CHOICES)[1]
    o = options(tmp_path, seeds=1, sides=sides, choice=choice)
    record = contest(o)
    ((part, _), *_) = make_pages(read_runs(o.runs_dir), [], contests=[record])
    assert {group.title for group in part.groups} == {"dcgan", "dcgan + ema", DEFAULT}
    assert {group.full_title for group in part.groups} == {
        "GAN (dcgan)",
        "GAN (dcgan + ema)",
        "GAN (default + generator: palette)",
    }


def test_other_runs_in_the_folder_are_not_in_the_table(trained, tmp_path, monkeypatch, capsys):
    o = options(tmp_path, seeds=1, sides=DEFAULT)
    contest(o)
    with Run(o.runs_dir, "other", "disabled") as run:
        run.begin({"seed": 0, "data": "mnist", "test": True}, key="other", model="vae")
        run.summary["scores"] = {"test/elbo": -1.0}
    monkeypatch.setattr(module, "parse", lambda kind: o)
    module.main()
    said = capsys.readouterr().out
    assert DEFAULT in said
    assert "101.0" in said


def test_a_damaged_record_is_named_and_begun_anew(trained, tmp_path, capsys):
    contest(options(tmp_path, seeds=1, sides="flow"))
    path = next((tmp_path / "runs" / "contests").glob("*.json"))
    path.write_text(json.dumps({"name": 3}))
    contest(options(tmp_path, seeds=1, sides="flow"))
    assert str(path) in capsys.readouterr().err
    assert json.loads(path.read_text())["sides"].keys() == {"flow"}
