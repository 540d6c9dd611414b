"""Inner loops of the windows: sums frame by frame, so that they are the same however the frames are cut into calls."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, error_model="numpy")
def add_expected(
    expected: np.ndarray, counts: np.ndarray, valid_pixels: np.ndarray, first: int, lags: np.ndarray
) -> None:
    """Add the products that uncorrelated pixels would give: n(t) n(t - lag) / pixels, n (n - 1) / pixels at lag 0.

    Parameters
    ----------
    expected : ndarray, shape (lag, cell), float64
        Changed in place. Cells stand side by side: one instruction serves several of them.
    counts : ndarray, shape (frame, cell), float64
        Photons, with the frames before row ``first`` that the longest lag reaches back to.
    valid_pixels : ndarray, shape (frame, cell), float64
        Pixels that were counted. Of two frames the smaller set lies within the larger one.
    lags : ndarray, shape (lag,), int64
    """
    for frame in range(first, len(counts)):
        for index in range(len(lags)):
            earlier = frame - lags[index]
            # Of n photons in a frame each may pair with n - 1.
            itself = 0.0 if lags[index] > 0 else 1.0
            for cell in range(counts.shape[1]):
                product = counts[frame, cell] * (counts[earlier, cell] - itself)
                # (n / v) (n' / v') for each of the min(v, v') pixels that both have.
                pixels = max(valid_pixels[frame, cell], valid_pixels[earlier, cell])
                expected[index, cell] += product / pixels if product > 0 else 0.0


@numba.njit(nogil=True, cache=True)
def sum_sectors(values: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Sum of ``values``, shape (ring, sector, lag), float64, over the ``used`` sectors, shape (ring, sector), bool."""
    rings, sectors, lags = values.shape
    total = np.zeros((rings, lags))
    for ring in range(rings):
        for sector in range(sectors):
            if used[ring, sector]:
                for lag in range(lags):
                    total[ring, lag] += values[ring, sector, lag]
    return total


@numba.njit(nogil=True, cache=True)
def pairs_at_distances(some: np.ndarray, others: np.ndarray, frames: int) -> np.ndarray:
    """How many pairs of one window each are 0, 1, 2 ... windows apart, up to the largest distance; float64.

    Parameters
    ----------
    some, others : ndarray, shape (window,), int64
        Numbers of their last frames, ascending.
    frames : int
        Of each window.
    """
    farthest = max(abs(some[0] - others[-1]), abs(some[-1] - others[0])) // frames
    pairs = np.zeros(farthest + 1)
    for one in some:
        for other in others:
            pairs[abs(one - other) // frames] += 1
    return pairs


def compile_kernels() -> None:
    """Load or compile the kernels, so that no series has to wait for them."""
    nothing = np.zeros((1, 1))
    add_expected(nothing, nothing, nothing, 0, np.zeros(1, np.int64))
    sum_sectors(np.zeros((1, 1, 1)), np.zeros((1, 1), bool))
    pairs_at_distances(np.zeros(1, np.int64), np.zeros(1, np.int64), 1)
