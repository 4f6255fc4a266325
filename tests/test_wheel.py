"""The package as pip installs it: no checkout, no experiments/, an empty folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from genbench.families import FAMILIES
from genbench.record import read_runs, read_studies

SWEEP = """\
program: experiments/vae.py
method: random
metric: {name: val/elbo, goal: maximize}
command: ["${env}", genbench, train, vae, "${args}", --save=False]
parameters:
  epochs: {value: 1}
  depth: {value: 1}
  width: {values: [16, 24]}
  latent_dim: {values: [2]}
"""


def pip(*args):
    command = [sys.executable, "-m", "pip", *map(str, args), "--no-index", "--no-deps", "--quiet"]
    subprocess.run(command, check=True, timeout=120)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with nothing but the built wheel, unpacked by pip, and a foreign family."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("genbench", "sweeps"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-build-isolation", f"--wheel-dir={folder}", source)
    (wheel,) = folder.glob("genbench-*.whl")
    shutil.rmtree(source)
    pip("install", f"--target={folder / 'site'}", wheel)
    shutil.copy(ROOT / "tests" / "toys.py", folder / "site")
    foreign = folder / "site" / "toys-1.dist-info"
    foreign.mkdir()
    (foreign / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1\n")
    (foreign / "entry_points.txt").write_text("[genbench.families]\ntoy = toys:TOY\n")
    return folder / "site"


@pytest.fixture
def run(installed, script):
    """A command of the installed package."""

    def run(*args):
        path = f"{installed / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = script(*args, PYTHONPATH=str(installed), PATH=path, WANDB_MODE="disabled")
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_wheel_has_the_sweep_files_and_finds_them(installed, run):
    there = {path.name: path.read_text() for path in (installed / "genbench/sweeps").iterdir()}
    assert there == {path.name: path.read_text() for path in (ROOT / "sweeps").iterdir()}
    assert (installed / "genbench" / "ui" / "static" / "index.html").exists()
    said = run("genbench", "sweep", "check", "sweeps/gan.yaml")
    assert said.startswith(f"{installed}/genbench/sweeps/gan.yaml: 7 parameters to search")
    assert run("genbench", "sweep", "show", "vae") == there["vae.yaml"]


def test_the_families_are_listed_with_those_of_other_packages(run):
    listed = run("genbench", "train", "--help")
    names = [*(name for name in FAMILIES if name != "toy"), "toy"]
    assert f"{{{','.join(names)}}}" in listed
    assert "Train a linear autoencoder whose codes are taken for normal." in listed
    assert "--shrink" in run("genbench", "train", "toy", "--help")


def test_the_wheel_trains_searches_and_sweeps_in_an_empty_folder(run, tmp_path):
    small = ("--epochs=1", "--width=16", "--depth=1", "--latent_dim=2", "--save=False")
    said = run("genbench", "train", "vae", *small)
    (trained,) = read_runs(tmp_path / "runs")
    assert (trained.status, trained.config["width"]) == ("finished", 16)
    assert trained.about["command"] == ["genbench", "train", "vae", *small]
    printed = re.search(r"^val/elbo.* (\S+)$", said, re.MULTILINE)[1]
    assert float(printed) == pytest.approx(trained.scores["val/elbo"], abs=5.1e-3)

    Path(tmp_path / "small.yaml").write_text(SWEEP)
    flags = ("--sweep=small.yaml", "--trials=1", "--final_epochs=1")
    said = run("genbench", "search", "vae", *flags)
    assert "over 3 training seeds" in said
    (study,) = read_studies(tmp_path / "runs")
    assert [trial["state"] for trial in study["trials"]] == ["COMPLETE"]
    assert study["trials"][0]["params"]["latent_dim"] == 2
    runs = read_runs(tmp_path / "runs")
    assert [run.status for run in runs] == ["finished"] * 5  # one, a trial, three of the best
    assert all("test/elbo" in run.scores for run in runs[2:])

    assert "Best of vae-mnist-mini-1ep-" in run("genbench", "sweep", "small.yaml", "--count=1")
    swept = read_runs(tmp_path / "runs")[-1]
    assert swept.about["command"][:3] == ["genbench", "train", "vae"]
    assert swept.about["sweep"].startswith("local-vae-mnist-mini-1ep-")
    assert swept.status == "finished"
