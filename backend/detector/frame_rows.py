"""Kernels from a decoded piece of one frame to a row of each of its bit planes.

Rows lie as ``rows[((plane * groups + group) * 64 + frame) * 8 + word]``, where a group is 8 words of 64 pixels.
Pixels at or above the limit are marked as saturated and give no photons.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.photon_words import HIGHEST_COUNT, PLANES
from backend.word_vectors import common_bits, store_common_bits

GROUP_PIXELS = 512
GROUP_WORDS = 64 * 8
NOT_SAFE = -2

Pixels = tuple[np.ndarray, np.ndarray, int]
"""Good pixels as bits, shape (ceil(pixel / 64),), uint64; position of each pixel; smallest count that is saturation."""

Words = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Words, shape (plane, position), uint64; many flags, shape (position,), uint8; saturated, shape (pixel + 1,), uint64:
the bits of the frames in which each pixel was, and behind them whether any was."""


@numba.njit(nogil=True, cache=True)
def rows_size(pixels: int) -> int:
    """Words that the rows of a piece of this many pixels take up."""
    return PLANES * (-(-pixels // GROUP_PIXELS)) * GROUP_WORDS


@numba.njit(nogil=True, cache=True)
def lit_size(pixels: int) -> int:
    """Bits for the words of a row of this many pixels, rounded up to whole words of them: 64 for up to 4096 pixels."""
    return -(-pixels // 4096) * 64


@numba.njit(nogil=True, cache=True)
def open_planes(rows: np.ndarray, plane_words: int, opened: int, wanted: int) -> int:
    """Make sure that the first ``wanted`` planes are in use; returns how many are."""
    if wanted > opened:
        rows[opened * plane_words : wanted * plane_words] = 0
        return wanted
    return opened


@numba.njit(nogil=True, cache=True)
def row_of_value(
    value: int,
    inside: int,
    pixel: int,
    bit: int,
    limit: int,
    rows: np.ndarray,
    plane_words: int,
    words: Words,
) -> int:
    """Write one count into the rows; returns the number of planes it takes, or -1 for too bright."""
    if value >= limit:
        words[2][pixel] |= np.uint64(1) << np.uint64(bit)
        words[2][words[2].size - 1] = 1
        return 0
    if value > HIGHEST_COUNT:
        return -1
    at = (inside >> 9) * GROUP_WORDS + bit * 8 + ((inside >> 6) & 7)
    plane = 0
    while value >> plane:
        if (value >> plane) & 1:
            rows[plane * plane_words + at] |= np.uint64(1) << np.uint64(inside & 63)
        plane += 1
    return plane


@numba.njit(nogil=True, cache=True)
def _value_in_planes(block: np.ndarray, written: int, bits: int, plane_bytes: int, inside: int) -> int:
    value = np.int64(0)
    for plane in range(bits):
        # Planes that were not written equal the last one that was.
        at = min(plane, written - 1) * plane_bytes + (inside >> 3)
        value |= ((np.int64(block[at]) >> (inside & 7)) & 1) << plane
    return value


@numba.njit(nogil=True, cache=True)
def stored_value(source: np.ndarray, at: int, element_bytes: int) -> int:
    """A little-endian number of so many bytes."""
    value = np.int64(0)
    for byte in range(element_bytes):
        value |= np.int64(source[at + byte]) << (8 * byte)
    return value


@numba.njit(nogil=True, cache=True)
def is_good(good: np.ndarray, pixel: int) -> bool:
    """The bit of a pixel in the mask."""
    return (good[pixel >> 6] >> np.uint64(pixel & 63)) & np.uint64(1) != np.uint64(0)


@numba.njit(nogil=True, cache=True)
def _any_in_byte(block: np.ndarray, written: int, plane_bytes: int, byte: int) -> bool:
    """Whether any of eight pixels has a photon."""
    found = np.uint8(0)
    for plane in range(written):
        found |= block[plane * plane_bytes + byte]
    return found != 0


@numba.njit(nogil=True, cache=True)
def rows_of_bytes(
    block: np.ndarray,
    written: int,
    bits: int,
    first: int,
    size: int,
    bit: int,
    pixels: Pixels,
    rows: np.ndarray,
    opened: int,
    words: Words,
) -> int:
    """Rows of one frame pixel by pixel, for any size and any count; returns the planes in use, or -1."""
    good, _, limit = pixels
    plane_words = (-(-size // GROUP_PIXELS)) * GROUP_WORDS
    plane_bytes = size >> 3
    open_planes(rows, plane_words, opened, PLANES)
    for inside in range(size):
        if not (_any_in_byte(block, written, plane_bytes, inside >> 3) and is_good(good, first + inside)):
            continue
        value = _value_in_planes(block, written, bits, plane_bytes, inside)
        if value > 0:
            took = row_of_value(value, inside, first + inside, bit, limit, rows, plane_words, words)
            if took < 0:
                return -1
            opened = max(opened, took)
    return opened


@numba.njit(nogil=True, cache=True)
def _any_bit(planes: np.ndarray, at: int, good: np.ndarray, first_word: int, groups: int) -> bool:
    for group in range(groups):
        if common_bits(planes, at + 8 * group, good, first_word + 8 * group):
            return True
    return False


@numba.njit(nogil=True, cache=True)
def rows_of_planes(
    planes: np.ndarray,
    written: int,
    bits: int,
    first: int,
    size: int,
    bit: int,
    safe: int,
    good: np.ndarray,
    rows: np.ndarray,
    lit: np.ndarray,
    opened: int,
) -> int:
    """Rows of one frame of a block of whole groups; returns the planes it uses, or NOT_SAFE: a count may be too high.

    ``safe`` planes can reach neither the limit nor the highest count. Bit i of ``lit[bit * parts + part]``, of as many
    parts as 4096 pixels go into the block, is set when word 64 part + i of the first plane is not empty.
    """
    groups = size >> 9
    parts = lit_size(size) >> 6
    plane_words = groups * GROUP_WORDS
    first_word = first >> 6
    if written < bits and _any_bit(planes, (written - 1) * 8 * groups, good, first_word, groups):
        return NOT_SAFE
    used = 0
    for part in range(parts):
        found = np.uint64(0)
        for group in range(8 * part, min(8 * part + 8, groups)):
            to = group * GROUP_WORDS + bit * 8
            lanes = store_common_bits(rows, to, planes, 8 * group, good, first_word + 8 * group)
            found |= lanes << np.uint64(8 * (group & 7))
        lit[bit * parts + part] = found
        used |= np.int64(found != np.uint64(0))
    for plane in range(1, written):
        at = plane * 8 * groups
        if _any_bit(planes, at, good, first_word, groups):
            if plane >= safe:
                return NOT_SAFE
            opened = open_planes(rows, plane_words, opened, plane + 1)
            used = plane + 1
            for group in range(groups):
                to = plane * plane_words + group * GROUP_WORDS + bit * 8
                store_common_bits(rows, to, planes, at + 8 * group, good, first_word + 8 * group)
    return used


@numba.njit(nogil=True, cache=True)
def clear_row(rows: np.ndarray, size: int, opened: int, bit: int) -> None:
    """Empty what one frame has in the planes in use."""
    for group in range(opened * (-(-size // GROUP_PIXELS))):
        for word in range(8):
            rows[group * GROUP_WORDS + bit * 8 + word] = 0


@numba.njit(nogil=True, cache=True)
def safe_planes(limit: int) -> int:
    """Planes whose counts all lie below the limit and can be kept."""
    safe = 0
    while safe < PLANES and (1 << (safe + 1)) <= limit:
        safe += 1
    return safe
