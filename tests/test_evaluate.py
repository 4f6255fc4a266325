import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from genbench import UserError, commands
from genbench.config import EvaluateConfig
from genbench.evaluate import evaluation
from genbench.evaluate.folders import read_pair
from genbench.evaluate.reals import sides
from genbench.evaluate.runs import keep, load_candidates
from genbench.families.ae import AEConfig
from genbench.families.gan import GANConfig
from genbench.families.vae import VAEConfig
from genbench.metrics.extractors import load_extractor
from genbench.metrics.fidelity import frechet_distance, kernel_distance
from genbench.metrics.protocol import ModelScores, Protocol, ranking
from genbench.record import read_runs
from genbench.train import train

NAMES = {"fd", "kid", "isc_mean", "precision", "recall", "density", "coverage", "kl"}
PROTOCOL = Protocol("efficientnet-lite0", "aa", "bb", "test", 32, 100)


def row(title="a", protocol=PROTOCOL, kid=(0.1, 0.2, 0.3), **errors):
    return ModelScores(title, protocol, {"kid": list(kid)}, errors)


# --- what may be ranked ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        {"extractor": "x"},
        {"weights": "x"},
        {"reals": "x"},
        {"split": "train"},
        {"size": 64},
        {"n": 9},
    ],
)
def test_scores_of_unlike_protocols_are_not_ranked(field):
    other = row("b", dataclasses.replace(PROTOCOL, **field))
    (name, value), *_ = field.items()
    mine = getattr(PROTOCOL, name)
    with pytest.raises(UserError, match=f"a and b cannot be ranked: {name} {mine} and {value}; "):
        ranking([row(), other])


def test_the_best_comes_first():
    rows = [row("a", kid=[0.3]), row("b", kid=[0.1]), row("c", kid=[0.2])]
    assert [one.title for one in ranking(rows)] == ["b", "c", "a"]
    precise = [ModelScores(t, PROTOCOL, {"precision": [v]}) for t, v in (("a", 0.2), ("b", 0.9))]
    assert [one.title for one in ranking(precise, "precision")] == ["b", "a"]
    with pytest.raises(UserError, match="b: has no kid to be ranked by"):
        ranking([rows[0], precise[1]])


def test_an_interval_is_students_over_draws_and_else_of_half_samples():
    values = [0.1, 0.25, 0.3, 0.2]
    seeds = row(kid=values)
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    np.testing.assert_allclose(seeds.interval("kid"), expected)
    with_error = ModelScores("a", PROTOCOL, {"kid": values}, {"kid": 9.0})
    assert with_error.interval("kid") == seeds.interval("kid")
    assert seeds.basis == "95 % interval over 4 sampling seeds"
    low, high = expected
    assert seeds.show("kid") == f"0.2125 [{low:.4f}, {high:.4f}]"
    one = ModelScores("a", PROTOCOL, {"kid": [0.3]}, {"kid": 0.1})
    assert one.interval("kid") == pytest.approx((0.3 - 0.196, 0.3 + 0.196), abs=1e-3)
    assert one.basis == "95 % interval over half samples"
    assert row(kid=[0.2]).interval("kid") is None
    two = ModelScores("a", PROTOCOL, {"kid": [0.2, 0.4]}, over="training seeds")
    np.testing.assert_allclose(two.interval("kid"), stats.t.interval(0.95, 1, 0.3, 0.1))
    assert two.basis == "± over 2 training seeds"
    assert two.show("kid") == f"0.3000 ± {np.sqrt(0.02):.4f}"  # the standard deviation


@pytest.mark.parametrize(("values", "shown"), [([np.inf] * 3, "inf"), ([np.nan], "nan")])
def test_scores_without_a_bound_have_no_interval(values, shown):
    one = ModelScores("a", PROTOCOL, {"kl": values}, {"kl": np.nan})
    assert one.interval("kl") is None
    assert one.show("kl") == shown
    assert one.show("kid") == "—"


