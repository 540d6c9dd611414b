"""When memory that this process has freed goes back to the system: when it says so, or at once.

The C library keeps blocks of up to 32 MB for later, and the maps of a detector are just below that. What the plan of a
series leaves is taken by its sums at once; what the look for odd pixels leaves would stay until there is another one.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

# Numbers of malloc.h, and the largest block that glibc keeps.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGEST_KEPT_BYTES = 32 << 20
_MOST_KEPT_BYTES = 1 << 30


def give_back_freed_memory() -> None:
    """Return what is free to the system; takes some milliseconds. Nothing happens where the C library cannot do it."""
    _trim()(0)


def keep_freed_memory() -> None:
    """Keep what a series frees for the next one, until :func:`give_back_freed_memory` is called.

    Otherwise the maps of a detector would go back when the series ends, and getting them anew takes much longer than
    clearing them. All threads that start from now on share one store: what one has freed, another finds. Nothing
    happens where the C library cannot do it.
    """
    set_option: Callable[[int, int], int] = getattr(ctypes.CDLL(None), "mallopt", lambda _option, _value: 0)
    set_option(_ARENA_MAX, 1)
    set_option(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
    set_option(_TRIM_THRESHOLD, _MOST_KEPT_BYTES)


@functools.cache
def _trim() -> Callable[[int], int]:
    # Only glibc has it.
    found: Callable[[int], int] = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)
    return found
