"""Frame of a bitshuffle-LZ4 chunk (HDF5 filter 32008): header, blocks, and what can be wrong with them.

A chunk is a 12-byte big-endian header (total bytes, block bytes), then per block a 4-byte length and LZ4 data of the
bit planes of its pixels, then at most 7 pixels as they are. Bit plane p of a block holds bit p of all its pixels, least
significant first.
"""

from __future__ import annotations

import numba
import numpy as np

OK = 0
SHORT_CHUNK = 1
WRONG_SIZE = 2
BAD_BLOCK_SIZE = 3
BAD_LZ4 = 4
TRAILING_BYTES = 5
TOO_BRIGHT = 6

REASONS = {
    SHORT_CHUNK: "the chunk ends before its header says",
    WRONG_SIZE: "the chunk is not of this frame size or pixel type",
    BAD_BLOCK_SIZE: "the chunk has an impossible block size",
    BAD_LZ4: "the LZ4 data are damaged",
    TRAILING_BYTES: "the chunk goes on after its last block",
    TOO_BRIGHT: "a pixel has more than 65535 counts below the saturation limit",
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
def check_header(source: np.ndarray, pixels: int, element_bytes: int) -> tuple[int, int]:
    """Status and pixels per block of a chunk, uint8."""
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
def block_edges(source: np.ndarray, pixels: int, element_bytes: int, edges: np.ndarray) -> int:
    """Fill ``edges``, shape (block + 1,), int64: where each block's length stands, and the pixels behind the last.

    Returns a status. Every block lies within the chunk ``source``, uint8, when it is OK.
    """
    at = _HEADER_BYTES
    blocks = edges.size - 1
    for block in range(blocks):
        edges[block] = at
        if source.size - at < 4:
            return SHORT_CHUNK
        at += 4 + _big_endian_32(source, at)
        if at > source.size:
            return SHORT_CHUNK
    edges[blocks] = at
    left = pixels % 8 * element_bytes
    if source.size - at == left:
        return OK
    return SHORT_CHUNK if source.size - at < left else TRAILING_BYTES


def blocks_of(pixels: int, block_pixels: int) -> int:
    """Number of compressed blocks of a frame; at most 7 pixels follow behind them."""
    return -(-(pixels // 8 * 8) // block_pixels)
