"""Classes: whose pictures they are, what is learned of them, drawn of them, and scored by them."""

import copy
import dataclasses
import json
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from genbench import UserError, commands
from genbench.classes import Classes
from genbench.cli import parse_training
from genbench.config import EvaluateConfig
from genbench.data import Data, Split, load_data
from genbench.data.audit import audit
from genbench.data.splits import own_classes
from genbench.evaluate.by_class import by_class
from genbench.evaluate.evaluation import evaluate_models
from genbench.evaluate.likelihood import likelihood
from genbench.evaluate.runs import keep, load_candidates
from genbench.evaluate.show import model_lines, show_classes
from genbench.families import FAMILIES
from genbench.families.ae import AEConfig
from genbench.families.flow import FlowConfig
from genbench.families.gan import DCGAN, GANConfig
from genbench.families.gan.drifting import density_logits, drifting_field
from genbench.families.gan.memory import Memory
from genbench.families.gan.nets import make_discriminator
from genbench.families.labels import Labelled
from genbench.families.state import draw_z
from genbench.families.vae import VAEConfig
from genbench.families.vae.steps import STEPS as VAE
from genbench.families.vae.steps import bound
from genbench.loading import load
from genbench.metrics.cache import feature_cache
from genbench.metrics.extractors import load_extractor
from genbench.metrics.neighbours import neighbour_scores
from genbench.record import read_runs
from genbench.report import write_report
from genbench.resume import goes_on
from genbench.sweep import read_sweep
from genbench.train import train

CONDITIONAL = {
    "vae": VAEConfig(conditional=True, latent_dim=2, width=16, lr=0.01),
    "flow": FlowConfig(conditional=True, width=8, lr=0.01, ema=0.0, image_size=16),
    "gan": GANConfig(conditional=True, width=4, latent_dim=4, image_size=16, ema=0.9, lr=5e-3),
    "gan-bce": GANConfig(
        **DCGAN | {"lr": 2e-3}, conditional=True, width=8, image_size=16, batch_size=16
    ),
}


def points(n, d=3, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(config, shape=(3, 16, 16), classes=2):
    steps = FAMILIES[config.model].steps
    return steps, steps.build(config, shape, 10, "cpu", classes)


def black_and_white(n=16):
    """Dark pictures of class 0, light ones of class 1, each with a little noise."""
    y = torch.arange(n) % 2
    noise = torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return 0.1 + 0.6 * y.view(-1, 1, 1, 1) + 0.2 * noise, y


# what the classes are


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["cubism/1.png", "cubism/2.png", "fauvism/1.png"], ["cubism", "cubism", "fauvism"]),
        (["art/a/1.png", "art/b/deep/1.png"], ["a", "b"]),  # of an archive in one folder
        (["train/a/1.png", "train/b/1.png", "test/a/2.png"], ["a", "b", "a"]),
        (["train/1.png", "test/2.png"], []),  # a split is no class
        (["a/1.png", "2.png"], []),  # not all are of one
        (["a/1.png", "a/2.png"], []),
        (["1.png", "2.png"], []),
    ],
)
def test_the_first_folder_below_the_split_is_the_class(names, classes):
    assert own_classes(names) == classes


