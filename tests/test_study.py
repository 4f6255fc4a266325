"""The study: its steps, what they ask for, and that nothing is done twice."""

import dataclasses
import json

import pytest
import study as module
from contest import Unequal
from optuna.pruners import SuccessiveHalvingPruner
from records import Records
from study import (
    ART,
    DIGITS,
    FAMILIES_GROUP,
    LAB_GAN_GROUP,
    STEPS,
    Scored,
    StudyConfig,
    Trained,
    chosen_steps,
)

from genbench import UserError


@pytest.fixture
def options(tmp_path):
    return StudyConfig(
        scale=0.1, art_dir="paintings", runs_dir=str(tmp_path / "runs"), digits="mnist-mini"
    )


@pytest.fixture
def asked(monkeypatch):
    """The configurations that trainings are asked for, in order."""
    configs = []
    monkeypatch.setattr(module, "train_all", lambda jobs, _: configs.extend(c for c, _ in jobs))
    return configs


def test_steps_are_chosen_by_name_in_their_own_order(options):
    assert list(chosen_steps(options)) == list(STEPS)
    assert list(chosen_steps(StudyConfig(steps="report, beta"))) == ["beta", "report"]
    with pytest.raises(UserError, match="steps='bta': unknown; any of search-ae"):
        chosen_steps(StudyConfig(steps="bta"))


def test_a_field_is_varied_over_seeds_at_the_scale_of_the_study(options, asked):
    STEPS["beta"].run(options)
    assert [(c.beta, c.seed) for c in asked] == [
        (beta, seed) for beta in (0.25, 0.5, 1.0, 2.0, 4.0) for seed in (1, 2)
    ]
    assert {(c.model, c.group, c.epochs, c.test) for c in asked} == {
        ("vae", "rate and distortion", 1, True)
    }
    assert len({c.key for c in asked}) == 5


@pytest.mark.parametrize("name", [n for n, step in STEPS.items() if isinstance(step, Trained)])
def test_all_trainings_can_be(name, options, asked):
    step = STEPS[name]
    step.run(options)
    assert len(asked) == len(step.each) * max(1, len(step.over[1])) * step.seeds
    data = options.sets[step.data]
    assert {(c.data, c.data_dir) for c in asked} == {(data["data"], data["data_dir"])}


def test_equal_terms_are_equal(options, asked):
    STEPS["equal"].run(options)
    for field in ("latent_dim", "width", "depth", "arch", "batch_size", "lr", "epochs"):
        assert len({getattr(config, field) for config in asked}) == 1, field


def test_minutes_are_scaled_and_epochs_are_then_no_limit(options, asked):
    STEPS["families"].run(options)
    assert all(c.minutes == pytest.approx(0.1) and c.epochs > 10_000 for c in asked)


def test_a_study_scaled_down_leaves_out_contests_that_would_not_be_equal(
    options, monkeypatch, capsys
):
    def refuse(given):
        raise Unequal(f"minutes={given.minutes:g}: no whole epochs")

    monkeypatch.setattr(module, "contest", refuse)
    STEPS["contest-painted"].run(options)
    told = capsys.readouterr().err
    assert "scale=0.1: too small for the contest on synthetic-art (minutes=0.1: no" in told
    with pytest.raises(Unequal):
        STEPS["contest-painted"].run(dataclasses.replace(options, scale=1.0))


def test_the_chosen_runs_of_a_data_set_are_scored_once(options, tmp_path, monkeypatch):
    records = Records(tmp_path / "runs")
    groups = ("vae-study-best", FAMILIES_GROUP, "contest-folder-64px-4min", LAB_GAN_GROUP, "beta")
    runs = [
        records.run("vae", key=str(i), config={"group": group}) for i, group in enumerate(groups)
    ]
    records.run("vae", key="x", config={"group": FAMILIES_GROUP, "data": "folder"})
    calls = []

    def evaluated(paths, options):
        calls.append((paths, options.n))
        for path in paths:
            ruler = {"extractor": "lite", "weights": "0", "reals": "0", "split": options.split}
            scores = {
                "ruler": ruler | {"size": 28, "n": 50},
                "values": {},
                "errors": {},
                "floor": {},
                "kid_subset": 50,
            }
            line = {"sampler": f"vae+{options.prior}".strip("+"), "scores": [scores]}
            line |= {"seeds": list(range(options.seeds))}
            with open(f"{path}/evaluations.jsonl", "a") as file:
                file.write(json.dumps(line) + "\n")

    monkeypatch.setattr(module, "evaluate", evaluated)
    for _ in range(2):
        Scored(DIGITS, {"n": 500, "split": "test"}).run(options)
        Scored(DIGITS, {"n": 60, "split": "test", "prior": "mixture"}, ("vae",)).run(options)
        Scored(DIGITS, {"n": 70, "split": "test"}, models=("ae",)).run(options)
    Scored(DIGITS, {"n": 80, "split": "train"}).run(options)  # another question
    Scored(DIGITS, {"n": 90, "split": "test", "seeds": 5}).run(options)
    chosen = tuple(map(str, runs[:4]))
    assert calls == [(chosen, n) for n in (500, 60, 80, 90)]


def test_a_search_of_few_epochs_stops_the_worse_half_after_each(options, monkeypatch):
    opened = []

    class Noted(module.Search):
        def __post_init__(self):
            super().__post_init__()
            opened.append(self)
            self.run = self.train_best = self.write = lambda: None

    monkeypatch.setattr(module, "Search", Noted)
    monkeypatch.setattr(module, "show", lambda search: None)
    STEPS["search-ae"].run(options)
    (search,) = opened
    assert isinstance(search.study.pruner, SuccessiveHalvingPruner)
    pruner = vars(search.study.pruner)
    assert (pruner["_min_resource"], pruner["_reduction_factor"]) == (1, 2)
    assert search.options.trials == 6


def test_a_report_of_nothing_removes_no_figure(options, tmp_path):
    figure = tmp_path / "reports" / "figures" / "old.png"
    figure.parent.mkdir(parents=True)
    figure.touch()
    (tmp_path / "runs").mkdir()
    with pytest.raises(UserError, match="no finished run of the study's"):
        STEPS["report"].run(dataclasses.replace(options, out=str(tmp_path / "reports")))
    assert figure.exists()


def test_art_is_kaggles_unless_a_folder_is_named(options):
    assert options.sets[ART]["data"] == "folder"
    assert StudyConfig().sets[ART] == {"data": "abstract-art", "held_out": 300}
