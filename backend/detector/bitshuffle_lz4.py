"""Kernels from a bitshuffle-LZ4 chunk to photon events, without making a frame.

A chunk (HDF5 filter 32008) is a 12-byte big-endian header (total bytes, block bytes), then per block a 4-byte length
and LZ4 data of the bit planes of its pixels, then at most 7 pixels as they are. Bit plane p of a block holds bit p of
all its pixels, least significant first, so sparse frames have almost only zero words: the photons are picked straight
from the planes.

Every read is checked against the end of the chunk and every write against the end of its buffer: hostile bytes give
a status, never an access outside.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.detector.lz4_blocks import DAMAGED, lz4_decode_planes
from backend.detector.machine_intrinsics import count_trailing_zeros

OK = 0
SHORT_CHUNK = 1
WRONG_SIZE = 2
BAD_BLOCK_SIZE = 3
BAD_LZ4 = 4
TRAILING_BYTES = 5

REASONS = {
    SHORT_CHUNK: "the chunk ends before its header says",
    WRONG_SIZE: "the chunk is not of this frame size or pixel type",
    BAD_BLOCK_SIZE: "the chunk has an impossible block size",
    BAD_LZ4: "the LZ4 data are damaged",
    TRAILING_BYTES: "the chunk goes on after its last block",
}

MAX_BLOCK_BYTES = 1 << 20
_HEADER_BYTES = 12

Outputs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Pixels and counts of the events, pixels that are saturated; each is filled from its start."""

Filled = tuple[int, int]
"""Events and saturated pixels so far."""


@numba.njit(nogil=True, cache=True)
def _big_endian_32(source: np.ndarray, at: int) -> int:
    return (
        (np.int64(source[at]) << 24)
        | (np.int64(source[at + 1]) << 16)
        | (np.int64(source[at + 2]) << 8)
        | np.int64(source[at + 3])
    )


@numba.njit(nogil=True, cache=True)
def _append(at: int, value: int, limit: int, filled: Filled, outputs: Outputs) -> Filled:
    """Note a pixel with photons, or one that reached the limit."""
    events, saturated = filled
    if value >= limit:
        outputs[2][saturated] = at
        return events, saturated + 1
    outputs[0][events] = at
    outputs[1][events] = value
    return events + 1, saturated


