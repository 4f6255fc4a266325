"""MNIST as archives have it: all layouts hold the same digits, and what is wrong is named."""

import gzip
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from test_data import write_idx

from genbench import UserError
from genbench.data import digits, load_data
from genbench.families.ae import AEConfig

N = {"train": 12, "test": 7}
PIXELS = [f"{row}x{column}" for row in range(1, 5) for column in range(1, 5)]


def split(name):
    rng = np.random.default_rng(len(name))
    images = rng.integers(0, 256, (N[name], 4, 4), dtype=np.uint8)
    return images, rng.integers(0, 10, N[name])


def parts():
    """The four IDX files' names without their marks, and what is in them."""
    for name, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = split(name)
        yield f"{prefix}-images", 3, images
        yield f"{prefix}-labels", 1, labels


def torchvisions(root, folder="MNIST"):
    for part, axes, array in parts():
        write_idx(root / folder / "raw" / f"{part}-idx{axes}-ubyte", array)


def nested(root):
    for part, axes, array in parts():
        name = f"{part}-idx{axes}-ubyte"
        write_idx(root / "MNIST" / "raw" / name / name, array)


def nested_dots(root):
    for part, axes, array in parts():
        write_idx(root / f"{part}-idx{axes}-ubyte" / f"{part}.idx{axes}-ubyte", array)


def dots(root):
    for part, axes, array in parts():
        write_idx(root / "raw" / f"{part}.idx{axes}-ubyte", array)


def flat(root):
    for part, axes, array in parts():
        write_idx(root / f"{part}-idx{axes}-ubyte.gz", array, zipped=True)


def zipped_without_saying_so(root):
    for part, axes, array in parts():
        write_idx(root / "MNIST" / f"{part}-idx{axes}-ubyte", array, zipped=True)


def unzipped_without_saying_so(root):
    for part, axes, array in parts():
        write_idx(root / f"{part}.idx{axes}-ubyte.gz", array)


def tables(root, names="mnist_{}.csv", titles=True):
    for name in N:
        images, labels = split(name)
        rows = np.column_stack([labels, images.reshape(len(images), -1)])
        header = ",".join(["label", *PIXELS]) if titles else ""
        np.savetxt(root / names.format(name), rows, "%d", ",", header=header, comments="")


def tables_without_titles(root):
    tables(root, titles=False)


def tables_of_a_competition(root):
    tables(root, "{}.csv")


def keras(root):
    arrays = {}
    for name in N:
        arrays[f"x_{name}"], arrays[f"y_{name}"] = split(name)
    np.savez_compressed(root / "mnist.npz", **arrays)


LAYOUTS = (
    torchvisions,
    nested,
    nested_dots,
    dots,
    flat,
    zipped_without_saying_so,
    unzipped_without_saying_so,
    tables,
    tables_without_titles,
    tables_of_a_competition,
    keras,
)


@pytest.mark.parametrize("write", LAYOUTS, ids=lambda write: write.__name__)
def test_every_layout_has_the_same_digits(tmp_path, write):
    write(tmp_path)
    for name in N:
        images, labels = digits.read_set("MNIST", tmp_path, name)
        expected = split(name)
        np.testing.assert_array_equal(images, expected[0][:, None])
        np.testing.assert_array_equal(labels, expected[1])
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert digits.on_disk("MNIST", tmp_path).is_relative_to(tmp_path)
    data = load_data(AEConfig(data="mnist", data_dir=str(tmp_path), test=True))
    assert {name: len(part) for name, part in data.splits.items()} == {
        "train": 11,
        "val": 1,
        "test": 7,
    }


def test_two_sets_of_one_folder_are_told_apart(tmp_path):
    torchvisions(tmp_path, "FashionMNIST")
    assert digits.on_disk("MNIST", tmp_path) is None
    tables(tmp_path, "fashion-mnist_{}.csv")
    keras(tmp_path)
    assert digits.on_disk("MNIST", tmp_path) == tmp_path / "mnist.npz"
    assert digits.on_disk("FashionMNIST", tmp_path) == tmp_path / "FashionMNIST" / "raw"


def said(tmp_path, name="train"):
    """What is said of damaged files: the data's folder holds the only copy, and nothing goes."""
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(UserError) as error:
        digits.read_set("MNIST", tmp_path, name)
    assert sorted(path for path in tmp_path.rglob("*")) == before
    assert "delete" not in str(error.value)
    return str(error.value)


