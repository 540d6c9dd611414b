"""Kernels that turn rows (one frame, many pixels) into columns (one pixel, 64 frames) and write them to the words."""

from __future__ import annotations

import numba
import numpy as np

from backend.bit_transpose import transpose_bits
from backend.detector.frame_rows import GROUP_PIXELS, GROUP_WORDS, Pixels, Words
from backend.machine_intrinsics import count_set_bits, count_trailing_zeros
from backend.photon_word_kernels import flag_of
from backend.word_vectors import common_bits


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
def write_columns(
    rows: np.ndarray, opened: int, first: int, size: int, fresh: bool, pixels: Pixels, words: Words
) -> None:
    """Turn the rows of one piece and write the words of its pixels."""
    now, many, _ = words
    groups = -(-size // GROUP_PIXELS)
    for group in range(groups):
        start = group * GROUP_WORDS
        begin = first + group * GROUP_PIXELS
        position = pixels[1][begin : min(begin + GROUP_PIXELS, first + size)]
        transpose_bits(rows, start)
        _write_first_plane(rows, start, position, fresh, now[0])
        for plane in range(1, opened):
            start += groups * GROUP_WORDS
            if _is_sparse(rows[start : start + GROUP_WORDS]):
                _write_bits(rows, start, position, now[plane], many, flag_of(plane))
            else:
                transpose_bits(rows, start)
                _write_higher_plane(rows, start, position, now[plane], many, flag_of(plane))
