"""`genbench data import`: what no reader takes in place becomes a folder that all of them take."""

import csv
import io
import os
import sys
import zipfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from genbench import UserError, commands
from genbench.data import load_data
from genbench.data.arrays import pictures_in, read_arrays
from genbench.data.importing import import_pictures
from genbench.families.gan import GANConfig


def png(seed, light=False, side=12):
    """The bytes of a picture of its own."""
    noise = np.random.default_rng(seed).integers(0, 90, (side, side, 3)) + 160 * light
    file = io.BytesIO()
    Image.fromarray(noise.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def written(out):
    return {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}


def became(out):
    with (out / "imported.csv").open(newline="") as file:
        return {row["file"]: row["became"] for row in csv.DictReader(file)}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_archives_in_archives_become_folders(tmp_path, out):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("cubism/1.png", png(1))
        archive.writestr("cubism/torn.png", png(2)[:60])
        archive.writestr("notes.txt", "of them")
        archive.writestr("__MACOSX/cubism/._1.png", b"x")
    with zipfile.ZipFile(tmp_path / "art.zip", "w") as archive:
        archive.writestr("train.zip", inner.getvalue())
        archive.writestr("test/cubism/3.png", png(3))
        archive.writestr("test/cubism/copy.png", png(1))
        archive.writestr("broken.zip", b"PK no zip")
    counts, lines = import_pictures(tmp_path / "art.zip", out)
    assert counts == Counter({"picture": 2, "left out": 5})
    assert written(out) == {"test/cubism/3.png", "test/cubism/copy.png", "imported.csv"}
    said = became(out)
    assert len(said) == len(lines) == 7
    assert said["train/notes.txt"] == "left out: no picture"
    assert said["train/__MACOSX/cubism/._1.png"] == "left out: hidden"
    assert "broken.zip" in said
    assert "cannot be read" in said["broken.zip"]
    assert said["train/cubism/torn.png"].startswith("left out: ")
    assert sum("the same as" in why for why in said.values()) == 1
    kept = next(out.glob("*/cubism/3.png"))
    assert kept.read_bytes() == png(3)  # byte for byte


def test_a_table_says_the_class_and_the_split_of_each_picture(tmp_path, out):
    images = tmp_path / "set" / "images"
    images.mkdir(parents=True)
    rows = ["image_id,artist,year,split"]
    for i in range(12):
        (images / f"{i:03d}.png").write_bytes(png(i))
        split = "test" if i > 8 else "train"
        rows.append(f"{i:03d},{'Klee' if i % 3 else 'Paul / Ker'},{i},{split}")
    (images / "unlisted.png").write_bytes(png(99))
    (tmp_path / "set" / "labels.csv").write_text("\ufeff" + "\n".join(rows))
    (tmp_path / "set" / "sizes.csv").write_text("name,size\nsomething,3\n")
    names = "\n".join(f"{i:03d}.png" for i in range(12))
    (tmp_path / "set" / "names.csv").write_text(f"file\n{names}")
    counts, _ = import_pictures(tmp_path / "set", out)
    assert counts == Counter({"picture": 12, "table of classes": 1, "left out": 3})
    assert {"train/Klee/001.png", "train/Paul _ Ker/003.png", "test/Klee/010.png"} <= written(out)
    said = became(out)
    assert said["images/unlisted.png"] == "left out: in no table of classes"
    assert said["labels.csv"] == "table of classes: of 12 pictures"
    assert said["sizes.csv"] == "left out: a table that names no pictures"
    assert "without a column of classes" in said["names.csv"]


def test_a_column_of_another_name_counts_where_it_sorts_the_pictures(tmp_path, out):
    (tmp_path / "set").mkdir()
    for i in range(8):
        (tmp_path / "set" / f"{i}.png").write_bytes(png(i))
    rows = [f"{i}.png\t{i * 7}\t{'old' if i < 4 else 'new'}" for i in range(8)]
    (tmp_path / "set" / "train.tsv").write_text("path\tpixels\twhen\n" + "\n".join(rows))
    import_pictures(tmp_path / "set", out)
    assert {"old/0.png", "new/7.png"} <= written(out)


def test_arrays_become_pictures_by_split_and_label(tmp_path, out):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    np.savez(
        tmp_path / "set.npz",
        x_train=x[:4],
        y_train=np.array([0, 1, 0, 1]),
        x_test=x[4:],
        y_test=np.array([[1], [0]]),
    )
    counts, _ = import_pictures(tmp_path / "set.npz", out)
    assert counts == Counter({"array": 1})
    assert written(out) == {
        *(f"set/train/{i % 2}/set-{i:06d}.png" for i in range(4)),
        "set/test/1/set-000004.png",
        "set/test/0/set-000005.png",
        "imported.csv",
    }
    with Image.open(out / "set/test/1/set-000004.png") as image:
        assert np.array_equal(np.asarray(image), x[4])


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((2, 3, 8, 8), 7, np.uint8), np.full((8, 8, 3), 7)),  # channels first
        (np.full((2, 8, 8), 0.5), np.full((8, 8), 128)),  # shares of white
        (np.full((2, 8, 8), 200.0, np.float32), np.full((8, 8), 200)),
        (np.full((2, 8, 8, 1), 9, np.uint8), np.full((8, 8), 9)),
        (np.stack([np.full((8, 8), -1.0), np.ones((8, 8))]), np.zeros((8, 8))),
        (np.stack([np.ones((8, 8)), np.full((8, 8), 200.0)]), np.ones((8, 8))),  # one scale for all
    ],
)
def test_arrays_of_usual_kinds_are_read(tmp_path, array, expected):
    np.save(tmp_path / "some.npy", array)
    pictures = list(pictures_in(read_arrays(tmp_path / "some.npy", "some")))
    assert [folders for folders, _ in pictures] == [[], []]
    assert np.array_equal(pictures[0][1], expected)
    assert pictures[0][1].dtype == np.uint8


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((3, 4)), "no array of pictures"),
        (np.zeros((2, 8, 8), np.int64), "pictures of int64"),
        (np.zeros((64, 64, 3), np.uint8), "is one picture"),
        (np.zeros((2, 8, 8, 7), np.uint8), "pictures of shape"),
        (np.array([{}, {}], dtype=object), "Python objects"),
    ],
)
def test_other_arrays_are_left_out_by_name(tmp_path, out, array, reason):
    np.save(tmp_path / "some.npy", array)
    with pytest.raises(UserError, match="no pictures among 1 files; read are"):
        import_pictures(tmp_path / "some.npy", out)
    (tmp_path / "good.png").write_bytes(png(0))
    import_pictures(tmp_path, tmp_path.parent / f"{tmp_path.name}-out")
    assert reason in became(tmp_path.parent / f"{tmp_path.name}-out")["some.npy"]


