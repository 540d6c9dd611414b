"""The normaliser of g2: products of ring sums of the very same frames as the products of pixels.

Added up frame by frame in floating point (the square of a ring sum over thousands of frames does not fit into 64
bits), always in the order of the frames, so that the result does not depend on how frames come in batches.
"""

from __future__ import annotations

import numba
import numpy as np


class RingSums:
    """Ring sums of the newest samples of each level, and the sums of their products.

    Parameters
    ----------
    columns : int
        Sums per sample.
    frame_lags, level_lags : ndarray, int64, ascending
        Lags of single frames, and of the samples of every higher level in its own units.
    """

    def __init__(self, columns: int, frame_lags: np.ndarray, level_lags: np.ndarray) -> None:
        self._columns = columns
        self._frame_lags = frame_lags
        self._level_lags = level_lags
        self._levels: list[_Level] = []
        self.factorial_pairs = np.zeros(columns)

    def add(self, sums: np.ndarray) -> None:
        """Add the next frames; ``sums``, shape (frame, column), int64: photons."""
        _add_pairs(sums, self.factorial_pairs)
        number = 0
        while sums.size:
            if number == len(self._levels):
                lags = self._level_lags if number else self._frame_lags
                self._levels.append(_Level(lags, self._columns))
            sums = self._levels[number].add(sums)
            number += 1

    def level(self, number: int) -> tuple[np.ndarray, int]:
        """Normaliser of a level, shape (lag, column), float64, and the number of its samples so far."""
        return self._levels[number].normaliser, self._levels[number].filled

    @property
    def levels(self) -> int:
        """Number of levels that have a sample."""
        return len(self._levels)


class _Level:
    def __init__(self, lags: np.ndarray, columns: int) -> None:
        self.lags = lags
        self.filled = 0
        self.normaliser = np.zeros((lags.size, columns))
        self._history = np.zeros((int(lags[-1]), columns), np.int64)
        self._waiting = np.empty((0, columns), np.int64)

    def add(self, sums: np.ndarray) -> np.ndarray:
        """Add samples; returns those of the next level that they complete."""
        _add_products(sums, self._history, self.filled, self.lags, self.normaliser)
        self.filled += len(sums)
        sums = np.concatenate([self._waiting, sums])
        pairs = len(sums) // 2
        self._waiting = sums[2 * pairs :]
        return sums[: 2 * pairs : 2] + sums[1 : 2 * pairs : 2]


@numba.njit(nogil=True, cache=True)
def _add_pairs(sums: np.ndarray, pairs: np.ndarray) -> None:
    for frame in range(sums.shape[0]):
        for column in range(sums.shape[1]):
            value = np.float64(sums[frame, column])
            pairs[column] += value * (value - 1)


@numba.njit(nogil=True, cache=True)
def _add_products(
    sums: np.ndarray, history: np.ndarray, filled: int, lags: np.ndarray, normaliser: np.ndarray
) -> None:
    slots = history.shape[0]
    for sample in range(sums.shape[0]):
        for row in range(lags.size):
            if lags[row] > filled:
                break
            slot = (filled - lags[row]) % slots
            for column in range(sums.shape[1]):
                normaliser[row, column] += np.float64(sums[sample, column]) * np.float64(
                    history[slot, column]
                )
        history[filled % slots] = sums[sample]
        filled += 1
