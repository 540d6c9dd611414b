"""Fits of one series in a thread of their own: whoever draws takes the newest finished ones and never waits."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from backend.correlation.kww_fit import FittedRings, fit_all_rings
from backend.correlation.lag_covariance import RingStatistics
from backend.correlation.multitau import MultiTauResult
from backend.correlation.q_dependence import rate_law
from backend.settings import CorrelationSettings
from backend.snapshot import RateLaw, RingFit

_SECONDS_BETWEEN_FITS = 1.0
_SHARE_OF_TIME = 0.05
_LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True)
class FinishedFits:
    """Fits of g2 after ``frames`` frames, and how their rates go with q."""

    frames: int
    rings: FittedRings
    law: RateLaw | None


class RingFits:
    """Fits g2 of a series again and again while it grows, each time from the last fit on.

    At most one fit a second is begun, and a twentieth of the time is spent on them, more only where one takes longer
    than half a second. What comes before waits, and something newer takes its place. The fits of the final data are
    made by :meth:`final`, which starts afresh: they depend on the frames alone, not on when earlier ones were made.

    Parameters
    ----------
    frame_time_s : float
        Seconds from frame to frame.
    q_inv_nm : ndarray, shape (ring,)
        Mean q of the rings.
    settings : CorrelationSettings
        What is free and what is shared between rings.
    """

    def __init__(self, frame_time_s: float, q_inv_nm: np.ndarray, settings: CorrelationSettings) -> None:
        self._frame_time_s = frame_time_s
        self._q_inv_nm = q_inv_nm
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fit")
        self._lock = threading.Lock()
        self._waiting: tuple[MultiTauResult, RingStatistics] | None = None
        self._working = False
        self._work: Future[None] | None = None
        self._newest: FinishedFits | None = None
        self._submitted = -1
        self._closing = threading.Event()

    @property
    def newest(self) -> FinishedFits | None:
        """The newest finished fits; ``None`` before the first."""
        with self._lock:
            return self._newest

    def submit(self, result: MultiTauResult, statistics: RingStatistics) -> FinishedFits | None:
        """Hand over g2 of ``statistics.frames`` frames to be fitted; returns :attr:`newest` at once.

        The same number of frames is fitted once. What went wrong in an earlier fit is raised here, once.
        """
        self._raise_fault()
        if statistics.frames != self._submitted:
            self._submitted = statistics.frames
            with self._lock:
                self._waiting = (result, statistics)
                start, self._working = not self._working, True
            if start:
                self._work = self._thread.submit(self._work_off)
        return self.newest

    def final(self, result: MultiTauResult, statistics: RingStatistics) -> FinishedFits:
        """Fits of the whole series, started afresh in the calling thread; made once."""
        self.close()
        if self._newest is None or self._submitted != -1 or self._newest.frames != statistics.frames:
            self._submitted = -1
            self._newest = self._fitted(result, statistics, ())
        return self._newest

    def close(self) -> None:
        """End the thread; a fit that is being made is finished, one that waits is dropped."""
        with self._lock:
            self._waiting = None
        self._closing.set()
        self._thread.shutdown(wait=True)

    def _raise_fault(self) -> None:
        if self._work is None or not self._work.done():
            return
        work, self._work = self._work, None
        fault = work.exception()
        if fault is not None:
            with self._lock:
                self._working = False
            raise fault

    def _work_off(self) -> None:
        while (job := self._next()) is not None:
            begun = time.monotonic()
            newest = self.newest
            finished = self._fitted(*job, () if newest is None else newest.rings.fits)
            with self._lock:
                self._newest = finished
            # Fits hold the interpreter's lock, and the frames need it.
            took_s = max(time.monotonic() - begun, 0.0)
            pause_s = max(_SECONDS_BETWEEN_FITS, took_s / _SHARE_OF_TIME) - took_s
            self._closing.wait(min(max(pause_s, 0.0), _LONGEST_PAUSE_S))

    def _next(self) -> tuple[MultiTauResult, RingStatistics] | None:
        with self._lock:
            job, self._waiting = self._waiting, None
            self._working = job is not None
            return job

    def _fitted(
        self, result: MultiTauResult, statistics: RingStatistics, start: tuple[RingFit | None, ...]
    ) -> FinishedFits:
        rings = fit_all_rings(result, self._frame_time_s, self._settings, self._q_inv_nm, start, statistics)
        law = rate_law(rings, self._q_inv_nm, statistics.frames)
        return FinishedFits(statistics.frames, rings, law)
