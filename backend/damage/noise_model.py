"""What an undamaged sample does by itself: Poisson noise, its own speckle noise, slow systematics.

The speckle part of ring intensities is correlated in time exactly as the sample's own g2,

    cov[dI_b(t), dI_b(t + s)] / I_b^2 = (g2_b(s) - 1) / N_speckles,b

so a slow sample drifts by itself; a test that takes frames as independent calls this damage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.damage.exposure import between_frames, within_frame
from backend.damage.noise_kernels import least_squares
from backend.damage.windows import Window

SLOWEST_PER_FRAME = 1e-4
_RATES_PER_FRAME = np.geomspace(SLOWEST_PER_FRAME, 3, 160)
_CONTRASTS = np.geomspace(1e-3, 1, 140)
_RINGS_DIFFER = 0.1
"""Rms by which the contrast of the rings may differ: with the path length, and the speckle size in pixels."""
_RATE_STEP = 1e-3
_SLOW_STEPS = np.array([1.0, 4.0, 16.0])
_RATES_ALIKE = 4
"""Of the grid: rings whose noise relaxes at nearly the same rate share one, for each rate costs time."""


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """Noise of windows, fitted on the reference part of a series and then kept.

    Attributes
    ----------
    contrast : float
        Speckle contrast beta, common to all rings.
    gamma_per_frame : ndarray, shape (ring,)
        Relaxation rate per frame, g2 - 1 = beta exp(-2 gamma s).
    fast_per_frame : ndarray, shape (ring,)
        Rate of the part of the speckle that is not slow, for noise; the same rate where nothing is slow.
    slow_share : ndarray, shape (ring,)
        Part of the contrast that may relax slowly, as much as the reference allows: what a slow sample will do is not
        known from its first frames.
    slow_per_frame : float
        Rate at which speckle drifts most in a series of this length. A third of the slow part each has this rate, 4
        times, and 16 times this rate, for more drift in a quarter or a sixteenth of the series.
    speckles : ndarray, shape (ring,)
        Independent speckles per ring.
    systematic_rms : float
        Relative rms of slow shape systematics.
    systematic_frames : float
        Their correlation time in frames.
    exposure : float
        Part of the frame time in which photons are counted, 0 to 1; 0 = an instant.
    """

    contrast: float
    gamma_per_frame: np.ndarray
    fast_per_frame: np.ndarray
    slow_share: np.ndarray
    slow_per_frame: float
    speckles: np.ndarray
    systematic_rms: float
    systematic_frames: float
    exposure: float = 0.0

    def excess(self, lags: np.ndarray, rate: float | np.ndarray = 1.0) -> np.ndarray:
        """g2 - 1 at ``lags`` (frames), with all rates times ``rate``; shape (ring, lag).

        Factors of shape (n, 1, 1) give the shape (n, ring, lag).
        """
        gamma = rate * self.gamma_per_frame[:, None]
        return self.contrast * _decay(gamma, lags, self.exposure)

    def rate_response(self, lags: np.ndarray) -> np.ndarray:
        """How g2 - 1 answers to a change of ln gamma of all rings, shape (ring, lag)."""
        up, down = self.excess(lags, np.exp(_RATE_STEP)), self.excess(lags, np.exp(-_RATE_STEP))
        return (up - down) / (2 * _RATE_STEP)

    def shared_photons(self, lags: np.ndarray, frames: int) -> np.ndarray:
        """What products of two lags owe to the same photons: covariance of g2 - 1 of a window, times its photons.

        With the intensity X = 1 + x of a speckle and its shot noise e, the product of two frames holds e e', which
        counts coincidences, and x e' + e x'. So a photon at t moves the products of all lags s, r at once, by x(t - s),
        and by x(t + s) if that partner is in the window too. The mean over all photons has the covariance

            <X(t) x(t - s) x(t - r)> + <X(t) x(t + s) x(t + r)> + <X(t) x(t - s) x(t + r)> + <X(t) x(t + s) x(t - r)>

        with the third moments of one mode with offset, where <x^3> = 2 contrast^(3/2). Shape (ring, lag, lag).
        """
        third = 2 * np.sqrt(self.contrast)
        apart, together = np.abs(np.subtract.outer(lags, lags)), np.add.outer(lags, lags)

        def excess(distances: np.ndarray) -> np.ndarray:
            return self.excess(distances.ravel()).reshape(-1, *distances.shape)

        one_side = excess(apart) + third * excess(np.maximum.outer(lags, lags))
        both_sides = (1 + third) * excess(together)
        # Of the photons, those with both partners in the window.
        later = np.maximum(1 - lags / frames, 0.0)
        return one_side * (1 + np.maximum(1 - apart / frames, 0.0)) + both_sides * np.add.outer(later, later)

    def speckle_correlation(self, distance_frames: np.ndarray, frames: int) -> np.ndarray:
        """Correlation of two window means whose centres are this far apart; shape (ring, window)."""
        share = self.slow_share[:, None]
        fast = _window_correlation(self.fast_per_frame, distance_frames, frames)
        slow = _window_correlation(self.slow_per_frame * _SLOW_STEPS, distance_frames, frames).mean(axis=0)
        return (1 - share) * fast + share * slow

    def speckle_exponentials(self, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """The same as exponentials of the number of windows: decays, (part,), shares of neighbours, (ring, part)."""
        slow_rates = self.slow_per_frame * _SLOW_STEPS
        rates, place = np.unique(np.append(self.fast_per_frame, slow_rates), return_inverse=True)
        neighbours = _window_correlation(rates, np.array([float(frames)]), frames)[:, 0]
        rings = len(self.fast_per_frame)
        parts = np.zeros((rings, len(rates)))
        parts[np.arange(rings), place[:rings]] = 1 - self.slow_share
        for slow in place[rings:]:
            parts[:, slow] += self.slow_share / len(slow_rates)
        return np.exp(-2 * rates * frames), parts * neighbours


def _decay(gamma: np.ndarray, lags: np.ndarray, exposure: float) -> np.ndarray:
    """(g2 - 1) / contrast of frames that are exposed for this part of the frame time.

    ``gamma``, shape (..., 1), per frame; the result has the shape (..., lag).
    """
    decay: np.ndarray = between_frames(2 * exposure * gamma) * np.exp(-2 * gamma * lags)
    decay[..., lags == 0] = within_frame(2 * exposure * gamma)
    return decay


def counting_variance(expected: np.ndarray, excess: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Variance of g2 - 1 from counting, shape (ring, lag); a pair within one frame is counted twice, as n (n - 1)."""
    return np.where(lags == 0, 2, 1) * (1 + excess) / expected


