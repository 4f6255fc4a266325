"""Files that a stranger may have made: nothing in them runs, and none fills the memory."""

import gzip
import io
import json
import os
import shutil
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_data import write_idx, write_set

import genbench
from genbench import UserError
from genbench.config import EvaluateConfig
from genbench.data import art, digits, load_data
from genbench.data.pictures import read_pictures
from genbench.evaluate.folders import read_pair
from genbench.families.ae import AEConfig
from genbench.metrics.cache import Cache
from genbench.metrics.extractors import load_extractor
from genbench.npz import read_npy, read_npz
from genbench.weights import read_tensors


class Malice:
    """Runs a command where it is unpickled."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return os.system, (f"touch {self.proof}",)


def idx_bomb(path, shape, megabytes):
    """A gzipped IDX file of zeros: a header, and so many bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(bytes([0, 0, 8, len(shape)]) + np.array(shape, dtype=">u4").tobytes())
        for _ in range(megabytes):
            file.write(bytes(2**20))


def read_mnist(tmp_path):
    return load_data(AEConfig(data="mnist", data_dir=str(tmp_path)))


@pytest.mark.parametrize(
    "shape", [(60_000, 160, 160), (2_000_000, 28, 28), (2**32 - 1, 1, 1), (1, 2**32 - 1, 1)]
)
def test_a_large_idx_file_is_refused_by_its_header(tmp_path, shape):
    folder = tmp_path / "MNIST" / "raw"
    write_set(folder, zipped=True)
    path = folder / "train-images-idx3-ubyte.gz"
    idx_bomb(path, shape, 50)
    tracemalloc.start()
    start = time.monotonic()
    with pytest.raises(UserError, match=r"bytes of shape \[.*\] by its header.*put a whole copy"):
        read_mnist(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 5 * 2**20  # nothing was unpacked
    tracemalloc.stop()
    assert time.monotonic() - start < 2


def test_what_follows_the_bytes_that_the_header_names_is_not_unpacked(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    write_set(folder, zipped=True)
    idx_bomb(folder / "train-images-idx3-ubyte.gz", (20, 2, 3), 50)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"not of the shape \[20, 2, 3\] that its header says"):
        read_mnist(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 5 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["images-idx3", "labels-idx1"])
def test_images_are_not_read_as_labels_nor_labels_as_images(tmp_path, name):
    folder = tmp_path / "MNIST" / "raw"
    write_set(folder)
    write_idx(folder / f"train-{name}-ubyte", np.zeros((20, 2)))
    with pytest.raises(UserError, match=r"no IDX file of bytes in [13] dimensions"):
        read_mnist(tmp_path)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=64), start=st.sampled_from([0, 4, 8, 16]), zipped=st.booleans())
def test_any_bytes_for_an_idx_file_are_an_array_or_one_line(tmp_path, content, start, zipped):
    folder = tmp_path / "MNIST" / "raw"
    shutil.rmtree(folder, ignore_errors=True)
    write_set(folder)
    path = folder / "train-images-idx3-ubyte"
    data = path.read_bytes()[:start] + content
    path.write_bytes(data)
    if zipped:
        path.rename(path.with_name(f"{path.name}.gz")).write_bytes(gzip.compress(data))
    try:
        images, said = digits.read_set("MNIST", tmp_path, "train")[0], ""
    except UserError as error:
        images, said = None, str(error)
    if images is None:
        assert str(path) in said or "do not match" in said
        assert "\n" not in said
    else:
        assert images.shape == (20, 1, 2, 3)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=64) | st.text("0123456789,.-\n el", max_size=64).map(str.encode))
@pytest.mark.parametrize("name", ["mnist_train.csv", "mnist.npz"])
def test_any_bytes_for_a_table_or_an_archive_are_digits_or_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    said = ""
    try:
        images, labels = digits.read_set("MNIST", tmp_path, "train")
    except UserError as error:
        said = str(error)
    if said:
        assert str(tmp_path / name) in said
        assert "\n" not in said
    else:
        assert (images.dtype, len(images)) == (np.uint8, len(labels))


@pytest.fixture
def run(tmp_path):
    return shutil.copytree(ROOT / "tests" / "earlier", tmp_path / "run")


def refusal(load):
    with pytest.raises(UserError) as caught:
        load()
    said = str(caught.value)
    assert "\n" not in said
    for advice in ("weights_only", "trust", "safe_globals", "allow_pickle"):
        assert advice not in said
    return said


def test_a_malicious_checkpoint_is_refused_in_one_line_without_torchs_advice(run, tmp_path):
    torch.save({"modules": {}, "step": Malice(tmp_path / "proof")}, run / "checkpoints" / "best.pt")
    said = refusal(lambda: genbench.load(run))
    assert "it asks to run posix.system, which no weights need; it may be malicious" in said
    assert str(run) in said
    assert not (tmp_path / "proof").exists()


def test_malicious_weights_of_an_extractor_are_refused_alike(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"x": Malice(tmp_path / "proof")}, path)
    said = refusal(lambda: load_extractor(weights=str(path)))
    assert said.startswith(f"extractor_weights={path}: no file of weights, or damaged")
    assert not (tmp_path / "proof").exists()


