"""Hands out recorded frames no faster than they were measured, or a chosen factor faster."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from backend.frames import FrameBatch, SeriesStarted, Source, SourceEvent


class PacedSource:
    """A source that waits, for each batch, until its last frame would have been measured.

    Parameters
    ----------
    source : Source
        The frames.
    speed : float
        1 = real time, 10 = ten times faster, infinite = never wait.
    clock, wait : callable
        Seconds from any origin; waits for so many seconds.
    """

    def __init__(
        self,
        source: Source,
        speed: float,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._source = source
        self._speed = speed
        self._clock = clock
        self._wait = wait
        self._began = clock()
        self._frame_time_s = 0.0

    @property
    def finished(self) -> bool:
        """As the source."""
        return self._source.finished

    @property
    def description(self) -> str:
        """As the source."""
        return self._source.description

    def poll(self) -> list[SourceEvent]:
        """As the source, but not before time."""
        events = self._source.poll()
        for event in events:
            if isinstance(event, SeriesStarted):
                self._began = self._clock()
                self._frame_time_s = event.info.frame_time_s or 0.0
            elif isinstance(event, FrameBatch) and math.isfinite(self._speed) and len(event.frame_numbers):
                due = self._began + (int(event.frame_numbers[-1]) + 1) * self._frame_time_s / self._speed
                self._wait(max(due - self._clock(), 0.0))
        return events
