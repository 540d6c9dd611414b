"""Keeps a simulated acquisition to its deadlines and lets a signal end it at once."""

from __future__ import annotations

import os
import select
import time


class StopRequest:
    """A wish to stop that may be made from a signal handler and ends a wait at once.

    A pipe instead of ``threading.Event``: an event takes a lock, and a handler that interrupts its own thread
    while that lock is held would never return.
    """

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        self._requested = False

    @property
    def requested(self) -> bool:
        """True once :meth:`request` was called."""
        return self._requested

    def request(self) -> None:
        """Ask for the stop; safe in a signal handler and more than once."""
        if not self._requested:
            self._requested = True
            os.write(self._write_end, b"x")

    def wait(self, timeout_s: float) -> bool:
        """Wait until the stop is requested, at most this long; True if it is."""
        if not self._requested and timeout_s > 0:
            select.select([self._read_end], [], [], timeout_s)
        return self._requested

    def close(self) -> None:
        """Release the pipe."""
        os.close(self._read_end)
        os.close(self._write_end)

    def __enter__(self) -> StopRequest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DeadlineClock:
    """Deadlines of the frames of one series, counted from its creation.

    ``pace`` is how many times faster than real the series runs; ``None`` means there is nothing to wait for.
    A frame that comes late does not move the deadlines of those after it.
    """

    def __init__(self, frame_time_s: float, pace: float | None, stop: StopRequest) -> None:
        self._frame_time_s = frame_time_s
        self._pace = pace
        self._stop = stop
        self._start_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start_s

    def wait_for_end_of_frame(self, frame: int) -> bool:
        """Wait until this frame (from 0) has been exposed; False if the series shall end instead."""
        if self._pace is None:
            return not self._stop.requested
        due_s = (frame + 1) * self._frame_time_s / self._pace
        return not self._stop.wait(due_s - self.elapsed_s)
