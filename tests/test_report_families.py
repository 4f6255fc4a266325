"""The report on families and metrics that genbench does not know, on hand-made records."""

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from records import FAILURE, Records, grid, tile

from genbench import report
from genbench.config import Config, PictureConfig
from genbench.families import FAMILIES, Family
from genbench.families.gan import DCGAN
from genbench.files import write_json
from genbench.metrics.table import METRICS, Metric
from genbench.report import write_report
from genbench.report.part import Content
from genbench.scalars import Scalar

pytestmark = pytest.mark.usefixtures("blank_charts")


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "runs")


@dataclass(frozen=True)
class MeanConfig(Config):
    """Every code is the mean picture."""

    model: ClassVar[str] = "mean"
    latent_dim: int = 3


@dataclass(frozen=True)
class NoiseConfig(PictureConfig):
    """Every picture is noise."""

    model: ClassVar[str] = "noise"


def registered(config, *can):
    scalars = {
        "loss": Scalar(title="Loss", unit="nats an image"),
        "toy_error": Scalar(title="Toy error", unit="bits", better="minimize", digits=1),
    }
    title = f"Toy {config.model}"
    return Family(
        config=config, title=title, implementation="none:STEPS", can=frozenset(can), scalars=scalars
    )


@pytest.fixture
def toys():
    """Families registered by one line each."""
    FAMILIES.add(registered(MeanConfig, "encode", "decode"))
    FAMILIES.add(registered(NoiseConfig, "generate"))
    yield
    FAMILIES.remove("mean")
    FAMILIES.remove("noise")


def toy(records, model, seed=0, error=3.0, key="t", **more):
    """A run of a toy family as a training leaves it: its own scalars, and pictures by epoch."""
    records.n += 1
    path = records.folder / f"toy-{records.n:03d}"
    (path / "samples").mkdir(parents=True)
    config = {"data": "mnist-mini", "epochs": 3, "seed": seed, "lr": 0.1} | more
    about = {
        **{"id": path.name, "created": f"{records.n:03d}", "model": model, "key": key},
        **{"objective": "val/toy_error", "direction": "minimize", "parameters": 7},
        **{"data_hash": "abc" * 20, "commit": "f" * 40, "hardware": "cpu", "threads": 1},
        "images": {"train": 90, "val": 10, "test": 20},
        "versions": {"genbench": "1", "torch": "2"},
    }
    write_json(path / "config.json", about | {"config": config})
    scores = {"val/toy_error": error, "test/toy_error": error, "test/kid_lite0_n1500": 0.5}
    summary = {"status": "finished", "seconds": 1.0, "best_epoch": 2, "scores": scores}
    write_json(path / "summary.json", summary)
    rows = [
        {"step": 10 * e, "epoch": e, "split": split, "loss": 9.0 - e, "toy_error": 5.0 - e}
        for e in (1, 2, 3)
        for split in ("train", "val")
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for epoch in (1, 2, 3):
        picture = grid([tile(epoch, k) for k in range(64)])
        Image.fromarray(picture).save(path / "samples" / f"epoch-{epoch:04d}.png")
    return path


def written(records, tmp_path):
    text = write_report(str(records.folder), str(tmp_path / "out")).with_suffix(".md").read_text()
    return text, {path.name for path in (tmp_path / "out" / "figures").iterdir()}


def test_a_new_family_with_codes_stands_beside_the_others(records, toys, tmp_path):
    records.run("ae")
    for seed, error in enumerate([2.0, 4.0]):
        toy(records, "mean", seed, error, latent_dim=3, likelihood="bernoulli")
    text, drawn = written(records, tmp_path)
    assert text.startswith("# AE and Toy mean on mnist-mini\n")
    table = records.rows("Scores on the test split")
    assert table[""] == ["AE", "Toy mean"]
    assert table["Toy error (bits) ↓"] == ["—", "3.0 ± 1.4"]
    assert {"ae_loss.png", "mean_loss.png"} <= drawn
    assert records.said("the Toy mean's validation toy_error is 0.0 bits")


def test_a_new_family_that_only_generates_has_its_page(records, toys, tmp_path):
    toy(records, "noise")
    text, drawn = written(records, tmp_path)
    assert text.startswith("# Toy noise on mnist-mini\n")
    table = records.rows("Scores")
    assert table["KID to held-out pictures (lite0, N = 1500) ↓"] == ["0.5000"]
    assert table["Toy error (bits) ↓"] == ["3.0"]
    assert drawn == {
        *("noise_loss.png", "generated-images-0003.png", "generated-strip.png"),
        *("generated-film.gif", "noise_answer.png"),
    }


def test_variants_of_a_family_have_figures_of_their_own(records, toys, tmp_path):
    FAMILIES.add(replace(FAMILIES["noise"], baseline={"arch": "white"}))
    for arch in ("white", "pink", "brown"):
        toy(records, "noise", arch=arch, key=arch)
    _, drawn = written(records, tmp_path)
    titles = [group.title for group in records.part().groups]
    assert sorted(titles) == ["brown", "pink", "white (baseline)"]
    assert {"noise_loss.png", "noise_loss-2.png", "noise_loss-3.png"} <= drawn


def test_families_judged_by_samples_share_a_part_and_no_file(records, toys, tmp_path):
    records.gan(config={"data": "mnist-mini"})
    path = toy(records, "noise", image_size=64, crops=0, images=6000, held_out=0) / "config.json"
    write_json(path, json.loads(path.read_text()) | {"shape": [3, 16, 16]})
    text, drawn = written(records, tmp_path)
    assert text.startswith("# GAN and Toy noise on mnist-mini\n")
    assert records.rows("Scores")[""] == ["palette, r3", "Toy noise"]
    assert {"generated-strip.png", "noise_generated-strip.png", "noise_loss.png"} <= drawn
    assert text.count("](figures/") == len(drawn)
    assert records.said("By KID", "the palette with r3 has", "the Toy noise", "nobody knows which")


def test_a_family_on_other_data_has_a_part_of_its_own(records, toys, tmp_path):
    records.gan(seed=0)
    records.gan(seed=1)
    toy(records, "noise")
    text, drawn = written(records, tmp_path)
    assert text.startswith("# GAN and Toy noise on synthetic-art and mnist-mini\n")
    assert "Left out" not in text
    assert {"generated-strip.png", "noise_generated-strip.png"} <= drawn


def test_a_family_that_is_not_registered_is_reported_by_its_name(records, tmp_path):
    records.gan()
    toy(records, "stranger")
    text, drawn = written(records, tmp_path)
    assert text.startswith("# GAN and stranger on synthetic-art and mnist-mini\n")
    assert "| toy_error | 3.0000 |" in text
    assert {"stranger_loss.png", "stranger_generated-strip.png"} <= drawn


def test_a_new_metric_has_its_row_and_its_direction(records, tmp_path):
    metric = Metric(name="toy", title="Toy distance", digits=2, better="maximize", compute=max)
    METRICS.add(metric)
    try:
        name = "test/toy_lite0_n1500"
        for seed in range(2):
            records.gan(seed, scores={name: 7.0})
            records.gan(seed, key="b", config=DCGAN, scores={name: 8.0})
        line = {"sampler": "gan", "scores": [{
            "ruler": {"extractor": "efficientnet-lite0", "weights": "a", "reals": "b",
                      "split": "test", "size": 16, "n": 1500},
            "values": {"toy": [1.0, 3.0]}, "errors": {}, "floor": {"toy": 9.0},
        }]}  # fmt: skip
        path = records.folder / "run-001" / "evaluations.jsonl"
        path.write_text(json.dumps(line) + "\n")
        text, _ = written(records, tmp_path)
        assert (
            "| Toy distance against held-out pictures (lite0, N = 1500) ↑ | 7.00 ± 0.00 | 8.00"
            in text
        )
        assert "| Toy distance ↑ | 2.00 [-10.71, 14.71] | 9.00 |" in text
        (said,) = records.said("has the higher Toy distance")
        assert said.startswith("The baseline (dcgan with bce) has the higher Toy distance")
    finally:
        METRICS.remove("toy")


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({}, "dcgan, bce (baseline)"),
        ({"width": 64, "batch_size": 128}, "dcgan, bce (baseline)"),  # what the paper leaves open
        ({"lr": 1e-3}, "dcgan, bce"),
        ({"diffaugment": "color"}, "dcgan, bce"),
    ],
)
def test_a_baseline_is_one_by_its_whole_configuration(records, change, title):
    records.gan(config=DCGAN | change)
    assert [group.title for group in records.part().groups] == [title]


