"""The real commands, as a person types them, on a machine with no account and no terminal."""

import json
import os
import re
import signal
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from genbench.record import read_runs, read_studies


def scores_in(printed):
    """The scores that a training prints, by name."""
    return dict(re.findall(r"^(\w+/\w+)[ ↑↓]* (\S+)", printed, re.M))


TOY = ("--width=16", "--latent_dim=2", "--epochs=1")


def test_training_prints_its_scores_and_leaves_a_record_that_both_tools_read(script, tmp_path):
    done = script("vae.py", *TOY, "--beta=2.0", "--test=True")
    assert done.returncode == 0, done.stderr
    (run,) = read_runs(tmp_path / "runs")
    assert run.status == "finished"
    printed = scores_in(done.stdout)
    assert float(printed["test/elbo"]) == pytest.approx(run.scores["test/elbo"], abs=5.1e-3)
    assert next(iter(printed)) == "val/elbo"  # what chose the epoch comes first
    assert done.stdout.startswith(f"Run: runs/{run.path.name}\n")
    assert f"genbench sample runs/{run.path.name}\n" in done.stdout
    summary = json.loads(
        script("wandb", "leet", "inspect", "--summary", "--json", str(run.path / "wandb")).stdout
    )
    assert summary["state"] == "finished"
    assert summary["config"]["beta"] == 2.0
    for name, value in run.scores.items():
        assert summary["summary"][name] == pytest.approx(value)
    for name in ("samples/reconstructions", "samples/samples"):
        assert summary["summary"][name]["_type"] == "image-file"
    assert summary["summary"]["test/latents"]["_type"] == "table-file"
    assert "no key, so offline" in done.stderr


@pytest.mark.parametrize("model", ["ae", "vae"])
def test_a_search_is_continued_reported_and_listed(script, tmp_path, model):
    flags = ("--epochs=1", "--final_epochs=1", "--runs_dir=there")
    sweep = tmp_path / f"{model}.yaml"
    text = (ROOT / "sweeps" / f"{model}.yaml").read_text()
    small = text.replace("[mlp, conv]", "[mlp]").replace("[128, 256, 512]", "[16, 24]")
    sweep.write_text(small.replace("max: 64", "max: 3"))  # codes that a probe learns from at once
    first = script(f"optuna_{model}.py", "--trials=3", f"--sweep={sweep}", *flags)
    assert first.returncode == 0, first.stderr
    assert f"Best of {model}-mnist-mini-1ep-" in first.stdout
    assert re.search(r"\nlatent_dim +\d+", first.stdout)
    assert "over 3 training seeds" in first.stdout
    second = script(f"optuna_{model}.py", "--trials=2", f"--sweep={sweep}", *flags)
    assert "3 trials so far, adding 2" in second.stderr
    (study,) = read_studies(tmp_path / "there")
    assert len(study["trials"]) == 5
    runs = read_runs(tmp_path / "there")
    assert {run.status for run in runs} <= {"finished", "pruned"}
    for run in runs:
        assert list(run.path.glob("wandb/offline-run-*/*.wandb"))

    done = script("genbench", "report", "--runs_dir=there", "--out=out")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "out" / "summary.html") in done.stdout
    assert "wandb leet there/" in done.stdout
    assert "genbench sync there/" in done.stdout
    names = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert {f"{model}_loss.png", f"{model}_latent_space.png", f"{model}_manifold.png"} <= names
    table = script("genbench", "runs", "--runs_dir=there").stdout
    for run in runs:
        assert re.search(rf"{run.path.name} +{run.status}", table)


