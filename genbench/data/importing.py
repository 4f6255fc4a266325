"""`genbench data import`: pictures out of what no reader takes in place, as a folder that all do.

Read are folders, archives and archives in them; arrays of pictures (.npy, .npz); and tables (.csv,
.tsv) that say the class, and perhaps the split, of each picture by its file's name. What comes out
is OUT/[split/][class/]NAME, picture files byte for byte, arrays as PNG; and imported.csv, in which
each file that was there has a line that says what became of it.
"""

import contextlib
import csv
import io
import os
import re
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from tqdm import tqdm

from genbench import UserError, signals
from genbench.console import first_line
from genbench.data.archive import LARGEST, close_archives, is_archive, open_archive
from genbench.data.archive import SUFFIXES as ARCHIVES
from genbench.data.arrays import pictures_in, read_arrays
from genbench.data.look import SUFFIXES, Cut, look_at, opened, printable
from genbench.data.tables import folders_in
from genbench.files import DiskError, whole, writing

TABLES, ARRAYS = (".csv", ".tsv"), (".npy", ".npz")
DEEPEST = 3  # archives within archives
LONGEST = 100  # characters of a folder's or a file's name
MOST_COPIED = 2**36  # bytes of archives and arrays in archives
LOOKED_AT = Cut(32)


@dataclass(frozen=True)
class Item:
    """A file: what it is called, and the folder or archive that it is a member of."""

    name: str
    place: Path
    member: str

    @property
    def suffix(self) -> str:
        """In small letters."""
        return PurePosixPath(self.name).suffix.lower()


@dataclass
class Import:
    """An import under way."""

    out: Path
    scratch: Path  # for members that must be files
    lines: list[tuple[str, str]] = field(default_factory=list)  # file, what became of it
    counts: Counter[str] = field(default_factory=Counter)  # of files, by what became of them
    written: dict[str, str] = field(default_factory=dict)  # hash of a picture -> where it is
    known: dict[str, list[str]] = field(default_factory=dict)  # file's name -> its folders
    labels: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)  # of folders' .npy files
    copies: dict[Item, Path] = field(default_factory=dict)  # of members that must be files
    copied: int = 0  # bytes

    def note(self, item: Item, became: str, more: str = "") -> None:
        """One file more, and what became of it."""
        self.lines.append((printable(item.name), f"{became}: {more}" if more else became))
        self.counts[became] += 1

    def target(self, parts: list[str]) -> Path:
        """A new file below `out`, whatever the parts of its path are made of."""
        safe = [re.sub(r"[^\w. -]", "_", part[-LONGEST:]).lstrip(".") or "_" for part in parts]
        path = self.out.joinpath(*safe)
        path.parent.mkdir(parents=True, exist_ok=True)
        stem, number = path.stem, 2
        while path.exists():
            path, number = path.with_name(f"{stem}-{number}{path.suffix}"), number + 1
        return path

    def as_file(self, item: Item) -> Path:
        """The file itself, or a copy of an archive's member."""
        if not is_archive(item.place):
            return item.place / item.member
        if item in self.copies:
            return self.copies[item]
        copy = self.scratch / f"{len(self.copies)}{_ending(item.name)}"
        with copy.open("wb") as file, opened(item.place, item.member) as member:
            shutil.copyfileobj(member, file)
            self.copied += file.tell()
        if self.copied > MOST_COPIED:
            raise UserError(f"{item.place}: holds archives of more than {MOST_COPIED:,} bytes")
        self.copies[item] = copy
        return copy


def import_pictures(path: Path, out: Path) -> tuple[Counter[str], list[tuple[str, str]]]:
    """Write the pictures of `path` below `out`, and imported.csv.

    Args:
        path: A folder, an archive, or a file of arrays.
        out: A new or empty folder.

    Returns:
        How many files became what, and each file with what became of it.

    Raises:
        UserError: There is no such path, `out` has files or is within it, or no picture was found.
        DiskError: `out` cannot be written.
    """
    if not path.exists():
        raise UserError(f"{path}: no such folder or file")
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"out={out}: has files; name an empty or a new folder")
    if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
        raise UserError(f"out={out}: is within {path}; name a folder elsewhere")
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        work = Import(out, Path(scratch))
        files = list(_files(path, "", 0, work))
        _read_tables(files, work)
        _read_labels(files, work)
        with writing(out):
            for item in tqdm(files, "importing", unit="file", leave=False, disable=None):
                signals.check()
                _take(item, work)
            close_archives()
            if work.written:
                with whole(out / "imported.csv") as file:
                    text = io.StringIO()
                    csv.writer(text).writerows([("file", "became"), *work.lines])
                    file.write(text.getvalue().encode())
    if not work.written:
        raise UserError(
            f"{path}: no pictures among {len(files)} files; read are {', '.join(SUFFIXES)}, arrays "
            f"({', '.join(ARRAYS)}), and archives ({', '.join(ARCHIVES)}) of them"
        )
    return work.counts, work.lines