def _window_correlation(rate_per_frame: np.ndarray, distance_frames: np.ndarray, frames: int) -> np.ndarray:
    """Mean of exp(-2 rate |s|) over all pairs of frames of two windows of ``frames`` frames; shape (rate, window).

    Distances within two windows have triangular weights.
    """
    steps = np.arange(-(frames - 1), frames)
    weight = (frames - np.abs(steps)) / frames**2
    decay = 2 * rate_per_frame
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
    rates: np.ndarray | None = None,
    slowest_rate: float = 1.0,
    exposure: float = 0.0,
) -> NoiseModel:
    """Contrast and rates from the lagged products of the reference windows.

    Where speckle moves on within a frame, hardly anything is left at the other lags: then lag 0 knows the contrast.

    ``rates``, shape (window,), are known factors on the relaxation rates in each window, and ``slowest_rate`` is the
    least of the whole series, where a sample ages: its speckle is taken as slow as it will be.

    A weighted grid search over the rates: needs no start values and cannot diverge, which is what an unattended fit on
    little data must offer.
    """
    expected = np.sum([window.expected for window in windows], axis=0)
    products = np.sum([window.products for window in windows], axis=0)
    measured = products / np.maximum(expected, 1e-9) - 1
    precision = 1 / counting_variance(np.maximum(expected, 1e-9), np.zeros_like(expected), lags)
    decay = _mean_decay(lags, np.ones(1) if rates is None else rates, exposure)
    contrast, gamma = _fit_rings(decay, measured, precision, speckles_per_ring)
    slow_rate = 1 / planned_frames
    # Lag 0 does not know slow from fast.
    apart = (lags > 0) | (lags.max() == 0)
    slow = np.exp(-2 * slow_rate * lags[apart])
    fast, most = _most_slow_amplitude(slow, decay[:, apart], measured[:, apart], expected[:, apart])
    return NoiseModel(
        contrast,
        gamma,
        slowest_rate * _RATES_PER_FRAME[fast // _RATES_ALIKE * _RATES_ALIKE],
        np.clip(most / contrast, 0.0, 1.0),
        slow_rate,
        speckles_per_ring,
        systematic_rms,
        systematic_frames,
        exposure,
    )


def _fit_rings(
    decay: np.ndarray, measured: np.ndarray, precision: np.ndarray, speckles: np.ndarray
) -> tuple[float, np.ndarray]:
    """Best contrast of all rings and rate of each; few speckles make the contrast of a ring differ from that of all.

    Shapes: ``decay`` (rate, lag), g2 - 1 and its inverse variance (ring, lag), ``speckles`` (ring,).
    """
    norm = decay**2 @ precision.T
    along = decay @ (measured * precision).T
    least = np.empty((len(_CONTRASTS), len(measured)))
    rates = np.zeros(least.shape, np.int64)
    of_measured = (measured**2 * precision).sum(axis=1)
    scatter = 8 / speckles + _RINGS_DIFFER**2
    least_squares(_CONTRASTS, along, norm, of_measured, scatter, least, rates)
    best = least.sum(axis=1).argmin()
    return float(_CONTRASTS[best]), _RATES_PER_FRAME[rates[best]]


def _mean_decay(lags: np.ndarray, rates: np.ndarray, exposure: float) -> np.ndarray:
    """(g2 - 1) / contrast for the rates of the grid, averaged over factors on them; shape (rate, lag)."""
    gamma = _RATES_PER_FRAME[:, None]
    return np.mean([_decay(rate * gamma, lags, exposure) for rate in rates], axis=0)


def _most_slow_amplitude(
    slow: np.ndarray, decay: np.ndarray, measured: np.ndarray, expected: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Index of the best fast rate beside a slow one, and largest amplitude of the slow one within two sigma.

    Least squares of both together for each fast rate; counting noise of a product is g2 / expected. Shapes: ``slow``
    (lag,), ``decay`` (rate, lag), others and results (ring, lag) and (ring,). Where the two cannot be told apart the
    amplitude is infinite.
    """
    tiny = 1e-300
    weighted = expected * measured
    slow_norm, fast_norm = expected @ slow**2, np.maximum(decay**2 @ expected.T, tiny)
    overlap = (decay * slow) @ expected.T
    left = np.maximum(slow_norm - overlap**2 / fast_norm, tiny)
    found = (weighted @ slow - overlap * (decay @ weighted.T) / fast_norm) / left
    found = np.where(left > 1e-6 * slow_norm, np.maximum(found, 0.0), 0.0)
    amplitude = (decay @ weighted.T - overlap * found) / fast_norm
    fitted = amplitude[:, :, None] * decay[:, None] + found[:, :, None] * slow
    best = (expected * (measured - fitted) ** 2).sum(axis=2).argmin(axis=0)
    chosen = (best, np.arange(len(best)))
    distinct = left[chosen] > 1e-6 * np.maximum(slow_norm, tiny)
    sigma = np.sqrt((1 + np.maximum(amplitude[chosen], 0.0)) / left[chosen])
    return best, np.where(distinct, found[chosen] + 2 * sigma, np.inf)
