"""Kernels from stored frames to photon words: 64 frames side by side for every pixel.

A piece of the detector (one compressed block) is decoded frame by frame; its bit planes become rows of 64 frames, still
in the fastest cache, and the rows are turned into columns: one word per pixel. Pixels at or above the limit are marked
as saturated and give no photons.
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
from backend.detector.frame_rows import (
    GROUP_PIXELS,
    GROUP_WORDS,
    NOT_SAFE,
    PLANES,
    Pixels,
    Words,
    clear_row,
    is_good,
    lit_size,
    open_planes,
    row_of_value,
    rows_of_bytes,
    rows_of_planes,
    safe_planes,
    stored_value,
)
from backend.detector.lz4_blocks import DAMAGED, MARGIN, lz4_decode_planes
from backend.detector.photon_tiles import Tiles, list_first_plane, list_rows
from backend.detector.word_columns import write_columns
from backend.machine_intrinsics import address_as_pointer, load_word, prefetch

_FRAMES_AHEAD = 3

Chunks = tuple[np.ndarray, np.ndarray]
"""Address and number of bytes of each stored frame, int64; whoever calls keeps them alive."""


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
def _same_block(chunks: Chunks, edges: np.ndarray, block: int, frame: int, other: int) -> bool:
    """True when the block has the very same bytes in two frames."""
    size = edges[frame, block + 1] - edges[frame, block]
    if edges[other, block + 1] - edges[other, block] != size or size < 8:
        return False
    one, two = _bytes_of(chunks, frame), _bytes_of(chunks, other)
    at, to = edges[frame, block], edges[other, block]
    # The last eight bytes may have been looked at before.
    different = load_word(one, at + size - 8) ^ load_word(two, to + size - 8)
    for i in range(0, size - 8, 8):
        different |= load_word(one, at + i) ^ load_word(two, to + i)
    return different == np.uint64(0)


@numba.njit(nogil=True, cache=True)
def _hand_over(
    rows: np.ndarray,
    lit: np.ndarray,
    opened: int,
    first: int,
    size: int,
    fresh: bool,
    tiles: Tiles,
    pixels: Pixels,
    words: Words,
) -> None:
    """Photons of the rows of one piece to the list of its tile, or into the words of its pixels.

    ``lit`` may be empty when it is not known.
    """
    listed, numbers, tile_pixels = tiles
    if numbers.size == 0:
        write_columns(rows, opened, first, size, fresh, pixels, words)
        return
    tile = first // tile_pixels
    place = first, size, pixels[1], listed, tile
    begin = 0
    if lit.size:
        numbers[tile] = list_first_plane(rows, lit, *place, numbers[tile])
        begin = 1
    numbers[tile] = list_rows(rows, (begin, opened), *place, numbers[tile])


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
def _put_block(
    chunks: Chunks,
    edges: np.ndarray,
    frame_bits: np.ndarray,
    place: tuple[int, int, int, int],
    fresh: bool,
    tiles: Tiles,
    pixels: Pixels,
    scratch: np.ndarray,
    rows: np.ndarray,
    words: Words,
    status: np.ndarray,
) -> int:
    """Decode one block of all frames into rows, and hand them over; returns the planes in use.

    place : tuple of int
        The block, its first pixel, how many there are, bytes of each.
    """
    block, first, size, element_bytes = place
    planes, block_bytes = scratch.view(np.uint64)[MARGIN // 8 :], scratch[MARGIN:]
    good, _, limit = pixels
    bits, plane_bytes, safe = 8 * element_bytes, size >> 3, safe_planes(limit)
    whole = size % GROUP_PIXELS == 0 and first % 64 == 0
    opened = open_planes(rows, (-(-size // GROUP_PIXELS)) * GROUP_WORDS, 0, 1)
    lit = np.zeros(lit_size(size), np.uint64)
    lit_known, empty = whole, -1
    for frame in range(frame_bits.size):
        if status[frame] != OK:
            continue
        _fetch_ahead(chunks, edges, frame + _FRAMES_AHEAD, block)
        if empty >= 0 and _same_block(chunks, edges, block, frame, empty):
            continue
        source, bit = _bytes_of(chunks, frame), frame_bits[frame]
        start, stop = edges[frame, block] + 4, edges[frame, block + 1]
        done = lz4_decode_planes(source, start, stop, scratch, size * element_bytes, plane_bytes)
        if done == DAMAGED:
            status[frame] = BAD_LZ4
            continue
        written = done // plane_bytes
        found = NOT_SAFE
        if whole:
            found = rows_of_planes(planes, written, bits, first, size, bit, safe, good, rows, lit, opened)
        if found == 0:
            empty = frame
        if found == NOT_SAFE:
            lit_known = False
            clear_row(rows, size, opened, bit)
            found = rows_of_bytes(block_bytes, written, bits, first, size, bit, pixels, rows, opened, words)
            if found < 0:
                status[frame] = TOO_BRIGHT
        opened = max(opened, found)
    _hand_over(rows, lit if lit_known else lit[:0], opened, first, size, fresh, tiles, pixels, words)
    return opened


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
    tiles: Tiles,
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
    most = 1
    for block in range(blocks[0], blocks[1]):
        first = block * block_pixels
        size = min(block_pixels, frame_pixels // 8 * 8 - first)
        place = block, first, size, element_bytes
        planes = _put_block(
            chunks, edges, frame_bits, place, fresh, tiles, pixels, scratch, rows, words, status
        )
        most = max(most, planes)
    return most


@numba.njit(nogil=True, cache=True)
def put_plain(
    chunks: Chunks,
    starts: np.ndarray,
    frame_bits: np.ndarray,
    first: int,
    size: int,
    element_bytes: int,
    fresh: bool,
    tiles: Tiles,
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
    plane_words = (-(-size // GROUP_PIXELS)) * GROUP_WORDS
    open_planes(rows, plane_words, 0, PLANES)
    used = 1
    for frame in range(frame_bits.size):
        source = _bytes_of(chunks, frame)
        for inside in range(size if status[frame] == OK else 0):
            if not is_good(good, first + inside):
                continue
            value = stored_value(source, starts[frame] + inside * element_bytes, element_bytes)
            if value > 0:
                bit = frame_bits[frame]
                took = row_of_value(value, inside, first + inside, bit, limit, rows, plane_words, words)
                if took < 0:
                    status[frame] = TOO_BRIGHT
                    break
                used = max(used, took)
    _hand_over(rows, np.empty(0, np.uint64), used, first, size, fresh, tiles, pixels, words)
    return used
