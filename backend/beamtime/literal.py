"""Values in beamline text files are written like Python literals; they are read without running anything."""

from __future__ import annotations

import ast
import math
import warnings
from typing import Any

# A line longer than this is no number, name or short list; parsing it would only cost memory.
_LONGEST_LITERAL = 65536


def read_literal(text: str) -> Any:
    """Return the number, string, list ... that ``text`` spells, or ``text`` itself, stripped, when it spells none."""
    text = text.strip()
    if not text or len(text) > _LONGEST_LITERAL:
        return text
    try:
        with warnings.catch_warnings():
            # Odd text such as "5m" or "\d" makes the parser warn; it is data here, not source code.
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text


def as_number(value: object) -> float | None:
    """Return a finite float for a number or for the first number of a list, ``None`` for anything else."""
    if isinstance(value, (list, tuple)) and value:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
