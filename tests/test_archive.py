"""Zip and tar archives of pictures: read where they are, as the folder that they unpack to."""

import io
import os
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_pictures import paint

from genbench import UserError
from genbench.data import archive
from genbench.data import audit as auditing
from genbench.data.pictures import read_pictures
from genbench.data.splits import split_sources

KINDS = {
    "zip": "zip",
    "tar": "tar",
    "tar.gz": "gztar",
    "tgz": "gztar",
    "tar.bz2": "bztar",
    "tar.xz": "xztar",
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def art(tmp_path):
    """A folder with train/ and test/ of two classes, and what archives have beside pictures."""
    for i in range(24):
        place = tmp_path / "art" / ("test" if i % 4 == 0 else "train") / f"class{i % 2}"
        place.mkdir(parents=True, exist_ok=True)
        paint(i).save(place / f"{i:02d}.png")
    (tmp_path / "art" / "notes.txt").write_text("no picture")
    (tmp_path / "art" / "__MACOSX").mkdir()
    (tmp_path / "art" / "__MACOSX" / "._00.png").write_text("no picture")
    (tmp_path / "art" / "train" / "torn.png").write_bytes(b"\x89PNG")
    return tmp_path / "art"


def packed(art, suffix):
    made = shutil.make_archive(str(art.parent / "packed"), KINDS[suffix], art.parent, "art")
    return art.parent / shutil.move(made, art.parent / f"Art.{suffix.upper()}")


@pytest.mark.parametrize("suffix", KINDS)
def test_an_archive_is_read_as_the_folder_it_unpacks_to(art, suffix, capsys):
    path = packed(art, suffix)
    read, expected = read_pictures(path, 8, crops=2), read_pictures(art, 8, crops=2)
    assert read.content_hash == expected.content_hash
    np.testing.assert_array_equal(read.images, expected.images)
    np.testing.assert_array_equal(read.sources, expected.sources)
    assert [skipped.split("/")[-1] for skipped in read.skipped] == [
        skipped.split("/")[-1] for skipped in expected.skipped
    ]
    splits = split_sources(read.sources, 0, 0, read.own)
    assert len(splits["test"]) == 12
    lines = auditing.audit(path, 8)
    assert lines[0].startswith(f"{path}: 25 picture files, ")
    assert lines[0].endswith("other files ignored: .txt 1, hidden 1")
    assert lines[1:] == [
        *(line.replace("train/", "art/train/") for line in auditing.audit(art, 8)[1:3]),
        *auditing.audit(art, 8)[3:],
    ]
    assert {p.name for p in art.parent.iterdir()} == {path.name, "art", "cache", "home"}
    assert all(p.suffix in (".npy", ".npz") for p in (art.parent / "cache").iterdir())


def test_a_cached_archive_is_not_opened_again(art, monkeypatch):
    path = packed(art, "tar.gz")
    first = read_pictures(path, 8)
    archive._opened.cache_clear()
    monkeypatch.setattr(archive, "Archive", None)
    assert read_pictures(path, 8).content_hash == first.content_hash
    os.utime(path, (1, 1))
    with pytest.raises(UserError, match=r"Art\.TAR\.GZ: cannot be read"):
        read_pictures(path, 8)


def test_what_no_picture_is_as_large_as_is_left_out(art, monkeypatch):
    path = packed(art, "zip")
    monkeypatch.setattr(archive, "LARGEST", 200)
    with pytest.raises(UserError, match="0 usable of 25 picture files"):
        read_pictures(path, 8)
    lines = auditing.audit(path, 8)
    assert any(line.endswith(" bytes, 200 at most") for line in lines)
    monkeypatch.setattr(archive, "LARGEST_TAR", 1_000)
    with pytest.raises(UserError, match="unzips to more than 1,000 bytes"):
        read_pictures(packed(art, "tar.gz"), 8)
    monkeypatch.setattr(archive, "MOST", 20)
    os.utime(path, (1, 1))
    with pytest.raises(UserError, match="has more than 20 members"):
        read_pictures(path, 8)


def test_members_with_a_password_are_left_out_and_links_are_not_followed(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for i in range(12):
            picture = io.BytesIO()
            paint(i).save(picture, "PNG")
            about = tarfile.TarInfo(f"./{i:02d}.png")
            about.size = picture.tell()
            picture.seek(0)
            made.addfile(about, picture)
        for name, kind in (("link.png", tarfile.SYMTYPE), ("pipe.png", tarfile.FIFOTYPE)):
            about = tarfile.TarInfo(name)
            about.type, about.linkname = kind, "/etc/passwd"
            made.addfile(about)
        about = tarfile.TarInfo("../../out.png")
        made.addfile(about)
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    read = read_pictures(tmp_path / "a.tar", 8)
    assert (len(read.images), read.skipped) == (12, [])
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as made:
        for i in range(12):
            picture = io.BytesIO()
            paint(i).save(picture, "PNG")
            made.writestr(f"{i:02d}.png", picture.getvalue())
    data = bytearray((tmp_path / "b.zip").read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + flags] |= 1  # encrypted, says the first member
    (tmp_path / "b.zip").write_bytes(data)
    read = read_pictures(tmp_path / "b.zip", 8)
    assert len(read.images) == 11
    assert "password required" in read.skipped[0]


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.xz"])
def test_a_damaged_archive_is_named_in_one_line(art, suffix):
    path = packed(art, suffix)
    data = path.read_bytes()
    for broken in (b"", data[:50], b"x" * 600):
        path.write_bytes(broken)
        with pytest.raises(UserError) as error:
            read_pictures(path, 8)
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), end=st.booleans())
@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz"])
def test_any_damage_leaves_pictures_or_one_line(art, suffix, place, value, end):
    path = art.parent / f"Art.{suffix.upper()}"
    whole = path if path.is_file() else packed(art, suffix)
    data = bytearray(whole.read_bytes())
    at = int(place * len(data))
    damaged = path.with_name(f"damaged.{suffix}")
    damaged.write_bytes(data[:at] if end else data[:at] + bytes([value]) + data[at + 1 :])
    archive._opened.cache_clear()
    said = ""
    try:
        read = read_pictures(damaged, 8)
    except UserError as error:
        said = str(error)
    if said:
        assert "\n" not in said
        assert str(damaged) in said
    else:
        assert len(read.images) <= 24
