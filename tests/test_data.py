import gzip
import hashlib
import socket
import time

import numpy as np
import pytest
import torch

from genbench import UserError
from genbench.data import LABELLED, PICTURES, Batches, Data, Split, digits, load_data
from genbench.families import FAMILIES
from genbench.families.ae import AEConfig
from genbench.families.gan import GANConfig
from genbench.families.vae import VAEConfig


def write_idx(path, array, zipped=False):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    content = header + array.astype(np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if zipped else content)


def write_set(folder, zipped=False, n=20):
    images = np.arange(n * 6, dtype=np.uint8).reshape(n, 2, 3)
    for prefix in ("train", "t10k"):
        end = ".gz" if zipped else ""
        write_idx(folder / f"{prefix}-images-idx3-ubyte{end}", images, zipped)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{end}", np.arange(n) % 10, zipped)
    return images


def test_the_bundled_digits_are_the_ones_named_in_their_notice():
    digest = hashlib.sha256(digits.MINI.read_bytes()).hexdigest()
    assert digest in digits.MINI.with_name("NOTICE").read_text()
    images, labels = digits.read_mini(None, "train")
    assert images.shape == (10_000, 1, 28, 28)
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    images, labels = digits.read_mini(None, "test")
    assert images.shape == (2_000, 1, 28, 28)
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_splits_cut_the_training_images_and_leave_the_test_unread(monkeypatch):
    read = []

    def reader(root, split):
        read.append(split)
        n = 50
        images = np.arange(n, dtype=np.uint8).reshape(n, 1, 1, 1)
        return images, np.arange(n)

    monkeypatch.setitem(LABELLED, "mnist-mini", reader)
    data = load_data(AEConfig())
    assert read == ["train"]
    assert set(data.splits) == {"train", "val"}
    train, val = (set(data.splits[name].labels.tolist()) for name in ("train", "val"))
    assert len(val) == 5
    assert train | val == set(range(50))
    assert not train & val
    same = data.splits["val"]
    assert same.images.flatten().tolist() == same.labels.tolist()  # images keep their labels
    assert load_data(AEConfig()).splits["val"].labels.tolist() == same.labels.tolist()
    load_data(AEConfig(test=True))
    assert read[-1] == "test"


def test_the_content_hash_follows_the_content(monkeypatch):
    base = load_data(AEConfig()).content_hash
    assert load_data(AEConfig()).content_hash == base
    images, labels = digits.read_mini(None, "train")
    images[0, 0, 0, 0] ^= 1
    monkeypatch.setitem(LABELLED, "mnist-mini", lambda root, split: (images, labels))
    assert load_data(AEConfig()).content_hash != base


def test_batches_pass_over_every_image_once_in_an_order_given_by_the_seed():
    pool = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1)
    split = Split(pool, *[torch.arange(10)] * 3)
    batches = Batches(split, 4, seed=3)
    passes = [torch.cat([labels for _, labels in batches]).tolist() for _ in range(2)]
    assert len(batches) == len(list(Batches(split, 4))) == 3
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(10))
    assert passes[0] != passes[1]
    again = torch.cat([labels for _, labels in Batches(split, 4, seed=3)]).tolist()
    other = torch.cat([labels for _, labels in Batches(split, 4, seed=4)]).tolist()
    assert again == passes[0] != other
    x, labels = next(iter(Batches(split, 4)))
    assert labels.tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(x.flatten(), torch.arange(4) / 255)
    whole = Batches(split, 4, whole=True)
    assert [len(labels) for _, labels in whole] == [4, 4]
    assert len(whole) == 2


@pytest.mark.parametrize("streamed", [False, True])
def test_parts_of_a_split_share_its_pool_and_keep_their_labels(monkeypatch, streamed):
    pool = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1)
    split = Split(pool, *(torch.tensor([8, 6, 4, 2]) * k for k in (1, 10, 100)))
    if streamed:
        monkeypatch.setattr("genbench.data.STREAM_BYTES", 9)
    assert split.streamed is streamed
    part = split.take(slice(1, 4)).take(torch.tensor([2, 0]))
    assert part.pool is pool
    assert part.images.flatten().tolist() == [2, 6]
    assert part.labels.tolist() == [20, 60]
    assert part.sources.tolist() == [200, 600]
    batches = [(x.flatten() * 255, labels) for x, labels in Batches(split, 3, seed=1)]
    assert [len(x) for x, _ in batches] == [3, 1]
    assert all((x.round() * 10 == labels).all() for x, labels in batches)


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_are_read_plain_or_gzipped(tmp_path, zipped):
    images = write_set(tmp_path / "MNIST" / "raw", zipped)
    data = load_data(AEConfig(data="mnist", data_dir=str(tmp_path), test=True))
    np.testing.assert_array_equal(data.splits["test"].images[:, 0].numpy(), images)
    assert data.splits["test"].labels.tolist() == [i % 10 for i in range(20)]
    assert data.shape == (1, 2, 3)


