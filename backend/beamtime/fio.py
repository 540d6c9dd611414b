"""Reads ``.fio`` files: the command, the parameters and the end mark that the control system writes for a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from backend.beamtime.dates import parse_date
from backend.beamtime.literal import as_number, read_literal
from backend.beamtime.text_file import read_series_text

_STARTED = re.compile(r"Acquisition started at\s+(?P<date>.+)")
_ENDED = re.compile(r"!\s*Acquisition ended at\s*(?P<date>.*)")
_COLUMN = re.compile(r"\s*Col\s+[0-9]+\s+(?P<name>\S+)(?:\s+(?P<type>\S+))?\s*")
_SECTIONS = ("%c", "%p", "%d")


@dataclass(frozen=True, slots=True)
class FioFile:
    """What one ``.fio`` file says.

    Attributes
    ----------
    command : str
        The scan command; empty for time series.
    started_at, ended_at : datetime or None
        As written, usually without a zone.
    ended : bool
        True when the file carries the mark that the acquisition ended, readable date or not.
    parameters : mapping
        Name to number, string or list; names with a leading ``_`` hold strings.
    columns : tuple of str
        Names of the scan columns, empty when the file has no data part.
    rows : tuple of tuples
        One tuple of values per scan point.
    """

    command: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    ended: bool = False
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()

    def number(self, name: str) -> float | None:
        """Return a parameter as a finite number, or ``None`` when it is missing or not a number."""
        return as_number(self.parameters.get(name))


def read_fio(path: Path) -> FioFile:
    """Return the content of a ``.fio`` file.

    Raises
    ------
    SeriesError
        The file cannot be read. Its text, however odd, is never an error.
    """
    return parse_fio(read_series_text(path, "run file"))


def parse_fio(text: str) -> FioFile:
    """Return what the text of a ``.fio`` file says; lines that make no sense are passed over."""
    sections: dict[str, list[str]] = {name: [] for name in _SECTIONS}
    current: list[str] = []
    ended = None
    for line in text.splitlines():
        ended = _ENDED.match(line.strip()) or ended
        if line.strip() in sections:
            current = sections[line.strip()]
        elif line.strip() and not line.lstrip().startswith("!"):
            current.append(line)
    command, started_at = _read_comments(sections["%c"])
    columns, rows = _read_data(sections["%d"])
    return FioFile(
        command=command,
        started_at=started_at,
        ended_at=parse_date(ended["date"]) if ended else None,
        ended=ended is not None,
        parameters=_read_parameters(sections["%p"]),
        columns=columns,
        rows=rows,
    )


def _read_comments(lines: list[str]) -> tuple[str, datetime | None]:
    command, started_at = "", None
    for line in lines:
        started = _STARTED.search(line)
        if started is not None:
            started_at = parse_date(started["date"])
        elif not command:
            command = line.strip()
    return command, started_at


def _read_parameters(lines: list[str]) -> Mapping[str, Any]:
    parameters = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if equals and name.strip():
            parameters[name.strip()] = value.strip() if name.strip().startswith("_") else read_literal(value)
    return MappingProxyType(parameters)


def _read_data(lines: list[str]) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
    columns: list[str] = []
    rows = []
    for line in lines:
        column = _COLUMN.fullmatch(line)
        if column is not None:
            columns.append(column["name"])
        elif len(values := line.split()) == len(columns):
            rows.append(tuple(read_literal(value) for value in values))
    return tuple(columns), tuple(rows)
