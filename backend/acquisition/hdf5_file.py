"""Opens HDF5 files for a moment, without locks, and turns what can go wrong into words."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  registers the compression filters of the detector

from backend.errors import SeriesError

# What the HDF5 library raises on missing, cut, foreign or damaged files.
HDF5_FAULTS = (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError)

_CUT_OFF = re.compile(r"truncated file: eof = (?P<there>[0-9]+).*stored_eof = (?P<stated>[0-9]+)")


class FileChangedError(SeriesError):
    """A file was replaced or written to while it was being read."""


class UnusableFileError(SeriesError):
    """A file is readable, but what is in it is of no use: waiting will not help."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Tells one state of a file from another; equal stamps mean the same bytes."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int


def stamp_of(path: Path) -> FileStamp:
    """Return the present state of a file.

    Raises
    ------
    SeriesError
        The file is not there, or may not be looked at.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    return FileStamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@contextmanager
def open_hdf5(path: Path) -> Iterator[tuple[h5py.File, FileStamp]]:
    """Give the open file and its state; the file is closed at the end of the block.

    Raises
    ------
    FileChangedError
        The path led to another file, or a changed one, at the end of the block: nothing read in it counts.
    SeriesError
        Any fault of the file, inside the block too, with the file name and the reason in words.
    """
    before = stamp_of(path)
    if before.size_bytes == 0:
        raise _refusal(path, "it is empty")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file, before
    except SeriesError:
        raise
    except HDF5_FAULTS as error:
        _refuse_if_changed(path, before)
        raise unreadable(path, error) from error
    _refuse_if_changed(path, before)


def _refuse_if_changed(path: Path, before: FileStamp) -> None:
    if stamp_of(path) != before:
        raise FileChangedError(
            f"{path.name} was replaced or written to while it was being read.",
            still_works="It is read again.",
            try_this="Nothing needs to be done unless this is said often.",
        )


def unreadable(path: Path, error: BaseException) -> SeriesError:
    """Return the error that says in words why a file cannot be read."""
    return _refusal(path, reason_in_words(error))


def reason_in_words(error: BaseException) -> str:
    """Return what an error of the operating system or of the HDF5 library means, as half a sentence."""
    text = str(error)
    cut_off = _CUT_OFF.search(text)
    if cut_off is not None:
        return f"it is cut off ({cut_off['there']} of {cut_off['stated']} bytes are there)"
    if "file signature not found" in text:
        return "it is not an HDF5 file, or only its beginning is there"
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    if isinstance(error, PermissionError):
        return "reading it is not permitted"
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    words = " ".join(text.strip("'\"").split())
    return f"the HDF5 library says: {words[:200] or type(error).__name__}"


def _refusal(path: Path, why: str) -> SeriesError:
    return SeriesError(
        f"{path.name} in {path.parent} cannot be read: {why}.",
        still_works="The other files of the series are read.",
        try_this="Check whether the file was written to its end.",
    )