def test_the_environment_says_where_data_lie(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_DATA", str(tmp_path / "there"))
    write_set(tmp_path / "there" / "MNIST" / "raw")
    assert len(load_data(AEConfig(data="mnist")).splits["train"]) == 18


@pytest.mark.skipif(not digits.DEBIAN_FASHION.is_dir(), reason="needs dataset-fashion-mnist")
def test_debians_fashion_mnist_is_found_by_itself():
    data = load_data(AEConfig(data="fashion-mnist", test=True))
    assert len(data.splits["train"]) == 54_000
    assert torch.bincount(data.splits["test"].labels).tolist() == [1000] * 10


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("keep", [0, 3, 11, 60])
def test_a_truncated_idx_file_is_named(tmp_path, zipped, keep):
    folder = tmp_path / "MNIST" / "raw"
    write_set(folder, zipped)
    path = next(folder.glob("train-images*"))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=f"{path}: cannot be read .*put a whole copy in its place"):
        load_data(AEConfig(data="mnist", data_dir=str(tmp_path)))


def test_images_without_as_many_labels_are_refused(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    write_set(folder)
    write_idx(folder / "train-labels-idx1-ubyte", np.zeros(7))
    with pytest.raises(UserError, match="do not match"):
        load_data(AEConfig(data="mnist", data_dir=str(tmp_path)))


def test_a_truncated_npz_is_named(tmp_path, monkeypatch):
    torn = tmp_path / "torn.npz"
    torn.write_bytes(digits.MINI.read_bytes()[:100_000])
    monkeypatch.setattr(digits, "MINI", torn)
    with pytest.raises(UserError, match=r"torn.npz: damaged .* install genbench again"):
        load_data(AEConfig())


def test_an_unknown_data_set_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match=r"data='minst': unknown to ae; choose one of mnist-mini,"):
        AEConfig(data="minst")
    with pytest.raises(UserError, match=r"data='art': unknown to gan; choose one of synthetic-art"):
        GANConfig(data="art")


def test_every_family_takes_every_data_set_and_each_has_a_reader():
    for family in FAMILIES.values():
        assert set(family.config.data_sets) == {*PICTURES, *LABELLED}


def test_sizes_and_likelihoods_follow_the_data_where_they_are_left_open():
    for family, data, size in (
        (AEConfig, "mnist", 0),
        (VAEConfig, "synthetic-art", 64),
        (GANConfig, "mnist", 32),
        (GANConfig, "synthetic-art", 64),
    ):
        assert family(data=data).image_size == size
    assert GANConfig(image_size=64).key == GANConfig().key
    assert VAEConfig(data="mnist").likelihood == "bernoulli"
    assert VAEConfig(data="synthetic-art").likelihood == "gaussian"
    assert VAEConfig(data="synthetic-art", likelihood="bernoulli").likelihood == "bernoulli"
    with pytest.raises(UserError, match="binarize=dynamic needs likelihood=bernoulli, not gauss"):
        VAEConfig(data="synthetic-art", binarize="dynamic")


@pytest.mark.parametrize("side", [16, 64])
def test_digits_do_not_fit_every_picture_size(side):
    with pytest.raises(UserError, match=f"image_size={side}: its pictures have 28 px, use 32"):
        load_data(GANConfig(data="mnist-mini", image_size=side))


def test_painted_pictures_are_cut_into_splits_and_kept(tmp_path, capsys):
    config = GANConfig(images=20, held_out=16, image_size=16, batch_size=20, test=True)
    data = load_data(config)
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 20,
        "val": 16,
        "test": 16,
    }
    assert data.shape == (3, 16, 16)
    labels = torch.cat([split.sources for split in data.splits.values()])
    assert sorted(labels.tolist()) == list(range(52))  # each picture is a source of its own
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 3
    capsys.readouterr()
    again = load_data(GANConfig(images=20, held_out=16, image_size=16, batch_size=20))
    assert capsys.readouterr().err == ""  # nothing was painted anew
    assert "test" not in again.splits
    assert again.content_hash == data.content_hash
    assert torch.equal(again.splits["val"].images, data.splits["val"].images)


def test_the_shape_is_known_without_reading_the_images(monkeypatch):
    pool = torch.zeros(3, 1, 4, 5, dtype=torch.uint8)
    data = Data({"train": Split(pool, *[torch.arange(3)] * 3)}, "")
    monkeypatch.delattr(Split, "images")
    assert data.shape == (1, 4, 5)


def test_a_data_set_out_of_reach_names_the_ways_out(tmp_path, monkeypatch):
    from torchvision.datasets import MNIST

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{port}/"])
    with pytest.raises(UserError) as error:
        load_data(AEConfig(data="mnist", data_dir=str(tmp_path)))
    for word in ("MNIST: not on disk", "refused", str(tmp_path), "--data=mnist-mini"):
        assert word in str(error.value)


def test_a_silent_server_is_not_waited_for(tmp_path, monkeypatch):
    from torchvision.datasets import MNIST

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{silent.getsockname()[1]}/"])
        monkeypatch.setattr(digits, "PROBE_SECONDS", 0.5)
        start = time.monotonic()
        with pytest.raises(UserError, match=r"not downloadable \((no answer in 0.5 s|timed out)\)"):
            load_data(AEConfig(data="mnist", data_dir=str(tmp_path)))
        assert time.monotonic() - start < 5
