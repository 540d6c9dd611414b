"""Which versions the peers have."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "bslz4_to_sparse",
    "xpcs-correlator",
    "scikit-beam",
    "boost-corr",
    "torch",
    "numba",
    "numpy",
    "h5py",
    "hdf5plugin",
)


def versions() -> dict[str, str]:
    """Version of each installed peer."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