def test_a_variant_like_the_baseline_stands_beside_it(records):
    records.gan(key="b", config=DCGAN)
    records.gan(key="x", config=DCGAN | {"lr": 1e-3}, scores={"test/kid_lite0_n1500": 0.01})
    titles = [group.title for group in records.part().groups]
    assert titles == ["dcgan, bce", "dcgan, bce (baseline)"]


def test_every_file_of_scalars_is_read_once(records, toys, tmp_path, monkeypatch):
    records.run("ae")
    records.run("vae")
    records.gan()
    records.gan(seed=1, **FAILURE)
    toy(records, "noise")
    line = {"sampler": "vae", "scores": [], "memorization": {}}
    (records.folder / "run-002" / "evaluations.jsonl").write_text(json.dumps(line))
    opened, listed, text = Counter(), [], Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda p, *a, **k: opened.update([p]) or text(p, *a, **k)
    )
    real = report.read_runs
    monkeypatch.setattr(report, "read_runs", lambda folder: listed.append(folder) or real(folder))
    write_report(str(records.folder), str(tmp_path / "out"))
    assert len(listed) == 1
    metrics = {path: n for path, n in opened.items() if path.name == "metrics.jsonl"}
    assert len(metrics) == 5
    assert set(metrics.values()) == {1}
    assert [n for path, n in opened.items() if path.name == "evaluations.jsonl"] == [1]


def test_codes_of_a_new_family_are_drawn(records, toys, tmp_path):
    path = toy(records, "mean", latent_dim=2)
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(30, 2)), np.arange(30) % 10
    np.savez(path / "latents.npz", z=z, labels=labels, split=np.array("test"))
    images = rng.integers(0, 255, (16, 6, 6), dtype=np.uint8)
    np.savez(path / "pictures.npz", originals=images, reconstructions=images)
    _, drawn = written(records, tmp_path)
    assert drawn == {
        *("mean_answer.png", "mean_loss.png", "reconstructions.png", "mean_latent_space.png"),
    }


def count_codes(part):
    """How many numbers the codes have, as somebody else would say it."""
    sizes = [str(group.config["latent_dim"]) for group in part.groups if "encode" in group.can]
    yield Content("Sizes of codes", [f"The codes have {', '.join(sizes)} numbers."] * bool(sizes))


def test_a_section_is_a_function_and_a_line(records, monkeypatch, tmp_path):
    records.run("vae", config={"latent_dim": 7})
    monkeypatch.setattr(report, "SECTIONS", [*report.SECTIONS, count_codes])
    text = write_report(str(records.folder), str(tmp_path / "out")).with_suffix(".md").read_text()
    assert "- The codes have 7 numbers." in text
