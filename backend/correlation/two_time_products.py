"""Products of the bins of a two-time map, 512 earlier bins at a time, and the map that is made of them.

For a bin t, the past of every pixel that has a photon in t is added up, bin by bin: one bit per pixel and bin will do,
and 512 bins are one row of bits. The sums are kept as bits too (digit k of 512 sums side by side), so that adding a row
to 512 sums takes a few AND and XOR; eight rows are added in one go. This takes much less than one step per pair of
photons when there are few, and little more than multiplying whole images when there are many.

Photons have several binary digits: those of the bin and those of the past are taken in pairs, and each pair is added at
the digit where its product belongs. Pixels are done apart by their number of digits, which is one for most of them.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.bit_transpose import transpose_bits
from backend.correlation.two_time_kernels import BLOCK_BINS, GROUP_PIXELS, Bins, bits_between
from backend.machine_intrinsics import count_rows, count_set_bits, count_trailing_zeros

SET_PIXELS = 4 * GROUP_PIXELS
"""Pixels whose past fits into a fast cache."""

_ROW_WORDS = 8
_ROW_BINS = BLOCK_BINS * _ROW_WORDS
_LIST_ROOM = SET_PIXELS + 8
"""Places in a list of pixels; up to eight are written to behind the last pixel."""

_ROWS_AT_ONCE = 128
"""So many that eight digits overflow once at most."""

_SQUARE = 32
_ONE = np.uint64(1)


def new_counters(bins: int, planes: int, pixels: int) -> np.ndarray:
    """Zeros for the products of this many bins; shape (bin, row, digit, word), uint64.

    As many digits as the sums can have (64 at most), and those that are written to in any case.
    """
    digits = max(min(2 * planes + pixels.bit_length(), 64), 2 * planes + 6)
    return np.zeros((bins, -(-bins // _ROW_BINS), digits, _ROW_WORDS), np.uint64)


@numba.njit(nogil=True, cache=True)
def multiply_bins(
    photons: Bins,
    pixels: tuple[int, int],
    bins: tuple[int, int],
    counters: np.ndarray,
    layout: tuple[int, int],
    sums: np.ndarray,
) -> None:
    """Add the products of new bins with all earlier ones to the counters, and set the photons of the new bins.

    Parameters
    ----------
    photons : Bins
    pixels, bins : (int, int)
        First and last (excluded) pixel and new bin.
    counters : ndarray, uint64
        Flat; that of bins t and s is complete for s < t.
    layout : (int, int)
        Rows of 512 bins, and words of the digits of a row.
    sums : ndarray, shape (bin,), int64
    """
    bits, pixel_planes = photons
    planes = bits.shape[0]
    sums[bins[0] : bins[1]] = 0
    past = np.empty(planes * layout[0] * (SET_PIXELS + 1) * _ROW_WORDS, np.uint64)
    chosen = np.empty(SET_PIXELS, np.int64)
    for digits in range(1, planes + 1):
        size = 0
        for pixel in range(pixels[0], pixels[1]):
            if pixel_planes[pixel] == digits:
                chosen[size] = pixel
                size += 1
            if size == SET_PIXELS:
                _add_set(chosen, digits, bits, bins, past, counters, layout, sums)
                size = 0
        _add_set(chosen[:size], digits, bits, bins, past, counters, layout, sums)


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
    ends = np.empty(BLOCK_BINS, np.uint64)
    carry = np.empty(_ROW_WORDS, np.uint64)
    for block in range(bins[0] // BLOCK_BINS, (bins[1] - 1) // BLOCK_BINS + 1):
        first = max(bins[0] - BLOCK_BINS * block, 0)
        last = min(bins[1] - BLOCK_BINS * block, BLOCK_BINS)
        for plane in range(planes):
            _list_pixels(bits[plane, block], pixel, bits_between(first, last), numbers, ends)
            for t in range(first, last):
                at = BLOCK_BINS * block + t
                listed = (_LIST_ROOM * t, np.int64(ends[t]))
                sums[at] += (listed[1] - listed[0]) << plane
                for row in range(block // _ROW_WORDS + 1):
                    to = (at * rows_of_bits + row) * counter_words
                    for other in range(planes):
                        start = (other * rows_of_bits + row) * (SET_PIXELS + 1) * _ROW_WORDS
                        digit = to + _ROW_WORDS * (plane + other)
                        _count_rows(counters, digit, past, start, numbers, listed, carry)


@numba.njit(nogil=True, cache=True)
def _collect_past(
    pixel: np.ndarray, planes: int, bits: np.ndarray, blocks: int, rows_of_bits: int, past: np.ndarray
) -> None:
    """Copy the bins of each pixel side by side: rows of 512 bits; the row after the last pixel is empty."""
    for plane in range(planes):
        for row in range(rows_of_bits):
            first_block = row * _ROW_WORDS
            start = np.uint64((plane * rows_of_bits + row) * (SET_PIXELS + 1) * _ROW_WORDS)
            full = min(blocks - first_block, _ROW_WORDS)
            for i in range(pixel.size):
                at = start + np.uint64(_ROW_WORDS * i)
                for word in range(full):
                    past[at + np.uint64(word)] = bits[plane, first_block + word, pixel[i]]
                for word in range(full, _ROW_WORDS):
                    past[at + np.uint64(word)] = 0
            for word in range(_ROW_WORDS):
                past[start + np.uint64(SET_PIXELS * _ROW_WORDS + word)] = 0


@numba.njit(nogil=True, cache=True)
def _list_pixels(
    words: np.ndarray, pixel: np.ndarray, mask: np.uint64, numbers: np.ndarray, ends: np.ndarray
) -> None:
    """List for each bin of a block which of the pixels have its bit set, filled up to eight with the empty one.

    ends : ndarray, shape (64,), uint64
        Set to the end of the list of each bin in ``numbers``.
    """
    for t in range(BLOCK_BINS):
        ends[t] = _LIST_ROOM * t
    # Half of the words of a sparse series are empty and most others have one bit or two, without a pattern. So both
    # loops do the same in every turn: a branch would mostly be guessed wrong.
    filled, bits = np.empty(pixel.size + 2, np.uint16), np.empty(pixel.size + 2, np.uint64)
    at = np.uint64(0)
    photons = np.int64(0)
    for i in range(pixel.size):
        word = words[pixel[i]] & mask
        filled[at], bits[at] = i, word
        at += np.uint64(word != np.uint64(0))
        photons += count_set_bits(word)
    bits[at] = bits[at + _ONE] = ~np.uint64(0)
    at = np.uint64(0)
    left = bits[at]
    for _ in range(photons):
        t = count_trailing_zeros(left)
        end = ends[t]
        numbers[end] = filled[at]
        ends[t] = end + _ONE
        left &= left - _ONE
        at += np.uint64(left == np.uint64(0))
        left = bits[at] if left == np.uint64(0) else left
    for end in ends:
        for more in range(np.uint64(8)):
            numbers[end + more] = SET_PIXELS


@numba.njit(nogil=True, cache=True)
def _count_rows(
    counters: np.ndarray,
    to: int,
    past: np.ndarray,
    start: int,
    numbers: np.ndarray,
    listed: tuple[int, int],
    carry: np.ndarray,
) -> None:
    """Add the past of the listed pixels to the counters, from the digit at ``to`` on."""
    for at in range(listed[0], listed[1], _ROWS_AT_ONCE):
        # The list is filled up to whole eights.
        eights = (min(listed[1] - at, _ROWS_AT_ONCE) + 7) >> 3
        digit = to + 8 * _ROW_WORDS
        left = count_rows(counters, to, past, start, numbers, at, eights, carry)
        while left != np.uint64(0):
            left = np.uint64(0)
            for word in range(_ROW_WORDS):
                both = counters[digit + word] & carry[word]
                counters[digit + word] ^= carry[word]
                carry[word] = both
                left |= both
            digit += _ROW_WORDS


@numba.njit(nogil=True, cache=True)
def _read_digits(counters: np.ndarray, at: int, words: int, digits: np.ndarray) -> None:
    """Turn the digits of 512 counters into numbers, in an order of their own: bin 64 w + i stands at 8 i + w."""
    used = min(words, digits.size)
    digits[:used] = counters[at : at + used]
    digits[used:] = 0
    transpose_bits(digits, 0)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _normalise_row(
    products: np.ndarray, sums: np.ndarray, photons: float, pixels: float, gradient: float, values: np.ndarray
) -> None:
    for i in range(values.size):
        values[i] = pixels * np.float64(products[i]) / (photons * sums[i] * gradient)


@numba.njit(nogil=True, cache=True)
def _in_order_of_digits(sums: np.ndarray, ordered: np.ndarray) -> None:
    """Write the sums of the bins of each row as ``_read_digits`` orders products; shape (row, 512), float64."""
    for s in range(sums.size):
        row, inside = divmod(s, _ROW_BINS)
        ordered[row, _ROW_WORDS * (inside % BLOCK_BINS) + inside // BLOCK_BINS] = sums[s]


@numba.njit(nogil=True, cache=True)
def _mirror(values: np.ndarray) -> None:
    """Copy what is below the diagonal to above it, in squares that fit into a fast cache."""
    for first_t in range(0, len(values), _SQUARE):
        for first_s in range(0, first_t + 1, _SQUARE):
            for t in range(first_t, min(first_t + _SQUARE, len(values))):
                for s in range(first_s, min(first_s + _SQUARE, t)):
                    values[s, t] = values[t, s]


@numba.njit(nogil=True, cache=True)
def fill_map(
    counters: np.ndarray,
    layout: tuple[int, int],
    sums: np.ndarray,
    pixels: float,
    gradient: float,
    values: np.ndarray,
) -> None:
    """Write the symmetric map, shape (bin, bin), float32; nan on the diagonal and where a bin has no photons.

    ``pixels * product / (sum * sum * gradient)``, in float64.

    sums : ndarray, shape (bin,), float64
    """
    digits = np.empty(_ROW_BINS, np.uint64)
    normalised = np.empty(_ROW_BINS, np.float32)
    ordered = np.zeros((layout[0], _ROW_BINS), np.float64)
    _in_order_of_digits(sums, ordered)
    for t in range(sums.size):
        for row in range(-(-t // _ROW_BINS)):
            _read_digits(counters, (t * layout[0] + row) * layout[1], layout[1], digits)
            _normalise_row(digits, ordered[row], sums[t], pixels, gradient, normalised)
            for word in range(_ROW_WORDS):
                first = row * _ROW_BINS + BLOCK_BINS * word
                for i in range(min(BLOCK_BINS, t - first)):
                    values[t, first + i] = normalised[_ROW_WORDS * i + word]
        values[t, t] = np.nan
    _mirror(values)
