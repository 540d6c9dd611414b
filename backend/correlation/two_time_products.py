"""Products of the bins of a two-time map, 256 earlier bins at a time.

For a bin t, the past of every pixel that has a photon in t is added up, bin by bin: one bit per pixel and bin will do,
and 256 bins are one row of bits. The sums are kept as bits too (digit k of 256 sums side by side), so that adding a row
to 256 sums takes a few AND and XOR; eight rows are added in one go. This takes much less than one step per pair of
photons when there are few, and little more than multiplying whole images when there are many.

Pixels come in sets so small that what is at work fits into the cache of one processor: 256 bins of their past, and the
lists that say which pixels have a photon in which bin. The past that is shared by the fewest bins, the latest, comes
first, so that a list is there before it is needed and words are read only once.

Photons have several binary digits: those of the bin and those of the past are taken in pairs, and each pair is added at
the digit where its product belongs. Pixels are done apart by their number of digits, which is one for most of them.

Digits stand far apart in memory, all counters of one digit side by side: those that no sum needs are never touched, and
the others stay in a cache.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.correlation.bin_lists import LIST_ENTRIES, WORDS_AT_ONCE, list_pixels, new_list_room
from backend.correlation.bit_counters import carry_on, count_rows
from backend.correlation.two_time_kernels import BLOCK_BINS, Bins, bits_between
from backend.sparse_memory import zeros_when_touched

ROW_WORDS = 4
"""As long as a register: twice that, and the counters that are added to would not fit into the registers."""

ROW_BINS = BLOCK_BINS * ROW_WORDS
_SET_ROWS = 6144
"""Rows of the past that are in use at a time: 192 kB."""

_ROWS_AT_ONCE = 128
"""So many that eight digits overflow once at most."""

_DIGITS = 64


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
        Bins that there is room for, and words from one digit to the next.
    sums : ndarray, shape (bin,), int64
    """
    bits, pixel_planes = photons
    planes = bits.shape[0]
    sums[bins[0] : bins[1]] = 0
    past = np.empty((_SET_ROWS + planes) * ROW_WORDS, np.uint64)
    # Most of it is never touched.
    lists = np.empty((bins[1] - bins[0]) * (_SET_ROWS + 2 * LIST_ENTRIES * planes), np.uint16)
    chosen = np.empty(_SET_ROWS, np.uint64)
    used = 0
    for digits in range(1, planes + 1):
        most = _SET_ROWS // digits
        size = 0
        for pixel in range(pixels[0], pixels[1]):
            if pixel_planes[pixel] == digits:
                chosen[size] = pixel
                size += 1
            if size == most:
                used = max(
                    used, _add_set(chosen[:size], digits, bits, bins, past, lists, counters, layout, sums)
                )
                size = 0
        if size:
            used = max(used, _add_set(chosen[:size], digits, bits, bins, past, lists, counters, layout, sums))
    return used


