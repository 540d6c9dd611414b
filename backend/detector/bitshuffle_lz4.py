"""Kernels from a bitshuffle-LZ4 chunk to photon events, without making a frame.

Sparse frames have almost only zero words in their bit planes: the photons are picked straight from them.

Every read is checked against the end of the chunk and every write against the end of its buffer: hostile bytes give
a status, never an access outside.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.detector.bitshuffle_chunk import BAD_LZ4, OK, WRONG_SIZE, block_edges, check_header
from backend.detector.lz4_blocks import DAMAGED, MARGIN, lz4_decode_planes
from backend.machine_intrinsics import count_trailing_zeros

Outputs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Pixels and counts of the events, pixels that are saturated; each is filled from its start."""

Filled = tuple[int, int]
"""Events and saturated pixels so far."""


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
def chunk_events(
    source: np.ndarray,
    pixels: int,
    element_bytes: int,
    good: np.ndarray,
    limit: int,
    scratch: np.ndarray,
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
    scratch : ndarray, shape (MAX_BLOCK_BYTES + 2 MARGIN,), uint8
        Room for one decoded block; starts at a multiple of 8 bytes.
    pixel, count, saturated_pixel : ndarray, shape (pixels,), uint32
        Filled from the start; pixels ascend.
    """
    status, block_pixels = check_header(source, pixels, element_bytes)
    if status != OK:
        return status, 0, 0
    edges = np.empty(-(-(pixels // 8 * 8) // block_pixels) + 1, np.int64)
    status = block_edges(source, pixels, element_bytes, edges)
    if status != OK:
        return status, 0, 0
    planes = scratch.view(np.uint64)[MARGIN // 8 :]
    outputs = (pixel, count, saturated_pixel)
    filled = (0, 0)
    for block in range(edges.size - 1):
        first = block * block_pixels
        size = min(block_pixels, (pixels - first) // 8 * 8)
        in_words = size % 64 == 0 and first % 64 == 0
        plane_bytes = size >> 3 if in_words else 0
        at, stop = edges[block] + 4, edges[block + 1]
        written = lz4_decode_planes(source, at, stop, scratch, size * element_bytes, plane_bytes)
        if written == DAMAGED:
            return BAD_LZ4, 0, 0
        bits = 8 * element_bytes
        if in_words:
            whole = written // plane_bytes
            filled = _events_of_planes(planes, whole, bits, size >> 6, first, good, limit, filled, outputs)
        else:
            filled = _events_of_bytes(scratch[MARGIN:], bits, size, first, good, limit, filled, outputs)
    first, at = pixels // 8 * 8, edges[edges.size - 1]
    filled = _events_of_plain(source, at, element_bytes, pixels % 8, first, good, limit, filled, outputs)
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
