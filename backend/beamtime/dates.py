"""Dates as beamline files write them, independent of the locale of the machine."""

from __future__ import annotations

import re
from datetime import datetime

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_C_STYLE = re.compile(
    r"(?:[A-Za-z]{3}\s+)?(?P<month>[A-Za-z]{3})\s+(?P<day>[0-9]{1,2})\s+"
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})\s+(?P<year>[0-9]{4})"
)

# Detectors write nanoseconds; Python keeps microseconds.
_FINER_THAN_MICROSECONDS = re.compile(r"(\.[0-9]{6})[0-9]+")


def parse_date(text: str) -> datetime | None:
    """Return the moment a beamline file states, or ``None`` when the text is no date.

    Understood: ISO 8601 (``2020-01-20T01:05:00Z``, ``2022-04-04 09:00:00``) and ``Mon Jan 20 01:05:00 2020``.
    Without a zone in the text the result has none either: the files do not say which one was meant.
    """
    text = text.strip()
    match = _C_STYLE.fullmatch(text)
    try:
        if match is None:
            return datetime.fromisoformat(_FINER_THAN_MICROSECONDS.sub(r"\1", text))
        month = match["month"].lower()
        if month not in _MONTHS:
            return None
        year, day = int(match["year"]), int(match["day"])
        hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
        return datetime(year, _MONTHS.index(month) + 1, day, hour, minute, second)
    except ValueError:
        return None
