"""Zip and tar archives of pictures, read where they are: nothing is unpacked into a folder.

Members are read one at a time, each up to a bound. A compressed tar can only be read from front to
back, so it is unzipped once into a file without a name, which is gone with the process.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from tqdm import tqdm

from genbench import UserError, signals
from genbench.console import first_line
from genbench.environment import cache_folder
from genbench.files import writing

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
UNZIP: dict[bytes, Any] = {  # by a file's first bytes
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}
LARGEST = 2**28  # bytes of one picture file
MOST_UNPACKED = 2**30  # of members that must be files
LARGEST_TAR = 2**38  # and of all that a tar unzips to
MOST = 10_000_000  # members
BLOCK = 2**22  # bytes that are unzipped at once


def is_archive(path: Path) -> bool:
    """Whether it is a file, and named as an archive."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


def open_archive(path: Path) -> "Archive":
    """The archive, which stays open for the next call while the file is the same.

    Raises:
        UserError: It cannot be read, or unzips to more than the bound.
        DiskError: There is no room to unzip it.
    """
    status = path.stat()
    return _opened(path, status.st_size, status.st_mtime_ns)


def close_archives() -> None:
    """Give back what open archives hold, of a compressed tar as much disk as it unzips to."""
    _opened.cache_clear()


@lru_cache(maxsize=2)
def _opened(path: Path, size: int, mtime: int) -> "Archive":
    try:
        return Archive(path)
    except UserError:
        raise
    except Exception as error:  # both modules raise almost anything on damaged files
        raise UserError(
            f"{path}: cannot be read ({first_line(error)}); name a whole zip or tar archive, or "
            "the folder that it unpacks to"
        ) from error


class Archive:
    """An archive's members by name, and their bytes."""

    file: IO[bytes] | None = None

    def __init__(self, path: Path):
        self.lock = threading.Lock()  # of the one open file
        is_zip = zipfile.is_zipfile(path)
        self.file = path.open("rb") if is_zip else _seekable(path)
        self.zip = zipfile.ZipFile(self.file) if is_zip else None
        self.tar = None if is_zip else tarfile.TarFile(fileobj=self.file)
        self.members: dict[str, zipfile.ZipInfo | tarfile.TarInfo] = {}
        for member in self._files():
            if len(self.members) == MOST:
                raise UserError(f"{path}: has more than {MOST:,} members")
            name = member.filename if isinstance(member, zipfile.ZipInfo) else member.name
            self.members[name.removeprefix("./")] = member

    def __del__(self) -> None:
        if self.file:
            self.file.close()

    def _files(self) -> Iterator[zipfile.ZipInfo | tarfile.TarInfo]:
        if self.zip:
            yield from (member for member in self.zip.infolist() if not member.is_dir())
        if self.tar:
            yield from (member for member in self.tar if member.isreg())

    def size(self, name: str) -> int:
        """Bytes of a member, by the archive's own word."""
        member = self.members[name]
        return member.file_size if isinstance(member, zipfile.ZipInfo) else member.size

    def open(self, name: str) -> BinaryIO:
        """A member's bytes.

        Raises:
            OSError: The archive cannot be read.
            ValueError: They are damaged, or more than a picture has.
        """
        member = self.members[name]
        if self.size(name) > LARGEST:
            raise ValueError(f"{self.size(name):,} bytes, {LARGEST:,} at most")
        with self.lock:
            try:
                return io.BytesIO(self._read(member))
            except (OSError, ValueError):
                raise
            except Exception as error:  # both modules raise almost anything on damaged files
                raise ValueError(first_line(error)) from error

    def _read(self, member: zipfile.ZipInfo | tarfile.TarInfo) -> bytes:
        file: IO[bytes] | None = None
        if isinstance(member, zipfile.ZipInfo):
            assert self.zip
            file = self.zip.open(member)
        elif self.tar:
            file = self.tar.extractfile(member)
        assert file
        with file:
            return file.read(LARGEST)


@contextlib.contextmanager
def unpacked(path: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """A folder with the members of an archive that end so, by their own names, for the block."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as end:
        end.callback(close_archives)
        archive, left = open_archive(path), MOST_UNPACKED
        for name in archive.members:
            parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..", ".")]
            if not name.lower().endswith(endings) or not parts:
                continue
            left -= archive.size(name)
            if left < 0:
                raise UserError(f"{path}: unpacks to more than {MOST_UNPACKED:,} bytes")
            target = Path(folder, *parts)
            with writing(folder):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.open(name).read())
        yield Path(folder)


def _seekable(path: Path) -> IO[bytes]:
    """A tar as a file that can be read at any place."""
    file = path.open("rb")
    unzip = UNZIP.get(file.read(2))
    file.seek(0)
    if unzip is None:
        return file
    with writing(cache_folder()):
        cache_folder().mkdir(parents=True, exist_ok=True)
        plain = tempfile.TemporaryFile(dir=cache_folder())  # noqa: SIM115 - the archive closes it
    bar = tqdm(desc=f"unzipping {path.name}", unit="B", unit_scale=True, leave=False, disable=None)
    with contextlib.ExitStack() as failed, file, unzip(file) as packed, bar:
        failed.callback(plain.close)
        while block := packed.read(BLOCK):
            signals.check()
            with writing(cache_folder()):
                plain.write(block)
            bar.update(len(block))
            if plain.tell() > LARGEST_TAR:
                raise UserError(f"{path}: unzips to more than {LARGEST_TAR:,} bytes")
        failed.pop_all()
    plain.seek(0)
    return plain