def _ending(name: str) -> str:
    """What ends a file's name, of an archive `.tar.gz`."""
    known = [suffix for suffix in ARCHIVES if name.lower().endswith(suffix)]
    return max(known, key=len, default=PurePosixPath(name).suffix)


def _files(path: Path, prefix: str, depth: int, work: Import) -> Iterator[Item]:
    """All files of a folder or an archive, and of the archives in it."""
    if path.is_dir():
        names = sorted(
            os.path.relpath(os.path.join(parent, name), path)
            for parent, _, some in os.walk(path)
            for name in some
            if os.path.isfile(os.path.join(parent, name))  # and no pipe, which would be waited for
        )
    elif is_archive(path):
        names = sorted(open_archive(path).members)
    else:
        path, names = path.parent, [path.name]
    for name in names:
        item = Item(f"{prefix}{name}", path, name)
        if not name.lower().endswith(ARCHIVES):
            yield item
            continue
        if depth == DEEPEST:
            work.note(item, "left out", f"more than {DEEPEST} archives within each other")
            continue
        inside = f"{item.name.removesuffix(_ending(item.name))}/"
        try:
            yield from list(_files(work.as_file(item), inside, depth + 1, work))
        except (UserError, ValueError, OSError) as error:
            work.note(item, "left out", f"{first_line(error)}; unpack it first")


def _read_tables(files: list[Item], work: Import) -> None:
    """Classes and splits of pictures, by the names of their files, where a table says them."""
    pictures = {key for item in files if item.suffix in SUFFIXES for key in _keys(item.name)}
    for item in files:
        if item.suffix not in TABLES:
            continue
        try:
            with opened(item.place, item.member) as file:
                text = file.read(LARGEST).decode("utf-8-sig")
            delimiter = "\t" if item.suffix == ".tsv" else ","
            rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
            found = folders_in(rows, pictures)
        except (ValueError, csv.Error, OSError) as error:
            work.note(item, "left out", first_line(error))
            continue
        work.known |= found
        work.note(item, "table of classes", f"of {len(found)} pictures")


def _keys(name: str) -> list[str]:
    """What a table may call a picture: its path, its file's name, with or without suffix."""
    path = PurePosixPath(name)
    return [name, path.name, path.stem, str(path.with_suffix(""))]


def _take(item: Item, work: Import) -> None:
    """Write what a file holds of pictures, and note what became of it."""
    parts = [part for part in PurePosixPath(item.name).parts if part not in ("/", "..", ".")]
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        work.note(item, "left out", "hidden")
    elif item.suffix in SUFFIXES:
        _take_picture(item, parts, work)
    elif item.suffix in ARRAYS:
        try:
            _take_arrays(item, parts, work)
        except DiskError:
            raise
        except (ValueError, OSError) as error:
            work.note(item, "left out", first_line(error))
    elif item.suffix not in TABLES:
        work.note(item, "left out", "no picture")


def _take_picture(item: Item, parts: list[str], work: Import) -> None:
    look = look_at(item.place, LOOKED_AT, item.member)
    if look.reason:
        work.note(item, "left out", look.reason)
        return
    if twin := work.written.get(look.marks[0]):
        work.note(item, "left out", f"the same as {twin}")
        return
    folders = next((work.known[key] for key in _keys(item.name) if key in work.known), None)
    if work.known and folders is None:
        work.note(item, "left out", "in no table of classes")
        return
    target = work.target(parts if folders is None else [*folders, parts[-1]])
    with opened(item.place, item.member) as file, whole(target) as copy:
        shutil.copyfileobj(file, copy)
    work.written[look.marks[0]] = str(target.relative_to(work.out))
    work.note(item, "picture", work.written[look.marks[0]])


def _read_labels(files: list[Item], work: Import) -> None:
    """The rows of labels in .npy files, which stand beside those of the pictures, by folder."""
    for item in files:
        if item.suffix == ".npy":
            with contextlib.suppress(ValueError, OSError):
                arrays = read_arrays(work.as_file(item), PurePosixPath(item.name).stem)
                rows = {name: array for name, array in arrays.items() if array.ndim < 3}
                work.labels.setdefault(str(PurePosixPath(item.name).parent), {}).update(rows)


def _take_arrays(item: Item, parts: list[str], work: Import) -> None:
    """Write the pictures of a file of arrays, by split and label if it tells them."""
    stem, folder = PurePosixPath(item.name).stem, str(PurePosixPath(item.name).parent)
    arrays = read_arrays(work.as_file(item), stem)
    if item.suffix == ".npy":
        if arrays[stem].ndim < 3 and arrays[stem].dtype.kind in "iuU":
            work.note(item, "labels of arrays")
            return
        arrays = work.labels.get(folder, {}) | arrays
    count, apart = 0, [] if item.suffix == ".npy" else [stem]
    for folders, picture in pictures_in(arrays):
        signals.check()
        target = work.target([*parts[:-1], *apart, *folders, f"{stem}-{count:06d}.png"])
        with whole(target) as file:
            Image.fromarray(picture).save(file, "PNG")
        work.written[f"{item.name} {count}"] = str(target.relative_to(work.out))
        count += 1
    work.note(item, "array", f"{count} pictures")
