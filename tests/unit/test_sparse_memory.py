"""Zeros that take memory only where they are written."""

from __future__ import annotations

import mmap
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.sparse_memory import memory_when_touched, zeros_when_touched

_MEGABYTE = 1 << 20
_PLANE = 3 * _MEGABYTE // 2


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


def _page(array: np.ndarray) -> int:
    return int(array.ctypes.data) // mmap.PAGESIZE


@given(
    full=st.integers(0, 3),
    written=st.lists(st.tuples(st.integers(0, 2), st.integers(0, _PLANE - 1), st.booleans())),
)
def test_what_one_leaves_behind_the_next_gets_as_zeros(
    full: int, written: list[tuple[int, int, bool]]
) -> None:
    array = zeros_when_touched((3, _PLANE), np.uint8, full=full)
    assert not array.any()
    for plane, place, all_behind in written:
        array[plane, place : None if all_behind else place + 1] = 7
    where = _page(array)
    del array
    again = zeros_when_touched((3, _PLANE // 4), np.uint32, full=full)
    assert _page(again) == where
    assert not again.any()


def test_memory_belongs_to_an_array_until_its_last_view_is_gone() -> None:
    array = zeros_when_touched((1, 5 * _MEGABYTE), np.uint8)
    array[:] = 1
    where, view = _page(array), array[0, :5]
    del array
    assert _page(zeros_when_touched((1, 5 * _MEGABYTE), np.uint8)) != where
    assert view.tolist() == [1] * 5


@pytest.mark.parametrize("size", [5 * _MEGABYTE, 9 * _MEGABYTE])
def test_others_do_not_get_memory_that_is_too_small_or_much_too_large(size: int) -> None:
    array = zeros_when_touched((1, 7 * _MEGABYTE), np.uint8)
    where = _page(array)
    del array
    assert _page(zeros_when_touched((1, size), np.uint8)) != where


def test_a_little_larger_array_finds_room_too() -> None:
    """As of a series whose mask or rings differ a little."""
    array = zeros_when_touched((1, 17 * _MEGABYTE), np.uint8)
    where = _page(array)
    del array
    assert _page(zeros_when_touched((1, 19 * _MEGABYTE), np.uint8)) == where


def test_the_smallest_room_that_is_large_enough_is_taken() -> None:
    sizes = (26, 24, 28)
    arrays = [zeros_when_touched((1, size * _MEGABYTE), np.uint8) for size in sizes]
    pages = [_page(array) for array in arrays]
    del arrays
    again = [zeros_when_touched((1, size * _MEGABYTE), np.uint8) for size in sorted(sizes)]
    assert [_page(array) for array in again] == [pages[1], pages[0], pages[2]]


def test_what_is_written_everywhere_is_not_cleared_first() -> None:
    array = memory_when_touched((2, 13 * _MEGABYTE), np.uint8)
    array[:] = 5
    where = _page(array)
    del array
    again = memory_when_touched((13 * _MEGABYTE, 2), np.uint8)
    assert _page(again) == where
    assert np.all(again == 5)
    assert memory_when_touched((0, 3), np.float32).shape == (0, 3)


def test_what_nobody_takes_goes_back_to_the_system() -> None:
    before = _resident_bytes()
    large = [zeros_when_touched((1, 3 * _MEGABYTE), np.uint8) for _ in range(40)]
    for array in large:
        array[:] = 1
    assert _resident_bytes() - before > 100 * _MEGABYTE
    del large, array
    small = [zeros_when_touched((1, 1000), np.uint8) for _ in range(40)]
    del small
    assert _resident_bytes() - before < 2 * _MEGABYTE


def test_threads_never_get_the_same_memory() -> None:
    def use(value: int) -> bool:
        good = True
        for _ in range(30):
            array = zeros_when_touched((1, _MEGABYTE // 2), np.uint8, full=1)
            good = good and not array.any()
            array[:] = value
            good = good and bool(np.all(array == value))
        return good

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(use, range(1, 9)))


def test_too_much_is_a_memory_error() -> None:
    with pytest.raises(MemoryError, match="MB"):
        zeros_when_touched((1, 1 << 62), np.uint8)


def test_begins_at_a_page() -> None:
    assert zeros_when_touched((2, 3), np.uint64).ctypes.data % mmap.PAGESIZE == 0
