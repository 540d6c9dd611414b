"""Large arrays of zeros of which only a part will be used: what is never touched takes no memory.

The system gives memory when it is first touched. numpy asks it for pages of 2 MB, with which one touch in each costs as
much as writing it all, and may get memory back that was in use before, which the C library then fills with zeros, all
of it. Here it is pages of 4 kB, but for the part that will be full anyway: there large pages are faster.
"""

from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


def zeros_when_touched(shape: tuple[int, ...], dtype: DTypeLike, *, full: int = 0) -> np.ndarray:
    """Zeros of this shape; the first ``full`` entries along the first axis are expected to be written everywhere.

    Raises
    ------
    MemoryError
        The system has no room for so many addresses.
    """
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size == 0:
        return np.zeros(shape, kind)
    try:
        room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"no memory for {size / 1e6:.0f} MB") from error
    dense = size // shape[0] * full // mmap.PAGESIZE * mmap.PAGESIZE
    if dense:
        _advise(room, "MADV_HUGEPAGE", 0, dense)
    _advise(room, "MADV_NOHUGEPAGE", dense, size - dense)
    return np.frombuffer(room, kind).reshape(shape)


def _advise(room: mmap.mmap, advice: str, start: int, length: int) -> None:
    wanted: Any = getattr(mmap, advice, None)
    # Only Linux has such pages.
    if wanted is not None:
        room.madvise(wanted, start, length)
