"""Kernels from stored frames to photon words: 64 frames side by side for every pixel.

A piece of the detector (one compressed block) is decoded frame by frame; its bit planes become rows of 64 frames, still
in the fastest cache, and the rows are turned into columns: one word per pixel. Pixels at or above the limit are marked
as saturated and give no photons.

Rows lie as ``rows[((plane * groups + group) * 64 + frame) * 8 + word]``, where a group is 8 words of 64 pixels.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.detector.bitshuffle_chunk import (
    BAD_BLOCK_SIZE,
    BAD_LZ4,
    OK,
    TOO_BRIGHT,
    block_edges,
    check_header,
)
from backend.detector.lz4_blocks import DAMAGED, MARGIN, lz4_decode_planes
from backend.machine_intrinsics import (
    address_as_pointer,
    common_bits,
    count_set_bits,
    count_trailing_zeros,
    exchange_bits,
    prefetch,
    store_common_bits,
)
from backend.photon_word_kernels import flag_of
from backend.photon_words import HIGHEST_COUNT, PLANES

GROUP_PIXELS = 512
_GROUP_WORDS = 64 * 8
_FRAMES_AHEAD = 3

Pixels = tuple[np.ndarray, np.ndarray, int]
"""Good pixels as bits, shape (ceil(pixel / 64),), uint64; position of each pixel; smallest count that is saturation."""

Chunks = tuple[np.ndarray, np.ndarray]
"""Address and number of bytes of each stored frame, int64; whoever calls keeps them alive."""

Words = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Words, shape (plane, position), uint64; many flags, shape (position,), uint8; saturated, shape (pixel,), uint8."""


@numba.njit(nogil=True, cache=True)
def _bytes_of(chunks: Chunks, frame: int) -> np.ndarray:
    return numba.carray(address_as_pointer(chunks[0][frame]), chunks[1][frame], np.uint8)


@numba.njit(nogil=True, cache=True)
def _fetch_ahead(chunks: Chunks, edges: np.ndarray, frame: int, block: int) -> None:
    """The same block of the next frames lies far away in memory: ask for it early."""
    if frame < edges.shape[0]:
        address = chunks[0][frame] + edges[frame, block]
        prefetch(address)
        prefetch(address + 64)


@numba.njit(nogil=True, cache=True)
def index_chunks(
    chunks: Chunks,
    frames: tuple[int, int],
    block_pixels: int,
    frame_pixels: int,
    element_bytes: int,
    edges: np.ndarray,
    status: np.ndarray,
) -> None:
    """Fill the edges of the blocks of some frames, and set the status of those that cannot be used.

    edges : ndarray, shape (frame, block + 1), int64
        As :func:`backend.detector.bitshuffle_chunk.block_edges` fills it.
    """
    for frame in range(frames[0], frames[1]):
        chunk = _bytes_of(chunks, frame)
        status[frame], found = check_header(chunk, frame_pixels, element_bytes)
        if status[frame] == OK and found != block_pixels:
            # All frames of a series have blocks of one size; another one is an error, not worth a case of its own.
            status[frame] = BAD_BLOCK_SIZE
        if status[frame] == OK:
            status[frame] = block_edges(chunk, frame_pixels, element_bytes, edges[frame])


