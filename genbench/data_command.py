"""`genbench data`: what a folder of pictures is, and how one is made. Imports are lazy."""

from pathlib import Path
from typing import Literal

from genbench import UserError
from genbench.console import print_table

LEFT_OUT_SHOWN = 20  # files of an import


def data(
    action: Literal["audit", "import"],
    path: str = "",
    /,
    data: Literal["folder", "propaganda-debian"] = "folder",
    data_dir: str = "",
    image_size: int = 64,
    crops: int = 0,
    held_out: int = 0,
    out: str = "pictures",
) -> None:
    """Say what is in a folder of pictures and what training does with it, or import pictures.

    Args:
        action: audit: say what is there, what training does with each kind, and what to expect.
            import: write the pictures of archives in archives, of arrays (.npy, .npz) and of
            tables of labels (.csv) into a folder that every command takes.
        path: The pictures; the same as data_dir.
        data: A data set of picture files.
        data_dir: folder: the pictures.
        image_size: Side of the squares that they are cut to, in pixels.
        crops: Random squares cut from a picture (0: its centre).
        held_out: Different pictures for the test (0: a tenth).
        out: import: A new folder to write to.
    """
    if action == "import":
        if not path and not data_dir:
            raise UserError("data import: name what to import")
        _import(Path(path or data_dir).expanduser(), Path(out).expanduser())
        return
    from genbench.config import PictureConfig
    from genbench.data.art import CROPS_OF_A_TILE, PROPAGANDA
    from genbench.data.audit import audit

    config = PictureConfig(
        data=data,
        data_dir=path or data_dir,
        image_size=image_size,
        crops=crops,
        held_out=held_out,
    )
    folder = Path(config.data_dir).expanduser() if data == "folder" else PROPAGANDA
    if data != "folder":
        crops = crops or CROPS_OF_A_TILE
    for line in audit(folder, image_size, crops, held_out):
        print(line)


def _import(path: Path, out: Path) -> None:
    """Import, and print what became of the files: those that were left out by name."""
    from genbench.data.importing import import_pictures

    counts, lines = import_pictures(path, out)
    left_out = [[name, became] for name, became in lines if became.startswith("left out")]
    shown = left_out[:LEFT_OUT_SHOWN]
    rows = [[kind, str(n)] for kind, n in counts.most_common()]
    print_table(["became", "files"], rows, f"{path} -> {out}")
    if shown:
        more = f", the first {len(shown)} of {len(left_out)}" if len(left_out) > len(shown) else ""
        print_table(["file", "became"], shown, f"Left out{more}")
    print(f"{out / 'imported.csv'} has a line for each file")
    print(f"genbench data audit {out} says what training does with them")