def test_a_split_that_is_missing_is_named(tmp_path):
    flat(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    assert (
        said(tmp_path, "test") == f"{tmp_path}: t10k-labels-idx1-ubyte is missing beside the others"
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1,2,3,4,5\n0,300,0,0,0\n", "300"),
        ("label,a,b,c,d\n1,2,3,4\n", "rows of 4 numbers below 5 titles"),
        ("a,b,c,d\n1,2,3,4\n", "no label before the pixels"),
        ("label,a,b\n1,2,3\n", "rows of 3 numbers are no label and a square of pixels"),
        ("1\n", "rows of 1 numbers"),
        ("label,a,b,c,d\n", "no data"),
        ("", "rows of 1 numbers"),
        ("label" + ",a" * 65**2 + "\n", "are the most"),
    ],
)
def test_a_table_that_is_none_of_digits_is_named(tmp_path, text, what):
    (tmp_path / "mnist_train.csv").write_text(text)
    with pytest.raises(UserError, match=what) as error:
        digits.read_set("MNIST", tmp_path, "train")
    assert str(tmp_path) in str(error.value)


def test_a_table_of_the_test_that_is_missing_is_named(tmp_path):
    tables(tmp_path)
    (tmp_path / "mnist_test.csv").unlink()
    assert "mnist_test.csv: cannot be read" in said(tmp_path, "test")


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"x_test": np.zeros((3, 4, 4), np.uint8)}, "no array x_train, but x_test"),
        ({"x_train": np.zeros((3, 4, 4), np.uint8)}, "no array y_train, but x_train"),
        (
            {"x_train": np.zeros((3, 16), np.uint8), "y_train": np.zeros(3, int)},
            r"x_train is uint8 \(3, 16\), wanted uint8 \(N, H, W\)",
        ),
        ({"x_train": np.zeros((3, 4, 4)), "y_train": np.zeros(3, int)}, "x_train is float64"),
        (
            {"x_train": np.zeros((3, 4, 4), np.uint8), "y_train": np.zeros(2, int)},
            r"images \(3, 4, 4\) and labels \(2,\) do not match",
        ),
        ({"x_train": np.array([{}]), "y_train": np.zeros(1, int)}, "holds objects"),
    ],
)
def test_an_archive_of_something_else_is_named(tmp_path, arrays, what):
    np.savez(tmp_path / "mnist.npz", **arrays)
    with pytest.raises(UserError, match=what):
        digits.read_set("MNIST", tmp_path, "train")


def test_gzip_that_ends_early_is_named(tmp_path):
    flat(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\3")[:-9])
    assert said(tmp_path).startswith(f"{path}: cannot be read")


@pytest.mark.parametrize("kind", ["zip", "gztar"])
@pytest.mark.parametrize("layout", [nested, dots, flat])
def test_the_archive_itself_is_read_in_place(tmp_path, layout, kind):
    layout(tmp_path / "there" / "inside")
    archive = shutil.make_archive(str(tmp_path / "archive"), kind, tmp_path / "there")
    for name in ("train", "test"):
        images, labels = digits.read_set("MNIST", Path(archive), name)
        assert np.array_equal(images[:, 0], split(name)[0])
        assert labels.tolist() == split(name)[1].tolist()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("nothing")
    other = shutil.make_archive(str(tmp_path / "other"), kind, tmp_path / "other")
    with pytest.raises(UserError, match="has no IDX, CSV or npz files of FashionMNIST"):
        digits.read_set("FashionMNIST", Path(other), "train")


def test_what_is_torn_in_an_archive_is_named_by_the_archive(tmp_path):
    nested(tmp_path / "there")
    path = next((tmp_path / "there").rglob("train-images-idx3-ubyte/*"))
    path.write_bytes(path.read_bytes()[:-3])
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path / "there")
    with pytest.raises(UserError, match=r"archive\.zip/.*train-images-idx3-ubyte: cannot be read"):
        digits.read_set("MNIST", Path(archive), "train")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    nested(tmp_path / "there")
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path / "there")
    monkeypatch.setattr("genbench.data.archive.MOST_UNPACKED", 100)
    with pytest.raises(UserError, match="unpacks to more than 100 bytes"):
        digits.read_set("MNIST", Path(archive), "train")


def test_a_damaged_member_of_an_archive_is_one_line(tmp_path):
    nested(tmp_path / "there")
    path = next((tmp_path / "there").rglob("train-images-idx3-ubyte/*"))
    content = path.read_bytes()
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(path, "raw/train-images-idx3-ubyte")
    packed = (tmp_path / "archive.zip").read_bytes()
    (tmp_path / "archive.zip").write_bytes(packed.replace(content, content[:-4] + b"torn"))
    with pytest.raises(UserError, match=r"archive\.zip: cannot be read \(.*CRC"):
        digits.read_set("MNIST", tmp_path / "archive.zip", "train")
