"""Inner loop of the windows: sums frame by frame, so that they are the same however the frames are cut into calls."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def add_expected(
    expected: np.ndarray, counts: np.ndarray, valid_pixels: np.ndarray, first: int, lags: np.ndarray
) -> None:
    """Add the products that uncorrelated pixels would give: n(t) n(t - lag) / pixels, n (n - 1) / pixels at lag 0.

    Parameters
    ----------
    expected : ndarray, shape (cell, lag), float64
        Changed in place.
    counts : ndarray, shape (frame, cell), float64
        Photons, with the frames before row ``first`` that the longest lag reaches back to.
    valid_pixels : ndarray, shape (frame, cell), float64
        Pixels that were counted. Of two frames the smaller set lies within the larger one.
    lags : ndarray, shape (lag,), int64
    """
    for frame in range(first, len(counts)):
        for cell in range(counts.shape[1]):
            for index in range(len(lags)):
                earlier = frame - lags[index]
                # Of n photons in a frame each may pair with n - 1.
                others = counts[earlier, cell] if lags[index] > 0 else counts[frame, cell] - 1
                product = counts[frame, cell] * others
                if product > 0:
                    # (n / v) (n' / v') for each of the min(v, v') pixels that both have.
                    expected[cell, index] += product / max(
                        valid_pixels[frame, cell], valid_pixels[earlier, cell]
                    )
