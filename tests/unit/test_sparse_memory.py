"""Zeros that take memory only where they are written."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import numpy as np
import pytest

from backend.sparse_memory import zeros_when_touched

_MEGABYTE = 1 << 20


def _resident_bytes() -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found.group(1)) * 1024


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((3, 5), np.uint64), ((4, 1000, 7), np.uint8), ((0, 5), np.int32), ((2, 0), np.int32)],
)
@pytest.mark.parametrize("full", [0, 1, 2])
def test_are_zeros_of_that_shape(shape: tuple[int, ...], dtype: type, full: int) -> None:
    array = zeros_when_touched(shape, dtype, full=min(full, shape[0]))
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert not array.any()
    array[...] = 1
    assert array.sum() == array.size


def test_what_is_not_touched_takes_no_memory() -> None:
    before = _resident_bytes()
    array = zeros_when_touched((16, 16 * _MEGABYTE), np.uint8, full=1)
    assert _resident_bytes() - before < 2 * _MEGABYTE
    array[0] = 1
    # One touch in each 2 MB of a plane that is hardly used.
    array[1, :: 2 * _MEGABYTE] = 1
    grown = _resident_bytes() - before
    assert 16 * _MEGABYTE <= grown < 19 * _MEGABYTE


def test_memory_goes_back_with_the_last_view() -> None:
    before = _resident_bytes()
    array = zeros_when_touched((1, 64 * _MEGABYTE), np.uint8)
    array[:] = 1
    view = array[0, :5]
    del array
    assert view.sum() == 5
    del view
    assert _resident_bytes() - before < 16 * _MEGABYTE


def test_too_much_is_a_memory_error() -> None:
    with pytest.raises(MemoryError, match="MB"):
        zeros_when_touched((1, 1 << 62), np.uint8)


def test_begins_at_a_page() -> None:
    assert zeros_when_touched((2, 3), np.uint64).ctypes.data % mmap.PAGESIZE == 0
