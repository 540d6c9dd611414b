"""Kernels of the two-time map: photons of bins as bits, one word per pixel and 64 bins.

Bit b of plane k of a pixel's word in block B is bit k of its photons in bin 64 B + b: the photon words of the detector,
with bins instead of frames.
"""

from __future__ import annotations

import numba
import numpy as np

BLOCK_BINS = 64
_GROUP_WORDS = 8
GROUP_PIXELS = 64 * _GROUP_WORDS
_LEVELS = 6
"""Up to 2^6 frames, a whole word, are summed at once."""

_FLAGS_AT_ONCE = 16
"""Few pixels have more than one photon in a frame, so most flags are passed by, many at a time."""

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

Bins = tuple[np.ndarray, np.ndarray]
"""Photons of the bins, shape (plane, block, pixel), uint64; planes of each pixel, at least 1, shape (pixel,), uint8."""


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
def bits_between(first: int, last: int) -> np.uint64:
    """The bits ``first`` to ``last`` (excluded) of a word; there is at least one."""
    return (~np.uint64(0) >> np.uint64(64 - (last - first))) << np.uint64(first)


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
    bins: Bins,
    block: int,
    first: int,
    used: int,
) -> int:
    """Sum every 2^level frames of one plane and add them to the bins; returns the planes in use. Changes ``words``."""
    bits, pixel_planes = bins
    _sum_fields(words, level)
    last = first + words.size
    for bit in range(level + 1):
        found = _one_bit_of_fields(words, bit, level, shift, carry)
        to = plane + bit
        while found != np.uint64(0):
            if to > 0:
                _note_plane(carry, np.uint8(to + 1), pixel_planes[first:last])
            found = _add_with_carry(bits[to, block, first:last], carry)
            to += 1
            used = max(used, to)
    return used


@numba.njit(nogil=True, cache=True)
def _note_plane(words: np.ndarray, plane: np.uint8, planes: np.ndarray) -> None:
    """Note for each word that is not 0 that at least this many planes are in use."""
    for i in range(words.size):
        noted = plane if words[i] != np.uint64(0) else np.uint8(0)
        planes[i] = max(planes[i], noted)


@numba.njit(nogil=True, cache=True)
def take_words(
    current: tuple[np.ndarray, np.ndarray],
    mask: np.uint64,
    position: np.ndarray,
    level: int,
    place: tuple[int, int],
    bins: Bins,
    used: int,
    pixels: tuple[int, int],
) -> int:
    """Add the frames of ``mask`` of the current words of some pixels to their bins; returns the planes in use.

    Parameters
    ----------
    current : tuple of ndarray
        Words, shape (plane, position), uint64; shape (position,), uint8: 1 where any plane but the first has a bit.
    position : ndarray, shape (pixel,), uint32
    level : int
        2^level frames are summed, at most 64.
    place : (int, int)
        Block and bit of the first bin.
    bins : Bins
    used : int
        Planes of the bins that are in use; there must be enough for what is added.
    pixels : (int, int)
        First and last (excluded) of the pixels.
    """
    if level == 0:
        return max(used, _put_words(current, mask, position, place[0], bins, pixels))
    now, many = current
    words, carry = np.empty(GROUP_PIXELS, np.uint64), np.empty(GROUP_PIXELS, np.uint64)
    block, shift = place[0], np.uint64(place[1])
    for first in range(pixels[0], pixels[1], GROUP_PIXELS):
        last = min(first + GROUP_PIXELS, pixels[1])
        some, places = words[: last - first], position[first:last]
        for plane in range(now.shape[0]):
            if plane == 0:
                found = _gather(now[0], mask, places, some)
            else:
                found = _gather_flagged(now[plane], many, mask, places, some)
            if found != np.uint64(0):
                used = _add_words(some, plane, level, shift, carry[: some.size], bins, block, first, used)
    return used


@numba.njit(nogil=True, cache=True)
def _put_words(
    current: tuple[np.ndarray, np.ndarray],
    mask: np.uint64,
    position: np.ndarray,
    block: int,
    bins: Bins,
    pixels: tuple[int, int],
) -> int:
    """The same where each frame is a bin: the words are the bins of a block, which is empty. Returns its planes."""
    now, many = current
    bits, pixel_planes = bins
    used = 1
    flagged, size = np.empty(pixels[1] - pixels[0] + 1, np.uint32), 0
    for first in range(pixels[0], pixels[1], GROUP_PIXELS):
        last = min(first + GROUP_PIXELS, pixels[1])
        places, words = position[first:last], bits[0, block, first:last]
        if _are_neighbours(places):
            start, stop = places[0], places[0] + places.size
            _copy(now[0, start:stop], mask, words)
            size = _list_flagged(many[start:stop], first, flagged, size)
        else:
            _gather(now[0], mask, places, words)
            size = _list_flagged(many[places], first, flagged, size)
    # One after the other and with nothing between: each waits for far memory, many of them at a time.
    for plane in range(1, len(now)):
        for pixel in flagged[:size]:
            word = now[plane, position[pixel]] & mask
            if word != np.uint64(0):
                bits[plane, block, pixel] = word
                pixel_planes[pixel] = max(pixel_planes[pixel], plane + 1)
                used = max(used, plane + 1)
    return used