SMALL_GAN = ("--images=64", "--held_out=50", "--image_size=32", "--width=4", "--epochs=2")


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_gan_is_trained_drawn_from_and_reported(script, tmp_path):
    few = ("--eval_images=50", "--eval_every=2", "--batch_size=16")
    done = script("gan.py", *SMALL_GAN, *few, "--test=True")
    assert done.returncode == 0, done.stderr
    (run,) = read_runs(tmp_path / "runs")
    assert run.status == "finished"
    printed = scores_in(done.stdout)
    assert float(printed["test/kid_lite0_n50"]) == pytest.approx(
        run.scores["test/kid_lite0_n50"], abs=1e-3
    )
    grids = sorted(path.name for path in (run.path / "samples").iterdir())
    assert grids == ["epoch-0001.png", "epoch-0002.png"]
    assert pixels(run.path / "samples" / "epoch-0002.png").shape == (8 * 34, 8 * 34, 3)

    name = run.path.name
    assert script("genbench", "sample", name, "--n=12", "--out=a.png").returncode == 0
    script("genbench", "sample", f"runs/{name}", "--n=3", "--format=png-folder", "--out=b")
    grid = pixels(tmp_path / "a.png")
    assert grid.shape == (2 * 34, 8 * 34, 3)
    alone = pixels(tmp_path / "b" / "00000.png").astype(int)
    assert abs(alone - grid[1:33, 1:33]).max() <= 1  # another batch rounds otherwise
    assert len(list((tmp_path / "b").iterdir())) == 3

    assert re.search(rf"{name} +finished +2 ", script("genbench", "runs").stdout)
    done = script("genbench", "report", "--out=out")
    assert done.returncode == 0, done.stderr
    figures = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert {"losses_disc_gene.png", "real_fake_scores.png", "gan_divergence.png"} <= figures
    assert "generated-images-0002.png" in figures