@pytest.fixture
def folder(tmp_path):
    """Sixty pictures of two classes, a quarter of them light; and the same in an archive."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "art.zip", "w") as archive:
        for i in range(60):
            light = i % 4 == 0
            path = tmp_path / "art" / ("light" if light else "dark") / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = rng.integers(0, 80, (16, 16, 3)) + 160 * light
            Image.fromarray(noise.astype(np.uint8)).save(path)
            archive.write(path, path.relative_to(tmp_path))
    return tmp_path / "art"


@pytest.mark.parametrize("archived", [False, True])
def test_class_folders_are_labels_and_crops_keep_them(folder, archived):
    place = folder.with_suffix(".zip") if archived else folder
    config = GANConfig(data="folder", data_dir=str(place), image_size=16, crops=2, test=True)
    data = load_data(config)
    assert data.classes == ("dark", "light")
    for split in data.splits.values():
        light = split.images.float().mean((1, 2, 3)) > 120
        assert torch.equal(split.labels, light.long())
        assert len(split.sources.unique()) == len(split) / 2
    again = load_data(config)  # from the cache
    assert again.classes == data.classes
    assert torch.equal(again.splits["val"].labels, data.splits["val"].labels)
    assert any("Classes: 2 " in line and "dark 45, light 15" in line for line in audit(place, 16))


def test_digits_and_clothes_have_their_names(few_digits):
    assert load_data(VAEConfig()).classes == tuple("0123456789")
    from genbench.data import NAMES

    assert NAMES["fashion-mnist"][8] == "Bag"


def test_what_has_no_classes_or_cannot_learn_them_is_refused(folder, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in folder.rglob("*.png"):
        (flat / path.name).write_bytes(path.read_bytes())
    fields = {"data": "folder", "image_size": 16, "conditional": True}
    with pytest.raises(UserError, match="folder has no classes; those of a folder are its subf"):
        load_data(GANConfig(data_dir=str(flat), **fields))
    with pytest.raises(UserError, match="synthetic-art has no classes"):
        load_data(FlowConfig(images=32, held_out=16, image_size=16, conditional=True))
    parts = tmp_path / "parts"
    for i, path in enumerate(sorted(folder.rglob("*.png"))):
        split = "train" if i < 45 else "test"
        name = f"{path.parent.name}{i % 2 if split == 'train' else ''}"
        target = parts / split / name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="no training pictures of light; add some"):
        load_data(GANConfig(data_dir=str(parts), test=True, **fields))
    with pytest.raises(UserError, match="model ae learns no classes; those that can: vae, gan, f"):
        train(AEConfig(conditional=True, runs_dir=str(tmp_path / "runs")))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("config", "variables", "reason"),
    [
        (AEConfig(conditional=True), {}, "model ae learns no classes"),
        (AEConfig(eval_every=1), {}, "model ae has no prior to draw from"),
        (VAEConfig(), {"WANDB_MODE": "onlin"}, "WANDB_MODE=onlin: choose one of"),
    ],
)
def test_what_is_wrong_by_itself_is_said_before_anything_is_read(
    monkeypatch, tmp_path, config, variables, reason
):
    monkeypatch.setattr("genbench.train.load_data", lambda *_: pytest.fail("data were read"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=reason):
        train(dataclasses.replace(config, runs_dir=str(tmp_path / "runs")))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["sample", "RUN", "--out=grid.txt"], "out=grid.txt: no kind of picture ends so"),
        (["sample", "RUN", "--n=-1", "--label=3"], "n=-1, seed=0, truncation=0.0: at least 1"),
        (["sample", "RUN", "--n=-8", "--interpolate=True"], "n=-8, seed=0"),
        (["evaluate", "RUN", "--extractor=alexnet"], "extractor='alexnet': unknown"),
        (["evaluate", "RUN", "--metrics=mse"], "metrics='mse': any of"),
    ],
)
def test_a_wrong_flag_is_said_before_a_model_is_loaded(run, monkeypatch, capsys, words, reason):
    monkeypatch.setattr("genbench.loading.load", lambda *_: pytest.fail("a model was loaded"))
    named = [word.replace("RUN", str(run.path)) for word in words]
    monkeypatch.setattr(sys, "argv", ["genbench", *named])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_data_set_named_alone_settles_what_follows_from_it():
    assert parse_training(GANConfig, ["--data=mnist-mini"])[0].image_size == 32
    assert parse_training(GANConfig, [])[0].image_size == 64
    assert parse_training(VAEConfig, ["--data=synthetic-art"])[0].likelihood == "gaussian"


def test_pictures_in_another_class_are_other_data(folder, tmp_path):
    fields = {"data": "folder", "data_dir": str(folder), "image_size": 16, "batch_size": 8}
    config = VAEConfig(
        **fields,
        conditional=True,
        epochs=1,
        width=8,
        wandb="disabled",
        runs_dir=str(tmp_path / "r"),
    )
    train(config)
    (record,) = read_runs(tmp_path / "r")
    before = load_data(config).content_hash
    moved = next((folder / "dark").iterdir())
    moved.rename(folder / "light" / moved.name)
    assert load_data(config).content_hash != before
    with pytest.raises(UserError, match="its data have changed"):
        train(dataclasses.replace(config, epochs=2), resume=record.path)


def test_codes_of_every_class_teach_the_probe(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("genbench.train.PROBE_IMAGES", 12)
    monkeypatch.setattr("genbench.train.LATENT_IMAGES", 4)
    config = AEConfig(
        data="folder",
        data_dir=str(folder),
        image_size=16,
        epochs=1,
        width=8,
        wandb="disabled",
        runs_dir=str(tmp_path / "r"),
    )
    scores = train(config)  # the pictures lie in the order of the classes
    assert {"val/knn_accuracy", "val/probe_accuracy"} <= {*scores}
    (record,) = read_runs(tmp_path / "r")
    val = load_data(config).splits["val"]
    kept = val.take(val.spread(4)).labels
    assert record.arrays("latents")["labels"].tolist() == kept.tolist()


@pytest.mark.parametrize("label", [-1, 256])
def test_labels_that_are_no_classes_are_refused(monkeypatch, label):
    from genbench.data import LABELLED

    images, labels = LABELLED["mnist-mini"](None, "test")
    labels = labels.copy()
    labels[7] = label
    monkeypatch.setitem(LABELLED, "mnist-mini", lambda root, split: (images, labels))
    with pytest.raises(UserError, match=f"data=mnist-mini: labels from .* to .*{abs(label)}|9, of"):
        load_data(VAEConfig())


def test_a_sweep_of_a_family_without_classes_does_not_learn_them(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "method: random\nmetric: {name: val/reconstruction}\n"
        "parameters: {conditional: {value: true}, width: {values: [8, 16]}}\n"
    )
    with pytest.raises(UserError, match="conditional: ae learns no classes; leave it out"):
        read_sweep(path, FAMILIES["ae"])


def test_a_run_of_before_there_were_classes_goes_on(tmp_path):
    config = VAEConfig(epochs=1, width=8, wandb="disabled", runs_dir=str(tmp_path))
    about = dataclasses.asdict(config)
    del about["conditional"]
    record = SimpleNamespace(config=about, status="failed", model="vae", path=tmp_path)
    assert goes_on(record, config)
    assert not goes_on(record, dataclasses.replace(config, conditional=True))


def test_labels_are_drawn_as_often_as_in_training():
    classes = Classes({"dark": 30, "light": 10})
    drawn = classes.draw(4000, seed=0)
    assert drawn.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(classes.draw(37, seed=0), drawn[:37])
    assert not torch.equal(classes.draw(37, seed=1), drawn[:37])
    assert classes.labels("light", 3).tolist() == [1, 1, 1]
    assert classes.rows(2).tolist() == [0, 0, 1, 1]
    assert len(Classes({str(i): 1 for i in range(100)}).rows(8)) == 16 * 8
    assert Classes({}).draw(3, 0) is Classes({}).rows() is None


# what networks and losses do with them


def test_a_labelled_network_sees_its_own_numbers_of_each_class():
    net = Labelled(nn.Flatten(), 3, (1, 2, 2), std=1.0)
    x = torch.zeros(2, 1, 2, 2)
    out = net(x, torch.tensor([2, 0]))
    assert torch.equal(out, torch.cat([x.flatten(1), net.classes.weight[[2, 0]]], 1))
    assert Labelled(nn.Flatten(), 3, (4,), std=0.0).classes.weight.abs().max() == 0


@pytest.mark.parametrize("arch", ["dcgan", "palette"])
@pytest.mark.parametrize("spectral", [False, True])
def test_a_projection_discriminator_adds_the_classes_inner_product(arch, spectral):
    torch.manual_seed(0)
    net = make_discriminator(arch, 3, 16, 4, spectral, classes=3).eval()
    x, y = torch.rand(5, 3, 16, 16), torch.tensor([0, 1, 2, 0, 1])
    plain = net.last(net.body(x))
    assert torch.equal(net(x, y), plain)  # it begins so
    nn.init.normal_(net.classes.weight)
    inner = torch.einsum("bi,bi->b", net.body(x).flatten(1), net.classes.weight[y])
    torch.testing.assert_close(net(x, y), plain + inner)


def test_each_class_drifts_by_itself():
    x, reals, fakes = points(6), points(9, seed=1) + 1, points(5, seed=2)
    labels = tuple(torch.arange(n) % 2 for n in (6, 9, 5))
    field = drifting_field(x, reals, fakes, [0.5], labels)
    for label in (0, 1):
        own = [side[of == label] for side, of in zip((x, reals, fakes), labels, strict=True)]
        alone = drifting_field(*own, [0.5])
        cosine = torch.nn.functional.cosine_similarity(field[labels[0] == label], alone)
        torch.testing.assert_close(cosine, torch.ones_like(cosine))
    assert field.square().sum(1).mean().sqrt() == pytest.approx(1.0)  # of all together
    torch.testing.assert_close(
        drifting_field(x, reals, fakes, [0.5], tuple(torch.zeros_like(of) for of in labels)),
        drifting_field(x, reals, fakes, [0.5]),
    )


def test_densities_are_those_of_the_class_and_nothing_is_said_of_an_unknown_one():
    x, reals, fakes = points(4), points(8, seed=1), points(6, seed=2)
    labels = torch.tensor([0, 1, 0, 7]), torch.arange(8) % 2, torch.arange(6) % 2
    logits = density_logits(x, reals, fakes, 0.5, labels)
    for i, label in enumerate([0, 1, 0]):
        own = reals[labels[1] == label], fakes[labels[2] == label]
        torch.testing.assert_close(logits[i : i + 1], density_logits(x[i : i + 1], *own, 0.5))
    assert logits[3] == 0


def test_the_memory_keeps_the_labels_of_what_it_keeps():
    memory = Memory("cpu", classes=100)
    assert (len(memory.reals), len(memory.fakes)) == (8_192, 1_600)
    memory = Memory("cpu", classes=3)
    width = memory.reals.shape[1]
    for first in range(0, 700, 70):  # round the ring of 512
        values = torch.arange(first, first + 70)
        memory.remember(values[:, None].expand(-1, width).float(), False, values % 3)
    _, of_reals, of_fakes = memory.labels(torch.zeros(1, dtype=torch.int64))
    assert torch.equal(of_reals, memory.reals[:, 0].long() % 3)
    assert len(of_fakes) == 0


def test_a_conditional_likelihood_is_of_each_picture_with_its_own_class():
    _, state = build(CONDITIONAL["vae"], (1, 6, 6))
    with torch.no_grad():
        state.modules["encoder"].classes.weight.normal_()
        state.modules["decoder"].classes.weight.mul_(10)
    x = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(3))
    y = torch.tensor([0, 1])
    noise = torch.randn(4000, 2, *state.z_shape, generator=torch.Generator().manual_seed(0))
    log_w = VAE.log_weights(state, x, noise, y).mean(0)
    swapped = VAE.log_weights(state, x, noise, 1 - y).mean(0)
    alone = [
        VAE.log_weights(state, x[i : i + 1], noise[:, 1 - i, None], y[i : i + 1]) for i in (0, 1)
    ]
    for i in (0, 1):  # the ELBO, estimated twice
        assert log_w[i].item() == pytest.approx(alone[i].mean().item(), abs=0.05)
        assert abs(swapped[i] - log_w[i]) > 0.2
    scalars, _ = bound(state, x.repeat(500, 1, 1, 1), 1.0, torch.Generator(), y.repeat(500))
    assert scalars["elbo"].item() == pytest.approx(log_w.mean().item(), abs=0.1)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_model_of_classes_draws_the_one_that_is_asked_for(name):
    steps, state = build(CONDITIONAL[name])
    x, y = black_and_white()
    state.modules.train()
    for _ in range(100):
        steps.train_step(state, x, y)
    state.modules.eval()
    z = draw_z(state, 16, seed=0)
    with torch.no_grad():
        dark, light = (steps.generate(state, z, torch.full((16,), label)) for label in (0, 1))
    assert light.mean() - dark.mean() > 0.2  # of 0.6


@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_checkpoint_holds_what_was_learned_of_classes(name):
    (steps, state), (_, again) = (build(CONDITIONAL[name]) for _ in range(2))
    x, y = black_and_white()
    for _ in range(3):
        steps.train_step(state, x, y)
    again.load_state_dict(copy.deepcopy(state.state_dict()))
    more = [steps.train_step(each, x, y) for each in (state, again)]
    assert {k: v.item() for k, v in more[0].items()} == {k: v.item() for k, v in more[1].items()}


# what is drawn and scored


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A VAE that learned digits by their classes."""
    folder = tmp_path_factory.mktemp("runs")
    config = VAEConfig(
        conditional=True, epochs=2, width=64, wandb="disabled", test=True, runs_dir=str(folder)
    )
    train(config)
    (record,) = read_runs(folder)
    return record


