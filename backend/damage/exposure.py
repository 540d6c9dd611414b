"""What is left of the contrast when the speckle moves while a frame is exposed.

A frame averages over the exposure. With a decay exp(-x) of g2 - 1 during the exposure, the contrast within a frame is
that of an instant times 2 (x - 1 + exp(-x)) / x^2 (Bandyopadhyay et al. 2005, Rev. Sci. Instrum. 76, 093110), and that
between two frames times (sinh(x / 2) / (x / 2))^2: both means of the decay over all pairs of moments.
"""

from __future__ import annotations

import numpy as np

_SMALL = 1e-2
_LARGEST = 30.0
"""Beyond this nothing is left of the contrast between frames; kept from overflowing."""


def within_frame(decay: np.ndarray) -> np.ndarray:
    """Factor on the contrast of a frame with itself, whose speckle decays by exp(-decay) during the exposure."""
    x = np.maximum(decay, _SMALL)
    left: np.ndarray = np.where(decay < _SMALL, 1 - decay / 3, 2 * (x + np.expm1(-x)) / x**2)
    return left


def between_frames(decay: np.ndarray) -> np.ndarray:
    """Factor on exp(-2 gamma lag), the contrast of two frames whose exposures do not overlap."""
    x = np.clip(decay, _SMALL, _LARGEST)
    raised: np.ndarray = np.where(decay < _SMALL, 1.0, (np.sinh(x / 2) / (x / 2)) ** 2)
    return raised
