"""Kernels on sparse samples: sorted lists of (pixel, count). All sums are integers, so order never matters."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def scatter(pixel: np.ndarray, count: np.ndarray, dense: np.ndarray) -> None:
    """Write the counts of a sample into the zeroed ``dense``, shape (pixel,), uint32."""
    for i in range(pixel.size):
        dense[pixel[i]] = count[i]


@numba.njit(nogil=True, cache=True)
def clear(pixel: np.ndarray, dense: np.ndarray) -> None:
    """Set ``dense`` back to zero where a sample had counts."""
    for i in range(pixel.size):
        dense[pixel[i]] = 0


@numba.njit(nogil=True, cache=True)
def add_counts(
    pixel: np.ndarray, count: np.ndarray, group_of_pixel: np.ndarray, counts: np.ndarray, pairs: np.ndarray
) -> None:
    """Add the photons n and the pairs n(n - 1) of a sample per group; ``counts``, ``pairs``: shape (group,), int64."""
    for i in range(pixel.size):
        group = group_of_pixel[pixel[i]]
        if group >= 0:
            n = np.int64(count[i])
            counts[group] += n
            pairs[group] += n * (n - 1)


@numba.njit(nogil=True, cache=True)
def neighbour_products(
    pixel: np.ndarray,
    count: np.ndarray,
    dense: np.ndarray,
    step: int,
    columns: int,
    cell_of_pixel: np.ndarray,
    products: np.ndarray,
) -> None:
    """Add sum of I(p) I(p + step) over pixels with both in rings to ``products[0]``.

    ``step`` is 1..3 along a row or a multiple of ``columns`` along a column.
    """
    total = np.int64(0)
    for i in range(pixel.size):
        here = np.int64(pixel[i])
        there = here + step
        if there >= dense.size or (step < columns and there % columns < here % columns):
            continue
        if dense[there] != 0 and cell_of_pixel[here] >= 0 and cell_of_pixel[there] >= 0:
            total += np.int64(count[i]) * np.int64(dense[there])
    products[0] += total
