import dataclasses
import json
import math
import statistics

import gan_versus_dcgan as module
import pytest
from gan_versus_dcgan import ContestConfig, contest, table

from genbench import UserError
from genbench.families.gan import DCGAN
from genbench.handlers import Diverged
from genbench.record import Run

KID = {
    (16, 32): 0.7,
    (16, 64): 0.5,
    (32, 32): 0.6,
    (32, 64): 0.8,
}  # the baseline's, by width, batch


def lost(config):
    return config.arch == "dcgan" and config.seed == 3


@pytest.fixture
def trained(monkeypatch):
    """The configurations that were trained, in order; a training writes scores made of its seed."""
    configs = []

    def train(config, title):
        configs.append(config)
        ours = config.arch == "palette"
        with Run(config.runs_dir, "toy", "disabled") as run:
            run.begin(dataclasses.asdict(config), key=config.key)
            run.summary["stability"] = {
                "oscillation_d": math.nan if lost(config) else 0.1 * config.seed,
                "oscillation_g": 0.5,
                "saturated_epochs": 0.0,
                "collapsed": not ours and config.seed == 2,
                "diverged": lost(config),
            }
            if lost(config):
                raise Diverged("train/loss_d is nan")
            kid = 0.3 if ours else KID[config.width, config.batch_size]
            scores = {"val/kid_lite0_n500": kid}
            if config.test:
                fd = 100.0 + config.seed if ours else 200.0 + 10 * config.seed
                scores |= {"test/fd_lite0_n1500": fd, "test/floor_fd_lite0_n1500": 75.0}
                scores |= {"test/kid_lite0_n1500": -0.001, "test/elbo": 1.0}
            run.summary["scores"] = scores

    monkeypatch.setattr(module, "train", train)
    return configs


def options(tmp_path, **fields):
    return ContestConfig(runs_dir=str(tmp_path / "runs"), wandb="disabled", **fields)


def test_the_baseline_gets_the_width_and_batch_with_the_least_kid_at_seed_0(trained, tmp_path):
    sides = contest(options(tmp_path, seeds=2, minutes=3, data="propaganda-debian"))
    assert list(sides) == ["default", "dcgan+bce, width 16, batch 64"]
    trials, finals = trained[:4], trained[4:]
    assert {(c.width, c.batch_size) for c in trials} == set(KID)
    assert {(c.arch, c.seed, c.test) for c in trials} == {("dcgan", 0, False)}
    assert [(c.arch, c.seed, c.test) for c in finals] == [
        ("palette", 1, True),
        ("palette", 2, True),
        ("dcgan", 1, True),
        ("dcgan", 2, True),
    ]
    assert {(c.minutes, c.data) for c in trained} == {(3.0, "propaganda-debian")}
    for name, value in DCGAN.items():
        assert getattr(finals[-1], name) == value


def test_the_same_command_repeats_nothing_and_more_seeds_add_to_it(trained, tmp_path):
    first = contest(options(tmp_path, seeds=1))
    assert len(trained) == 6
    again = contest(options(tmp_path, seeds=2))
    assert len(trained) == 8
    assert [run.path for run in again["default"]][:1] == [run.path for run in first["default"]]


def test_a_training_that_diverged_is_not_repeated_either(trained, tmp_path, capsys):
    contest(options(tmp_path, seeds=3))
    assert "dcgan, seed 3: train/loss_d is nan" in capsys.readouterr().err
    count = len(trained)
    sides = contest(options(tmp_path, seeds=3))
    assert len(trained) == count
    assert [run.diverged for run in sides["dcgan+bce, width 16, batch 64"]] == [False, False, True]


def test_a_baseline_without_a_score_to_choose_by_is_named(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_kid", lambda run: math.nan)
    with pytest.raises(UserError, match="no training of the baseline has a validation KID"):
        contest(options(tmp_path, seeds=1))


def rows(lines):
    """The table's cells by the name in front."""
    return {name: [cell for cell in cells if cell] for name, *cells in lines}


def test_the_table_has_means_deviations_ratio_and_what_went_wrong(trained, tmp_path):
    cells = rows(table(contest(options(tmp_path, seeds=3))))
    assert cells[""] == ["default", "dcgan+bce, width 16, batch 64", "ratio"]
    spread = statistics.stdev([210, 220])  # seed 3 diverged and has no score
    assert cells["test/fd_lite0_n1500"] == [
        "102 ± 1",
        f"215 ± {spread:.4g} (2 of 3)",
        f"{102 / 215:.3f}",
    ]
    assert cells["test/floor_fd_lite0_n1500"] == ["75 ± 0", "75 ± 0 (2 of 3)"]  # of no side
    assert cells["test/kid_lite0_n1500"][2] == "none"  # of what is below 0
    assert cells["oscillation_d"] == ["0.2 ± 0.1", "0.15 ± 0.07071 (2 of 3)"]
    assert cells["collapsed"] == ["0 of 3", "1 of 3"]
    assert cells["diverged"] == ["0 of 3", "1 of 3"]
    assert "test/elbo" not in cells


def test_a_run_that_does_not_know_its_stability_has_no_cell(trained, tmp_path):
    sides = contest(options(tmp_path, seeds=1))
    (run,) = sides["default"]
    path = run.path / "summary.json"
    summary = json.loads(path.read_text())
    del summary["stability"]
    path.write_text(json.dumps(summary))
    cells = rows(table(contest(options(tmp_path, seeds=1))))
    assert cells["oscillation_g"] == ["none", "0.5"]
