"""Products of the bins of a two-time map, 512 earlier bins at a time, and the map that is made of them.

For a bin t, the past of every pixel that has a photon in t is added up, bin by bin: one bit per pixel and bin will do,
and 512 bins are one row of bits. The sums are kept as bits too (digit k of 512 sums side by side), so that adding a row
to 512 sums takes a few AND and XOR; eight rows are added in one go. This takes much less than one step per pair of
photons when there are few, and little more than multiplying whole images when there are many.

Photons have several binary digits: those of the bin and those of the past are taken in pairs, and each pair is added at
the digit where its product belongs. Pixels that never had two photons in a bin are done apart, as they have one digit.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.correlation.two_time_kernels import BLOCK_BINS, GROUP_PIXELS, Bins, turn
from backend.machine_intrinsics import count_eight_rows, count_set_bits, count_trailing_zeros

SET_PIXELS = 4 * GROUP_PIXELS
"""Pixels whose past fits into a fast cache."""

_ROW_WORDS = 8
_ROW_BINS = BLOCK_BINS * _ROW_WORDS
_LIST_ROOM = SET_PIXELS + 8
"""Places in a list of pixels; up to eight are written to behind the last pixel."""

_ONE = np.uint64(1)


def columns(blocks: int) -> int:
    """Bins of a row of products: whole rows of bits."""
    return -(-blocks // _ROW_WORDS) * _ROW_BINS


@numba.njit(nogil=True, cache=True)
def multiply_bins(
    photons: Bins,
    pixels: tuple[int, int],
    bins: tuple[int, int],
    products: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Set the products of new bins with all earlier ones, and their photons.

    Parameters
    ----------
    photons : Bins
    pixels, bins : (int, int)
        First and last (excluded) pixel and new bin.
    products : ndarray, shape (bin, column), int64
        ``products[t, s]`` is right for s < t.
    sums : ndarray, shape (bin,), int64
    """
    bits, has_several = photons
    planes = bits.shape[0]
    rows_of_bits = (bins[1] - 1) // _ROW_BINS + 1
    # As many digits as the sums can have, 64 at most, and those that are written to in any case.
    counter_planes = max(min(2 * planes + _bit_length(pixels[1] - pixels[0]), 64), 2 * planes + 6)
    counters = np.zeros((bins[1] - bins[0]) * rows_of_bits * counter_planes * _ROW_WORDS, np.uint64)
    layout = (rows_of_bits, counter_planes * _ROW_WORDS)
    sums[bins[0] : bins[1]] = 0
    single, several = np.empty(SET_PIXELS, np.int64), np.empty(SET_PIXELS, np.int64)
    past = np.empty(planes * rows_of_bits * (SET_PIXELS + 1) * _ROW_WORDS, np.uint64)
    singles = severals = 0
    for pixel in range(pixels[0], pixels[1]):
        if has_several[pixel]:
            several[severals] = pixel
            severals += 1
        else:
            single[singles] = pixel
            singles += 1
        if singles == SET_PIXELS:
            _add_set(single, 1, bits, bins, past, counters, layout, sums)
            singles = 0
        if severals == SET_PIXELS:
            _add_set(several, planes, bits, bins, past, counters, layout, sums)
            severals = 0
    _add_set(single[:singles], min(planes, 1), bits, bins, past, counters, layout, sums)
    _add_set(several[:severals], planes, bits, bins, past, counters, layout, sums)
    _read_counters(counters, layout, bins, products)


@numba.njit(nogil=True, cache=True)
def _bit_length(value: int) -> int:
    length = 0
    while value >> length:
        length += 1
    return length


