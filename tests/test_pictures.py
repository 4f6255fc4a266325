import errno
import hashlib
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from genbench import UserError
from genbench.data import audit as auditing
from genbench.data import look, pictures
from genbench.data.look import FORMATS, Cut, formats, look_at
from genbench.data.pictures import near_sources, read_pictures
from genbench.data.splits import own_splits, split_sources

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    """Ten pictures that nobody would confuse."""
    path = tmp_path / "pictures"
    path.mkdir()
    for i in range(10):
        paint(i).save(path / f"{i:02d}.png")
    return path


def paint(seed, width=40, height=40):
    """Eight by eight random patches."""
    patches = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((width, height), Image.Resampling.NEAREST)


def plane(width, height):
    """Red tells x, green tells y."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x, y, 0 * x], axis=-1).astype(np.uint8))


def decoded(path, size=8, crops=0, wrap=False):
    """The squares as (n, S, S, 3)."""
    found = look_at(path.parent, Cut(size, crops, wrap), path.name)
    assert not found.reason
    return found.images.transpose(0, 2, 3, 1)


def of_array(values, dtype):
    return Image.fromarray(np.full((8, 8), values, dtype=dtype))


def with_palette():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([*RED, *BLUE])
    return image


@pytest.mark.parametrize(
    ("name", "image", "options", "expected"),
    [
        ("1.png", Image.new("1", (8, 8), 1), {}, WHITE),
        ("l.png", Image.new("L", (8, 8), 77), {}, (77, 77, 77)),
        ("la.png", Image.new("LA", (8, 8), (0, 128)), {}, (127, 127, 127)),
        ("rgba.png", Image.new("RGBA", (8, 8), (255, 0, 0, 128)), {}, (255, 127, 127)),
        ("rgba.webp", Image.new("RGBA", (8, 8), (0, 0, 255, 0)), {"lossless": True}, WHITE),
        ("opaque.png", Image.new("RGBA", (8, 8), (1, 2, 3, 255)), {}, (1, 2, 3)),
        ("key.png", Image.new("RGB", (8, 8), RED), {"transparency": RED}, WHITE),
        ("p.png", with_palette(), {}, BLUE),
        ("p-clear.png", with_palette(), {"transparency": 1}, WHITE),
        ("p-half.png", with_palette(), {"transparency": b"\xff\x80"}, (127, 127, 255)),
        ("p.gif", with_palette(), {}, BLUE),
        ("rgb.webp", Image.new("RGB", (8, 8), (9, 99, 199)), {"lossless": True}, (9, 99, 199)),
        ("rgb.BMP", Image.new("RGB", (8, 8), (9, 99, 199)), {"format": "BMP"}, (9, 99, 199)),
        ("rgb.tiff", Image.new("RGB", (8, 8), (9, 99, 199)), {}, (9, 99, 199)),
        ("grey.jpg", Image.new("L", (8, 8), 77), {}, (77, 77, 77)),
        ("cmyk.tif", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), {}, RED),
        ("lab.tif", Image.new("LAB", (8, 8), (128, 128, 128)), {}, (119, 119, 119)),
        ("i16.png", of_array(128 * 257, np.uint16), {}, (128, 128, 128)),
        ("i16.tif", of_array(64 * 257, np.uint16), {}, (64, 64, 64)),
        ("i.tif", of_array(200, np.int32), {}, (200, 200, 200)),
        ("f.tif", of_array(0.2, np.float32), {}, (51, 51, 51)),
        ("f255.tif", of_array(51, np.float32), {}, (51, 51, 51)),
    ],
)
def test_every_mode_becomes_the_colours_one_sees(tmp_path, name, image, options, expected):
    image.save(tmp_path / name, **options)
    assert (decoded(tmp_path / name) == expected).all()


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "JPEG", "avif", "heic", "ppm", "apng"])
def test_pictures_are_known_by_all_their_suffixes(folder, suffix):
    if suffix == "heic":
        assert "HEIF" in formats()
    kind = {"jfif": "JPEG", "jpe": "JPEG", "heic": "HEIF", "apng": "PNG"}.get(suffix)
    color = (200, 120, 40)
    Image.new("RGB", (16, 16), color).save(folder / f"a.{suffix}", format=kind, quality=100)
    np.testing.assert_allclose(
        decoded(folder / f"a.{suffix}")[0], np.full((8, 8, 3), color), atol=3
    )
    read = read_pictures(folder, 8)
    assert (len(read.images), read.skipped) == (11, [])
    assert auditing.audit(folder, 8)[0].endswith("other files ignored: none")


def test_what_is_no_picture_is_counted_by_its_suffix(folder, capsys):
    for name in ("a.psd", "b.PSD", "c.mp4", "README", *(f"a.{i}" for i in range(7))):
        (folder / name).touch()
    read_pictures(folder, 8)
    said = "other files ignored: .psd 2, .0 1, .1 1, .2 1, .3 1, .4 1, 4 kinds more"
    assert said in capsys.readouterr().err
    assert auditing.audit(folder, 8)[0].endswith(said)


def test_heif_without_its_reader_names_it(folder, monkeypatch):
    (folder / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    monkeypatch.setattr(look, "formats", lambda: FORMATS)
    assert read_pictures(folder, 8).skipped == ["a.heic: HEIF: pip install 'genbench[heif]'"]


def test_wide_ranges_are_scaled_to_black_and_white(tmp_path):
    ramp = np.linspace(-1000, 3_000_000, 64).reshape(8, 8)
    for dtype in (np.int32, np.float32):
        Image.fromarray(ramp.astype(dtype)).save(tmp_path / "wide.tif")
        grey = decoded(tmp_path / "wide.tif")[0, ..., 0].ravel()
        np.testing.assert_allclose(grey, np.linspace(0, 255, 64), atol=0.6)


def test_of_an_animation_the_first_frame_counts(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, BLUE)]
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        lossless = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **lossless)
        assert (decoded(tmp_path / name) == RED).all()
        assert "animated" in look_at(tmp_path, Cut(8), name).traits


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
def test_exif_orientation_is_applied_once(tmp_path, suffix):
    stored = Image.new("RGB", (16, 8), RED)
    stored.paste(BLUE, (8, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise: the left half becomes the upper half
    options = {"webp": {"lossless": True}, "jpg": {"subsampling": 0}}.get(suffix, {})
    stored.save(tmp_path / f"turned.{suffix}", exif=exif, **options)
    square = decoded(tmp_path / f"turned.{suffix}")[0].astype(int)
    upper = np.broadcast_to(RED, (4, 8, 3))
    np.testing.assert_allclose(square, np.concatenate([upper, upper[..., ::-1]]), atol=3)
    assert "rotated" in look_at(tmp_path, Cut(8), f"turned.{suffix}").traits


def test_the_centre_square_is_the_middle_of_the_long_side(tmp_path):
    plane(30, 21).save(tmp_path / "wide.png")
    square = decoded(tmp_path / "wide.png", 21)[0]
    assert (square == np.asarray(plane(30, 21))[:, 4:25]).all()
    plane(21, 130).save(tmp_path / "high.png")
    square = decoded(tmp_path / "high.png", 21)[0]
    assert (square == np.asarray(plane(21, 130))[54:75]).all()


def test_shrinking_averages_instead_of_picking(tmp_path):
    y, x = np.mgrid[:640, :640]
    board = Image.fromarray((255 * ((x + y) % 2)).astype(np.uint8))
    for name in ("board.png", "board.jpg"):
        board.save(tmp_path / name)
        assert np.abs(decoded(tmp_path / name, 32).astype(int) - 127.5).max() < 3


def test_a_jpeg_decoded_small_is_the_same_picture(tmp_path):
    smooth = paint(0).resize((800, 640), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "a.jpg", quality=98)
    smooth.save(tmp_path / "a.png")
    small, full = (decoded(tmp_path / name, 32).astype(int) for name in ("a.jpg", "a.png"))
    assert np.abs(small - full).mean() < 1
    assert np.abs(small - full).max() < 12


def test_a_small_picture_is_enlarged_and_a_tiny_one_left_out(tmp_path):
    Image.new("RGB", (9, 12), RED).save(tmp_path / "small.png")
    assert (decoded(tmp_path / "small.png", 32) == RED).all()
    Image.new("RGB", (100, 7), RED).save(tmp_path / "tiny.png")
    assert look_at(tmp_path, Cut(32), "tiny.png").reason == "100x7 pixels: below 8"


def test_a_folder_is_read_with_its_subfolders_in_the_order_of_names(folder):
    (folder / "b" / "c").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "b" / "loop").symlink_to(folder)
    paint(10).save(folder / "b" / "c" / "deep.PNG")
    paint(11).save(folder / ".hidden" / "no.png")
    paint(12).save(folder / ".no.png")
    (folder / "notes.txt").write_text("no picture")
    os.mkfifo(folder / "pipe.png")
    read = read_pictures(folder, 8)
    assert isinstance(read.images, np.memmap)
    assert not read.images.flags.writeable
    assert read.images.shape == (11, 3, 8, 8)
    assert read.sources.tolist() == list(range(11))
    assert read.sources.dtype == np.int64
    assert read.skipped == []
    assert read.content_hash == hashlib.sha256(read.images.tobytes()).hexdigest()
    expected = np.asarray(paint(10).resize((8, 8), Image.Resampling.LANCZOS))
    assert (read.images[10].transpose(1, 2, 0) == expected).all()
    assert auditing.audit(folder, 8)[0].endswith("other files ignored: hidden 2, .png 1, .txt 1")


def break_files(folder, monkeypatch):
    """One bad file of each kind, by name the reason."""
    for name in ("cut.jpg", "cut.png", "cut.gif", "cut.webp", "cut.bmp", "cut.tif"):
        paint(20, 64, 64).save(folder / name)
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) * 2 // 3])
    (folder / "empty.png").touch()
    (folder / "page.jpg").write_text("<html>404</html>")
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    paint(21, 1, 1).save(folder / "tiny.png")
    paint(22, 100, 60).save(folder / "warned.png")
    paint(23, 100, 110).save(folder / "refused.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    return {
        "cut.jpg": "image file is truncated",
        "cut.png": "image file is truncated",
        "cut.bmp": "image file is truncated",
        "cut.gif": "image file is truncated",
        "cut.webp": "",
        "cut.tif": "",
        "empty.png": "empty file",
        "page.jpg": "not PNG, JPEG, WEBP, BMP, GIF, TIFF, PPM, AVIF or HEIF",
        "dangling.png": "No such file or directory",
        "tiny.png": "1x1 pixels: below 8",
        "warned.png": "bomb? more than 5000 pixels",
        "refused.png": "bomb? more than 5000 pixels",
    }


def test_bad_files_are_left_out_and_named(folder, monkeypatch, capsys):
    reasons = break_files(folder, monkeypatch)
    read = read_pictures(folder, 8)
    assert len(read.images) == 10
    found = dict(line.split(": ", 1) for line in read.skipped)
    assert set(found) == set(reasons)
    assert all(found[name].startswith(reason) for name, reason in reasons.items()), found
    assert found["cut.webp"]
    assert found["cut.tif"]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"Reading 22 pictures from {folder} once"
    assert said[1].startswith(f"{folder}: 12 left out of 22 picture files: cut.bmp: image file")
    assert "and 9 more; `genbench data audit --data=folder" in said[1]
    assert len(said) == 2
    assert read_pictures(folder, 8).skipped == read.skipped


def test_the_audit_names_every_bad_file_and_says_what_is_done(folder, monkeypatch):
    reasons = break_files(folder, monkeypatch)
    Image.new("RGBA", (8, 40), (255, 0, 0, 128)).save(folder / "clear.png")
    of_array(500, np.uint16).save(folder / "deep.png")
    paint(30).convert("CMYK").save(folder / "print.jpg")
    shutil.copy(folder / "00.png", folder / "again.png")
    paint(1, 64, 64).save(folder / "near.webp")
    lines = auditing.audit(folder, 32)
    assert lines[0].startswith(f"{folder}: 27 picture files, 0.")
    assert "Files not usable: 10 -> left out" in lines
    assert "Decompression bombs: 2 -> left out" in lines
    for name, reason in reasons.items():
        assert any(line.startswith(f"  {name}: {reason}") for line in lines)
    assert "Formats: PNG 12, WEBP 1, JPEG 1" in lines
    assert "Modes: RGB 11, RGBA 1, I;16 1, CMYK 1" in lines
    assert "Transparent: 1 -> composited on white: clear.png" in lines
    assert "More than 8 bits: 1 -> scaled to 8, not clipped: deep.png" in lines
    assert "CMYK: 1 -> converted to RGB: print.jpg" in lines
    assert "Short side: 8 to 64 pixels, median 40" in lines
    assert "Smaller than 32 pixels: 2 -> upscaled: clear.png (8x40), deep.png (8x8)" in lines
    keeps = "the centre square keeps 20% of the area at worst; consider --crops=4"
    assert f"Longer than 2:1: 1 -> {keeps}: clear.png" in lines
    same = lines.index("Exact duplicates: in 1 groups -> 1 left out")
    assert lines[same + 1] == "  00.png, again.png"
    near = lines.index("Near-duplicates: in 1 groups -> kept, each group in one split")
    assert lines[near + 1] == "  01.png, near.webp"
    (result,) = (line for line in lines if line.startswith("Result: "))
    assert result.startswith("Result: 14 images of 32x32 pixels from 13 different pictures, ")
    read = read_pictures(folder, 32)
    splits = split_sources(read.sources, seed=0)
    for name, index in splits.items():
        assert f"{name} {len(index)}" in result
    cropped = auditing.audit(folder, 32, crops=4)
    (result,) = (line for line in cropped if line.startswith("Result: "))
    assert result.startswith("Result: 56 images of 32x32 pixels from 13 different pictures, ")
    assert result.endswith("; 0.2 MB in the cache")


def test_the_audit_says_what_a_gan_will_do_and_what_scores_to_expect():
    def advice(n, held_out=0):
        return auditing._advice(split_sources(np.arange(n), 0, held_out))

    few, val, test = advice(634)
    assert few.startswith("GAN: loss=drift, the default, learns from 508 pictures without augm")
    assert few.endswith("know them by heart: give it --diffaugment=color,translation")
    assert val == (
        "Scores while training: N = 63 pictures a side; they are wide, compare none of them closely"
    )
    *_, test = advice(634, 300)
    assert test == "Scores of the test: N = 300 pictures a side"
    many, *_, test = advice(40_000)
    assert many.endswith("the discriminator of another --loss too")
    assert test == "Scores of the test: N = 1500 pictures a side"
    *_, val, test = advice(100)
    assert val == "Scores while training: none, of 10 pictures (50 needed); try --held_out, --crops"
    assert test.startswith("Scores of the test: N = 10 pictures a side; they are wide")
    *_, test = advice(90)
    assert test == "Scores of the test: none, of 9 pictures (10 needed); try --held_out, --crops"


def test_the_audit_of_too_few_pictures_is_whole(folder):
    (folder / "00.png").write_bytes(b"")
    lines = auditing.audit(folder, 8)
    assert "  00.png: empty file" in lines
    assert lines[-1].startswith("Too few pictures: 9 usable of 10 picture files; 10 are the least")


def test_a_folder_without_one_usable_picture_is_told_as_such(folder):
    for path in folder.iterdir():
        path.write_bytes(b"")
    lines = auditing.audit(folder, 8)
    assert "Files not usable: 10 -> left out" in lines
    assert lines[-1].startswith("Too few pictures: 0 usable of 10 picture files")
    with pytest.raises(UserError, match="pictures: 0 usable of 10 picture files; 10 are the least"):
        read_pictures(folder, 8)


def test_useless_folders_end_in_one_line(folder, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    (tmp_path / "one").mkdir()
    paint(0).save(tmp_path / "one" / "a.png")
    for name, message in {
        "missing": r"missing: no such folder; name a folder of pictures with --data_dir$",
        "texts/a.txt": r"a\.txt: not a folder; ",
        "texts": r"texts: no picture files \(\.png, .*\) among its files \(\.txt 1\); ",
        "one": r"one: 1 usable of 1 picture files; 10 are the least, .*add pictures \(--crops=K .*"
        r"needs 10 as well\); `genbench data audit --data=folder --data_dir=.*one` tells more$",
    }.items():
        with pytest.raises(UserError, match=message) as error:
            read_pictures(tmp_path / name, 8, crops=3)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="image_size=0"):
        read_pictures(folder, 0)
    for i in range(10):
        paint(0, 40 + 8 * i, 40 + 8 * i).save(folder / f"{i:02d}.png")
    with pytest.raises(UserError, match="10 usable of 10 picture files, only 1 of them different"):
        read_pictures(folder, 32, crops=2)


def test_the_first_of_exact_duplicates_is_kept(folder):
    shutil.copy(folder / "03.png", folder / "copy.png")
    paint(4).save(folder / "same-pixels.bmp")
    read = read_pictures(folder, 16)
    assert len(read.images) == 10
    assert read.skipped == ["copy.png: duplicate of 03.png", "same-pixels.bmp: duplicate of 04.png"]
    cropped = read_pictures(folder, 16, crops=2)
    assert cropped.skipped == ["copy.png: duplicate of 03.png"]
    assert cropped.sources.tolist() == np.repeat([*range(10), 4], 2).tolist()


def test_near_duplicates_are_never_on_both_sides(folder):
    paint(5, 400, 400).save(folder / "large.jpg", quality=60)
    paint(6).resize((32, 32), Image.Resampling.LANCZOS).save(folder / "smaller.png")
    read = read_pictures(folder, 16, crops=3)
    assert len(read.images) == 36
    assert read.sources.tolist() == np.repeat([*range(10), 5, 6], 3).tolist()
    for seed in range(50):
        splits = split_sources(read.sources, seed)
        parts = {name: set(read.sources[index].tolist()) for name, index in splits.items()}
        assert [len(parts[name]) for name in ("train", "val", "test")] == [8, 1, 1]
        assert set.union(*parts.values()) == set(range(10))
        assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(36))


def test_plain_and_faint_pictures_are_told_apart():
    plain = [np.full((8, 8, 3), level, np.uint8) for level in (10, 12, 12, 200)]
    assert near_sources([0] * 4, plain).tolist() == [0, 1, 1, 3]
    rng = np.random.default_rng(0)
    faint = [rng.integers(120, 130, (8, 8, 3), dtype=np.uint8) for _ in range(3)]
    assert near_sources([0] * 3, faint).tolist() == [0, 1, 2]
    strong = rng.integers(0, 240, (8, 8, 3), dtype=np.uint8)
    brighter = [strong, strong + 3, strong + 4, strong + 9]
    assert near_sources([0, 0b111111, 0, 0], brighter).tolist() == [0, 0, 0, 0]
    assert near_sources([0, 0b1111111], [strong, strong]).tolist() == [0, 1]


def test_near_duplicates_chain_as_a_graph_search_says():
    colors = np.random.default_rng(1).integers(60, 220, (60, 1, 1, 3))
    thumbs = np.tile(colors, (1, 8, 8, 1)).astype(np.uint8)
    thumbs[:, ::2] = 0  # contrast enough that six levels are near
    linked = np.abs(colors[:, 0] - colors[:, 0, 0]).mean(axis=2) / 2 < pictures.NEAR_LEVELS
    expected = list(range(60))
    for _ in range(60):
        expected = [min(expected[j] for j in np.flatnonzero(row)) for row in linked]
    assert near_sources([0] * 60, list(thumbs)).tolist() == expected
    assert 20 < len(set(expected)) < 50


def test_a_split_deals_sources_by_its_seed():
    sources = np.repeat(np.arange(100), 4)
    splits = split_sources(sources, seed=3)
    assert {name: len(index) for name, index in splits.items()} == {
        "train": 320,
        "val": 40,
        "test": 40,
    }
    again, other = split_sources(sources, seed=3), split_sources(sources, seed=4)
    assert (splits["val"] == again["val"]).all()
    assert (splits["val"] != other["val"]).any()
    assert {name: len(index) for name, index in split_sources(np.arange(3), 0).items()} == {
        "train": 1,
        "val": 1,
        "test": 1,
    }
    with pytest.raises(UserError, match="2 different pictures are too few"):
        split_sources(np.array([0, 0, 1]), seed=0)


@pytest.mark.parametrize(
    ("n", "held_out", "sizes"),
    [
        (634, 300, (284, 50, 300)),  # 50 for a distance
        (2_000, 300, (1_530, 170, 300)),  # a tenth of what is left
        (100, 40, (45, 15, 40)),  # but a quarter of it at most
        (26, 16, (8, 2, 16)),
    ],
)
def test_a_number_of_pictures_is_held_out_and_a_few_validate(n, held_out, sizes):
    splits = split_sources(np.repeat(np.arange(n), 2), 0, held_out)
    assert tuple(len(splits[name]) // 2 for name in ("train", "val", "test")) == sizes
    everything = np.concatenate(list(splits.values()))
    assert sorted(everything.tolist()) == list(range(2 * n))


@pytest.mark.parametrize(
    ("names", "own"),
    [
        (["train/a.png", "test/a.png"], ["train", "test"]),
        (["Training/x/a.png", "valid/a.png", "TEST/a.png"], ["train", "val", "test"]),
        (["art/v2/train/a.png", "art/v2/test/a.png"], ["train", "test"]),
        (["train/a.png", "train/b.png"], []),  # of which all are
        (["test/a.png", "val/a.png"], []),
        (["train/a.png", "test/a.png", "b.png"], []),  # which is in none
        (["train/a.png", "test/a.png", "cubism/b.png"], []),
        (["a.png"], []),
        ([], []),
    ],
)
def test_a_folders_own_split_is_known_by_its_folders(names, own):
    assert own_splits(names) == own


def test_a_folder_that_is_split_keeps_its_split(tmp_path, capsys):
    for i in range(30):
        part = "test" if i < 8 else "train"
        (tmp_path / part).mkdir(exist_ok=True)
        paint(i).save(tmp_path / part / f"{i:02d}.png")
    shutil.copy(tmp_path / "test" / "03.png", tmp_path / "train" / "99.png")
    paint(0, 41, 41).save(tmp_path / "train" / "near.png")
    for again in range(2):  # the second time from the cache
        read = read_pictures(tmp_path, 8, crops=2)
        splits = split_sources(read.sources, 0, 0, read.own)
        assert len(read.skipped) == 1, again  # what is in both is held out
        assert splits["test"].tolist() == list(range(16))
        assert (len(splits["val"]), len(splits["train"])) == (10, 36)
        assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(62))
        assert not set(read.sources[splits["val"]]) & set(read.sources[splits["train"]])
    lines = auditing.audit(tmp_path, 8)
    assert (
        "Split: the folder's own, test 8, train 23; what it lacks is dealt from train; "
        "1 pictures have near-duplicates in two of them"
    ) in lines
    with pytest.raises(UserError, match="held_out=16: the pictures have a test split of their own"):
        split_sources(read.sources, 0, 16, read.own)


def test_what_an_own_split_lacks_is_dealt_from_its_training_pictures():
    sources = np.arange(100)
    own = np.repeat(["train", "val"], [80, 20])
    splits = split_sources(sources, 0, 0, own)
    assert splits["val"].tolist() == list(range(80, 100))
    assert (len(splits["test"]), len(splits["train"])) == (20, 60)
    splits = split_sources(sources, 0, 30, own)
    assert (len(splits["test"]), len(splits["train"])) == (30, 50)
    with pytest.raises(UserError, match="held_out=80: of 80 different training pictures, 79 at"):
        split_sources(sources, 0, 80, own)
    with pytest.raises(UserError, match="2 different training pictures are too few"):
        split_sources(np.arange(5), 0, 0, np.array(["train", "train", "none", "none", "none"]))
    all_three = np.repeat(["train", "val", "test"], [1, 1, 98])
    assert len(split_sources(sources, 0, 0, all_three)["test"]) == 98


def test_more_pictures_than_there_are_cannot_be_held_out():
    with pytest.raises(UserError, match="held_out=30: of 34 different pictures, 24 at most"):
        split_sources(np.arange(34), 0, 30)


def test_random_squares_lie_within_the_picture(tmp_path):
    plane(250, 120).save(tmp_path / "plane.png")
    squares = decoded(tmp_path / "plane.png", 16, crops=200).astype(int)
    sides = (squares[:, 0, -1, 0] - squares[:, 0, 0, 0]) * 16 / 15
    heights = (squares[:, -1, 0, 1] - squares[:, 0, 0, 1]) * 16 / 15
    assert np.abs(sides - heights).max() < 6  # squares, at their own scale
    assert 27 < sides.min() < 34  # a quarter of the short side
    assert 112 < sides.max() < 124
    assert 55 < np.median(sides) < 65  # log-uniform: the geometric mean
    assert (np.diff(squares[..., 0], axis=2) >= 0).all()
    assert squares[..., 0].min() < 8
    assert squares[..., 0].max() > 240
    assert squares[..., 1].max() > 115


def test_random_squares_of_a_small_picture_take_its_whole_short_side(tmp_path):
    plane(90, 20).save(tmp_path / "strip.png")
    squares = decoded(tmp_path / "strip.png", 32, crops=30).astype(int)
    assert (squares[:, 0, :, 1] <= 1).all()
    assert (squares[:, -1, :, 1] >= 18).all()
    assert len(set(squares[:, 0, 0, 0].tolist())) > 15


def test_random_squares_of_a_tile_go_on_at_the_opposite_edge(tmp_path):
    tile = np.asarray(paint(0, 64, 64))
    Image.fromarray(tile).save(tmp_path / "tile.png")
    four = np.tile(tile, (2, 2, 1))
    windows = {four[y : y + 64, x : x + 64].tobytes() for y in range(64) for x in range(64)}
    squares = decoded(tmp_path / "tile.png", 64, crops=20, wrap=True)
    assert all(square.tobytes() in windows for square in squares)
    assert len({square.tobytes() for square in squares}) == 20
    flat = decoded(tmp_path / "tile.png", 64, crops=20)
    assert (flat == tile).all()


def test_random_squares_depend_on_the_file_only(folder, tmp_path):
    first = read_pictures(folder, 8, crops=4)
    (tmp_path / "other").mkdir()
    for i in range(10):
        shutil.copy(folder / f"{i:02d}.png", tmp_path / "other" / f"{9 - i}.png")
    second = read_pictures(tmp_path / "other", 8, crops=4)
    blocks = first.images.reshape(10, 4, 3, 8, 8), second.images.reshape(10, 4, 3, 8, 8)
    assert (blocks[0] == blocks[1][::-1]).all()
    assert first.images[0].tobytes() != first.images[1].tobytes()


def never(*_):
    raise AssertionError("decoded again")


def test_the_second_reading_decodes_nothing(folder, monkeypatch):
    first = read_pictures(folder, 8, crops=2)
    monkeypatch.setattr(pictures, "look_at", never)
    second = read_pictures(folder, 8, crops=2)
    assert (second.images == first.images).all()
    assert (second.sources == first.sources).all()
    assert (second.content_hash, second.skipped) == (first.content_hash, first.skipped)
    with pytest.raises(AssertionError, match="decoded again"):
        read_pictures(folder, 9, crops=2)


def test_a_changed_folder_is_read_anew_and_stale_files_go(folder, cache):
    assert len(read_pictures(folder, 8).images) == 10
    old = set(cache.iterdir())
    paint(11).save(folder / "new.png")
    assert len(read_pictures(folder, 8).images) == 11
    assert old < set(cache.iterdir())  # another training may be using it
    for path in old:
        os.utime(path, (0, 0))
    paint(12).save(folder / "00.png")
    read = read_pictures(folder, 8)
    expected = np.asarray(paint(12).resize((8, 8), Image.Resampling.LANCZOS))
    assert (read.images[0].transpose(1, 2, 0) == expected).all()
    assert not old & set(cache.iterdir())


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("keep", [0, 50, 0.8, None])
def test_a_torn_cache_is_rebuilt(folder, cache, suffix, keep):
    whole = read_pictures(folder, 8)
    expected = whole.images.tobytes()
    del whole
    (path,) = cache.glob(f"*{suffix}")
    content = path.read_bytes()
    if keep is None:
        path.unlink()
    else:
        path.write_bytes(content[: keep if keep in (0, 50) else int(keep * len(content))])
    again = read_pictures(folder, 8)
    assert again.images.tobytes() == expected
    assert path.read_bytes()[:60] == content[:60]


def test_two_processes_may_build_the_same_cache(folder, cache, monkeypatch):
    inner = []

    def overtaken(*args):
        if not inner:
            inner.append(None)
            inner[0] = read_pictures(folder, 8)
        return look_at(*args)

    monkeypatch.setattr(pictures, "WORKERS", 1)
    monkeypatch.setattr(pictures, "look_at", overtaken)
    outer = read_pictures(folder, 8)
    assert outer.content_hash == inner[0].content_hash
    assert (outer.images == inner[0].images).all()
    assert sorted(path.suffix for path in cache.iterdir()) == [".npy", ".npz"]


def test_a_cache_that_cannot_be_written_says_so_and_leaves_nothing(folder, cache, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pictures.os, "fsync", full)
    with pytest.raises(UserError, match=r"No space left on device\); set \$GENBENCH_CACHE"):
        read_pictures(folder, 8)
    assert list(cache.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setenv("GENBENCH_CACHE", str(folder / "00.png"))
    with pytest.raises(UserError, match=r"00\.png: the decoded pictures cannot be kept there"):
        read_pictures(folder, 8)


def test_names_of_any_bytes_are_told_on_one_line(folder):
    assert look.printable("é\n\udcff.png") == "é\\n\\udcff.png"
    (folder / "two\nlines.png").write_bytes(b"")
    assert read_pictures(folder, 8).skipped == ["two\\nlines.png: empty file"]