def test_a_folder_is_audited_and_trained_on(script, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(30):
        colour = (8 * i, 255 - 8 * i, 100 if i % 2 else 200)
        picture = Image.new("RGB", (40, 50), colour)
        picture.paste((255 - 8 * i, 30, 8 * i), (i, 5, 40, 20 + i // 2))
        picture.save(pictures / f"{i}.png")
    (pictures / "torn.jpg").write_bytes((pictures / "3.png").read_bytes()[:60])
    flags = ("--data=folder", f"--data_dir={pictures}", "--image_size=32", "--crops=4")
    done = script("genbench", "data", "audit", *flags)
    assert done.returncode == 0, done.stderr
    assert "31 picture files" in done.stdout
    assert "torn.jpg" in done.stdout
    done = script("gan.py", *flags, "--width=4", "--epochs=1", "--batch_size=16")
    assert done.returncode == 0, done.stderr
    assert "torn.jpg" in done.stderr
    (run,) = read_runs(tmp_path / "runs")
    assert sum(run.about["images"].values()) % 4 == 0


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path):
    command = [sys.executable, str(ROOT / "experiments" / "optuna_vae.py"), "--epochs=1"]
    sweep = tmp_path / "sweep.yaml"
    text = (ROOT / "sweeps" / "vae.yaml").read_text()
    sweep.write_text(text.replace("[mlp, conv]", "[mlp]"))
    process = subprocess.Popen(
        [*command, f"--sweep={sweep}", "--trials=50"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    for line in process.stdout:
        if "trial 2/50: epoch" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "interrupted; what is done is kept" in err
    assert "the same command again goes on with this study" in out
    assert "Best of vae-" in out
    (study,) = read_studies(tmp_path / "runs")
    states = [trial["state"] for trial in study["trials"]]
    assert states[0] == "COMPLETE"
    assert "RUNNING" not in states
    assert all(run.status != "crashed" for run in read_runs(tmp_path / "runs"))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["vae.py", "--data=minst"], ["minst", "mnist-mini"]),
        (["vae.py", "--latent_dim=0"], ["latent_dim=0", "at least 1"]),
        (["vae.py", "--latent=3"], ["--latent", "--help"]),
        (["vae.py", "--arch=resnet"], ["--arch", "mlp"]),
        (["vae.py", "--beta=much"], ["--beta", "much"]),
        (["vae.py", "--binarize=dynamic", "--likelihood=gaussian"], ["binarize", "bernoulli"]),
        (["vae.py", "--device=mps"], ["device=mps", "--device=auto"]),
        (["ae.py", "--runs_dir=file/runs"], ["file/runs", "--runs_dir"]),
        (["ae.py", "--data=mnist", "--data_dir=torn"], ["train-images", "truncated"]),
        (["optuna_vae.py", "--trials=0"], ["trials=0", "at least 1"]),
        (["optuna_vae.py", "--timeout=0"], ["timeout=0", "above 0"]),
        (["optuna_vae.py", "--sweep=empty.yaml"], ["empty.yaml", "needs parameters"]),
        (["optuna_vae.py", "--sweep=broken.yaml"], ["broken.yaml", "broken.yaml:3"]),
        (["optuna_vae.py", "--sweep=unknown.yaml"], ["unknown.yaml", "latent_dmi", "latent_dim?"]),
        (["optuna_ae.py", "--sweep=unknown.yaml"], ["vae.py does not train ae"]),
        (["optuna_vae.py", "--runs_dir=file"], ["runs_dir=file", "--runs_dir"]),
        (["optuna_vae.py", "--storage=nosql://x"], ["storage=nosql://x"]),
        (["genbench", "report", "--runs_dir=none"], ["runs_dir=none", "no such folder"]),
        (["genbench", "runs", "--runs_dir=none"], ["runs_dir=none", "no such folder"]),
        (["genbench", "report", "--runs_dri=x"], ["--runs_dri"]),
        (["genbench", "reprot"], ["reprot"]),
        (["genbench", "train"], ["ae, vae, gan, flow", "--help"]),
        (["genbench", "train", "vea", "--epochs=1"], ["vea", "ae, vae, gan, flow"]),
        (["genbench", "train", "vae", "--latent_dim=0"], ["latent_dim=0", "at least 1"]),
        (["genbench", "train", "gan", "--latent=3"], ["--latent", "genbench train gan --help"]),
        (["genbench", "train", "vae", "--resume=none"], ["none/config.json", "name the config"]),
        (["genbench", "search", "vae", "--trials=0"], ["trials=0", "at least 1"]),
        (["genbench", "search", "ae", "--sweep=vae"], ["vae.yaml", "does not train ae"]),
        (["genbench", "search", "ae", "--sweep=none"], ["sweep=none", "no such file"]),
        (["gan.py", "--image_size=48"], ["image_size=48", "power of two"]),
        (["gan.py", "--data=folder"], ["data=folder", "--data_dir"]),
        (["gan.py", "--data=folder", "--data_dir=texts"], ["texts", "no picture files"]),
        (["gan.py", "--data=folder", "--data_dir=one"], ["one: 1 usable of 1", "10 are the least"]),
        (["gan.py", "--data=folder", "--data_dir=none"], ["none", "--data_dir"]),
        (["gan.py", "--images=16", "--batch_size=32"], ["batch_size=32", "16 training pictures"]),
        (["gan.py", "--diffaugment=colour"], ["diffaugment='colour'", "color"]),
        (["genbench", "sample", "none"], ["none", "no run with checkpoints"]),
        (
            ["genbench", "sample", "none", "--format=png-folder", "--out=one"],
            ["out=one: has files", "an empty or a new folder"],
        ),
        (["genbench", "data", "audit", "--data_dir=none"], ["none", "--data_dir"]),
        (["contest.py", "--minutes=0"], ["minutes=0", "above 0"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_a_short_message_that_names_it_and_exit_code_2(
    script, tmp_path, command, words
):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "broken.yaml").write_text("method: bayes\nparameters: {a: [1\n")
    (tmp_path / "unknown.yaml").write_text(
        "program: vae.py\nmethod: bayes\nmetric: {name: val/elbo, goal: maximize}\n"
        "parameters: {latent_dmi: {values: [1]}}\n"
    )
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("words")
    (tmp_path / "one").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "one" / "a.png")
    raw = tmp_path / "torn" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\3\0\0")
    done = script(*command)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 15
    flat = re.sub(r"[│\s]+", " ", said)
    for word in words:
        assert word in flat, said
    assert not list(tmp_path.glob("runs/*/config.json"))


@pytest.mark.parametrize(
    "command",
    [
        *(["vae.py"], ["optuna_ae.py"], ["genbench"], ["genbench", "report"]),
        *(["genbench", "train"], ["genbench", "train", "gan"], ["genbench", "search", "vae"]),
    ],
    ids=" ".join,
)
def test_help_needs_no_torch(script, command):
    done = script(*command, "--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert "--help" in done.stdout
    assert not re.search(r"\| +(torch|wandb|optuna|matplotlib)$", done.stderr, re.MULTILINE)


def test_the_version_is_the_packages(script):
    done = script("genbench", "--version")
    assert done.stdout == f"genbench {version('genbench')}\n"
