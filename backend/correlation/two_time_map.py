"""The normalised two-time map, made of the products of its bins."""

from __future__ import annotations

import numba
import numpy as np

from backend.correlation.bit_counters import ROW_WORDS, SQUARE, read_64_counters, store_turned
from backend.correlation.two_time_kernels import BLOCK_BINS
from backend.correlation.two_time_products import ROW_BINS

_NUMBER_DIGITS = 32
_BUFFER_STEP = ROW_BINS + SQUARE
"""Not a power of two, so that a column of a square is not all at one place of a cache."""


@numba.njit(nogil=True, cache=True)
def _read_counters(
    counters: np.ndarray, at: int, step: int, digits: int, numbers: np.ndarray, products: np.ndarray
) -> None:
    """Set ``products``, shape (512,), float64, to the numbers in 512 counters, rounded once."""
    for word in range(ROW_WORDS):
        read_64_counters(numbers, BLOCK_BINS * word, counters, at + word, step, min(digits, _NUMBER_DIGITS))
    for i in range(products.size):
        products[i] = numbers[i]
    if digits > _NUMBER_DIGITS:
        for word in range(ROW_WORDS):
            higher = at + word + _NUMBER_DIGITS * step
            read_64_counters(numbers, BLOCK_BINS * word, counters, higher, step, digits - _NUMBER_DIGITS)
        for i in range(products.size):
            products[i] += np.float64(numbers[i]) * 4294967296.0


@numba.njit(nogil=True, cache=True)
def _normalise(products: np.ndarray, weight: float, weights: np.ndarray, values: np.ndarray) -> None:
    for i in range(values.size):
        values[i] = products[i] * weight * weights[i]


@numba.njit(nogil=True, cache=True)
def _mirror(
    values: np.ndarray, bins: int, first_t: int, strip: np.ndarray, first_s: int, last_s: int
) -> None:
    """Write rows ``first_t`` and on, which stand in ``strip`` from column ``first_s`` on, as columns."""
    rows = min(bins - first_t, SQUARE)
    s = first_s
    if rows == SQUARE:
        while s + SQUARE <= min(last_s, first_t):
            store_turned(values, s * bins + first_t, bins, strip, s - first_s, _BUFFER_STEP)
            s += SQUARE
    while s < last_s:
        for t in range(max(first_t, s + 1), first_t + rows):
            values[s * bins + t] = strip[(t - first_t) * _BUFFER_STEP + s - first_s]
        s += 1


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
    strip = np.empty(SQUARE * _BUFFER_STEP, np.float32)
    for first_t in range(0, bins, SQUARE):
        last_t = min(first_t + SQUARE, bins)
        for row in range((last_t - 1) // ROW_BINS + 1):
            first_s, last_s = row * ROW_BINS, min((row + 1) * ROW_BINS, last_t)
            for t in range(first_t, last_t):
                _read_counters(
                    counters, (t * rows_of_bits + row) * ROW_WORDS, step, digits, numbers, products
                )
                at = (t - first_t) * _BUFFER_STEP
                line = strip[at : at + last_s - first_s]
                _normalise(products, pixels / (sums[t] * gradient), weights[first_s:last_s], line)
                end = max(min(t, last_s) - first_s, 0)
                flat[t * bins + first_s : t * bins + first_s + end] = line[:end]
            _mirror(flat, bins, first_t, strip, first_s, last_s)
        for t in range(first_t, last_t):
            flat[t * bins + t] = np.nan
