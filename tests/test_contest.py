import dataclasses
import statistics

import pytest

from genbench import contest as module
from genbench.contest import BASELINE, ContestConfig, contest, table
from genbench.handlers import Diverged
from genbench.run import Run

KID = {
    (16, 32): 0.7,
    (16, 64): 0.5,
    (32, 32): 0.6,
    (32, 64): 0.8,
}  # the baseline's, by width, batch


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """The configurations that were trained, in order; a training writes scores made of its seed."""
    configs = []

    def train(config, title):
        configs.append(config)
        ours = config.arch == "palette"
        with Run(config.runs_dir, "toy", "disabled") as run:
            run.begin(dataclasses.asdict(config), key=config.experiment)
            run.summary["stability"] = {
                "oscillation_d": 0.1 * config.seed,
                "oscillation_g": 0.5,
                "saturated_epochs": 0.0,
                "collapsed": not ours and config.seed == 2,
                "diverged": not ours and config.seed == 3,
            }
            if not ours and config.seed == 3:
                raise Diverged("train/loss_d is nan")
            kid = 0.3 if ours else KID[config.width, config.batch_size]
            scores = {"val/kid_lite0_n500": kid}
            if config.test:
                fd = 100.0 + config.seed if ours else 200.0 + 10 * config.seed
                scores |= {"test/fd_lite0_n1500": fd, "test/elbo": 1.0}
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
    for name, value in BASELINE.items():
        assert getattr(finals[-1], name) == value


def test_the_same_command_repeats_nothing_and_more_seeds_add_to_it(trained, tmp_path):
    first = contest(options(tmp_path, seeds=1))
    assert len(trained) == 6
    again = contest(options(tmp_path, seeds=2))
    assert len(trained) == 8
    assert [run.path for run in again["default"]][:1] == [run.path for run in first["default"]]


def test_the_table_has_means_deviations_ratio_and_what_went_wrong(trained, tmp_path):
    lines = table(contest(options(tmp_path, seeds=3)))
    cells = {line[:28].strip(): line[28:].split("  ") for line in lines}
    cells = {name: [cell.strip() for cell in row if cell.strip()] for name, row in cells.items()}
    assert cells[""] == ["default", "dcgan+bce, width 16, batch 64", "ratio"]
    spread = statistics.stdev([210, 220])  # seed 3 diverged and has no score
    assert cells["test/fd_lite0_n1500"] == ["102 ± 1", f"215 ± {spread:.4g}", f"{102 / 215:.3f}"]
    assert cells["oscillation_d"] == ["0.2 ± 0.1", "0.2 ± 0.1"]
    assert cells["collapsed"] == ["0 of 3", "1 of 3"]
    assert cells["diverged"] == ["0 of 3", "1 of 3"]
    assert set(cells) - {""} == {
        "test/fd_lite0_n1500",
        "oscillation_d",
        "oscillation_g",
        "saturated_epochs",
        "collapsed",
        "diverged",
    }
