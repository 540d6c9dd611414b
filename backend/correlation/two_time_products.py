"""Products of the bins of a two-time map, 512 earlier bins at a time.

For a bin t, the past of every pixel that has a photon in t is added up, bin by bin: one bit per pixel and bin will do,
and 512 bins are one row of bits. The sums are kept as bits too (digit k of 512 sums side by side), so that adding a row
to 512 sums takes a few AND and XOR; eight rows are added in one go. This takes much less than one step per pair of
photons when there are few, and little more than multiplying whole images when there are many.

Photons have several binary digits: those of the bin and those of the past are taken in pairs, and each pair is added at
the digit where its product belongs. Pixels are done apart by their number of digits, which is one for most of them.

Digits stand far apart in memory, all counters of one digit side by side: those that no sum needs are never touched, and
the others stay in a cache.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.correlation.bit_counters import ROW_WORDS, count_rows
from backend.correlation.two_time_kernels import BLOCK_BINS, GROUP_PIXELS, Bins, bits_between
from backend.machine_intrinsics import count_trailing_zeros
from backend.sparse_memory import zeros_when_touched

SET_PIXELS = 8 * GROUP_PIXELS
"""Pixels whose past fits into a fast cache."""

ROW_BINS = BLOCK_BINS * ROW_WORDS
_LIST_ROOM = SET_PIXELS + 8
"""Places in a list of pixels; up to eight are written to behind the last pixel."""

_ROWS_AT_ONCE = 128
"""So many that eight digits overflow once at most."""

_DIGITS = 64
_ONE = np.uint64(1)


def new_counters(rings: int, bins: int) -> tuple[list[np.ndarray], int]:
    """Zeros for the products of this many bins of each ring: flat views of one array, and words from digit to digit.

    The system gives memory when it is first touched, so digits that no sum needs cost nothing. The counters of a digit
    are an odd number of rows, so that digits do not stand at the same place of a cache.
    """
    counters = bins * -(-bins // ROW_BINS)
    flat = zeros_when_touched((_DIGITS, rings * counters + 1, ROW_WORDS), np.uint64).reshape(-1)
    starts = range(0, rings * counters * ROW_WORDS, counters * ROW_WORDS)
    return [flat[start:] for start in starts], (rings * counters + 1) * ROW_WORDS


@numba.njit(nogil=True, cache=True)
def multiply_bins(
    photons: Bins,
    pixels: tuple[int, int],
    bins: tuple[int, int],
    counters: np.ndarray,
    layout: tuple[int, int],
    sums: np.ndarray,
) -> int:
    """Add the products of new bins with all earlier ones to the counters, and set the photons of the new bins.

    Returns the digits that may be other than 0.

    Parameters
    ----------
    photons : Bins
    pixels, bins : (int, int)
        First and last (excluded) pixel and new bin.
    counters : ndarray, uint64
        Flat; that of bins t and s is complete for s < t.
    layout : (int, int)
        Rows of 512 bins, and words from one digit to the next.
    sums : ndarray, shape (bin,), int64
    """
    bits, pixel_planes = photons
    planes = bits.shape[0]
    sums[bins[0] : bins[1]] = 0
    past = np.empty(planes * layout[0] * (SET_PIXELS + 1) * ROW_WORDS, np.uint64)
    chosen = np.empty(SET_PIXELS, np.uint64)
    used = 0
    for digits in range(1, planes + 1):
        size = 0
        for pixel in range(pixels[0], pixels[1]):
            if pixel_planes[pixel] == digits:
                chosen[size] = pixel
                size += 1
            if size == SET_PIXELS:
                used = max(used, _add_set(chosen, digits, bits, bins, past, counters, layout, sums))
                size = 0
        if size:
            used = max(used, _add_set(chosen[:size], digits, bits, bins, past, counters, layout, sums))
    return used


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
) -> int:
    """Add the products of some pixels, which use no more than ``planes`` planes, to the counters."""
    rows_of_bits, step = layout
    _collect_past(pixel, planes, bits, (bins[1] - 1) // BLOCK_BINS + 1, rows_of_bits, past)
    lists = np.empty(BLOCK_BINS * _LIST_ROOM, np.uint16)
    ends = np.empty(BLOCK_BINS, np.uint64)
    carry = np.empty(ROW_WORDS, np.uint64)
    left, number = np.empty(pixel.size, np.uint64), np.empty(pixel.size, np.uint16)
    used = 0
    for block in range(bins[0] // BLOCK_BINS, (bins[1] - 1) // BLOCK_BINS + 1):
        first = max(bins[0] - BLOCK_BINS * block, 0)
        last = min(bins[1] - BLOCK_BINS * block, BLOCK_BINS)
        for plane in range(planes):
            waiting = _keep_words(bits[plane, block], pixel, bits_between(first, last), left, number)
            _list_pixels(left[:waiting], number, lists, ends)
            for t in range(first, last):
                sums[BLOCK_BINS * block + t] += (int(ends[t]) - _LIST_ROOM * t) << plane
            for row in range(block // ROW_WORDS + 1):
                to = (BLOCK_BINS * block * rows_of_bits + row) * ROW_WORDS
                for other in range(planes):
                    start = (other * rows_of_bits + row) * (SET_PIXELS + 1) * ROW_WORDS
                    digit = plane + other
                    places = (to + digit * step, rows_of_bits * ROW_WORDS, step)
                    digits = _count_block(counters, places, past, start, lists, ends, (first, last), carry)
                    used = max(used, digit + digits)
    return used


@numba.njit(nogil=True, cache=True)
def _collect_past(
    pixel: np.ndarray, planes: int, bits: np.ndarray, blocks: int, rows_of_bits: int, past: np.ndarray
) -> None:
    """Copy the bins of each pixel side by side: rows of 512 bits; the row after the last pixel is empty."""
    for plane in range(planes):
        for row in range(rows_of_bits):
            first_block = row * ROW_WORDS
            start = np.uint64((plane * rows_of_bits + row) * (SET_PIXELS + 1) * ROW_WORDS)
            full = min(blocks - first_block, ROW_WORDS)
            for i in range(pixel.size):
                at = start + np.uint64(ROW_WORDS * i)
                for word in range(full):
                    past[at + np.uint64(word)] = bits[plane, first_block + word, pixel[i]]
                for word in range(full, ROW_WORDS):
                    past[at + np.uint64(word)] = 0
            for word in range(ROW_WORDS):
                past[start + np.uint64(SET_PIXELS * ROW_WORDS + word)] = 0


@numba.njit(nogil=True, cache=True)
def _keep_words(
    words: np.ndarray, pixel: np.ndarray, mask: np.uint64, left: np.ndarray, number: np.ndarray
) -> int:
    """The masked words of some pixels that have a bit, and which of the pixels they belong to; returns how many."""
    at = np.uint64(0)
    for i in range(pixel.size):
        word = words[pixel[i]] & mask
        left[at], number[at] = word, i
        at += np.uint64(word != np.uint64(0))
    return int(at)


@numba.njit(nogil=True, cache=True)
def _list_pixels(left: np.ndarray, number: np.ndarray, lists: np.ndarray, ends: np.ndarray) -> None:
    """List for each of 64 bins the pixels that have its bit set, filled up to eight with the empty one.

    Changes ``left`` and ``number``, the words and whose they are.

    ends : ndarray, shape (64,), uint64
        Set to the end of the list of each bin in ``lists``.
    """
    for t in range(BLOCK_BINS):
        ends[t] = _LIST_ROOM * t
    # Round after round, each word gives its lowest bit, and those that are empty then leave. So nothing waits for the
    # word before, and there is no branch: which words have more bits has no pattern.
    waiting = left.size
    while waiting:
        at = np.uint64(0)
        for i in range(waiting):
            word, whose = left[i], number[i]
            t = count_trailing_zeros(word)
            end = ends[t]
            lists[end] = whose
            ends[t] = end + _ONE
            word &= word - _ONE
            left[at], number[at] = word, whose
            at += np.uint64(word != np.uint64(0))
        waiting = int(at)
    for end in ends:
        for more in range(np.uint64(8)):
            lists[end + more] = SET_PIXELS


@numba.njit(nogil=True, cache=True)
def _count_block(
    counters: np.ndarray,
    places: tuple[int, int, int],
    past: np.ndarray,
    start: int,
    lists: np.ndarray,
    ends: np.ndarray,
    bins: tuple[int, int],
    carry: np.ndarray,
) -> int:
    """Add the past of the listed pixels to the counters of each bin; returns the digits it came to.

    places : (int, int, int)
        First word of the counters of the first bin of the block, words from bin to bin, and from digit to digit.
    """
    to, bin_step, step = places
    highest = 8
    for t in range(bins[0], bins[1]):
        end = int(ends[t])
        for at in range(_LIST_ROOM * t, end, _ROWS_AT_ONCE):
            # The list is filled up to whole eights.
            eights = (min(end - at, _ROWS_AT_ONCE) + 7) >> 3
            first = to + t * bin_step
            if count_rows(counters, first, step, past, start, lists, at, eights, carry):
                highest = max(highest, 8 + _carry_on(counters, first + 8 * step, step, carry))
    return highest


@numba.njit(nogil=True, cache=True)
def _carry_on(counters: np.ndarray, place: int, step: int, carry: np.ndarray) -> int:
    """Add what overflowed the lower digits to those from ``place`` on; returns how many it came to."""
    digits = 0
    left = ~np.uint64(0)
    while left != np.uint64(0):
        left = np.uint64(0)
        for word in range(ROW_WORDS):
            both = counters[place + word] & carry[word]
            counters[place + word] ^= carry[word]
            carry[word] = both
            left |= both
        place += step
        digits += 1
    return digits
