"""The sweep files that come with genbench: sweeps/ of a checkout, and of an installed package."""

import os
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
FOLDERS = (PACKAGE / "sweeps", PACKAGE.parent / "sweeps")  # setup.py installs the second as first


def find_sweep(name: str) -> Path:
    """The file of this name; where there is none, the shipped `gan`, `gan.yaml`, `sweeps/gan.yaml`.

    It is not sure to exist.
    """
    path = Path(name)
    if os.path.isfile(path) or str(path.parent) not in (".", "sweeps"):
        return path
    places = [folder / f"{path.name.removesuffix('.yaml')}.yaml" for folder in FOLDERS]
    return next((place for place in places if os.path.isfile(place)), path)