def test_arrays_in_files_beside_each_other_belong_together(tmp_path, out):
    x = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    (tmp_path / "set").mkdir()
    for name, array in (
        *(("X_train", x[:4]), ("y_train", np.array([0, 1, 0, 1]))),
        *(("X_test", x[4:]), ("y_test", np.array([1, 0]))),
    ):
        np.save(tmp_path / "set" / f"{name}.npy", array)
    (tmp_path / "set" / "empty.npy").write_bytes(b"")
    os.mkfifo(tmp_path / "set" / "pipe.png")
    counts, _ = import_pictures(tmp_path / "set", out)
    assert counts == Counter({"array": 2, "labels of arrays": 2, "left out": 1})
    assert written(out) == {
        *(f"train/{i % 2}/X_train-{i:06d}.png" for i in range(4)),
        *("test/1/X_test-000000.png", "test/0/X_test-000001.png", "imported.csv"),
    }


def test_a_file_whose_pictures_cannot_all_be_read_gives_none(tmp_path, out):
    np.savez(tmp_path / "set.npz", good=np.zeros((2, 8, 8), np.uint8), bad=np.zeros((2, 8, 8), int))
    with pytest.raises(UserError, match="no pictures among"):
        import_pictures(tmp_path / "set.npz", out)


@pytest.mark.parametrize(
    "table",
    [
        ",filename,label\n"
        + "".join(f"{i},{11 - i}.png,{'old' if i > 5 else 'new'}\n" for i in range(12)),
        "".join(f"{i}.png,{'old' if i < 6 else 'new'}\n" for i in range(12)),  # no titles
        "label,id\n" + "".join(f"{'old' if i < 6 else 'new'},{i}\n" for i in range(12)) + "total\n",
    ],
    ids=["an index", "no titles", "a short row"],
)
def test_the_column_of_names_is_found(tmp_path, out, table):
    (tmp_path / "set").mkdir()
    for i in range(12):
        (tmp_path / "set" / f"{i}.png").write_bytes(png(i))
    (tmp_path / "set" / "table.csv").write_text(table)
    import_pictures(tmp_path / "set", out)
    expected = {f"{'old' if i < 6 else 'new'}/{i}.png" for i in range(12)}
    assert written(out) == {*expected, "imported.csv"}


