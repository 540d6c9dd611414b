"""Whether two parts of successive snapshots show the same, so that nothing is drawn twice."""

from __future__ import annotations

import msgspec
import numpy as np


def same_content(one: object, other: object) -> bool:
    """True when both hold equal values, arrays compared element by element with nan equal to nan."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return _same_array(one, other)
    if isinstance(one, msgspec.Struct):
        return all(same_content(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same_content, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_content(one[key], other[key]) for key in one)
    return bool(one == other)


def _same_array(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