@pytest.mark.parametrize(
    ("extractor", "metric", "column"),
    [
        ("efficientnet-lite0", "fd", "fd_lite0_n100"),
        ("inception-v3-compat", "fd", "fid_inception_n100"),
        ("inception-v3-compat", "kid", "kid_inception_n100"),
        ("clip-rn50", "recall", "recall_clip_rn50_n100"),
    ],
)
def test_a_column_says_what_the_score_depends_on(extractor, metric, column):
    name = dataclasses.replace(PROTOCOL, extractor=extractor).score(metric)
    assert str(name) == f"test/{column}"


# --- runs -----------------------------------------------------------------------------------------

TINY = {"epochs": 1, "wandb": "disabled", "data": "mnist-mini", "test": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An AE, two seeds of a VAE and a GAN on the same digits."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENBENCH_CACHE", str(folder / "cache"))
        common = TINY | {"runs_dir": str(folder / "runs")}
        train(AEConfig(**common, width=64, latent_dim=3))
        for seed in (0, 1):
            train(VAEConfig(**common, width=64, latent_dim=3, seed=seed))
        train(
            GANConfig(
                **common | {"epochs": 50, "minutes": 0.02},
                **{"arch": "dcgan", "width": 2, "image_size": 32, "eval_every": 0},
            )
        )
    return folder / "runs"


@pytest.fixture
def runs(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "runs")
    return [run.path for run in read_runs(tmp_path / "runs")]


def options(**fields):
    fast = {
        "extractor": "lenet-digits",
        "n": 120,
        "wandb": "disabled",
        "device": "cpu",
        "draws": 20,
    }
    return EvaluateConfig(**fast | fields)


def evaluate(paths, **fields):
    chosen = options(**fields)
    candidates = load_candidates(paths, chosen)
    return candidates, list(evaluation.evaluate_models(candidates, chosen))


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch):
    monkeypatch.setattr("genbench.evaluate.likelihood.PICTURES", 10)


def test_all_families_stand_in_one_table_of_one_protocol(runs):
    models, (test, train_) = evaluate(runs)
    for table, split in ((test, "test"), (train_, "train")):
        assert [one.title for one in table.rows] == ["ae+mixture", "vae", "gan"]
        assert {one.protocol for one in table.rows} == {table.rows[0].protocol}
        protocol = table.rows[0].protocol
        assert (protocol.extractor, protocol.split, protocol.size, protocol.n) == (
            "lenet-digits",
            split,
            32,
            120,
        )
        assert set(table.floor) == NAMES
        for one in table.rows:
            assert set(one.values) == NAMES
        # two training seeds of the VAE give a value each, three sampling seeds of the others too
        assert [len(one.values["kid"]) for one in table.rows] == [3, 2, 3]
        assert table.floor["kid"] < min(one.sample("kid").mean for one in table.rows)
    assert test.rows[0].protocol.reals != train_.rows[0].protocol.reals
    assert {one.model.sampler: set(one.findings) for one in models} == {
        "ae+mixture": {"scores", "memorization", "samples"},
        "vae": {"scores", "memorization", "samples", "likelihood"},
        "gan": {"scores", "memorization", "samples"},
    }


def test_scores_are_those_of_the_samples_against_the_first_shuffled_pictures(runs):
    models, (table,) = evaluate(runs[3:], split="test", seeds=2, metrics="fd,kid")
    extractor = load_extractor("lenet-digits")
    data = models[0].model.data
    reals = sides(data, "test")[0].take(slice(120))
    reals = extractor(reals.images).features
    (gan,) = table.rows
    for k, seed in enumerate((1, 2)):
        fakes = extractor(models[0].model.sample_bytes(120, seed)).features
        assert gan.values["fd"][k] == pytest.approx(frechet_distance(fakes, reals), rel=1e-6)
        assert gan.values["kid"][k] == pytest.approx(kernel_distance(fakes, reals), rel=1e-6)
    assert gan.errors == {}  # seeds tell enough