def packed(path):
    buffer = io.BytesIO()
    torch.save({"modules": torch.zeros(1000)}, buffer)
    with (
        zipfile.ZipFile(buffer) as stored,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in stored.namelist():
            archive.writestr(name, stored.read(name))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (packed, "is compressed, as torch never does"),
        (lambda path: path.write_bytes(b""), ""),
        (lambda path: path.write_bytes(path.read_bytes()[:1000]), ""),
        (lambda path: path.write_text("no checkpoint"), ""),
        (lambda path: torch.save([1], path), "best.pt is no checkpoint"),
        (lambda path: torch.save({"modules": 3, "step": 1}, path), ""),
        (lambda path: torch.save({}, path), ""),
        (lambda path: torch.save({"modules": {"x": torch.zeros(1)}, "step": 1}, path), ""),
    ],
)
def test_what_is_no_checkpoint_is_one_line(run, harm, said):
    harm(run / "checkpoints" / "best.pt")
    assert said in refusal(lambda: genbench.load(run))


@pytest.mark.parametrize("content", ["[" * 3000, "{", '{"config": 1}', '{"config": {"seed": []}}'])
def test_what_is_no_configuration_is_one_line(run, content):
    (run / "config.json").write_text(content)
    assert str(run) in refusal(lambda: genbench.load(run))


@pytest.mark.parametrize(
    ("field", "value"),
    [("shape", []), ("shape", [1, 2]), ("images", {}), ("model", "none"), ("config", {"lr": "x"})],
)
def test_what_does_not_fit_in_a_configuration_is_one_line(run, field, value):
    about = json.loads((run / "config.json").read_text())
    about[field] = about[field] | value if field == "config" else value
    (run / "config.json").write_text(json.dumps(about))
    assert str(run) in refusal(lambda: genbench.load(run))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_flipped_bytes_of_tensors_and_arrays_are_values_or_one_error(tmp_path, data):
    path, kind = tmp_path / "x", data.draw(st.sampled_from(["pt", "npz"]))
    if kind == "pt":
        torch.save({"a": torch.arange(9), "b": [1, "x"]}, path)
    else:
        with path.open("wb") as file:
            np.savez_compressed(file, a=np.arange(9), b=np.array("x"))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        said = str(type((read_tensors if kind == "pt" else read_npz)(path)))
    except ValueError as error:
        said = str(error)
    assert said
    assert "weights_only" not in said


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.zeros(2**22, np.uint8))
    assert path.stat().st_size < 10_000
    with pytest.raises(ValueError, match="bytes of arrays, 1,000 at most"):
        read_npz(path, 1_000)
    assert read_npz(path)["a"].size == 2**22


def test_names_in_an_archive_write_nowhere(tmp_path):
    path = tmp_path / "in" / "x.npz"
    path.parent.mkdir()
    np.savez(path, **{"../../out": np.arange(3)})
    assert list(read_npz(path)) == ["../../out"]
    assert set(tmp_path.parent.glob("out*")) == set()
    assert set(path.parent.iterdir()) == {path}


def test_a_cached_file_with_objects_is_computed_anew(tmp_path, capsys):
    cache = Cache(tmp_path)
    make = lambda: {"x": np.arange(3)}  # noqa: E731
    cache.get("features", ["key"], make)
    (path,) = tmp_path.glob("*.npz")
    np.savez(path, x=np.array([Malice(tmp_path / "proof")], dtype=object))
    np.testing.assert_array_equal(cache.get("features", ["key"], make)["x"], np.arange(3))
    assert f"{path}: damaged; computed anew" in capsys.readouterr().err
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((3, 3, 16, 16), np.uint8),
        np.zeros((3, 3, 8, 8)),
        np.zeros(3, np.uint8),
    ],
)
def test_a_cache_of_painted_pictures_that_holds_others_is_not_taken(tmp_path, array):
    painted = art._painted(3, 8, 0)
    (path,) = (tmp_path / "cache").glob("*.npy")
    np.save(path, array)
    np.testing.assert_array_equal(art._painted(3, 8, 0), painted)
    np.testing.assert_array_equal(np.load(path), painted)  # and it is whole again


def test_an_npz_in_an_npys_place_is_no_array(tmp_path):
    with (tmp_path / "x.npy").open("wb") as file:
        np.savez(file, a=np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match="no array of bytes"):
        read_npy(tmp_path / "x.npy", (3,))


def folder_of_pictures(folder, n=12):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(n):
        image = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        image.save(folder / f"{i}.png")
    return folder


ABOUT = [
    {"content_hash": "x"},
    {"content_hash": "x", "skipped": 3},
    [],
    3,
    {"content_hash": "x", "skipped": [], "evil": 1, "images": 2},
]


@pytest.mark.parametrize("about", ABOUT)
def test_a_cache_of_decoded_pictures_that_says_something_else_is_made_anew(tmp_path, about):
    folder = folder_of_pictures(tmp_path / "pictures")
    before = read_pictures(folder, 16)
    (path,) = (tmp_path / "cache").glob("*.npz")
    np.savez(path, sources=before.sources, about=np.array(json.dumps(about)))
    after = read_pictures(folder, 16)
    np.testing.assert_array_equal(after.images, before.images)
    assert after.skipped == []


def test_samples_that_would_fill_the_memory_are_left_out(tmp_path, monkeypatch, capsys):
    fakes = folder_of_pictures(tmp_path / "fakes")
    reals = folder_of_pictures(tmp_path / "reals")
    Image.fromarray(np.zeros((200, 200, 3), np.uint8)).save(fakes / "bomb.png")
    (fakes / "text.png").write_text("%!PS-Adobe")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000)
    samples, _ = read_pair(fakes, reals, EvaluateConfig(n=50))
    assert len(samples) == 12
    assert "bomb.png: bomb? more than 30000 pixels" in capsys.readouterr().err
