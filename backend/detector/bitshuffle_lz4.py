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

from backend.detector.machine_intrinsics import copy_bytes, count_trailing_zeros, fill_bytes

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


@numba.njit(nogil=True, cache=True)
def _big_endian_32(source: np.ndarray, at: int) -> int:
    return (
        (np.int64(source[at]) << 24)
        | (np.int64(source[at + 1]) << 16)
        | (np.int64(source[at + 2]) << 8)
        | np.int64(source[at + 3])
    )


@numba.njit(nogil=True, cache=True)
def _long_length(source: np.ndarray, at: int, stop: int, length: int) -> tuple[int, int]:
    """Add the 255-continued bytes of an LZ4 length; position -1 when the data end too early."""
    while True:
        if at >= stop:
            return length, -1
        byte = np.int64(source[at])
        at += 1
        length += byte
        if byte != 255:
            return length, at


@numba.njit(nogil=True, cache=True)
def _copy_match(target: np.ndarray, to: int, distance: int, length: int) -> None:
    """Repeat the last ``distance`` bytes before ``to`` until ``length`` bytes are written."""
    start = to - distance
    if distance == 1:
        fill_bytes(target, to, target[start], length)
        return
    # What is already repeated may be copied too, so each copy is as long as all before it and none overlaps.
    done = 0
    while done < length:
        piece = min(distance + done, length - done)
        copy_bytes(target, to + done, target, start, piece)
        done += piece


@numba.njit(nogil=True, cache=True)
def lz4_decode_block(source: np.ndarray, start: int, stop: int, target: np.ndarray, size: int) -> bool:
    """Decode ``source[start:stop]`` into ``target[:size]``; True when exactly ``size`` bytes came out.

    source, target : ndarray, uint8. The LZ4 block format (sequences of literals and back references).
    """
    at = start
    out = 0
    while at < stop:
        token = np.int64(source[at])
        at += 1
        literals = token >> 4
        if literals == 15:
            literals, at = _long_length(source, at, stop, literals)
            if at < 0:
                return False
        if literals > stop - at or literals > size - out:
            return False
        copy_bytes(target, out, source, at, literals)
        at += literals
        out += literals
        if at == stop:
            return out == size
        if stop - at < 2:
            return False
        distance = np.int64(source[at]) | (np.int64(source[at + 1]) << 8)
        at += 2
        length = token & 15
        if length == 15:
            length, at = _long_length(source, at, stop, length)
            if at < 0:
                return False
        length += 4
        if distance == 0 or distance > out or length > size - out:
            return False
        _copy_match(target, out, distance, length)
        out += length
    return False