def test_the_record_names_the_classes_and_a_loaded_model_draws_them(run):
    counts = run.about["classes"]
    assert [*counts] == list("0123456789")
    assert sum(counts.values()) == 9000
    model = load(run.path)
    assert model.classes.counts == counts
    y = model.classes.labels("1", 20)
    ones, sevens = model.sample(20, y=y), model.sample(20, y=model.classes.labels("7", 20))
    assert (ones - sevens).abs().mean() > 0.02
    assert torch.equal(model.sample(30)[:20], model.sample(20))
    lines = model.interpolate_samples(3, y=torch.tensor([1, 1, 1]))
    assert lines.shape == (3, 9, 1, 28, 28)
    ends = model.sample(6, y=torch.ones(6, dtype=torch.int64))
    torch.testing.assert_close(lines[:, 0], ends[0::2])
    with pytest.raises(ValueError, match="needs the labels y"):
        model.generate(model.draw_z(2, 0))


def test_sample_draws_a_row_a_class_or_the_one_that_is_named(run, tmp_path, monkeypatch, capsys):
    def sample(*args):
        out = f"--out={tmp_path / 'grid.png'}"
        monkeypatch.setattr(sys, "argv", ["genbench", "sample", str(run.path), out, *args])
        commands.main()
        return np.asarray(Image.open(tmp_path / "grid.png"))

    grid = sample("--n=64")
    assert grid.shape == (10 * 30, 7 * 30)  # a row of seven for each of ten, each with an edge
    assert "70 pictures" in capsys.readouterr().out
    model = load(run.path, "cpu")
    second_row = model.sample_bytes(70, y=torch.arange(10).repeat_interleave(7))[7]
    assert np.array_equal(grid[31:59, 1:29], second_row[0])
    assert sample("--n=16", "--label=3").shape == (2 * 30, 8 * 30)
    assert sample("--n=16", "--label=3", "--interpolate=True").shape == (2 * 30, 8 * 30)
    with pytest.raises(SystemExit) as ended:
        sample("--label=ten")
    assert ended.value.code == 2
    assert "label='ten': no class; any of 0, 1, 2" in capsys.readouterr().err


