"""Reads small text files of the beamline."""

from __future__ import annotations

from pathlib import Path

from backend.errors import SeriesError

# Far above any real run file; guards against a wrong file with the right name.
_LARGEST_TEXT_FILE_BYTES = 64 * 1024 * 1024


def read_series_text(path: Path, kind: str) -> str:
    """Return the text of a run file, as UTF-8 or, where that fails, as Latin-1.

    Raises
    ------
    SeriesError
        The file cannot be read or is far too large; ``kind`` names it in the sentence.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_TEXT_FILE_BYTES + 1)
    except OSError as error:
        raise SeriesError(
            f"The {kind} {path} cannot be read: {error.strerror or error}.",
            still_works="Frames are read without it.",
            try_this="Check that the file is there and that you may read it.",
        ) from error
    if len(content) > _LARGEST_TEXT_FILE_BYTES:
        raise SeriesError(
            f"The {kind} {path} is larger than {_LARGEST_TEXT_FILE_BYTES // 1024**2} MiB and was not read.",
            still_works="Frames are read without it.",
            try_this="Check what wrote this file.",
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")
