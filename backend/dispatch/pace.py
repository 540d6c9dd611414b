"""Keeps a stream of bytes below a rate, so that copies leave room for the detector's own data."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class StreamStoppedError(Exception):
    """The stream was to end before it was complete."""


class Pace:
    """Lets bytes pass at no more than a rate on average since the last pause; ``stop`` ends every wait."""

    def __init__(
        self, bytes_per_s: float, stop: threading.Event, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bytes_per_s = bytes_per_s
        self._stop = stop
        self._clock = clock
        self._free_at = clock()

    def passed(self, count: int) -> None:
        """So many bytes went; returns when the next may go.

        Raises
        ------
        StreamStoppedError
            It was stopped.
        """
        # What was not used in a pause is not made up for.
        self._free_at = max(self._free_at, self._clock() - 1.0) + count / self._bytes_per_s
        wait_s = self._free_at - self._clock()
        if self._stop.wait(wait_s) if wait_s > 0 else self._stop.is_set():
            raise StreamStoppedError