@numba.njit(nogil=True, cache=True)
def _value_at(planes: np.ndarray, written: int, plane_bits: int, words: int, word: int, bit: int) -> int:
    value = np.uint64(0)
    for plane in range(plane_bits):
        # Planes that were not written equal the last one that was.
        row = min(plane, written - 1)
        value |= ((planes[row * words + word] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(plane)
    return np.int64(value)


@numba.njit(nogil=True, cache=True)
def _events_of_planes(
    planes: np.ndarray,
    written: int,
    plane_bits: int,
    words: int,
    first_pixel: int,
    good: np.ndarray,
    limit: int,
    filled: Filled,
    outputs: Outputs,
) -> Filled:
    """Append the photons of one block whose pixels fill whole 64-bit words; ``written`` planes are there."""
    first_word = first_pixel >> 6
    second = min(1, written - 1) * words
    third = min(2, written - 1)
    for word in range(words):
        mask = good[first_word + word]
        if mask == np.uint64(0):
            continue
        ones = planes[word] & mask
        twos = planes[second + word] & mask
        high = np.uint64(0)
        for plane in range(third, written):
            high |= planes[plane * words + word]
        high &= mask
        left = ones | twos | high
        while left != np.uint64(0):
            bit = count_trailing_zeros(left)
            left &= left - np.uint64(1)
            if (high >> np.uint64(bit)) & np.uint64(1):
                value = _value_at(planes, written, plane_bits, words, word, bit)
            else:
                value = np.int64((ones >> np.uint64(bit)) & np.uint64(1)) + 2 * np.int64(
                    (twos >> np.uint64(bit)) & np.uint64(1)
                )
            filled = _append(first_pixel + (word << 6) + bit, value, limit, filled, outputs)
    return filled


@numba.njit(nogil=True, cache=True)
def _events_of_bytes(
    block: np.ndarray,
    plane_bits: int,
    pixels: int,
    first_pixel: int,
    good: np.ndarray,
    limit: int,
    filled: Filled,
    outputs: Outputs,
) -> Filled:
    """The same for a block of any multiple of 8 pixels (the last one of a frame)."""
    plane_bytes = pixels >> 3
    for i in range(pixels):
        at = first_pixel + i
        if (good[at >> 6] >> np.uint64(at & 63)) & np.uint64(1) == np.uint64(0):
            continue
        value = np.int64(0)
        for plane in range(plane_bits):
            value |= ((np.int64(block[plane * plane_bytes + (i >> 3)]) >> (i & 7)) & 1) << plane
        if value > 0:
            filled = _append(at, value, limit, filled, outputs)
    return filled


@numba.njit(nogil=True, cache=True)
def _events_of_plain(
    source: np.ndarray,
    at_byte: int,
    element_bytes: int,
    pixels: int,
    first_pixel: int,
    good: np.ndarray,
    limit: int,
    filled: Filled,
    outputs: Outputs,
) -> Filled:
    """The same for pixels stored as they are, little-endian (fewer than 8 at the end of a chunk, or a whole frame)."""
    for i in range(pixels):
        at = first_pixel + i
        if (good[at >> 6] >> np.uint64(at & 63)) & np.uint64(1) == np.uint64(0):
            continue
        value = np.int64(0)
        for byte in range(element_bytes):
            value |= np.int64(source[at_byte + i * element_bytes + byte]) << (8 * byte)
        if value > 0:
            filled = _append(at, value, limit, filled, outputs)
    return filled


@numba.njit(nogil=True, cache=True)
def _check_header(source: np.ndarray, pixels: int, element_bytes: int) -> tuple[int, int]:
    """Status and pixels per block."""
    if source.size < _HEADER_BYTES:
        return SHORT_CHUNK, 0
    if _big_endian_32(source, 0) != 0 or _big_endian_32(source, 4) != pixels * element_bytes:
        return WRONG_SIZE, 0
    block_bytes = _big_endian_32(source, 8)
    if block_bytes == 0:
        # The filter leaves the field empty when its default of 8 kB, rounded to whole pixels, was used.
        block_bytes = 8192
    block_pixels = block_bytes // element_bytes
    if block_bytes > MAX_BLOCK_BYTES or block_pixels < 8 or block_pixels % 8 != 0:
        return BAD_BLOCK_SIZE, 0
    return OK, block_pixels


@numba.njit(nogil=True, cache=True)
def chunk_events(
    source: np.ndarray,
    pixels: int,
    element_bytes: int,
    good: np.ndarray,
    limit: int,
    block: np.ndarray,
    pixel: np.ndarray,
    count: np.ndarray,
    saturated_pixel: np.ndarray,
) -> tuple[int, int, int]:
    """Status, number of events and number of saturated pixels of one bitshuffle-LZ4 chunk.

    Parameters
    ----------
    source : ndarray, shape (byte,), uint8
        The chunk.
    pixels, element_bytes : int
        Pixels of a frame; bytes of a pixel.
    good : ndarray, shape (ceil(pixels / 64),), uint64
        Bit i of word w is set when pixel 64 w + i is good.
    limit : int
        A count of at least this is saturation, not photons.
    block : ndarray, shape (MAX_BLOCK_BYTES / 8,), uint64
        Scratch.
    pixel, count, saturated_pixel : ndarray, shape (pixels,), uint32
        Filled from the start; pixels ascend.
    """
    status, block_pixels = _check_header(source, pixels, element_bytes)
    if status != OK:
        return status, 0, 0
    planes = block.view(np.uint8)
    bits = 8 * element_bytes
    outputs = (pixel, count, saturated_pixel)
    filled = (0, 0)
    at = _HEADER_BYTES
    first = 0
    while pixels - first >= 8:
        size = min(block_pixels, (pixels - first) // 8 * 8)
        if source.size - at < 4:
            return SHORT_CHUNK, 0, 0
        stop = at + 4 + _big_endian_32(source, at)
        if stop > source.size:
            return SHORT_CHUNK, 0, 0
        in_words = size % 64 == 0 and first % 64 == 0
        plane_bytes = size >> 3 if in_words else 0
        written = lz4_decode_planes(source, at + 4, stop, planes, size * element_bytes, plane_bytes)
        if written == DAMAGED:
            return BAD_LZ4, 0, 0
        if in_words:
            whole = written // plane_bytes
            filled = _events_of_planes(block, whole, bits, size >> 6, first, good, limit, filled, outputs)
        else:
            filled = _events_of_bytes(planes, bits, size, first, good, limit, filled, outputs)
        at = stop
        first += size
    left = pixels - first
    if source.size - at != left * element_bytes:
        return SHORT_CHUNK if source.size - at < left * element_bytes else TRAILING_BYTES, 0, 0
    filled = _events_of_plain(source, at, element_bytes, left, first, good, limit, filled, outputs)
    return OK, filled[0], filled[1]


@numba.njit(nogil=True, cache=True)
def plain_events(
    source: np.ndarray,
    pixels: int,
    element_bytes: int,
    good: np.ndarray,
    limit: int,
    pixel: np.ndarray,
    count: np.ndarray,
    saturated_pixel: np.ndarray,
) -> tuple[int, int, int]:
    """As :func:`chunk_events` for an uncompressed little-endian frame."""
    if source.size != pixels * element_bytes:
        return WRONG_SIZE, 0, 0
    outputs = (pixel, count, saturated_pixel)
    filled = _events_of_plain(source, 0, element_bytes, pixels, 0, good, limit, (0, 0), outputs)
    return OK, filled[0], filled[1]