def test_an_autoencoder_is_drawn_from_what_was_fitted_to_its_codes(runs):
    models, (one,) = evaluate(runs[:1], split="test", seeds=1, metrics="kid", prior="gaussian")
    assert one.rows[0].title == "ae+gaussian"
    draw = models[0].model.sample_bytes
    np.testing.assert_array_equal(draw(5, seed=3), draw(5, seed=3))
    assert (draw(5, seed=3) != draw(5, seed=4)).any()
    assert draw(5, seed=3).shape == (5, 1, 28, 28)
    _, (other,) = evaluate(runs[:1], split="test", seeds=1, metrics="kid")
    assert other.rows[0].values != one.rows[0].values


def test_any_model_with_codes_can_be_drawn_from_what_is_fitted_to_them(runs):
    own, (one,) = evaluate(runs[1:4], split="test", seeds=1, metrics="kid,memorization,nll")
    assert [row.title for row in one.rows] == ["vae", "gan"]
    models, (fitted,) = evaluate(
        runs[1:4], split="test", seeds=1, metrics="kid,memorization,nll", prior="mixture"
    )
    assert [row.title for row in fitted.rows] == ["vae+mixture", "gan"]
    assert fitted.rows[0].values != one.rows[0].values
    assert fitted.rows[1].values == one.rows[1].values  # it has no codes to fit anything to
    vae = models[0].model
    codes = torch.from_numpy(vae.prior.sample(5, seed=3))
    torch.testing.assert_close(vae.sample(5, seed=3), vae.decode(codes))
    assert [set(first[0].findings) for first in (own, models)] == [
        {"scores", "samples", "memorization", "likelihood"},
        {"scores", "samples", "memorization"},  # the likelihood is that of the model's own prior
    ]
    pictures = {first[0].findings["memorization"]["picture"] for first in (own, models)}
    assert pictures == {"closest_pairs-vae.png", "closest_pairs-vae+mixture.png"}
    assert all((runs[1] / picture).is_file() for picture in pictures)


@pytest.mark.parametrize(
    ("which", "prior", "drawn"), [(1, "mixture", "vae.mixture"), (3, "", "gan")]
)
def test_a_likelihood_that_nothing_has_is_refused_by_name(runs, which, prior, drawn):
    with pytest.raises(UserError, match=f"metrics=nll: {drawn}: no likelihood; name VAEs"):
        evaluate(runs[which : which + 1], metrics="nll", prior=prior)


def test_what_was_found_is_in_the_records(runs):
    models, _ = evaluate(runs[1:2], seeds=2)
    keep(models[0], options(seeds=2))
    keep(models[0], options(seeds=2))
    first, again = read_runs(runs[0].parent)[1].evaluations()
    assert first | {"created": ""} == again | {"created": ""}
    assert first["seeds"] == [1, 2]
    assert [one["ruler"]["split"] for one in first["scores"]] == ["test", "train"]
    values = first["scores"][0]["values"]
    assert set(values) == {
        "fd",
        "kid",
        "isc_mean",
        "precision",
        "recall",
        "density",
        "coverage",
        "kl",
    }
    assert all(len(one) == 2 for one in values.values())
    assert set(first["scores"][0]["floor"]) == set(values)
    assert first["scores"][0]["kid_subset"] == 60
    assert len(first["scores"][0]["ruler"]["weights"]) == 12
    assert {"nll", "elbo_gap", "rate", "distortion"} < set(first["likelihood"])
    assert first["memorization"]["alarm"] is False
    with Image.open(runs[1] / first["memorization"]["picture"]) as image:
        assert image.size == (10 * 34, 2 * 34)


