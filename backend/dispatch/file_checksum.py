"""Size and checksum of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

_READ_BYTES = 1 << 20


def measure_file(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 (hexadecimal) of a file.

    Raises
    ------
    OSError
        It cannot be read.
    """
    digest = hashlib.sha256()
    size_bytes = 0
    with open(path, "rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
            size_bytes += len(piece)
    return size_bytes, digest.hexdigest()