@numba.njit(nogil=True, cache=True)
def _value_at(planes: np.ndarray, plane_bits: int, words: int, word: int, bit: int) -> int:
    value = np.uint64(0)
    for plane in range(plane_bits):
        value |= ((planes[plane * words + word] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(plane)
    return np.int64(value)


@numba.njit(nogil=True, cache=True)
def _events_of_planes(
    planes: np.ndarray,
    plane_bits: int,
    words: int,
    first_pixel: int,
    good: np.ndarray,
    limit: int,
    merged: np.ndarray,
    events: int,
    saturated: int,
    pixel: np.ndarray,
    count: np.ndarray,
    saturated_pixel: np.ndarray,
) -> tuple[int, int]:
    """Append the photons of one block whose pixels fill whole 64-bit words."""
    for word in range(words):
        merged[word] = np.uint64(0)
    for plane in range(2, plane_bits):
        for word in range(words):
            merged[word] |= planes[plane * words + word]
    first_word = first_pixel >> 6
    for word in range(words):
        mask = good[first_word + word]
        ones = planes[word] & mask
        twos = planes[words + word] & mask
        high = merged[word] & mask
        left = ones | twos | high
        while left != np.uint64(0):
            bit = count_trailing_zeros(left)
            left &= left - np.uint64(1)
            at = first_pixel + (word << 6) + bit
            if (high >> np.uint64(bit)) & np.uint64(1):
                value = _value_at(planes, plane_bits, words, word, bit)
            else:
                value = np.int64((ones >> np.uint64(bit)) & np.uint64(1)) + 2 * np.int64(
                    (twos >> np.uint64(bit)) & np.uint64(1)
                )
            if value >= limit:
                saturated_pixel[saturated] = at
                saturated += 1
            else:
                pixel[events] = at
                count[events] = value
                events += 1
    return events, saturated


@numba.njit(nogil=True, cache=True)
def _events_of_bytes(
    block: np.ndarray,
    plane_bits: int,
    pixels: int,
    first_pixel: int,
    good: np.ndarray,
    limit: int,
    events: int,
    saturated: int,
    pixel: np.ndarray,
    count: np.ndarray,
    saturated_pixel: np.ndarray,
) -> tuple[int, int]:
    """The same for a block of any multiple of 8 pixels (the last one of a frame)."""
    plane_bytes = pixels >> 3
    for i in range(pixels):
        at = first_pixel + i
        if (good[at >> 6] >> np.uint64(at & 63)) & np.uint64(1) == np.uint64(0):
            continue
        value = np.int64(0)
        for plane in range(plane_bits):
            value |= ((np.int64(block[plane * plane_bytes + (i >> 3)]) >> (i & 7)) & 1) << plane
        if value >= limit:
            saturated_pixel[saturated] = at
            saturated += 1
        elif value > 0:
            pixel[events] = at
            count[events] = value
            events += 1
    return events, saturated


@numba.njit(nogil=True, cache=True)
def _events_of_plain(
    source: np.ndarray,
    at_byte: int,
    element_bytes: int,
    pixels: int,
    first_pixel: int,
    good: np.ndarray,
    limit: int,
    events: int,
    saturated: int,
    pixel: np.ndarray,
    count: np.ndarray,
    saturated_pixel: np.ndarray,
) -> tuple[int, int]:
    """The same for pixels stored as they are, little-endian (fewer than 8 at the end of a chunk, or a whole frame)."""
    for i in range(pixels):
        at = first_pixel + i
        if (good[at >> 6] >> np.uint64(at & 63)) & np.uint64(1) == np.uint64(0):
            continue
        value = np.int64(0)
        for byte in range(element_bytes):
            value |= np.int64(source[at_byte + i * element_bytes + byte]) << (8 * byte)
        if value >= limit:
            saturated_pixel[saturated] = at
            saturated += 1
        elif value > 0:
            pixel[events] = at
            count[events] = value
            events += 1
    return events, saturated


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
    block_as_bytes = block.view(np.uint8)
    merged = (
        np.empty(MAX_BLOCK_BYTES // 64 + 1, np.uint64) if block_pixels > 65536 else np.empty(1025, np.uint64)
    )
    plane_bits = 8 * element_bytes
    events = saturated = 0
    at = _HEADER_BYTES
    first = 0
    while pixels - first >= 8:
        size = min(block_pixels, (pixels - first) // 8 * 8)
        if source.size - at < 4:
            return SHORT_CHUNK, 0, 0
        length = _big_endian_32(source, at)
        at += 4
        if length > source.size - at:
            return SHORT_CHUNK, 0, 0
        if not lz4_decode_block(source, at, at + length, block_as_bytes, size * element_bytes):
            return BAD_LZ4, 0, 0
        at += length
        if size % 64 == 0 and first % 64 == 0:
            events, saturated = _events_of_planes(
                block,
                plane_bits,
                size >> 6,
                first,
                good,
                limit,
                merged,
                events,
                saturated,
                pixel,
                count,
                saturated_pixel,
            )
        else:
            events, saturated = _events_of_bytes(
                block_as_bytes,
                plane_bits,
                size,
                first,
                good,
                limit,
                events,
                saturated,
                pixel,
                count,
                saturated_pixel,
            )
        first += size
    left = pixels - first
    if source.size - at < left * element_bytes:
        return SHORT_CHUNK, 0, 0
    if source.size - at > left * element_bytes:
        return TRAILING_BYTES, 0, 0
    events, saturated = _events_of_plain(
        source, at, element_bytes, left, first, good, limit, events, saturated, pixel, count, saturated_pixel
    )
    return OK, events, saturated


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
    events, saturated = _events_of_plain(
        source, 0, element_bytes, pixels, 0, good, limit, 0, 0, pixel, count, saturated_pixel
    )
    return OK, events, saturated
