"""Names at P10: ``<sample>_<NNNNN>`` for a series."""

from __future__ import annotations

import re
from dataclasses import dataclass

from backend.errors import SeriesError

# The number is padded to five digits; a sixth appears only when five are not enough.
_NAME = re.compile(r"(?P<sample>[^/\\\x00-\x1f]+)_(?P<number>[0-9]{5}|[1-9][0-9]{5,9})")


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
