"""Gives memory back to the system that this process has freed.

The C library keeps blocks of up to 32 MB for later, and the maps of a detector are just below that. What the plan of a
series leaves is taken by its sums at once; what the look for odd pixels leaves would stay until there is another one.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


def give_back_freed_memory() -> None:
    """Return what is free to the system; takes some milliseconds. Nothing happens where the C library cannot do it."""
    _trim()(0)


@functools.cache
def _trim() -> Callable[[int], int]:
    # Only glibc has it.
    found: Callable[[int], int] = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)
    return found
