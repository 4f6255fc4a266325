"""What setup.cfg cannot say: the sweep files of sweeps/ are a part of the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["genbench*"]), "genbench.sweeps"],
    package_dir={"genbench.sweeps": "sweeps"},
)
