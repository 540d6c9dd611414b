"""Samples that slow down by themselves: the relaxation time grows with the age as t^p, and that is no damage.

The rates of a gel or a glass at age t are those at the reference age times (t / t_ref)^-p. Where this law is known,
every window is carried back to the reference age: products and expectation stay, but g2 loses what the law foretells.
What is left is steady unless something else changes the sample.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from backend.damage.noise_model import NoiseModel
from backend.damage.windows import Window


@dataclass(frozen=True, slots=True)
class AgeingLaw:
    """tau ~ t^exponent.

    Attributes
    ----------
    exponent : float
        0 for a sample that does not age.
    first_age_frames : float
        Age of the sample at the first frame.
    reference_frame : float
        Frame at whose age the rates are those of the noise model.
    """

    exponent: float
    first_age_frames: float
    reference_frame: float

    def rate(self, frame: float | np.ndarray) -> np.ndarray:
        """Factor on all relaxation rates at ``frame``; shape of it."""
        age = np.maximum(self.first_age_frames + np.asarray(frame, float), 1.0)
        return (age / max(self.first_age_frames + self.reference_frame, 1.0)) ** -self.exponent

    def rates_of(self, windows: list[Window]) -> np.ndarray:
        """Factor on the rates in the middle of each window; shape (window,)."""
        return self.rate(np.array([window.last_frame - 0.5 * window.frames for window in windows]))

    def undone(self, windows: list[Window], model: NoiseModel, lags: np.ndarray) -> list[Window]:
        """The windows as if the sample had stayed at the reference age."""
        if self.exponent == 0:
            return windows
        still = model.excess(lags)
        return [
            replace(window, products=window.products + window.expected * (still - model.excess(lags, rate)))
            for window, rate in zip(windows, self.rates_of(windows), strict=True)
        ]
