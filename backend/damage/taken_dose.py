"""The dose that the sample has really taken: that of a steady beam, bent where the beam was weaker, stronger or lost.

The incident beam of a window, in units of the first ones, is that of the monitor where there is one, times a step of
the scattering that the monitor has not seen: an absorber, a shutter, or lost beam behind it. A step is one of most
rings alike, by a third down or by a half up; damage of the sample changes few rings so much.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, replace

import numpy as np

from backend.damage.assessment import Assessment
from backend.damage.window_length import windows_spanning
from backend.damage.windows import Window

_STEP = (0.7, 1.4)
_MOST_RINGS = 0.75
_FIRST_WINDOWS = 10
_FIRST_FRAMES = 100
_FEWEST_PHOTONS = 100.0
"""In a window that may say what the beam is usually like; a closed shutter lets some noise through."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of a window: the monitor may come when all frames are over, and then everything is told anew."""

    last_frame: int
    frames: int
    dose: float
    counts: np.ndarray
    exposure_frames: np.ndarray


class TakenDose:
    """Follows the windows of one series.

    Attributes
    ----------
    beam : float
        Incident beam of the newest window over that of the first ones.
    by_monitor : bool
        Whether a monitor has told that of the newest window.
    """

    def __init__(self) -> None:
        self._monitor = array("d")
        self._expected = 0
        self._seen: list[_Seen] = []
        self._forget()

    def _forget(self) -> None:
        self._first_monitor: list[float] = []
        self._first_rates: list[np.ndarray] = []
        self._usual_rates = np.empty(0)
        self._frames = [-1]
        self._doses = [0.0]
        self._lost = [0.0]
        self.beam = 1.0
        self.by_monitor = False

    def expect(self, frames: int, monitor: np.ndarray | None) -> None:
        """The monitor of frames whose windows come next, shape (frame,), any unit; nan or ``None`` = not known."""
        first, self._expected = self._expected, self._expected + frames
        if monitor is not None:
            self._monitor.extend([math.nan] * (first - len(self._monitor)))
            self._monitor[first : self._expected] = array("d", np.asarray(monitor, float).tobytes())

    def know_monitor(self, monitor: np.ndarray) -> None:
        """The monitor of all frames from the first on, shape (frame,), as :meth:`expect`; tells all windows anew."""
        self._monitor = array("d", np.asarray(monitor, float).tobytes())
        self._forget()
        for window in self._seen:
            self._count(window)

    def add(self, window: Window) -> None:
        """The next window, with all sectors; its dose is that of a steady beam."""
        seen = _Seen(window.last_frame, window.frames, window.dose, window.counts, window.exposure_frames)
        self._seen.append(seen)
        self._count(seen)

    def _count(self, window: _Seen) -> None:
        own = np.array(self._monitor[window.last_frame + 1 - window.frames : window.last_frame + 1])
        known = own[np.isfinite(own)]
        if window.exposure_frames.any():
            # Frames that never came say nothing: the beam is taken as it was before.
            self.beam = self._beam(window, float(known.mean()) if known.size else math.nan)
        lost = (window.dose - self._doses[-1]) * (1 - self.beam)
        self._frames.append(window.last_frame)
        self._doses.append(window.dose)
        self._lost.append(self._lost[-1] + lost)

    def at(self, frame: int) -> float:
        """Dose up to the end of ``frame``; later ones as if the beam stayed as it is."""
        if frame == self._frames[-1]:
            return self._doses[-1] - self._lost[-1]
        if frame < self._frames[-1]:
            dose, lost = (float(np.interp(frame, self._frames, of)) for of in (self._doses, self._lost))
            return dose - lost
        frames = self._frames[-1] - self._frames[-2] if len(self._frames) > 1 else 1
        per_frame = (self._doses[-1] - self._doses[-2]) / frames if len(self._doses) > 1 else 0.0
        return self._doses[-1] - self._lost[-1] + (frame - self._frames[-1]) * per_frame * self.beam

    def told(self, assessment: Assessment) -> Assessment:
        """The assessment with the doses that belong to its frames."""
        onset, limit = assessment.onset_frame, assessment.limit_frame
        return replace(
            assessment,
            taken=self.at(assessment.frame),
            onset_taken=None if onset is None else self.at(onset),
            limit_taken=None if limit is None else self.at(limit),
        )

    def _beam(self, window: _Seen, monitor: float) -> float:
        self.by_monitor = bool(monitor > 0)
        first = windows_spanning(_FIRST_FRAMES, window.frames, _FIRST_WINDOWS)
        relative = 1.0
        if self.by_monitor:
            if len(self._first_monitor) < first:
                self._first_monitor.append(monitor)
            relative = monitor / float(np.median(self._first_monitor))
        rates = window.counts / np.maximum(window.exposure_frames, 1e-9) / relative
        photons = float(window.counts.sum())
        if not self._first_rates and photons < _FEWEST_PHOTONS:
            return relative if photons > 0 else 0.0
        if len(self._first_rates) < first and photons >= _FEWEST_PHOTONS:
            self._first_rates.append(rates)
            self._usual_rates = np.median(self._first_rates, axis=0)
        usual = self._usual_rates
        bright = usual > 0
        if not bright.any():
            return relative
        ratio = rates[bright] / usual[bright]
        weaker, stronger = (float(np.count_nonzero(of)) for of in (ratio < _STEP[0], ratio > _STEP[1]))
        step = max(weaker, stronger) >= _MOST_RINGS * ratio.size
        return relative * float(np.median(ratio)) if step else relative