@numba.njit(nogil=True, cache=True)
def rows_size(pixels: int) -> int:
    """Words that the rows of a piece of this many pixels take up."""
    return PLANES * (-(-pixels // GROUP_PIXELS)) * _GROUP_WORDS


@numba.njit(nogil=True, cache=True)
def _open_planes(rows: np.ndarray, plane_words: int, opened: int, wanted: int) -> int:
    """Make sure that the first ``wanted`` planes are in use; returns how many are."""
    if wanted > opened:
        rows[opened * plane_words : wanted * plane_words] = 0
        return wanted
    return opened


@numba.njit(nogil=True, cache=True)
def _row_of_value(
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
        words[2][pixel] = 1
        return 0
    if value > HIGHEST_COUNT:
        return -1
    at = (inside >> 9) * _GROUP_WORDS + bit * 8 + ((inside >> 6) & 7)
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
def _stored_value(source: np.ndarray, at: int, element_bytes: int) -> int:
    value = np.int64(0)
    for byte in range(element_bytes):
        value |= np.int64(source[at + byte]) << (8 * byte)
    return value


@numba.njit(nogil=True, cache=True)
def _is_good(good: np.ndarray, pixel: int) -> bool:
    return (good[pixel >> 6] >> np.uint64(pixel & 63)) & np.uint64(1) != np.uint64(0)


@numba.njit(nogil=True, cache=True)
def _rows_of_bytes(
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
    plane_words = (-(-size // GROUP_PIXELS)) * _GROUP_WORDS
    _open_planes(rows, plane_words, opened, PLANES)
    for inside in range(size):
        if _is_good(good, first + inside):
            value = _value_in_planes(block, written, bits, size >> 3, inside)
            if value > 0:
                took = _row_of_value(value, inside, first + inside, bit, limit, rows, plane_words, words)
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
def _rows_of_planes(
    planes: np.ndarray,
    written: int,
    bits: int,
    first: int,
    size: int,
    bit: int,
    safe: int,
    good: np.ndarray,
    rows: np.ndarray,
    opened: int,
) -> int:
    """Rows of one frame of a block of whole groups; returns the planes in use, or -1 where a count may be too high.

    ``safe`` planes can reach neither the limit nor the highest count.
    """
    groups = size >> 9
    plane_words = groups * _GROUP_WORDS
    first_word = first >> 6
    if written < bits and _any_bit(planes, (written - 1) * 8 * groups, good, first_word, groups):
        return -1
    for group in range(groups):
        to = group * _GROUP_WORDS + bit * 8
        store_common_bits(rows, to, planes, 8 * group, good, first_word + 8 * group)
    for plane in range(1, written):
        at = plane * 8 * groups
        if _any_bit(planes, at, good, first_word, groups):
            if plane >= safe:
                return -1
            opened = _open_planes(rows, plane_words, opened, plane + 1)
            for group in range(groups):
                to = plane * plane_words + group * _GROUP_WORDS + bit * 8
                store_common_bits(rows, to, planes, at + 8 * group, good, first_word + 8 * group)
    return opened


@numba.njit(nogil=True, cache=True)
def _transpose(rows: np.ndarray, start: int) -> None:
    """Turn the 64 x 64 bits of each of the 8 words of a group: bit t of row i becomes bit i of row t."""
    distance = 32
    mask = np.uint64(0x00000000FFFFFFFF)
    while distance:
        for first in range(0, 64, 2 * distance):
            row = first
            while row < first + distance:
                exchange_bits(rows, start + 8 * row, start + 8 * (row + distance), np.uint64(distance), mask)
                row += 1
        distance >>= 1
        mask ^= mask << np.uint64(distance)


@numba.njit(nogil=True, cache=True)
def _write_first_plane(
    rows: np.ndarray, start: int, position: np.ndarray, fresh: bool, first_plane: np.ndarray
) -> None:
    """Write a group's columns of the first plane; ``fresh``: what the words held is void."""
    for begin in range(0, position.size, 64):
        column = start + (begin >> 6)
        size = min(64, position.size - begin)
        if fresh:
            for i in range(size):
                first_plane[position[begin + i]] = rows[column + 8 * i]
        else:
            for i in range(size):
                first_plane[position[begin + i]] |= rows[column + 8 * i]


@numba.njit(nogil=True, cache=True)
def _write_higher_plane(
    rows: np.ndarray,
    start: int,
    position: np.ndarray,
    row_of_words: np.ndarray,
    many: np.ndarray,
    flag: np.uint8,
) -> None:
    for word in range(-(-position.size // 64)):
        for i in range(min(64, position.size - 64 * word)):
            column = rows[start + 8 * i + word]
            if column != np.uint64(0):
                row_of_words[position[64 * word + i]] |= column
                many[position[64 * word + i]] |= flag


@numba.njit(nogil=True, cache=True)
def _is_sparse(rows: np.ndarray) -> bool:
    """True when writing bit by bit is less work than turning the rows."""
    total = np.int64(0)
    for i in range(rows.size):
        total += count_set_bits(rows[i])
    return 8 * total < rows.size


@numba.njit(nogil=True, cache=True)
def _write_bits(
    rows: np.ndarray,
    start: int,
    position: np.ndarray,
    row_of_words: np.ndarray,
    many: np.ndarray,
    flag: np.uint8,
) -> None:
    """As :func:`_write_higher_plane`, from a group whose rows have not been turned."""
    for frame in range(64):
        at = start + 8 * frame
        used = common_bits(rows, at, rows, at)
        while used != np.uint64(0):
            word = count_trailing_zeros(used)
            used &= used - np.uint64(1)
            left = rows[at + word]
            while left != np.uint64(0):
                place = position[(word << 6) + count_trailing_zeros(left)]
                left &= left - np.uint64(1)
                row_of_words[place] |= np.uint64(1) << np.uint64(frame)
                many[place] |= flag


@numba.njit(nogil=True, cache=True)
def _write_columns(
    rows: np.ndarray, opened: int, first: int, size: int, fresh: bool, pixels: Pixels, words: Words
) -> None:
    """Turn the rows of one piece and write the words of its pixels."""
    now, many, _ = words
    groups = -(-size // GROUP_PIXELS)
    for group in range(groups):
        start = group * _GROUP_WORDS
        begin = first + group * GROUP_PIXELS
        position = pixels[1][begin : min(begin + GROUP_PIXELS, first + size)]
        _transpose(rows, start)
        _write_first_plane(rows, start, position, fresh, now[0])
        for plane in range(1, opened):
            start += groups * _GROUP_WORDS
            if _is_sparse(rows[start : start + _GROUP_WORDS]):
                _write_bits(rows, start, position, now[plane], many, flag_of(plane))
            else:
                _transpose(rows, start)
                _write_higher_plane(rows, start, position, now[plane], many, flag_of(plane))


@numba.njit(nogil=True, cache=True)
def _safe_planes(limit: int) -> int:
    """Planes whose counts all lie below the limit and can be kept."""
    safe = 0
    while safe < PLANES and (1 << (safe + 1)) <= limit:
        safe += 1
    return safe


@numba.njit(nogil=True, cache=True)
def put_blocks(
    chunks: Chunks,
    edges: np.ndarray,
    frame_bits: np.ndarray,
    blocks: tuple[int, int],
    block_pixels: int,
    frame_pixels: int,
    element_bytes: int,
    fresh: bool,
    pixels: Pixels,
    scratch: np.ndarray,
    rows: np.ndarray,
    words: Words,
    status: np.ndarray,
) -> int:
    """Write some blocks of several bitshuffle-LZ4 frames into the words of their pixels; returns the planes in use.

    Parameters
    ----------
    edges : ndarray, shape (frame, block + 1), int64
        As :func:`index_chunks` fills it.
    frame_bits : ndarray, shape (frame,), int64
        Bit of the words that stands for each frame.
    blocks : tuple of int
        First block and last (excluded).
    fresh : bool
        True for the first frames of a word: whatever its first plane holds is overwritten.
    scratch : ndarray, shape (MAX_BLOCK_BYTES + 2 MARGIN,), uint8
        Room for one decoded block; starts at a multiple of 8 bytes.
    rows : ndarray, shape (rows_size(block_pixels),), uint64
        Room for the rows of one block.
    status : ndarray, shape (frame,), int64
        Set where a frame cannot be used; parts of it may have been written.
    """
    planes = scratch.view(np.uint64)[MARGIN // 8 :]
    block_bytes = scratch[MARGIN:]
    bits = 8 * element_bytes
    good, _, limit = pixels
    safe = _safe_planes(limit)
    most = 1
    for block in range(blocks[0], blocks[1]):
        first = block * block_pixels
        size = min(block_pixels, frame_pixels // 8 * 8 - first)
        whole = size % GROUP_PIXELS == 0 and first % 64 == 0
        plane_bytes = size >> 3
        opened = _open_planes(rows, (-(-size // GROUP_PIXELS)) * _GROUP_WORDS, 0, 1)
        for frame in range(frame_bits.size):
            if status[frame] != OK:
                continue
            _fetch_ahead(chunks, edges, frame + _FRAMES_AHEAD, block)
            source = _bytes_of(chunks, frame)
            start, stop = edges[frame, block] + 4, edges[frame, block + 1]
            done = lz4_decode_planes(source, start, stop, scratch, size * element_bytes, plane_bytes)
            if done == DAMAGED:
                status[frame] = BAD_LZ4
                continue
            written = done // plane_bytes
            bit = frame_bits[frame]
            found = -1
            if whole:
                found = _rows_of_planes(planes, written, bits, first, size, bit, safe, good, rows, opened)
            if found < 0:
                _clear_row(rows, size, opened, bit)
                found = _rows_of_bytes(
                    block_bytes, written, bits, first, size, bit, pixels, rows, opened, words
                )
            if found < 0:
                status[frame] = TOO_BRIGHT
            else:
                opened = found
        _write_columns(rows, opened, first, size, fresh, pixels, words)
        most = max(most, opened)
    return most


@numba.njit(nogil=True, cache=True)
def _clear_row(rows: np.ndarray, size: int, opened: int, bit: int) -> None:
    for group in range(opened * (-(-size // GROUP_PIXELS))):
        for word in range(8):
            rows[group * _GROUP_WORDS + bit * 8 + word] = 0


@numba.njit(nogil=True, cache=True)
def put_plain(
    chunks: Chunks,
    starts: np.ndarray,
    frame_bits: np.ndarray,
    first: int,
    size: int,
    element_bytes: int,
    fresh: bool,
    pixels: Pixels,
    rows: np.ndarray,
    words: Words,
    status: np.ndarray,
) -> int:
    """As :func:`put_blocks` for ``size`` pixels that are stored as they are, little-endian.

    starts : ndarray, shape (frame,), int64
        Byte at which pixel ``first`` of each frame stands; all ``size`` pixels must be there where the status is OK.
    """
    good, _, limit = pixels
    plane_words = (-(-size // GROUP_PIXELS)) * _GROUP_WORDS
    _open_planes(rows, plane_words, 0, PLANES)
    used = 1
    for frame in range(frame_bits.size):
        source = _bytes_of(chunks, frame)
        for inside in range(size if status[frame] == OK else 0):
            if not _is_good(good, first + inside):
                continue
            value = _stored_value(source, starts[frame] + inside * element_bytes, element_bytes)
            if value > 0:
                bit = frame_bits[frame]
                took = _row_of_value(value, inside, first + inside, bit, limit, rows, plane_words, words)
                if took < 0:
                    status[frame] = TOO_BRIGHT
                    break
                used = max(used, took)
    _write_columns(rows, used, first, size, fresh, pixels, words)
    return used