@numba.njit(nogil=True, cache=True)
def _add_set(
    pixel: np.ndarray,
    planes: int,
    bits: np.ndarray,
    bins: tuple[int, int],
    past: np.ndarray,
    lists: np.ndarray,
    counters: np.ndarray,
    layout: tuple[int, int],
    sums: np.ndarray,
) -> int:
    """Add the products of some pixels, which use no more than ``planes`` planes, to the counters."""
    most_bins, step = layout
    last_block = (bins[1] - 1) // BLOCK_BINS
    edges = np.zeros((2, planes, (last_block + 1) * BLOCK_BINS), np.uint64)
    carry = np.empty(ROW_WORDS, np.uint64)
    free = 0
    used = 0
    for row in range(last_block // ROW_WORDS, -1, -1):
        free = _take_row(row, pixel, planes, bits, bins, past, lists, edges, free)
        first = max(bins[0], ROW_BINS * row)
        for plane in range(planes):
            for other in range(planes):
                digit = plane + other
                start = other * (pixel.size + 1) * ROW_WORDS
                places = (row * most_bins * ROW_WORDS + digit * step, step)
                digits = _count_bins(
                    counters, places, past, start, lists, edges[:, plane], (first, bins[1]), carry
                )
                used = max(used, digit + digits)
    for plane in range(planes):
        for t in range(bins[0], bins[1]):
            sums[t] += int(edges[1, plane, t] - edges[0, plane, t]) << plane
    return used


@numba.njit(nogil=True, cache=True)
def _take_row(
    row: int,
    pixel: np.ndarray,
    planes: int,
    bits: np.ndarray,
    bins: tuple[int, int],
    past: np.ndarray,
    lists: np.ndarray,
    edges: np.ndarray,
    free: int,
) -> int:
    """Copy 256 bins of each pixel side by side, one row per plane and pixel, and list the pixels of those that are new.

    The row after the last pixel of each plane is empty. Returns the first free place in ``lists``.

    edges : ndarray, shape (2, plane, bin), uint64
        Set to begin and end of the list of each new bin.
    """
    words = np.zeros(-(-pixel.size // WORDS_AT_ONCE) * WORDS_AT_ONCE, np.uint64)
    room = new_list_room(words.size)
    for plane in range(planes):
        start = plane * (pixel.size + 1) * ROW_WORDS
        past[start + pixel.size * ROW_WORDS : start + (pixel.size + 1) * ROW_WORDS] = 0
        for word in range(ROW_WORDS):
            block = ROW_WORDS * row + word
            first = max(bins[0] - BLOCK_BINS * block, 0)
            last = min(bins[1] - BLOCK_BINS * block, BLOCK_BINS)
            if last <= 0:
                past[start + word : start + pixel.size * ROW_WORDS : ROW_WORDS] = 0
            elif first >= last:
                _copy_words(bits[plane, block], pixel, past, start + word)
            else:
                mask = bits_between(first, last)
                _copy_words_twice(bits[plane, block], pixel, past, start + word, mask, words)
                own = edges[:, plane, BLOCK_BINS * block : BLOCK_BINS * (block + 1)]
                free = list_pixels(words, pixel.size, lists, own[0], own[1], free, room)
    return free


@numba.njit(nogil=True, cache=True)
def _copy_words(row: np.ndarray, pixel: np.ndarray, past: np.ndarray, start: int) -> None:
    """Copy the words of some pixels to the same place of each row."""
    at = np.uint64(start)
    for i in range(pixel.size):
        past[at] = row[pixel[i]]
        at += np.uint64(ROW_WORDS)


@numba.njit(nogil=True, cache=True)
def _copy_words_twice(
    row: np.ndarray, pixel: np.ndarray, past: np.ndarray, start: int, mask: np.uint64, words: np.ndarray
) -> None:
    """The same, and their bits of ``mask`` side by side."""
    at = np.uint64(start)
    for i in range(pixel.size):
        word = row[pixel[i]]
        past[at] = word
        words[i] = word & mask
        at += np.uint64(ROW_WORDS)


@numba.njit(nogil=True, cache=True)
def _count_bins(
    counters: np.ndarray,
    places: tuple[int, int],
    past: np.ndarray,
    start: int,
    lists: np.ndarray,
    edges: np.ndarray,
    bins: tuple[int, int],
    carry: np.ndarray,
) -> int:
    """Add the past of the listed pixels to the counters of each bin; returns the digits it came to.

    places : (int, int)
        First word of the counters of bin 0, which those of the next bin follow, and words from digit to digit.
    """
    to, step = places
    highest = 8
    for t in range(bins[0], bins[1]):
        begin, end = int(np.int64(edges[0, t])), int(np.int64(edges[1, t]))
        for at in range(begin, end, _ROWS_AT_ONCE):
            # The list is filled up to whole eights.
            eights = (min(end - at, _ROWS_AT_ONCE) + 7) >> 3
            first = to + t * ROW_WORDS
            if count_rows(counters, first, step, past, start, lists, at, eights, carry, ROW_WORDS):
                highest = max(highest, 8 + carry_on(counters, first + 8 * step, step, carry))
    return highest
