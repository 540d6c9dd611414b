"""Inner loop of the noise fit: what each contrast leaves of the sum of squares. Rings stand side by side."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, error_model="numpy")
def least_squares(
    contrasts: np.ndarray,
    along: np.ndarray,
    norm: np.ndarray,
    of_measured: np.ndarray,
    scatter: np.ndarray,
    least: np.ndarray,
    rates: np.ndarray,
) -> None:
    """Least sum of squares of each ring for each contrast, and the rate that gives it.

    Parameters
    ----------
    contrasts : ndarray, shape (contrast,), float64
    along, norm : ndarray, shape (rate, ring), float64
        Scalar products of the decay with g2 - 1 and with itself, weighted with the inverse variances of g2.
    of_measured : ndarray, shape (ring,), float64
        That of g2 - 1 with itself.
    scatter : ndarray, shape (ring,), float64
        Relative variance of the contrast of a ring about that of all.
    least, rates : ndarray, shape (contrast, ring), float64 and int64
        Results; rates as numbers of the first axis of ``along``.
    """
    least[:] = np.inf
    for index, contrast in enumerate(contrasts):
        for rate in range(along.shape[0]):
            for ring in range(along.shape[1]):
                rest = of_measured[ring] - 2 * contrast * along[rate, ring] + contrast**2 * norm[rate, ring]
                # What a free amplitude takes of it, were it not held to the contrast.
                tied = 1 / (contrast**2 * scatter[ring])
                left = rest - (along[rate, ring] - contrast * norm[rate, ring]) ** 2 / (
                    norm[rate, ring] + tied
                )
                if left < least[index, ring]:
                    least[index, ring], rates[index, ring] = left, rate
