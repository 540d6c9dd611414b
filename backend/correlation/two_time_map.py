"""The normalised two-time map, made of the products of its bins."""

from __future__ import annotations

import numba
import numpy as np

from backend.correlation.bit_counters import SQUARE, read_64_counters, store_turned
from backend.correlation.two_time_kernels import BLOCK_BINS
from backend.correlation.two_time_products import ROW_BINS, ROW_WORDS

_NUMBER_DIGITS = 31


@numba.njit(nogil=True, cache=True)
def _read_digits(counters: np.ndarray, at: int, step: int, digits: int, numbers: np.ndarray) -> None:
    """Set ``numbers``, shape (256,), int32, to up to 31 digits of the counters of a row."""
    for word in range(ROW_WORDS):
        read_64_counters(numbers, BLOCK_BINS * word, counters, at + word, step, digits)


@numba.njit(nogil=True, cache=True)
def _normalise(products: np.ndarray, weight: float, weights: np.ndarray, values: np.ndarray) -> None:
    for i in range(values.size):
        values[i] = np.float64(products[i]) * weight * weights[i]


@numba.njit(nogil=True, cache=True)
def _fill_row(
    counters: np.ndarray,
    at: int,
    step: int,
    digits: int,
    weight: float,
    weights: np.ndarray,
    numbers: np.ndarray,
    values: np.ndarray,
) -> None:
    """Write the values of one row of counters, up to 256; products are rounded once."""
    _read_digits(counters, at, step, min(digits, _NUMBER_DIGITS), numbers)
    if digits <= _NUMBER_DIGITS:
        _normalise(numbers, weight, weights, values)
    else:
        products = numbers.astype(np.float64)
        _read_digits(counters, at + _NUMBER_DIGITS * step, step, digits - _NUMBER_DIGITS, numbers)
        for i in range(products.size):
            products[i] += np.float64(numbers[i]) * float(1 << _NUMBER_DIGITS)
        _normalise(products, weight, weights, values)


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
        Bins that there is room for, words from one digit to the next, digits that may be other than 0.
    sums : ndarray, shape (bin,), float64
    """
    most_bins, step, digits = layout
    bins = sums.size
    flat = values.reshape(-1)
    numbers = np.empty(ROW_BINS, np.int32)
    weights = 1.0 / sums
    for first in range(0, bins, SQUARE):
        last = min(first + SQUARE, bins)
        for row in range((last - 1) // ROW_BINS + 1):
            start = row * ROW_BINS
            for t in range(max(first, start + 1), last):
                end = min(start + ROW_BINS, t)
                own = flat[t * bins + start : t * bins + end]
                at = (row * most_bins + t) * ROW_WORDS
                weight = pixels / (sums[t] * gradient)
                _fill_row(counters, at, step, digits, weight, weights[start:end], numbers, own)
        for t in range(first, last):
            flat[t * bins + t] = np.nan
        _mirror(flat, bins, first)
