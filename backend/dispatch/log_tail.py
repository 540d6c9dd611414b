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
    try:
        with open(path, "rb") as file:
            end = file.seek(0, 2)
            file.seek(max(0, end - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        # Evidence only: the state of the job never depends on its log.
        return LogTail(None, "")
    progress: float | None = None
    last_line = ""
    for line in re.split(r"[\r\n]+", text):
        line = "".join(sign if sign.isprintable() else " " for sign in line).strip()
        found = _PROGRESS.fullmatch(line)
        if found:
            progress = float(found[1])
        elif line:
            last_line = line[:_LONGEST_LINE]
    return LogTail(progress, last_line)
