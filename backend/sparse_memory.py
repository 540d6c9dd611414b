"""Large arrays of which only a part will be used: what is never touched takes no memory.

The system gives memory when it is first touched. numpy asks it for pages of 2 MB, with which one touch in each costs as
much as writing it all, and may get memory back that was in use before, which the C library then fills with zeros, all
of it. Here it is pages of 4 kB, but for the part that will be full anyway: there large pages are faster.

Getting a page takes several times as long as clearing it. So what an array leaves behind is kept for the next one, the
same array of the next series: of a short series a quarter of the time was spent on getting pages.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
import mmap
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

_PIECE_BYTES = 2 << 20
_MOST_LEFT = 24
"""About as many as a series has; when there are more, the oldest goes back to the system."""
_SPARE = 1.125
"""Room for this times what was asked for: an array of the next series is larger if its mask or its rings differ a
little. What is not touched costs addresses only."""
_MOST_TOO_LARGE = 1.5

_left: deque[_Room] = deque(maxlen=_MOST_LEFT)
"""What arrays left behind; these operations of a deque are safe wherever an array may happen to end."""


def zeros_when_touched(shape: tuple[int, ...], dtype: DTypeLike, *, full: int = 0) -> np.ndarray:
    """Zeros of this shape; the first ``full`` entries along the first axis are expected to be written everywhere.

    Raises
    ------
    MemoryError
        The system has no room for so many addresses.
    """
    return _array(shape, dtype, full, cleared=True)


def memory_when_touched(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """An array of this shape that will be written everywhere; what is in it before has no meaning.

    Raises
    ------
    MemoryError
        As :func:`zeros_when_touched`.
    """
    return _array(shape, dtype, shape[0] if shape else 0, cleared=False)


def _array(shape: tuple[int, ...], dtype: DTypeLike, full: int, *, cleared: bool) -> np.ndarray:
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size == 0:
        return np.zeros(shape, kind)
    room = _left_behind(size)
    if room is None:
        room = _Room(int(_SPARE * size))
    elif cleared:
        room.clear()
    room.expect(size // shape[0] * full)
    return np.asarray(_Lease(room))[:size].view(kind).reshape(shape)


def _left_behind(size: int) -> _Room | None:
    """The smallest room that is large enough, and not far too large."""
    best: _Room | None = None
    for _ in range(len(_left)):
        try:
            room = _left.popleft()
        except IndexError:
            break
        most = _MOST_TOO_LARGE * size if best is None else best.bytes.size - 1
        if size <= room.bytes.size <= most:
            if best is not None:
                _left.append(best)
            best = room
        else:
            _left.append(room)
    return best


class _Room:
    """Memory from the system.

    Attributes
    ----------
    bytes : ndarray, uint8
        All of it.
    """

    def __init__(self, size: int) -> None:
        try:
            self._map = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise MemoryError(f"no memory for {size / 1e6:.0f} MB") from error
        self.bytes = np.frombuffer(self._map, np.uint8)

    def expect(self, full: int) -> None:
        """The first ``full`` bytes will be written everywhere."""
        dense = full // mmap.PAGESIZE * mmap.PAGESIZE
        self._advise("MADV_HUGEPAGE", 0, dense)
        self._advise("MADV_NOHUGEPAGE", dense, self.bytes.size - dense)

    def clear(self) -> None:
        """Make all of it 0: what is mostly there is written, the rest goes back to the system."""
        size = self.bytes.size
        pieces = np.add.reduceat(_pages_there(self.bytes), np.arange(0, size, _PIECE_BYTES) // mmap.PAGESIZE)
        full = pieces > _PIECE_BYTES // mmap.PAGESIZE // 2
        edges = np.flatnonzero(np.diff(full, prepend=not full[0], append=not full[-1])) * _PIECE_BYTES
        for start, end in itertools.pairwise(np.minimum(edges, size).tolist()):
            # Pages that were swapped out are not there, but have not been forgotten.
            if full[start // _PIECE_BYTES] or not self._advise("MADV_DONTNEED", start, end - start):
                self.bytes[start:end] = 0

    def _advise(self, advice: str, start: int, size: int) -> bool:
        wanted: int | None = getattr(mmap, advice, None)
        # Only Linux has such pages.
        if wanted is not None and size:
            self._map.madvise(wanted, start, size)
        return wanted is not None


class _Lease:
    """Holds memory as long as there is an array of it; numpy asks for the attribute."""

    def __init__(self, room: _Room) -> None:
        self._room = room
        self.__array_interface__ = room.bytes.__array_interface__

    def __del__(self) -> None:
        """Leave the memory behind for others."""
        _left.append(self._room)


def _pages_there(memory: np.ndarray) -> np.ndarray:
    """For each page of some memory, which begins at one, 1 if it is there; int64."""
    there = np.zeros(-(-memory.size // mmap.PAGESIZE), np.uint8)
    if _mincore()(memory.ctypes.data, memory.size, there.ctypes.data) != 0:
        raise OSError(ctypes.get_errno(), "the system does not say which pages are in memory")
    return (there & 1).astype(np.int64)


@functools.cache
def _mincore() -> Callable[[int, int, int], int]:
    found = ctypes.CDLL(None, use_errno=True).mincore
    found.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    found.restype = ctypes.c_int
    return found
