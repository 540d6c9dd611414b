"""The end of a job's log: how far it is and what it said last."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_TAIL_BYTES = 8192
_LONGEST_LINE = 300
_PROGRESS = re.compile(r"progress (0(?:\.\d+)?|1(?:\.0+)?)")


class LogTail(NamedTuple):
    """``progress`` from 0 to 1, ``None`` before the first progress line; ``last_line`` is not a progress line."""

    progress: float | None
    last_line: str


def read_log_tail(path: Path) -> LogTail:
    """Newest progress and newest other line of a log; empty while there is no log."""
    progress: float | None = None
    last_line = ""
    for line in _last_lines(path):
        found = _PROGRESS.fullmatch(line)
        if found:
            progress = float(found[1])
        elif line:
            last_line = line[:_LONGEST_LINE]
    return LogTail(progress, last_line)


def read_last_lines(path: Path, number: int) -> tuple[str, ...]:
    """The last lines of a log that are not progress lines; none while there is no log."""
    lines = [line for line in _last_lines(path) if line and not _PROGRESS.fullmatch(line)]
    return tuple(line[:_LONGEST_LINE] for line in lines[-number:])


def _last_lines(path: Path) -> list[str]:
    try:
        with open(path, "rb") as file:
            end = file.seek(0, 2)
            file.seek(max(0, end - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        # Evidence only: the state of the job never depends on its log.
        return []
    lines = re.split(r"[\r\n]+", text)
    return ["".join(sign if sign.isprintable() else " " for sign in line).strip() for line in lines]