def test_a_class_that_a_run_did_not_learn_cannot_be_asked_for():
    with pytest.raises(UserError, match="learned no classes; --conditional=True does"):
        Classes({}).labels("3", 1)


def test_scores_by_class_are_those_of_its_pictures_alone():
    rng = torch.Generator().manual_seed(0)
    pool = torch.randint(0, 256, (150, 3, 32, 32), generator=rng, dtype=torch.uint8)
    labels = torch.arange(150) % 3
    labels[labels == 2] = torch.where(torch.arange(50) < 10, 2, 0)  # few of the last one
    rows = torch.arange(150)
    splits = {
        name: Split(pool, rows[part], labels[part], rows[part])
        for name, part in {"train": slice(75), "val": slice(75, 80), "test": slice(75, 150)}.items()
    }
    drawn = torch.randint(0, 256, (60, 3, 32, 32), generator=rng, dtype=torch.uint8)

    def sample_bytes(n, seed, y):
        images = drawn[:n].clone()
        if y[0] == 1:  # the held-out pictures themselves
            test = splits["test"]
            images = test.of_class(1).images[:n]
        return images.numpy()

    model = SimpleNamespace(
        data=Data(splits, "noise", ("a", "b", "c")),
        classes=Classes({"a": 1, "b": 1, "c": 1}),
        sample_bytes=sample_bytes,
    )
    extractor = load_extractor()
    found = by_class(model, EvaluateConfig(n=20, seeds=1), extractor, feature_cache())
    assert [(entry["label"], entry["n"]) for entry in found] == [("a", 20), ("b", 20)]
    assert found[1]["values"]["recall"] > 0.5
    from genbench.evaluate.reals import sides

    reals = extractor(sides(model.data, "test")[0].of_class(0).images[:20].numpy())
    expected = neighbour_scores(extractor(drawn[:20].numpy()).features, reals.features)
    for name in ("precision", "recall"):
        assert found[0]["values"][name] == expected[name]


