"""A family and a metric of somebody else's: registered by one line, they go through everything."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch.nn.functional as F
import toys
import yaml
from PIL import Image

from genbench import UserError, commands, load
from genbench.config import SearchConfig
from genbench.data import LABELLED
from genbench.families import FAMILIES
from genbench.metrics import METRICS
from genbench.metrics.extractors import Extractor
from genbench.record import read_runs
from genbench.registry import Registry
from genbench.search.search import Search
from genbench.sweep import read_sweep
from genbench.train import train

TOYS = {"toy": toys.TOY, "noise": toys.NOISE}


@pytest.fixture(params=TOYS)
def family(request, monkeypatch, tmp_path):
    """One of the toys, registered; few digits, and scores while training by their pixels."""
    read = LABELLED["mnist-mini"]

    def few(root, split):
        images, labels = read(root, split)
        n = {"train": 600, "test": 80}[split]
        return images[:n], labels[:n]

    def look(images):
        x = F.adaptive_avg_pool2d(images.float().div(255), 4).flatten(1)
        return x, x[:, :0]

    cheap = Extractor("cheap", "cheap", look, "cpu")  # in place of a network
    monkeypatch.setattr("genbench.evaluate.distances.load_extractor", lambda device: cheap)
    monkeypatch.setitem(LABELLED, "mnist-mini", few)
    monkeypatch.chdir(tmp_path)
    yield FAMILIES.add(TOYS[request.param])
    for name in {request.param, "toy"} & set(FAMILIES):  # a test may add another toy
        FAMILIES.remove(name)


@pytest.fixture
def metric():
    yield METRICS.add(toys.GAP)
    METRICS.remove("gap")


def genbench(monkeypatch, capsys, *args):
    """What the command prints."""
    monkeypatch.setattr(sys, "argv", ["genbench", *map(str, args)])
    commands.main()
    return capsys.readouterr().out


def sweep_file(family):
    Path("experiments").mkdir()
    Path(f"experiments/{family.name}.py").write_text("")  # the checker looks whether it is there
    content = {
        "program": f"experiments/{family.name}.py",
        "method": "random",
        "metric": {"name": "val/error", "goal": "minimize"},
        "early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2},
        "parameters": {"shrink": {"values": [0.0, 0.5]}, "epochs": {"value": 2}},
    }
    path = Path("sweep.yaml")
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_family_that_genbench_does_not_know_goes_through_everything(
    family, metric, monkeypatch, capsys, blank_charts
):
    scores = train(family.config(epochs=2, wandb="offline", test=True, eval_every=1))
    (run,) = read_runs("runs")
    assert (run.status, run.about["model"]) == ("finished", family.name)
    assert {"val/error", "test/error", "val/kid_lite0_n60", "test/kid_lite0_n80"} <= set(scores)
    assert ("test/knn_accuracy" in scores) is (family.name == "toy")
    capsys.readouterr()

    listed = genbench(monkeypatch, capsys, "runs")
    assert re.search(rf"{run.path.name} .* {scores['val/error']:.1f}\n", listed)

    genbench(monkeypatch, capsys, "sample", run.path.name, "--n=16", "--out=grid.png")
    with Image.open("grid.png") as grid:
        assert grid.size == (8 * 30, 2 * 30)

    flags = ("--extractor=lenet-digits", "--n=60", "--seeds=2", "--wandb=offline")
    table = genbench(monkeypatch, capsys, "evaluate", run.path.name, *flags)
    (evaluation,) = read_runs("runs")[0].evaluations()
    values = evaluation["scores"][0]["values"]["gap"]
    assert len(values) == 2
    row = next(line.split() for line in table.splitlines() if line.startswith("gap_lenet_n60"))
    assert row[:3] == ["gap_lenet_n60", "↓", f"{np.mean(values):.2f}"]

    checked = genbench(monkeypatch, capsys, "sweep", "check", sweep_file(family))
    assert "1 parameter to search, nothing wrong" in checked
    options = SearchConfig(trials=2, wandb="disabled", device="cpu")
    search = Search(read_sweep(Path("sweep.yaml"), family), options)
    search.run()
    trials = [r for r in read_runs("runs") if r.path != run.path]
    assert len(trials) == 2
    assert search.best().values[0] == min(
        r.scores["val/error"] for r in trials if r.status == "finished"
    )

    genbench(monkeypatch, capsys, "report", "--out=reports")
    lines = Path("reports/summary.md").read_text().splitlines()
    assert f"## Part 1: {family.title} on mnist-mini" in lines
    assert f"| Toy error (an image) ↓ | {scores['test/error']:.1f} |" in lines
    test, _ = (line.split(" | ") for line in lines if line.startswith("| Gap of means ↓ | "))
    assert test[1].startswith(f"{np.mean(values):.2f} [")
    assert list(Path("reports/figures").glob("*loss*.png"))


def test_a_familys_name_is_a_command_and_its_search_needs_a_sweep_file(family, monkeypatch, capsys):
    flags = ("--epochs=1", "--wandb=disabled", "--save=False")
    assert "val/error" in genbench(monkeypatch, capsys, "train", family.name, *flags)
    (run,) = read_runs("runs")
    assert (run.about["model"], run.status) == (family.name, "finished")
    with pytest.raises(SystemExit) as error:
        genbench(monkeypatch, capsys, "search", family.name)
    assert error.value.code == 2
    said = capsys.readouterr().err
    assert said == (
        f"error: sweep: none comes with genbench for {family.name}; name one with --sweep\n"
    )


def test_a_loss_that_depends_on_what_is_searched_is_no_metric(family, tmp_path):
    path = sweep_file(family)
    path.write_text(path.read_text().replace("val/error", "val/loss"))
    with pytest.raises(UserError, match="val/loss changes its meaning with shrink"):
        read_sweep(path, family)


def test_a_metrics_word_is_known_once_it_is_registered(metric, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        genbench(monkeypatch, capsys, "evaluate", "nothing", "--metrics=gapp")
    assert (
        "any of fd, kid, isc, prc, dc, kl, fd_infinity, vendi, authpct, gap, memorization, nll"
        in (capsys.readouterr().err)
    )


def test_a_family_that_is_not_registered_any_more_is_named(tmp_path, monkeypatch):
    FAMILIES.add(toys.TOY)
    train(toys.ToyConfig(epochs=1, wandb="disabled", runs_dir=str(tmp_path / "runs"), save=True))
    FAMILIES.remove("toy")
    (run,) = read_runs(tmp_path / "runs")
    with pytest.raises(UserError, match="model='toy': unknown; choose one of ae, vae, gan"):
        load(run.path)


def test_installed_packages_add_to_a_registry_and_a_broken_one_is_passed_over(monkeypatch, capsys):
    class Point:
        def __init__(self, value, item=None):
            self.value, self.item = value, item

        def load(self):
            if not self.item:
                raise ImportError("no module")
            return self.item

    points = [Point("toys:TOY", toys.TOY), Point("broken:FAMILY")]
    monkeypatch.setattr("genbench.registry.entry_points", lambda group: points)
    registry = Registry("some.group")
    assert dict(registry) == {"toy": toys.TOY}
    assert "some.group: broken:FAMILY cannot be loaded (no module)" in capsys.readouterr().err


def test_a_family_that_only_encodes_is_measured_by_its_codes_and_never_drawn(
    family, monkeypatch, capsys
):
    steps = replace(toys.STEPS, decode=None, generate=None)
    monkeypatch.setattr(toys, "BLIND_STEPS", steps, raising=False)
    blind = replace(toys.TOY, implementation="toys:BLIND_STEPS", can=frozenset({"encode"}))
    FAMILIES.add(blind)
    scores = train(toys.ToyConfig(epochs=1, wandb="disabled", test=True))
    assert {"test/knn_accuracy", "test/error"} <= set(scores)
    (run,) = read_runs("runs")
    assert {path.name for path in run.path.glob("*.npz")} == {"latents.npz"}
    with pytest.raises(UserError, match="model toy: cannot be drawn from"):
        load(run.path).sample(1)
    with pytest.raises(UserError, match=r"eval_every=1: model toy has no prior to draw from$"):
        train(toys.ToyConfig(epochs=1, wandb="disabled", eval_every=1))
    genbench(monkeypatch, capsys, "report", "--out=reports")
    assert "# Toy on mnist-mini" in Path("reports/summary.md").read_text()


def test_a_family_whose_functions_are_not_all_there_is_named():
    broken = replace(toys.TOY, can=frozenset({"encode", "log_weights"}))
    with pytest.raises(TypeError, match="family toy: toys:STEPS has no log_weights"):
        broken.steps  # noqa: B018
    with pytest.raises(ValueError, match="metric 'my-gap': write small letters"):
        replace(toys.GAP, name="my-gap")