def test_a_name_of_any_length_is_written(tmp_path, out):
    (tmp_path / "set").mkdir()
    for i in range(4):
        (tmp_path / "set" / f"{i}.png").write_bytes(png(i))
    rows = "".join(f"{i}.png,{'long' * 100}{i % 2}\n" for i in range(4))
    (tmp_path / "set" / "table.csv").write_text(f"file,label\n{rows}")
    import_pictures(tmp_path / "set", out)
    assert len(written(out)) == 5


def test_a_member_whose_bytes_are_damaged_is_left_out_by_name(tmp_path, out):
    table, array = b"file,label\n1.png,old\n" * 40, io.BytesIO()
    np.save(array, np.zeros((4, 8, 8), np.uint8))
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.png", png(2))
    packed = tmp_path / "art.zip"
    members = {"table.csv": table, "some.npy": array.getvalue(), "inner.zip": inner.getvalue()}
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("1.png", png(1))
        for name, content in members.items():
            archive.writestr(name, content)
    damaged = packed.read_bytes()
    for content in members.values():
        damaged = damaged.replace(content, content[:-8] + b"damaged!")
    packed.write_bytes(damaged)
    import_pictures(packed, out)
    said = became(out)
    assert all("CRC" in said[name] for name in members)
    assert written(out) == {"1.png", "imported.csv"}


def test_a_path_out_of_the_folder_stays_within(tmp_path, out):
    with zipfile.ZipFile(tmp_path / "art.zip", "w") as archive:
        archive.writestr("../../escaped.png", png(1))
        archive.writestr("/root/absolute.png", png(2))
        archive.writestr("a/x.png", png(3))
        archive.writestr("b/../a/x.png", png(4))
    import_pictures(tmp_path / "art.zip", out)
    assert len(written(out)) == 5
    assert not (tmp_path.parent / "escaped.png").exists()
    assert all(path.resolve().is_relative_to(out.resolve()) for path in out.rglob("*"))


def test_bad_paths_are_one_line(tmp_path, out):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(png(0))
    with pytest.raises(UserError, match="no such folder or file"):
        import_pictures(tmp_path / "nowhere", out)
    with pytest.raises(UserError, match=r"is within .*; name a folder elsewhere"):
        import_pictures(tmp_path / "set", tmp_path / "set" / "out")
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    with pytest.raises(UserError, match="has files; name an empty or a new folder"):
        import_pictures(tmp_path / "set", out)
    assert written(out) == {"mine.txt"}


def test_the_command_prints_a_table_and_what_comes_out_is_trained_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("outer.zip", "w") as archive:
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as pictures:
            for i in range(40):
                folder = "light" if i % 2 else "dark"
                pictures.writestr(f"{folder}/{i}.png", png(i, light=i % 2 == 1, side=20))
        archive.writestr("inner.zip", inner.getvalue())
        archive.writestr("README.md", "about it")

    def genbench(*args):
        monkeypatch.setattr(sys, "argv", ["genbench", *args])
        commands.main()
        return capsys.readouterr().out

    printed = genbench("data", "import", "outer.zip", "--out=pictures")
    assert "README.md" in printed
    assert "left out: no picture" in printed
    assert "picture" in printed
    assert "40" in printed
    assert "Classes: 2" in genbench("data", "audit", "pictures", "--image_size=16")
    data = load_data(GANConfig(data="folder", data_dir="pictures", image_size=16))
    assert data.classes == ("dark", "light")
    assert os.path.exists("pictures/imported.csv")
    monkeypatch.setattr(sys, "argv", ["genbench", "data", "import", "outer.zip", "--out=pictures"])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 2