def test_a_generator_that_repeats_training_pictures_is_found(runs):
    chosen = options(seeds=1, metrics="memorization", split="test")
    (thief,) = load_candidates(runs[:1], chosen)
    own, train_images = thief.model.sample_bytes, thief.model.data.splits["train"].images.numpy()

    def steal(n, seed):
        half = train_images[500 : 500 + n // 2]
        return np.concatenate([half, own(n - n // 2, seed)])

    thief.model.sample_bytes = steal
    list(evaluation.evaluate_models([thief], chosen))
    found = thief.findings["memorization"]
    assert found["alarm"]
    assert found["copies"] >= 0.5


def change(path, name, **fields):
    content = json.loads((path / name).read_text())
    (path / name).write_text(json.dumps(content | fields))


def test_runs_whose_data_have_changed_are_not_scored(runs):
    change(runs[1], "config.json", data_hash="0" * 64)
    with pytest.raises(UserError, match="mnist-mini is no longer what the run was trained on"):
        load_candidates(runs[1:2], options())


def test_the_same_pictures_cut_otherwise_are_unlike_data(tmp_path):
    """With another --held_out one model's test pictures are the other's training pictures."""
    for k in range(120):
        (tmp_path / "art").mkdir(exist_ok=True)
        picture = np.random.default_rng(k).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "art" / f"{k}.png")
    art = {"data": "folder", "data_dir": str(tmp_path / "art"), "image_size": 16, "eval_every": 0}
    for held_out in (20, 50):
        small = {"arch": "dcgan", "width": 2, "held_out": held_out, "runs_dir": str(tmp_path / "r")}
        train(GANConfig(**TINY | art | small))
    first, second = read_runs(tmp_path / "r")
    assert first.about["data_hash"] == second.about["data_hash"]
    with pytest.raises(UserError, match="trained on unlike data, so that no table holds both"):
        load_candidates([first.path, second.path], options())


def test_runs_on_unlike_data_have_no_common_table(runs, tmp_path, capsys, monkeypatch):
    art = {"data": "synthetic-art", "images": 64, "held_out": 60, "image_size": 16}
    small = {"arch": "dcgan", "width": 2, "eval_every": 0, "minutes": 0.005, "epochs": 9}
    train(GANConfig(**TINY | art | small | {"runs_dir": str(tmp_path / "art")}))
    (other,) = read_runs(tmp_path / "art")
    with pytest.raises(UserError, match="trained on unlike data, so that no table holds both"):
        load_candidates([runs[0], other.path], options())
    capsys.readouterr()
    _, tables = evaluate([other.path], split="both", n=50, metrics="kid", seeds=1)
    assert [(t.rows[0].protocol.split, t.rows[0].protocol.n) for t in tables] == [
        ("test", 50),
        ("train", 32),
    ]
    assert "split=train: of 32 pictures a side; 32 others might" in capsys.readouterr().err
    monkeypatch.setattr("genbench.evaluate.evaluation.FEWEST", 40)
    few = "split=train: 32 pictures a side, 40 needed for a score; train with more pictures or --c"
    with pytest.raises(UserError, match=few):
        evaluate([other.path], split="train", n=50, metrics="kid", seeds=1)


def test_runs_that_are_not_finished_are_not_scored(runs):
    change(runs[0], "summary.json", status="pruned")
    with pytest.raises(UserError, match="pruned; only finished runs are scored"):
        load_candidates(runs[:1], options())


def test_of_one_configuration_and_seed_the_last_run_counts(runs, capsys):
    config = json.loads((runs[1] / "config.json").read_text())["config"]
    change(runs[2], "config.json", config=config)
    models = load_candidates([*runs[1:3], runs[1]], options())
    assert [model.record.path for model in models] == [runs[1]]
    assert "which counts instead" in capsys.readouterr().err


def test_half_a_line_does_not_swallow_the_next_evaluation(runs):
    chosen = options(seeds=1, metrics="kid", split="test")
    (model,) = load_candidates(runs[:1], chosen)
    list(evaluation.evaluate_models([model], chosen))
    (runs[0] / "evaluations.jsonl").write_text('{"sampler": "ae+mix')
    keep(model, chosen)
    (found,) = read_runs(runs[0].parent)[0].evaluations()
    assert found["sampler"] == "ae+mixture"
    assert set(found["scores"][0]["errors"]) == {"kid"}


def test_a_table_needs_pictures_enough():
    with pytest.raises(UserError, match="n=9: must be at least 10"):
        options(n=9)


# --- folders --------------------------------------------------------------------------------------


def noise(n, seed, side=16, grey=False):
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (n, side // 4, side // 4, 1 if grey else 3), dtype=np.uint8)
    return cells.repeat(4, 1).repeat(4, 2).squeeze(-1) if grey else cells.repeat(4, 1).repeat(4, 2)


def write(folder, images):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03d}.png")
    return folder


def folder_scores(fakes, reals, **fields):
    return list(evaluation.evaluate_folders(fakes, reals, options(n=60, **fields)))


def test_folders_are_scored_with_a_floor_where_there_are_reals_enough(tmp_path, capsys):
    fakes = write(tmp_path / "fakes", noise(60, 0))
    reals = write(tmp_path / "reals", noise(130, 1) // 2)
    (table,) = folder_scores(fakes, reals, metrics="fd,kid,prc")
    assert (table.rows[0].protocol.n, table.rows[0].protocol.size) == (60, 16)
    assert table.floor["kid"] < table.rows[0].sample("kid").mean
    assert set(table.rows[0].errors) == {"fd", "kid", "precision", "recall"}
    (few,) = folder_scores(fakes, write(tmp_path / "few", noise(70, 1) // 2), metrics="kid")
    assert few.floor == {}
    assert "no floor: 120 real pictures needed" in capsys.readouterr().err


def test_copies_among_samples_count(tmp_path):
    one = write(tmp_path / "one", np.repeat(noise(1, 0), 60, axis=0))
    varied = write(tmp_path / "varied", noise(60, 0))
    reals = write(tmp_path / "reals", noise(60, 1))
    found = [folder_scores(fakes, reals, metrics="fd")[0] for fakes in (one, varied)]
    assert found[0].rows[0].protocol.n == 60
    assert found[0].rows[0].sample("fd").mean > 3 * found[1].rows[0].sample("fd").mean


def test_reals_are_resized_once_to_the_samples_size(tmp_path):
    fakes = write(tmp_path / "fakes", noise(60, 0))
    large = noise(60, 1).repeat(4, 1).repeat(4, 2)
    reals = write(tmp_path / "reals", large)
    ours, theirs = read_pair(fakes, reals, options(n=60))
    assert ours.shape == theirs.shape == (60, 3, 16, 16)
    order = np.random.default_rng(1).permutation(60)
    np.testing.assert_array_equal(ours, noise(60, 0).transpose(0, 3, 1, 2)[order])
    difference = theirs.astype(int) - noise(60, 1).transpose(0, 3, 1, 2)[order]
    assert np.abs(difference).mean() < 20  # of 255; the cells are still there


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            "mixed",
            r"fakes: samples must be squares of one size, not 60 of 16x16, 1 of 20x20; --image",
        ),
        ("few", r"fakes: 9 pictures, 10 needed for a score"),
        ("grey", r"fakes is grey and .*reals is in colour: .*convert one"),
        ("empty", r"fakes: no picture files"),
        ("missing", r"fakes: no such folder"),
        ("broken", r"fakes: no picture can be read"),
    ],
)
def test_folders_that_cannot_be_compared_are_one_line(tmp_path, spoil, message):
    fakes = write(tmp_path / "fakes", noise(9 if spoil == "few" else 60, 0, grey=spoil == "grey"))
    reals = write(tmp_path / "reals", noise(60, 1))
    if spoil == "mixed":
        Image.fromarray(noise(1, 2, side=20)[0]).save(fakes / "odd.png")
    if spoil in ("empty", "missing", "broken"):
        shutil.rmtree(fakes)
    if spoil in ("empty", "broken"):
        fakes.mkdir()
    if spoil == "broken":
        (fakes / "a.png").write_text("no picture")
    with pytest.raises(UserError, match=message):
        folder_scores(fakes, reals)


def test_an_image_size_settles_mixed_sizes(tmp_path):
    fakes = write(tmp_path / "fakes", noise(60, 0))
    Image.fromarray(noise(1, 2, side=20)[0]).save(fakes / "odd.png")
    reals = write(tmp_path / "reals", noise(60, 1))
    (table,) = folder_scores(fakes, reals, image_size=8, metrics="kid")
    assert table.rows[0].protocol.size == 8


# --- the command ----------------------------------------------------------------------------------


def genbench(monkeypatch, *args):
    monkeypatch.setattr("sys.argv", ["genbench", "evaluate", *args])
    commands.main()


def test_the_command_prints_the_table_twice_alike(runs, monkeypatch, capsys):
    args = [path.name for path in runs] + [f"--runs_dir={runs[0].parent}", "--wandb=disabled"]
    args += ["--extractor=lenet-digits", "--n=100", "--seeds=2", "--split=test", "--draws=20"]
    genbench(monkeypatch, *args)
    first = capsys.readouterr().out
    genbench(monkeypatch, *args)
    assert capsys.readouterr().out == first
    assert "100 samples against 100 held-out pictures of 32 px, by lenet-digits" in first
    heads, basis, fd, kid = (line.split() for line in first.splitlines()[2:6])
    over = ["±", "over", "2", "training", "seeds"]
    over += 2 * ["95", "%", "interval", "over", "2", "sampling", "seeds"]
    assert sorted(basis[:-2]) == sorted(over)
    assert sorted(heads[:3]) == ["ae+mixture", "gan", "vae"]
    assert heads[3:] == ["real", "pictures"]
    assert (fd[0], kid[0]) == ("fd_lenet_n100", "kid_lenet_n100")
    means = [float(part) for part in kid[2:-1] if re.fullmatch(r"-?\d\.\d{4}", part)]
    del means[means.index(float(kid[kid.index("±") + 1]))]  # the deviation of the VAE's two seeds
    assert len(means) == 3
    assert means == sorted(means)
    assert float(kid[-1]) < means[0]
    assert "-log p(x) " in first
    assert first.count("% of samples are nearer to a training picture") == 4
    assert all(len(run.evaluations()) == 2 for run in read_runs(runs[0].parent))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "name runs, or two folders with --fakes and --reals"),
        (["--fakes=a"], "name runs, or two folders"),
        (["run", "--fakes=a", "--reals=b"], "name runs, or two folders"),
        (["nothing"], "nothing: no run with checkpoints"),
        (["--fakes=a", "--reals=b"], "a: no such folder"),
        (["--fakes=a", "--reals=b", "--metrics=fid"], "metrics='fid': any of fd, kid"),
        (["--fakes=a", "--reals=b", "--metrics=nll"], "metrics=nll: need a model"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(monkeypatch, capsys, tmp_path, args, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        genbench(monkeypatch, *args)
    captured = capsys.readouterr()
    assert ended.value.code == 2
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_one_metric_alone_is_enough(runs, monkeypatch, capsys):
    args = [str(runs[1]), "--wandb=disabled", "--extractor=lenet-digits", "--n=60"]
    genbench(monkeypatch, *args, "--metrics=memorization")
    out = capsys.readouterr().out
    assert "samples against" not in out
    assert "% of samples are nearer" in out
    genbench(monkeypatch, *args, "--metrics=nll", "--draws=200")
    out = capsys.readouterr().out
    assert "bernoulli, grey values as probabilities; 10 held-out pictures" in out
    assert re.search(r"200 draws; \d+\.\d\d by a tenth of them, so about \d+\.\d\d too high\)", out)
    assert len(read_runs(runs[1].parent)[1].evaluations()) == 2
