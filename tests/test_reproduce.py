"""Published configurations: their files, pixels drawn once, and the table of their likelihoods."""

import numpy as np
import pytest
import reproduce as module
from reproduce import ROWS, ReproduceConfig, chosen_rows, configure, line, write_page

import genbench
from genbench import UserError
from genbench.cli import parse_training, read_flat
from genbench.data import load_data
from genbench.evaluate.likelihood import likelihood
from genbench.families.ae import AEConfig
from genbench.families.vae import VAEConfig
from genbench.metrics.cache import feature_cache
from genbench.record import read_runs


def options(tmp_path, **fields):
    about = {"digits": "mnist-mini", "fraction": 1e-4, "pictures": 12, "wandb": "disabled"}
    places = {"runs_dir": str(tmp_path / "runs"), "out": str(tmp_path / "out"), "device": "cpu"}
    return ReproduceConfig(**about | places | fields)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_has_a_configuration_that_an_experiment_reads(row):
    path = module.PUBLISHED / f"{row.name}.yaml"
    config, _ = parse_training(VAEConfig, [f"--config={path}", "--epochs=3"])
    assert (config.epochs, config.data) == (3, "mnist")
    assert config.binarize == ("static" if "once" in row.title else "dynamic")
    assert config.importance_samples == (50 if "50" in row.title else 1)
    assert f"--config=experiments/published/{row.name}.yaml" in path.read_text()
    whole = configure(row, ReproduceConfig(fraction=1.0, data_dir="d"), seed=2)
    assert whole.epochs == read_flat(path, VAEConfig).epochs
    assert (whole.seed, whole.data_dir, whole.test) == (2, "d", True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("widht: 3", r"mine.yaml, line 1: widht: no field of vae"),
        ("lr: 1e-3", r"mine.yaml: lr='1e-3': must be float, not str"),
        ("width: 8\nwidth: 9", r"mine.yaml, line 2: a line a field, each once"),
        ("- 3", r"mine.yaml, line 1: a line a field"),
        ("width: [", r"mine.yaml, line 1: not YAML"),
        ("width: 2", r"mine.yaml: width=2: must be at least 4"),
    ],
)
def test_what_is_wrong_with_a_flat_file_is_said(text, said, tmp_path):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=said):
        read_flat(tmp_path / "mine.yaml", VAEConfig)
    with pytest.raises(UserError, match=r"nothing.yaml: no such file"):
        read_flat(tmp_path / "nothing.yaml", VAEConfig)


def test_pixels_are_drawn_once_with_their_grey_values_as_probabilities():
    grey = load_data(VAEConfig(test=True))
    once, again = (load_data(VAEConfig(binarize="static", test=True)) for _ in range(2))
    assert once.content_hash == again.content_hash != grey.content_hash
    for split in ("train", "test"):
        x = grey.splits[split].images.numpy() / 255
        drawn = once.splits[split].images.numpy()
        np.testing.assert_array_equal(drawn, again.splits[split].images.numpy())
        assert set(np.unique(drawn)) == {0, 255}
        np.testing.assert_array_equal(drawn[x == 0], 0)
        np.testing.assert_array_equal(drawn[x == 1], 255)
        between = (x > 0.2) & (x < 0.8)
        error = np.sqrt((x * (1 - x))[between].sum()) / between.sum()
        assert abs(drawn[between].mean() / 255 - x[between].mean()) < 4 * error


def test_pictures_are_not_binarised_once():
    with pytest.raises(UserError, match="binarize=static: is for digits, not for synthetic-art"):
        VAEConfig(data="synthetic-art", likelihood="bernoulli", binarize="static")
    assert not hasattr(AEConfig(), "binarize")


def test_rows_are_chosen_by_name():
    assert chosen_rows(ReproduceConfig()) == list(ROWS)
    assert [row.name for row in chosen_rows(ReproduceConfig(rows="burda-vae"))] == ["burda-vae"]
    with pytest.raises(UserError, match="rows='burda': unknown; any of burda-vae, burda-iwae-50"):
        chosen_rows(ReproduceConfig(rows="burda"))


def test_a_row_is_trained_once_and_its_number_is_the_likelihood_of_the_test_digits(
    tmp_path, monkeypatch
):
    row, chosen = ROWS[0], options(tmp_path)
    _, published, ours, epochs, _, beside, *_ = line(row, chosen)
    runs = read_runs(chosen.runs_dir)
    found = []
    for run in runs:
        model = genbench.load(run.path)
        model.data = load_data(model.config)
        found.append(likelihood(model, "test", feature_cache(), 5_000, 12)["nll"])
    assert ours.startswith(f"{np.mean(found):.2f} [")
    assert (published, epochs, beside) == ("86.76", "1 of 3,280", "—")
    assert [run.config["seed"] for run in runs] == [1, 2]
    monkeypatch.setattr("genbench.train.train", lambda *_, **__: pytest.fail("trained again"))
    assert line(row, chosen)[2] == ours


def test_a_row_of_wide_layers_is_trained_in_float32_and_found_again(tmp_path, monkeypatch):
    chosen = options(tmp_path, seeds=1)
    monkeypatch.setattr(module, "nll", lambda *_: 90.0)
    (run,), found = module.ours(ROWS[-1], chosen)
    assert (run.config["precision"], run.config["width"], found.values) == ("fp32", 400, (90.0,))


def test_the_table_has_every_row_that_was_trained(tmp_path, monkeypatch):
    chosen = options(tmp_path)
    monkeypatch.setattr(module, "parse", lambda _: options(tmp_path, rows=ROWS[1].name))
    monkeypatch.setattr(module, "line", lambda row, _: [row.title, *["x"] * 7])
    module.main()
    monkeypatch.setattr(module, "parse", lambda _: options(tmp_path, rows=ROWS[0].name))
    module.main()
    text = write_page(chosen).read_text()
    titles = [row.split(" | ")[0] for row in text.splitlines() if row.startswith("| ")]
    assert titles[1:] == ["| ---", "| VAE", "| IWAE, k = 50"]
    assert "nothing is said of what the rest would give" in text


def test_pythae_has_the_same_networks_and_as_many_passes_as_fit(tmp_path, monkeypatch):
    pytest.importorskip("pythae")
    row, chosen = ROWS[-1], options(tmp_path, seeds=1)
    beside = module.theirs(row, chosen, seconds=0.01)
    assert 100 < beside.mean < 700
    monkeypatch.setattr(module, "train_pythae", lambda *_: pytest.fail("trained again"))
    assert module.theirs(row, chosen, seconds=0.01) == beside
