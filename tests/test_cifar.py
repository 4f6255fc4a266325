"""CIFAR-10 in the layouts that people have: the same pictures, and no code of theirs runs."""

import os
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from genbench import UserError, commands
from genbench.config import EvaluateConfig
from genbench.data import cifar, load_data
from genbench.evaluate.runs import load_candidates
from genbench.families.ae import AEConfig
from genbench.families.gan import GANConfig
from genbench.families.vae import VAEConfig

N = 12  # pictures of a batch


def batch(number):
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (N, 3072), dtype=np.uint8), rng.permutation(N) % 10


def batches():
    """The six files' names, and what is in them."""
    names = [*cifar.PARTS["train"], *cifar.PARTS["test"]]
    return {name: batch(number) for number, name in enumerate(names)}


def binary(folder):
    folder.mkdir(parents=True)
    for name, (pixels, labels) in batches().items():
        rows = np.concatenate([labels[:, None].astype(np.uint8), pixels], 1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())


def pythons(folder):
    """As the published ones: protocol 2, byte strings for keys, a list of labels, file names."""
    folder.mkdir(parents=True)
    for name, (pixels, labels) in batches().items():
        content = {
            b"batch_label": b"training batch",
            b"labels": labels.tolist(),
            b"data": pixels,
            b"filenames": [b"some.png"] * N,
        }
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


def packed(write, name, kind):
    def make(root):
        write(root / "inside" / name)
        stem = {"cifar-10-batches-bin": "cifar-10-binary", "cifar-10-batches-py": "cifar-10-python"}
        shutil.make_archive(str(root / stem[name]), kind, root / "inside", name)
        shutil.rmtree(root / "inside")

    return make


LAYOUTS = {
    "binary": lambda root: binary(root / "cifar-10-batches-bin"),
    "binary, flat": lambda root: binary(root / "CIFAR10"),
    "binary, packed": packed(binary, "cifar-10-batches-bin", "gztar"),
    "python": lambda root: pythons(root / "cifar-10-batches-py"),
    "python, in a folder": lambda root: pythons(root / "cifar-10" / "cifar-10-batches-py"),
    "python, packed": packed(pythons, "cifar-10-batches-py", "gztar"),
    "python, packed once": packed(pythons, "cifar-10-batches-py", "tar"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_the_same_pictures(tmp_path, layout):
    LAYOUTS[layout](tmp_path / "data")
    images, labels = cifar.read_cifar(tmp_path / "data", "train")
    expected = [batches()[name] for name in cifar.PARTS["train"]]
    assert np.array_equal(images.reshape(-1, 3072), np.concatenate([p for p, _ in expected]))
    assert labels.tolist() == np.concatenate([labels for _, labels in expected]).tolist()
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    tested = cifar.read_cifar(tmp_path / "data", "test")
    assert np.array_equal(tested[0].reshape(-1, 3072), batch(5)[0])


@pytest.mark.parametrize("layout", ["binary, packed", "python, packed once"])
def test_an_archive_may_be_named_itself(tmp_path, layout):
    LAYOUTS[layout](tmp_path / "data")
    (archive,) = (tmp_path / "data").iterdir()
    renamed = archive.rename(tmp_path / f"mine{''.join(archive.suffixes)}")
    images, _ = cifar.read_cifar(renamed, "test")
    assert np.array_equal(images.reshape(-1, 3072), batch(5)[0])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing")
    empty = shutil.make_archive(str(tmp_path / "empty"), "zip", tmp_path / "empty")
    with pytest.raises(UserError, match="has no batches of CIFAR-10"):
        cifar.read_cifar(Path(empty), "test")


def test_planes_are_channels_and_rows_are_rows(tmp_path):
    record = np.zeros(3073, np.uint8)
    record[0], record[1 + 1024 + 32 * 5 + 7] = 8, 200  # a ship with one green pixel
    images, labels = cifar._of_binary(record.tobytes() * 2)
    assert (labels.tolist(), images[0, 1, 5, 7], images.sum()) == ([8, 8], 200, 400)
    assert cifar.CLASSES[8] == "ship"


def test_pickles_of_both_pythons_are_read():
    pixels, labels = batch(0)
    for protocol in (2, 3, 4):
        content = pickle.dumps({b"data": pixels, b"labels": labels.tolist()}, protocol=protocol)
        assert np.array_equal(cifar._of_pickle(content)[0].reshape(-1, 3072), pixels)
    by_hand = (  # as Python 2 wrote the published ones: strings of bytes, NumPy's older modules
        b"\x80\x02}(U\x04data"
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x0cM\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + (N * 3072).to_bytes(4, "little")
        + pixels.tobytes()
        + b"tbU\x06labels]("
        + b"".join(b"K" + bytes([label]) for label in labels)
        + b"eu."
    )
    read, of = cifar._of_pickle(by_hand)
    assert np.array_equal(read.reshape(-1, 3072), pixels)
    assert of.tolist() == labels.tolist()


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps({b"data": Bomb(), b"labels": []}, protocol=2), "it names posix.system"),
        (pickle.dumps({b"data": [1], b"labels": [1]}, protocol=2), "its data are no array"),
        (
            pickle.dumps({b"data": np.zeros((2, 5), np.uint8), b"labels": [1, 1]}, protocol=2),
            "no array of bytes of shape",
        ),
        (
            pickle.dumps({b"data": np.zeros((2, 3072)), b"labels": [1, 1]}, protocol=2),
            "no array of bytes of shape",
        ),
        (
            pickle.dumps({b"data": batch(0)[0], b"labels": [11] * N}, protocol=2),
            "labels from 11 to 11, not from 0 to 9",
        ),
        (pickle.dumps({b"data": batch(0)[0], b"labels": [1]}, protocol=2), "12 pictures, and"),
        (pickle.dumps([1, 2], protocol=2), "no dictionary of data and labels"),
        (b"garbage", "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_a_wrong_batch_is_one_line_and_runs_nothing(tmp_path, monkeypatch, content, reason):
    monkeypatch.chdir(tmp_path)
    pythons(tmp_path / "cifar-10-batches-py")
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(content)
    with pytest.raises(UserError, match="data_batch_3 cannot be read") as error:
        cifar.read_cifar(tmp_path, "train")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "exploded").exists()


def test_a_torn_or_endless_batch_is_named(tmp_path, monkeypatch):
    binary(tmp_path / "cifar-10-batches-bin")
    torn = tmp_path / "cifar-10-batches-bin" / "test_batch.bin"
    torn.write_bytes(torn.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"test_batch.bin cannot be read .*no whole records"):
        cifar.read_cifar(tmp_path, "test")
    monkeypatch.setattr(cifar, "LARGEST", 1000)
    with pytest.raises(UserError, match="more than 1,000 bytes"):
        cifar.read_cifar(tmp_path, "train")


def test_what_is_nowhere_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "unreachable", lambda url: "no network")
    with pytest.raises(UserError) as error:
        load_data(GANConfig(data="cifar10", data_dir=str(tmp_path)))
    assert "not downloadable (no network)" in str(error.value)
    assert "cifar-10-binary.tar.gz" in str(error.value)
    assert "delete" not in str(error.value)


