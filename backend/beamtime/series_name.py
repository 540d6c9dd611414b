"""Names at P10: ``<sample>_<NNNNN>`` for a series, and where the result of a raw file belongs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from backend.errors import SeriesError

# The number is padded to five digits; a sixth appears only when five are not enough.
_NAME = re.compile(r"(?P<sample>[^/\\\x00-\x1f]+)_(?P<number>[0-9]{5}|[1-9][0-9]{5,9})")
_RESULT_FOLDER = "onlineanalysis"
_RESULT_ENDING = "_results.h5"


@dataclass(frozen=True, slots=True, order=True)
class SeriesName:
    """Sample as given at the beamline and running number; ``str()`` gives the folder name."""

    sample: str
    number: int

    def __str__(self) -> str:
        """Return ``<sample>_<NNNNN>``."""
        return f"{self.sample}_{self.number:05d}"


def parse_series_name(text: str) -> SeriesName:
    """Return sample and number of a folder name.

    Raises
    ------
    SeriesError
        The name does not end in an underscore and a number of five digits.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise SeriesError(
            f"{text!r} is not the name of a series.",
            still_works="Other series are not affected.",
            try_this="Series are named <sample>_<NNNNN>, for instance silica_00012.",
        )
    return SeriesName(match["sample"], int(match["number"]))


def is_series_name(text: str) -> bool:
    """Return whether a folder name has the form ``<sample>_<NNNNN>``."""
    return _NAME.fullmatch(text) is not None


def result_file_of(raw_file: Path, raw: Path, processed: Path) -> Path:
    """Return ``processed/onlineanalysis/<same subpath>/<stem>_results.h5`` for a file below ``raw``.

    Raises
    ------
    SeriesError
        ``raw_file`` is not below ``raw``.
    """
    subpath = _below(raw_file, raw)
    return processed / _RESULT_FOLDER / subpath.with_name(subpath.stem + _RESULT_ENDING)


def raw_file_of(result_file: Path, raw: Path, processed: Path, suffix: str = ".h5") -> Path:
    """Return the raw file a result belongs to; the inverse of :func:`result_file_of`.

    Raises
    ------
    SeriesError
        The path is not below ``processed/onlineanalysis`` or does not end in ``_results.h5``.
    """
    subpath = _below(result_file, processed / _RESULT_FOLDER)
    stem = subpath.name.removesuffix(_RESULT_ENDING)
    if not stem or stem == subpath.name:
        raise SeriesError(
            f"{result_file} is not named like a result file.",
            try_this=f"Result files end in {_RESULT_ENDING}.",
        )
    return raw / subpath.with_name(stem + suffix)


def _below(path: Path, folder: Path) -> Path:
    try:
        subpath = path.relative_to(folder)
    except ValueError as error:
        raise SeriesError(
            f"{path} is not inside {folder}.", try_this="Give a path inside that folder."
        ) from error
    if subpath == Path() or ".." in subpath.parts:
        raise SeriesError(f"{path} is no file inside {folder}.", try_this="Give a path inside that folder.")
    return subpath
