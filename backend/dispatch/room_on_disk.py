"""Writes what must not be lost also when the disk is full just now: waits for room instead of giving up."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

_LOOK_S = 0.5
_Value = TypeVar("_Value")


def when_there_is_room(write: Callable[[], _Value], within_s: float, is_over: Callable[[], bool]) -> _Value:
    """Result of ``write``, which is tried again as long as the disk or the quota is full.

    Raises
    ------
    OSError
        There was no room within ``within_s`` seconds or before ``is_over``, or it is something else.
    """
    until = time.monotonic() + within_s
    while True:
        try:
            return write()
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            if not is_full or is_over() or time.monotonic() >= until:
                raise
        # Nothing tells when there is room again, so it is looked for now and then.
        time.sleep(_LOOK_S)