def test_every_family_takes_it_with_its_classes(tmp_path):
    binary(tmp_path / "cifar-10-batches-bin")
    data = load_data(VAEConfig(data="cifar10", data_dir=str(tmp_path), test=True))
    assert data.shape == (3, 32, 32)
    assert data.classes == cifar.CLASSES
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 54,
        "val": 6,
        "test": 12,
    }
    assert AEConfig(data="cifar10").likelihood == "gaussian"
    same = load_data(GANConfig(data="cifar10", data_dir=str(tmp_path)))
    assert torch.equal(same.splits["val"].images, data.splits["val"].images)
    with pytest.raises(UserError, match="image_size=64: its pictures have 32 px, use 32"):
        load_data(GANConfig(data="cifar10", data_dir=str(tmp_path), image_size=64))


def test_train_sample_evaluate_and_report(tmp_path, monkeypatch, capsys, blank_charts):
    monkeypatch.chdir(tmp_path)
    LAYOUTS["binary"](tmp_path / "data")

    def genbench(*args):
        monkeypatch.setattr(sys, "argv", ["genbench", *args])
        commands.main()

    flags = ["--data=cifar10", "--data_dir=data", "--epochs=1", "--wandb=disabled"]
    genbench("train", "vae", *flags, "--width=16", "--conditional=True", "--test=True")
    (run,) = (tmp_path / "runs").glob("2*")
    genbench("sample", str(run), "--label=ship", "--n=8", "--out=ships.png")
    assert (tmp_path / "ships.png").stat().st_size
    (candidate,) = load_candidates([run], EvaluateConfig(wandb="disabled"))
    assert [*candidate.model.classes.counts] == [*cifar.CLASSES]
    genbench("evaluate", str(run), "--metrics=kid", "--split=test", "--wandb=disabled")
    assert "kid_lite0_n12" in capsys.readouterr().out
    genbench("report")
    assert "cifar10" in (tmp_path / "reports" / "summary.md").read_text()