def test_an_evaluation_says_and_keeps_the_recall_of_each_class(
    run, monkeypatch, capsys, tmp_path, blank_charts
):
    options = EvaluateConfig(n=40, seeds=1, draws=3, extractor="lenet-digits", wandb="disabled")
    (candidate,) = load_candidates([run.path], options)
    list(evaluate_models([candidate], options))
    entries = candidate.findings["classes"]
    assert [(entry["label"], entry["n"]) for entry in entries] == [(str(i), 40) for i in range(10)]
    assert all(0 <= entry["values"]["recall"] <= 1 for entry in entries)
    show_classes(candidate)
    assert "recall ↑" in capsys.readouterr().out
    assert any("-log p(x|class) " in line for line in model_lines(candidate))
    keep(candidate, options)
    line = json.loads((run.path / "evaluations.jsonl").read_text().splitlines()[-1])
    assert line["classes"] == entries
    assert line["likelihood"]["given"] == "class"
    page = write_report(str(run.path.parent), str(tmp_path / "reports")).with_suffix(".md")
    (row,) = [row for row in page.read_text().splitlines() if row.startswith("| 3 | 40 |")]
    assert f"{entries[3]['values']['recall']:.3f}" in row


def test_a_likelihood_hands_each_picture_its_class(run, monkeypatch):
    monkeypatch.setattr("genbench.evaluate.likelihood.PICTURES", 20)
    model = load(run.path, "cpu")
    assert run.config["conditional"] is True
    model.data = load_data(VAEConfig(test=True))
    seen = []
    log_weights = model.steps.log_weights

    def spy(state, x, noise, y):
        seen.extend(y.tolist())
        return log_weights(state, x, noise, y)

    model.steps = dataclasses.replace(model.steps, log_weights=spy)
    likelihood(model, "test", feature_cache(), draws=2)
    test = model.data.splits["test"]
    assert seen == test.take(test.spread(20)).labels.tolist()