@numba.njit(nogil=True, cache=True)
def _are_neighbours(position: np.ndarray) -> bool:
    """Whether each position follows the one before."""
    other = 0
    for i in range(1, position.size):
        other |= position[i] - position[i - 1] - 1
    return other == 0


@numba.njit(nogil=True, cache=True)
def _copy(row: np.ndarray, mask: np.uint64, words: np.ndarray) -> None:
    for i in range(words.size):
        words[i] = row[i] & mask


@numba.njit(nogil=True, cache=True)
def _list_flagged(flags: np.ndarray, first_pixel: int, flagged: np.ndarray, size: int) -> int:
    """Append to ``flagged`` the pixels whose flag is not 0; returns how many it has then."""
    whole = flags.size // _FLAGS_AT_ONCE * _FLAGS_AT_ONCE
    for first in range(0, whole, _FLAGS_AT_ONCE):
        found = np.uint8(0)
        for i in range(first, first + _FLAGS_AT_ONCE):
            found |= flags[i]
        if found != 0:
            size = _append_flagged(flags[first : first + _FLAGS_AT_ONCE], first_pixel + first, flagged, size)
    return _append_flagged(flags[whole:], first_pixel + whole, flagged, size)


@numba.njit(nogil=True, cache=True)
def _append_flagged(flags: np.ndarray, first_pixel: int, flagged: np.ndarray, size: int) -> int:
    """The same for a few, without branches."""
    at = np.uint64(size)
    for i in range(flags.size):
        flagged[at] = first_pixel + i
        at += np.uint64(flags[i] != 0)
    return int(np.int64(at))


@numba.njit(nogil=True, cache=True)
def _gather(row: np.ndarray, mask: np.uint64, position: np.ndarray, words: np.ndarray) -> np.uint64:
    """Set ``words`` to the masked words at some positions; returns any of their bits."""
    found = np.uint64(0)
    for i in range(words.size):
        words[i] = row[position[i]] & mask
        found |= words[i]
    return found


@numba.njit(nogil=True, cache=True)
def _gather_flagged(
    row: np.ndarray, flags: np.ndarray, mask: np.uint64, position: np.ndarray, words: np.ndarray
) -> np.uint64:
    """The same for a plane in which most words are empty and need not be fetched from far memory."""
    found = np.uint64(0)
    for i in range(words.size):
        words[i] = np.uint64(0)
        if flags[position[i]]:
            words[i] = row[position[i]] & mask
            found |= words[i]
    return found


@numba.njit(nogil=True, cache=True)
def clear_bins(bits: np.ndarray, used: int, block: int, field: np.uint64, pixels: tuple[int, int]) -> None:
    """Empty the bins of a block that ``field`` has a bit for."""
    for plane in range(used):
        row = bits[plane, block, pixels[0] : pixels[1]]
        for i in range(row.size):
            row[i] &= ~field


@numba.njit(nogil=True, cache=True)
def halve(bins: Bins, used: int) -> int:
    """Sum neighbouring bins, in place; returns the planes in use, at most one more than before."""
    bits = bins[0]
    blocks, pixels = bits.shape[1], bits.shape[2]
    kept = np.empty((used, blocks, GROUP_PIXELS), np.uint64)
    carry = np.empty(GROUP_PIXELS, np.uint64)
    highest = used
    for first in range(0, pixels, GROUP_PIXELS):
        last = min(first + GROUP_PIXELS, pixels)
        size = last - first
        for plane in range(used):
            for block in range(blocks):
                kept[plane, block, :size] = bits[plane, block, first:last]
                bits[plane, block, first:last] = 0
        for plane in range(used):
            for block in range(blocks):
                shift = np.uint64(32 * (block & 1))
                words = kept[plane, block, :size]
                highest = _add_words(words, plane, 1, shift, carry[:size], bins, block >> 1, first, highest)
    return highest
