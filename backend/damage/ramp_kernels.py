"""Inner loops of the ramp tests. Channels stand side by side: one instruction serves several of them.

Numbers that are s steps apart have the covariance sum_k strength_k decay_k^(s - 1), and each has a variance of its own.
The Cholesky factor of such a matrix is, for number n and an earlier number m,

    L_nm = scale_m sum_k strength_k decay_k^(s - 1) gain_mk

so what the earlier numbers foretell of the next one comes from one sum for each k, which is carried on from number to
number (Foreman-Mackey et al. 2017, Astron. J. 154, 220; with the first step apart, fast decays cannot overflow).
Nothing is divided by zero here; without a check for it the loops over channels become vector instructions.
"""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, error_model="numpy")
def foresee(
    spread: np.ndarray,
    reach: np.ndarray,
    kept: np.ndarray,
    variance: np.ndarray,
    gain: np.ndarray,
    scale: np.ndarray,
) -> None:
    """Standard deviation of the next number once the earlier ones are known, and its gain.

    Parameters
    ----------
    spread : ndarray, shape (part, part, channel), float64
        Sums over the earlier numbers of scale^2 gain_k gain_l, decayed up to the newest of them.
    reach : ndarray, shape (part, channel), float64
        Strength times decay^(s - 1), where the next number is s steps from the newest.
    kept : ndarray, shape (part,), float64
        decay^s.
    variance : ndarray, shape (channel,), float64
        Of the next number.
    gain, scale : ndarray, shape (part, channel) and (channel,), float64
        Results.
    """
    parts, channels = reach.shape
    known = np.zeros(channels)
    for part in range(parts):
        gain[part] = 0.0
        for other in range(parts):
            for channel in range(channels):
                gain[part, channel] += reach[other, channel] * spread[part, other, channel]
        for channel in range(channels):
            known[channel] += reach[part, channel] * gain[part, channel]
    for channel in range(channels):
        # Rounding can make the rest slightly negative when a number is fully predicted by the earlier ones.
        scale[channel] = math.sqrt(max(variance[channel] - known[channel], 1e-12 * variance[channel]))
    for part in range(parts):
        for channel in range(channels):
            gain[part, channel] = (1 - kept[part] * gain[part, channel]) / scale[channel] ** 2


@numba.njit(nogil=True, cache=True, error_model="numpy")
def whiten(
    sums: np.ndarray, reach: np.ndarray, scale: np.ndarray, value: np.ndarray, whitened: np.ndarray
) -> None:
    """Take off what the earlier values foretell of the next one, in standard deviations.

    Parameters
    ----------
    sums : ndarray, shape (part, channel), float64
        Sums over the earlier numbers of scale gain times the whitened value, decayed up to the newest of them.
    reach, scale : ndarray
        As for :func:`foresee`.
    value, whitened : ndarray, shape (channel,), float64
        Next value, and result.
    """
    whitened[:] = value
    for part in range(len(reach)):
        for channel in range(len(value)):
            whitened[channel] -= reach[part, channel] * sums[part, channel]
    for channel in range(len(value)):
        whitened[channel] /= scale[channel]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def carry_on(sums: np.ndarray, kept: np.ndarray, added: np.ndarray, value: np.ndarray) -> None:
    """Let the ``sums``, shape (part, channel), decay up to the next number, and add ``added`` times ``value``."""
    for part in range(len(kept)):
        for channel in range(len(value)):
            sums[part, channel] = kept[part] * sums[part, channel] + added[part, channel] * value[channel]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def carry_on_spread(spread: np.ndarray, kept: np.ndarray, scaled_gain: np.ndarray) -> None:
    """The same for the ``spread`` of :func:`foresee`; ``scaled_gain``, shape (part, channel), is scale times gain."""
    for part in range(len(kept)):
        carry_on(spread[part], kept[part] * kept, scaled_gain, scaled_gain[part])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def add_to_scores(
    ramps: np.ndarray,
    heights: np.ndarray,
    noise: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    newest: tuple[np.ndarray, np.ndarray, np.ndarray],
    level_weight: np.ndarray,
    level_ramp: np.ndarray,
    score: np.ndarray,
    information: np.ndarray,
) -> None:
    """Whiten the newest height of each ramp, and add it to U and S of its onset.

    Parameters
    ----------
    ramps : ndarray, shape (onset, part, channel), float64
        ``sums`` of :func:`whiten` for each ramp; changed in place.
    heights : ndarray, shape (onset,), float64
        Newest heights.
    noise : tuple of ndarray
        ``reach``, ``kept`` and ``scale`` of the newest number, and its gain times scale.
    newest : tuple of ndarray, shape (channel,), float64
        Its whitened level, spread and residual.
    level_weight : ndarray, shape (channel,), float64
        Sum of squares of the earlier levels.
    level_ramp, score, information : ndarray, shape (onset, channel), float64
        Sums of level times ramp, U and S; changed in place.
    """
    onsets, channels = score.shape
    reach, kept, scale, scaled_gain = noise
    level, spread, residual = newest
    height, ramp = np.empty(channels), np.empty(channels)
    for onset in range(onsets):
        height[:] = heights[onset]
        whiten(ramps[onset], reach, scale, height, ramp)
        carry_on(ramps[onset], kept, scaled_gain, ramp)
        for channel in range(channels):
            foretold = level[channel] * level_ramp[onset, channel] / level_weight[channel]
            change = (ramp[channel] - foretold) / spread[channel]
            score[onset, channel] += change * residual[channel]
            information[onset, channel] += change * change
            level_ramp[onset, channel] += level[channel] * ramp[channel]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def log_sum_bayes_factors(
    score: np.ndarray,
    information: np.ndarray,
    over_dispersion: np.ndarray,
    variance: np.ndarray,
    weight: np.ndarray,
    result: np.ndarray,
) -> None:
    """Natural log of the weighted sum of the Bayes factors over onsets and scales, for every channel.

    Parameters
    ----------
    score, information : ndarray, shape (onset, channel), float64
    over_dispersion : ndarray, shape (channel,), float64
        Factor on the covariance of the numbers: it divides score^2 and information alike.
    variance : ndarray, shape (scale, channel), float64
        Of the slopes.
    weight : ndarray, shape (onset,), float64
        Of each onset, for every scale.
    result : ndarray, shape (channel,), float64
    """
    onsets, channels = score.shape
    scales = len(variance)
    exponent, grown = np.empty((onsets, scales, channels)), np.empty((onsets, scales, channels))
    largest, total, squared = np.zeros(channels), np.zeros(channels), np.empty(channels)
    gain = variance / over_dispersion
    for onset in range(onsets):
        for channel in range(channels):
            squared[channel] = score[onset, channel] ** 2 / over_dispersion[channel]
        for scale in range(scales):
            for channel in range(channels):
                more = 1 + gain[scale, channel] * information[onset, channel]
                grown[onset, scale, channel] = more
                exponent[onset, scale, channel] = 0.5 * gain[scale, channel] * squared[channel] / more
                largest[channel] = max(largest[channel], exponent[onset, scale, channel])
    above = np.empty(channels)
    for onset in range(onsets):
        for scale in range(scales):
            # By itself, for no instruction has several exponentials.
            for channel in range(channels):
                above[channel] = math.exp(exponent[onset, scale, channel] - largest[channel])
            for channel in range(channels):
                total[channel] += weight[onset] * above[channel] / math.sqrt(grown[onset, scale, channel])
    for channel in range(channels):
        result[channel] = largest[channel] + math.log(total[channel])
