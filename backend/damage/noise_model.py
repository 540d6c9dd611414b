"""What an undamaged sample does by itself: Poisson noise, its own speckle noise, slow systematics.

The speckle part of ring intensities is correlated in time exactly as the sample's own g2,

    cov[dI_b(t), dI_b(t + s)] / I_b^2 = (g2_b(s) - 1) / N_speckles,b

so a slow sample drifts by itself; a test that takes frames as independent calls this damage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.damage.windows import Window

_RATES_PER_FRAME = np.geomspace(1e-4, 3, 160)
_LEAST_CONTRAST = 1e-3


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """Noise of windows, fitted on the reference part of a series and then kept.

    Attributes
    ----------
    contrast : float
        Speckle contrast beta, common to all rings.
    gamma_per_frame : ndarray, shape (ring,)
        Relaxation rate per frame, g2 - 1 = beta exp(-2 gamma s).
    drift_per_frame : ndarray, shape (ring,)
        The same rate, but of all that the reference allows the one that lets the speckle drift most in a series of this
        length: what a slow sample will do is not known from its first frames.
    speckles : ndarray, shape (ring,)
        Independent speckles per ring.
    systematic_rms : float
        Relative rms of slow shape systematics.
    systematic_frames : float
        Their correlation time in frames.
    """

    contrast: float
    gamma_per_frame: np.ndarray
    drift_per_frame: np.ndarray
    speckles: np.ndarray
    systematic_rms: float
    systematic_frames: float

    def excess(self, lags: np.ndarray) -> np.ndarray:
        """g2 - 1 at ``lags`` (frames); shape (ring, lag)."""
        return self.contrast * np.exp(-2 * self.gamma_per_frame[:, None] * lags[None])

    def speckle_correlation(self, distance_frames: np.ndarray, frames: int) -> np.ndarray:
        """Correlation of two window means whose centres are this far apart; shape (ring, window).

        Mean of exp(-2 gamma |s|) over all pairs of frames of two windows of ``frames`` frames each: triangular weights
        of the distances within two windows.
        """
        steps = np.arange(-(frames - 1), frames)
        weight = (frames - np.abs(steps)) / frames**2
        decay = 2 * self.drift_per_frame
        # Windows apart from each other: the sum over pairs is the same for all distances up to one factor.
        nearest = np.exp(-decay[:, None] * (steps + frames - 1)) @ weight
        beyond = np.maximum(distance_frames - (frames - 1), 0.0)
        correlation = nearest[:, None] * np.exp(-decay[:, None] * beyond)
        correlation[:, distance_frames == 0] = (np.exp(-decay[:, None] * np.abs(steps)) @ weight)[:, None]
        near = (distance_frames > 0) & (distance_frames < frames - 1)
        if near.any():
            apart = np.abs(distance_frames[near][:, None] + steps)
            correlation[:, near] = np.exp(-decay[:, None, None] * apart) @ weight
        return correlation


def fit_noise_model(
    windows: list[Window],
    lags: np.ndarray,
    speckles_per_ring: np.ndarray,
    planned_frames: int,
    systematic_rms: float,
    systematic_frames: float,
) -> NoiseModel:
    """Contrast and rates from the lagged products of the reference windows.

    A weighted grid search over the rates: needs no start values and cannot diverge, which is what an unattended fit on
    little data must offer. Each ring has its own amplitude, for few speckles make it far from the common contrast.
    """
    expected = sum((window.expected for window in windows), np.zeros_like(windows[0].expected))
    products = sum((window.products for window in windows), np.zeros_like(windows[0].products))
    measured = products / np.maximum(expected, 1e-9) - 1
    decay = np.exp(-2 * _RATES_PER_FRAME[:, None] * lags[None])
    norm = np.einsum("rl,bl->rb", decay**2, expected)
    amplitude = np.einsum("rl,bl->rb", decay, measured * expected) / np.maximum(norm, 1e-9)
    amplitude = np.clip(amplitude, _LEAST_CONTRAST, 1.0)
    squares = ((measured[None] - amplitude[:, :, None] * decay[:, None, :]) ** 2 * expected[None]).sum(axis=2)
    best = squares.argmin(axis=0)
    rings = np.arange(len(best))
    weight = norm[best, rings]
    contrast = float((amplitude[best, rings] * weight).sum() / max(float(weight.sum()), 1e-9))
    # Counting noise of a product is (1 + g2 - 1) / expected; in these units two standard deviations are four.
    allowed = squares <= squares.min(axis=0) + 4 * (1 + amplitude[best, rings])
    # 1 - exp(-2 gamma T) of the pattern changes in the series; around gamma = 1 / T it drifts as one slow wave.
    distance = np.abs(np.log(_RATES_PER_FRAME * planned_frames))
    drift = np.where(allowed, distance[:, None], np.inf).argmin(axis=0)
    return NoiseModel(
        max(contrast, _LEAST_CONTRAST),
        _RATES_PER_FRAME[best],
        _RATES_PER_FRAME[drift],
        speckles_per_ring,
        systematic_rms,
        systematic_frames,
    )