@numba.njit(nogil=True, cache=True)
def _add_set(
    pixel: np.ndarray,
    planes: int,
    bits: np.ndarray,
    bins: tuple[int, int],
    past: np.ndarray,
    counters: np.ndarray,
    layout: tuple[int, int],
    sums: np.ndarray,
) -> None:
    """Add the products of some pixels, which use no more than ``planes`` planes, to the counters."""
    if pixel.size == 0:
        return
    rows_of_bits, counter_words = layout
    _collect_past(pixel, planes, bits, (bins[1] - 1) // BLOCK_BINS + 1, rows_of_bits, past)
    numbers = np.empty(BLOCK_BINS * _LIST_ROOM, np.uint16)
    found = np.empty(BLOCK_BINS, np.int64)
    carry = np.empty(_ROW_WORDS, np.uint64)
    for block in range(bins[0] // BLOCK_BINS, (bins[1] - 1) // BLOCK_BINS + 1):
        first = max(bins[0] - BLOCK_BINS * block, 0)
        last = min(bins[1] - BLOCK_BINS * block, BLOCK_BINS)
        for plane in range(planes):
            _list_pixels(bits[plane, block], pixel, first, last, numbers, found)
            for t in range(first, last):
                at = BLOCK_BINS * block + t
                sums[at] += found[t] << plane
                for row in range(block // _ROW_WORDS + 1):
                    to = ((at - bins[0]) * rows_of_bits + row) * counter_words
                    for other in range(planes):
                        start = (other * rows_of_bits + row) * (SET_PIXELS + 1) * _ROW_WORDS
                        digit = to + _ROW_WORDS * (plane + other)
                        _count_rows(counters, digit, past, start, numbers, _LIST_ROOM * t, found[t], carry)


@numba.njit(nogil=True, cache=True)
def _collect_past(
    pixel: np.ndarray, planes: int, bits: np.ndarray, blocks: int, rows_of_bits: int, past: np.ndarray
) -> None:
    """Copy the bins of each pixel side by side: rows of 512 bits; the row after the last pixel is empty."""
    for plane in range(planes):
        for row in range(rows_of_bits):
            start = (plane * rows_of_bits + row) * (SET_PIXELS + 1) * _ROW_WORDS
            for word in range(_ROW_WORDS):
                block = row * _ROW_WORDS + word
                if block < blocks:
                    for i in range(pixel.size):
                        past[start + _ROW_WORDS * i + word] = bits[plane, block, pixel[i]]
                else:
                    for i in range(pixel.size):
                        past[start + _ROW_WORDS * i + word] = 0
                past[start + _ROW_WORDS * SET_PIXELS + word] = 0


@numba.njit(nogil=True, cache=True)
def _list_pixels(
    words: np.ndarray, pixel: np.ndarray, first: int, last: int, numbers: np.ndarray, found: np.ndarray
) -> None:
    """List for each bin of a block which of the pixels have its bit set; filled up to eight with the empty one."""
    rows = np.empty(BLOCK_BINS * _ROW_WORDS, np.uint64)
    found[:] = 0
    for begin in range(0, pixel.size, GROUP_PIXELS):
        size = min(GROUP_PIXELS, pixel.size - begin)
        if size < GROUP_PIXELS:
            rows[:] = 0
        for i in range(size):
            rows[_ROW_WORDS * (i & 63) + (i >> 6)] = words[pixel[begin + i]]
        turn(rows)
        for t in range(first, last):
            found[t] = _append_bits(rows, _ROW_WORDS * t, begin, numbers, _LIST_ROOM * t + found[t])
            found[t] -= _LIST_ROOM * t
    for t in range(first, last):
        for i in range(8):
            numbers[_LIST_ROOM * t + found[t] + i] = SET_PIXELS


@numba.njit(nogil=True, cache=True)
def _append_bits(rows: np.ndarray, row: int, begin: int, numbers: np.ndarray, place: int) -> np.int64:
    """Write the places of the bits of a row, from ``begin`` on, into a list; returns where the list goes on."""
    # Unsigned, as a signed index would have to be tested for counting from the end.
    at = np.uint64(place)
    for word in range(np.uint64(row), np.uint64(row + _ROW_WORDS)):
        left = rows[word]
        number = np.uint64(count_set_bits(left))
        # Most words have at most two bits: written without looking, so that no branch has to be guessed.
        numbers[at] = begin + count_trailing_zeros(left)
        left &= left - _ONE
        numbers[at + _ONE] = begin + count_trailing_zeros(left)
        for i in range(np.uint64(2), number):
            left &= left - _ONE
            numbers[at + i] = begin + count_trailing_zeros(left)
        at += number
        begin += 64
    return np.int64(at)


@numba.njit(nogil=True, cache=True)
def _count_rows(
    counters: np.ndarray,
    to: int,
    past: np.ndarray,
    start: int,
    numbers: np.ndarray,
    first: int,
    found: int,
    carry: np.ndarray,
) -> None:
    """Add the past of the listed pixels to the counters, from the digit at ``to`` on."""
    for at in range(first, first + found, 8):
        digit = to + 8 * _ROW_WORDS
        left = count_eight_rows(counters, to, past, start, numbers, at, carry)
        while left != np.uint64(0):
            left = np.uint64(0)
            for word in range(_ROW_WORDS):
                both = counters[digit + word] & carry[word]
                counters[digit + word] ^= carry[word]
                carry[word] = both
                left |= both
            digit += _ROW_WORDS


@numba.njit(nogil=True, cache=True)
def _read_counters(
    counters: np.ndarray, layout: tuple[int, int], bins: tuple[int, int], products: np.ndarray
) -> None:
    """Turn the digits of the counters into numbers."""
    rows_of_bits, counter_words = layout
    digits = np.empty(64 * _ROW_WORDS, np.uint64)
    for t in range(bins[0], bins[1]):
        for row in range(t // _ROW_BINS + 1):
            at = ((t - bins[0]) * rows_of_bits + row) * counter_words
            digits[:] = 0
            used = min(counter_words, digits.size)
            digits[:used] = counters[at : at + used]
            turn(digits)
            for word in range(_ROW_WORDS):
                for i in range(BLOCK_BINS):
                    products[t, row * _ROW_BINS + 64 * word + i] = digits[_ROW_WORDS * i + word]


@numba.njit(nogil=True, cache=True)
def normalise(products: np.ndarray, sums: np.ndarray, pixels: float, gradient: float) -> np.ndarray:
    """The symmetric map, shape (bin, bin), float32, of the products below the diagonal; nan where there is no value.

    ``pixels * products / (sums * sums * gradient)``, in float64.
    """
    bins = sums.size
    values = np.empty((bins, bins), np.float32)
    for t in range(bins):
        values[t, t] = np.nan
        for s in range(t):
            both = sums[t] * sums[s] * gradient
            value = np.float32(pixels * products[t, s] / both) if both != 0.0 else np.float32(np.nan)
            values[t, s] = value
            values[s, t] = value
    return values