def test_an_archive_of_class_folders_that_is_split_goes_through_everything(
    folder, tmp_path, monkeypatch, capsys, blank_charts
):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("split.zip", "w") as archive:
        for i, path in enumerate(sorted(folder.rglob("*.png"))):
            split = "test" if i % 3 == 0 else "train"
            archive.write(path, f"art/{split}/{path.parent.name}/{path.name}")

    def genbench(*args):
        monkeypatch.setattr(sys, "argv", ["genbench", *args])
        commands.main()
        return capsys.readouterr().out

    assert "Split: the folder's own, test 20, train 40" in genbench("data", "audit", "split.zip")
    flags = ["--data=folder", "--data_dir=split.zip", "--image_size=16", "--wandb=disabled"]
    flags += ["--epochs=2", "--test=True", "--conditional=True"]
    genbench("train", "vae", *flags, "--width=16", "--batch_size=8")
    genbench("train", "flow", *flags, "--width=8", "--batch_size=8", "--sample_steps=2")
    runs = sorted(str(path) for path in (tmp_path / "runs").glob("2*"))
    for run in runs:
        genbench("sample", run, "--n=6", "--out=grid.png")
        with Image.open("grid.png") as grid:
            assert grid.size == (3 * 18, 2 * 18)  # a row a class
        genbench("sample", run, "--n=4", "--label=light", "--format=png-folder", f"--out={run}/out")
        assert len([*Path(run, "out").iterdir()]) == 4
    printed = genbench("evaluate", *runs, "--metrics=kid,prc", "--split=test", "--wandb=disabled")
    header = next(line for line in printed.splitlines() if "real pictures" in line)
    assert "vae" in header
    assert "flow" in header
    assert printed.count("\ndark ") == 2  # a line of each; too few light ones
    genbench("report", "--data=folder")
    assert "Recall of each class" in (tmp_path / "reports" / "summary.md").read_text()
