"""Inner loops of the ramp tests. Channels stand side by side: one instruction serves several of them."""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def whiten(factor: np.ndarray, row: np.ndarray) -> None:
    """Solve factor x = row for every channel, in place.

    Parameters
    ----------
    factor : ndarray, shape (number, number, channel), float64
        Lower triangles.
    row : ndarray, shape (number, channel), float64
    """
    numbers, channels = row.shape
    rest = np.empty(channels)
    for number in range(numbers):
        rest[:] = row[number]
        for earlier in range(number):
            for channel in range(channels):
                rest[channel] -= factor[number, earlier, channel] * row[earlier, channel]
        for channel in range(channels):
            row[number, channel] = rest[channel] / factor[number, number, channel]


@numba.njit(nogil=True, cache=True)
def extend_ramps(ramps: np.ndarray, row: np.ndarray, scale: np.ndarray, heights: np.ndarray) -> None:
    """Whiten the newest height of each ramp and append it to the ramp.

    Parameters
    ----------
    ramps : ndarray, shape (number, onset, channel), float64
        Whitened ramps; 0 before their onset. Memory is read and written in order.
    row : ndarray, shape (number, channel), float64
        Newest row of the whitening factor, without its last element ``scale``, shape (channel,).
    heights : ndarray, shape (onset,), float64
        Newest heights; there is one more onset than numbers before.
    """
    numbers, channels = row.shape
    newest = ramps[numbers]
    for onset in range(numbers + 1):
        newest[onset] = heights[onset]
    for number in range(numbers):
        for onset in range(number + 1):
            for channel in range(channels):
                newest[onset, channel] -= row[number, channel] * ramps[number, onset, channel]
    for onset in range(numbers + 1):
        for channel in range(channels):
            newest[onset, channel] /= scale[channel]


@numba.njit(nogil=True, cache=True)
def add_to_scores(
    ramps: np.ndarray,
    newest: tuple[np.ndarray, np.ndarray, np.ndarray],
    level_weight: np.ndarray,
    level_ramp: np.ndarray,
    score: np.ndarray,
    information: np.ndarray,
) -> None:
    """Add the newest whitened numbers to U and S of each onset.

    Parameters
    ----------
    ramps : ndarray, shape (onset, channel), float64
        Newest heights, whitened.
    newest : tuple of ndarray, shape (channel,), float64
        Its whitened level, spread and residual.
    level_weight : ndarray, shape (channel,), float64
        Sum of squares of the earlier levels.
    level_ramp, score, information : ndarray, shape (onset, channel), float64
        Sums of level times ramp, U and S; changed in place.
    """
    onsets, channels = score.shape
    level, spread, residual = newest
    for onset in range(onsets):
        for channel in range(channels):
            ramp = ramps[onset, channel]
            foretold = level[channel] * level_ramp[onset, channel] / level_weight[channel]
            change = (ramp - foretold) / spread[channel]
            score[onset, channel] += change * residual[channel]
            information[onset, channel] += change * change
            level_ramp[onset, channel] += level[channel] * ramp


@numba.njit(nogil=True, cache=True)
def log_sum_bayes_factors(
    score: np.ndarray, information: np.ndarray, variance: np.ndarray, weight: np.ndarray, result: np.ndarray
) -> None:
    """Natural log of the weighted sum of the Bayes factors over onsets and scales, for every channel.

    Parameters
    ----------
    score, information : ndarray, shape (onset, channel), float64
    variance : ndarray, shape (scale, channel), float64
        Of the slopes.
    weight : ndarray, shape (onset,), float64
        Of each onset, for every scale.
    result : ndarray, shape (channel,), float64
    """
    for channel in range(score.shape[1]):
        largest = 0.0
        for onset in range(score.shape[0]):
            squared = score[onset, channel] ** 2
            for scale in range(variance.shape[0]):
                grown = variance[scale, channel] * information[onset, channel]
                largest = max(largest, 0.5 * variance[scale, channel] * squared / (1 + grown))
        total = 0.0
        for onset in range(score.shape[0]):
            squared = score[onset, channel] ** 2
            for scale in range(variance.shape[0]):
                grown = variance[scale, channel] * information[onset, channel]
                exponent = 0.5 * variance[scale, channel] * squared / (1 + grown)
                total += weight[onset] * math.exp(exponent - largest) / math.sqrt(1 + grown)
        result[channel] = largest + math.log(total)
