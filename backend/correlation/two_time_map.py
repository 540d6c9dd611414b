"""The normalised two-time map, made of the products of its bins."""

from __future__ import annotations

import numba
import numpy as np

from backend.correlation.bit_counters import ROW_WORDS, SQUARE, read_64_counters, store_turned
from backend.correlation.two_time_kernels import BLOCK_BINS
from backend.correlation.two_time_products import ROW_BINS

_NUMBER_DIGITS = 32


@numba.njit(nogil=True, cache=True)
def _read_counters(
    counters: np.ndarray, at: int, step: int, digits: int, numbers: np.ndarray, products: np.ndarray
) -> None:
    """Set ``products``, up to 512, float64, to the numbers in the first counters of a row, rounded once."""
    words = -(-products.size // BLOCK_BINS)
    for word in range(words):
        read_64_counters(numbers, BLOCK_BINS * word, counters, at + word, step, min(digits, _NUMBER_DIGITS))
    for i in range(products.size):
        products[i] = numbers[i]
    if digits > _NUMBER_DIGITS:
        for word in range(words):
            higher = at + word + _NUMBER_DIGITS * step
            read_64_counters(numbers, BLOCK_BINS * word, counters, higher, step, digits - _NUMBER_DIGITS)
        for i in range(products.size):
            products[i] += np.float64(numbers[i]) * 4294967296.0


@numba.njit(nogil=True, cache=True)
def _normalise(products: np.ndarray, weight: float, weights: np.ndarray, values: np.ndarray) -> None:
    for i in range(values.size):
        values[i] = products[i] * weight * weights[i]


@numba.njit(nogil=True, cache=True)
def _mirror(values: np.ndarray, bins: int, first: int) -> None:
    """Write rows ``first`` and on, as far as the diagonal, as columns; ``values`` is flat."""
    rows = min(bins - first, SQUARE)
    begun = 0
    while rows == SQUARE and begun < first:
        store_turned(values, begun * bins + first, bins, values, first * bins + begun, bins)
        begun += SQUARE
    for s in range(begun, first + rows):
        for t in range(max(first, s + 1), first + rows):
            values[s * bins + t] = values[t * bins + s]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def fill_map(
    counters: np.ndarray,
    layout: tuple[int, int, int],
    sums: np.ndarray,
    pixels: float,
    gradient: float,
    values: np.ndarray,
) -> None:
    """Write the symmetric map, shape (bin, bin), float32; nan on the diagonal and where a bin has no photons.

    ``product * (pixels / (sum_t * gradient)) * (1 / sum_s)`` for s < t, in float64.

    layout : (int, int, int)
        Rows of 512 bins, words from one digit to the next, digits that may be other than 0.
    sums : ndarray, shape (bin,), float64
    """
    rows_of_bits, step, digits = layout
    bins = sums.size
    flat = values.reshape(-1)
    numbers, products = np.empty(ROW_BINS, np.uint32), np.empty(ROW_BINS)
    weights = 1.0 / sums
    for first in range(0, bins, SQUARE):
        last = min(first + SQUARE, bins)
        for t in range(first, last):
            weight = pixels / (sums[t] * gradient)
            for row in range(t // ROW_BINS + 1):
                start, end = row * ROW_BINS, min((row + 1) * ROW_BINS, t)
                found = products[: end - start]
                _read_counters(counters, (t * rows_of_bits + row) * ROW_WORDS, step, digits, numbers, found)
                _normalise(found, weight, weights[start:end], flat[t * bins + start : t * bins + end])
            flat[t * bins + t] = np.nan
        _mirror(flat, bins, first)
