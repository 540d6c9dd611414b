"""Kernels of the two-time map: photons of bins as bits, first one word per pixel, then one row per bin.

Bit b of plane k of a pixel's word in block B is bit k of its photons in bin 64 B + b: the photon words of the detector,
with bins instead of frames. Products are formed on rows (the same bits turned by 90 degrees), where AND and the number
of set bits multiply 64 pixels at once.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.machine_intrinsics import count_set_bits, exchange_bits

BLOCK_BINS = 64
_GROUP_WORDS = 8
_GROUP_PIXELS = 64 * _GROUP_WORDS
_LEVELS = 6
"""Up to 2^6 frames, a whole word, are summed at once."""

_ONE = np.uint64(1)
_FIELDS = np.array(
    [
        0x5555555555555555,
        0x3333333333333333,
        0x0F0F0F0F0F0F0F0F,
        0x00FF00FF00FF00FF,
        0x0000FFFF0000FFFF,
        0x00000000FFFFFFFF,
        0xFFFFFFFFFFFFFFFF,
    ],
    np.uint64,
)
"""Lower half of every field of 2, 4, ... 64 bits, and all bits."""


@numba.njit(nogil=True, cache=True)
def _sum_fields(words: np.ndarray, level: int) -> None:
    """Replace every 2^level neighbouring bits by their number."""
    for step in range(level):
        shift = np.uint64(1 << step)
        low = _FIELDS[step]
        for i in range(words.size):
            words[i] = (words[i] & low) + ((words[i] >> shift) & low)


@numba.njit(nogil=True, cache=True)
def _one_bit_of_fields(
    words: np.ndarray, bit: int, level: int, shift: np.uint64, carry: np.ndarray
) -> np.uint64:
    """Set ``carry`` to this bit of every field of 2^level bits, side by side from bit ``shift`` on; returns any."""
    down = np.uint64(bit)
    lowest = ~np.uint64(0)
    for step in range(level):
        lowest &= _FIELDS[step]
    for i in range(words.size):
        carry[i] = (words[i] >> down) & lowest
    for step in range(level, _LEVELS):
        # Groups of 2^(step - level) bits at a distance of 2^step: two become one.
        closer = np.uint64((1 << step) - (1 << (step - level)))
        pattern = _pattern(step + 1, 2 << (step - level))
        for i in range(words.size):
            carry[i] = (carry[i] | (carry[i] >> closer)) & pattern
    found = np.uint64(0)
    for i in range(words.size):
        carry[i] <<= shift
        found |= carry[i]
    return found


@numba.njit(nogil=True, cache=True)
def _pattern(step: int, bits: int) -> np.uint64:
    """The lowest ``bits`` bits of every field of 2^step bits."""
    low = ~np.uint64(0) if bits == 64 else (_ONE << np.uint64(bits)) - _ONE
    pattern = low
    for doubling in range(step, _LEVELS):
        pattern |= pattern << np.uint64(1 << doubling)
    return pattern


@numba.njit(nogil=True, cache=True)
def _add_with_carry(row: np.ndarray, carry: np.ndarray) -> np.uint64:
    """Add one bit per place to ``row``; what overflows stays in ``carry``; returns any of it."""
    found = np.uint64(0)
    for i in range(row.size):
        both = row[i] & carry[i]
        row[i] ^= carry[i]
        carry[i] = both
        found |= both
    return found


@numba.njit(nogil=True, cache=True)
def _add_words(
    words: np.ndarray,
    plane: int,
    level: int,
    shift: np.uint64,
    carry: np.ndarray,
    bits: np.ndarray,
    block: int,
    first: int,
    used: int,
) -> int:
    """Sum every 2^level frames of one plane and add them to the bins; returns the planes in use. Changes ``words``."""
    _sum_fields(words, level)
    last = first + words.size
    for bit in range(level + 1):
        found = _one_bit_of_fields(words, bit, level, shift, carry)
        to = plane + bit
        while found != np.uint64(0):
            found = _add_with_carry(bits[to, block, first:last], carry)
            to += 1
            used = max(used, to)
    return used


@numba.njit(nogil=True, cache=True)
def take_words(
    now: np.ndarray,
    planes: int,
    mask: np.uint64,
    position: np.ndarray,
    pixels: tuple[int, int],
    level: int,
    place: tuple[int, int],
    field: np.uint64,
    bits: np.ndarray,
    used: int,
) -> int:
    """Add the frames of ``mask`` of the current words of some pixels to their bins; returns the planes in use.

    Parameters
    ----------
    now : ndarray, shape (plane, position), uint64
    planes : int
        Planes of ``now`` that are in use.
    position : ndarray, shape (pixel,), uint32
    pixels : (int, int)
        First and last (excluded) of them.
    level : int
        2^level frames are summed, at most 64.
    place : (int, int)
        Block and bit of the first bin.
    field : uint64
        Bits of bins that begin anew.
    bits : ndarray, shape (plane, block, pixel), uint64
    used : int
        Planes of ``bits`` that are in use; there must be enough for what is added.
    """
    words, carry = np.empty(_GROUP_PIXELS, np.uint64), np.empty(_GROUP_PIXELS, np.uint64)
    block, shift = place[0], np.uint64(place[1])
    highest = used
    for first in range(pixels[0], pixels[1], _GROUP_PIXELS):
        last = min(first + _GROUP_PIXELS, pixels[1])
        for plane in range(used):
            row = bits[plane, block, first:last]
            for i in range(row.size):
                row[i] &= ~field
        some = words[: last - first]
        for plane in range(planes):
            row = now[plane]
            found = np.uint64(0)
            for i in range(some.size):
                some[i] = row[position[first + i]] & mask
                found |= some[i]
            if found != np.uint64(0):
                counted = _add_words(
                    some, plane, level, shift, carry[: some.size], bits, block, first, highest
                )
                highest = max(highest, counted)
    return highest


@numba.njit(nogil=True, cache=True)
def halve(bits: np.ndarray, used: int) -> int:
    """Sum neighbouring bins, in place; returns the planes in use, at most one more than before."""
    blocks, pixels = bits.shape[1], bits.shape[2]
    kept = np.empty((used, blocks, _GROUP_PIXELS), np.uint64)
    carry = np.empty(_GROUP_PIXELS, np.uint64)
    highest = used
    for first in range(0, pixels, _GROUP_PIXELS):
        last = min(first + _GROUP_PIXELS, pixels)
        size = last - first
        for plane in range(used):
            for block in range(blocks):
                kept[plane, block, :size] = bits[plane, block, first:last]
                bits[plane, block, first:last] = 0
        for plane in range(used):
            for block in range(blocks):
                shift = np.uint64(32 * (block & 1))
                highest = _add_words(
                    kept[plane, block, :size], plane, 1, shift, carry[:size], bits, block >> 1, first, highest
                )
    return highest


@numba.njit(nogil=True, cache=True)
def _turn(words: np.ndarray) -> None:
    """Turn the 64 x 64 bits of each of 8 columns of words, shape (64 * 8,): bit t of row i becomes bit i of row t."""
    distance = 32
    mask = np.uint64(0x00000000FFFFFFFF)
    while distance:
        for first in range(0, 64, 2 * distance):
            row = first
            while row < first + distance:
                exchange_bits(words, 8 * row, 8 * (row + distance), np.uint64(distance), mask)
                row += 1
        distance >>= 1
        mask ^= mask << np.uint64(distance)


def row_words(pixels: int) -> int:
    """Words of a row: 8 for every 512 pixels."""
    return -(-pixels // _GROUP_PIXELS) * _GROUP_WORDS


@numba.njit(nogil=True, cache=True)
def rows_of_block(
    bits: np.ndarray, planes: int, block: int, pixels: tuple[int, int], rows: np.ndarray, ones: np.ndarray
) -> None:
    """Set the rows of the 64 bins of a block from the words of some pixels.

    Parameters
    ----------
    bits : ndarray, shape (plane, block, pixel), uint64
    rows : ndarray, shape (bin, plane, word), uint64
        8 words for every 512 pixels.
    ones : ndarray, shape (bin, plane), int64
        Bits set in each row.
    """
    words = np.empty(64 * _GROUP_WORDS, np.uint64)
    ones[BLOCK_BINS * block : BLOCK_BINS * (block + 1)] = 0
    for plane in range(planes):
        column = bits[plane, block]
        for first in range(pixels[0], pixels[1], _GROUP_PIXELS):
            size = min(_GROUP_PIXELS, pixels[1] - first)
            words[:] = 0
            for i in range(size):
                words[8 * (i & 63) + (i >> 6)] = column[first + i]
            _turn(words)
            to = (first - pixels[0]) // 64
            for bin_in_block in range(BLOCK_BINS):
                at = BLOCK_BINS * block + bin_in_block
                for word in range(_GROUP_WORDS):
                    value = words[8 * bin_in_block + word]
                    rows[at, plane, to + word] = value
                    ones[at, plane] += count_set_bits(value)


@numba.njit(nogil=True, cache=True)
def _common(first: np.ndarray, second: np.ndarray) -> np.int64:
    """Bits that are set in both."""
    total = np.int64(0)
    for i in range(first.size):
        total += count_set_bits(first[i] & second[i])
    return total


@numba.njit(nogil=True, cache=True)
def multiply_rows(rows: np.ndarray, ones: np.ndarray, first: int, last: int, products: np.ndarray) -> None:
    """Set ``products[t, s]``, int64, for bins t from ``first`` to ``last`` (excluded) and all s < t."""
    planes = ones.shape[1]
    for t in range(first, last):
        products[t, :t] = 0
        for plane in range(planes):
            if ones[t, plane] == 0:
                continue
            row = rows[t, plane]
            for s in range(t):
                for other in range(planes):
                    if ones[s, other]:
                        products[t, s] += _common(row, rows[s, other]) << (plane + other)


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
