"""Turns 64 x 64 bits: rows of frames into columns of pixels, and back."""

from __future__ import annotations

import numba
import numpy as np

from backend.word_vectors import turn_eight_rows


@numba.njit(nogil=True, cache=True)
def transposed_bits(source: np.ndarray, at: int, target: np.ndarray, to: int) -> None:
    """Turn the 64 x 64 bits of each of 8 columns of words: bit t of row i becomes bit i of row t.

    Rows exchange single bits, pairs and fours with their neighbours, then larger parts with rows that are 8, 16 and
    32 apart: bits are read and written only twice, and the source from its beginning to its end, as processors like
    it.

    source, target : ndarray, uint64
        Row i stands at ``[start + 8 i : start + 8 i + 8]``; they may be the same.
    """
    for first in range(8):
        turn_eight_rows(source, at + 64 * first, target, to + 64 * first, 8, 4)
    for first in range(8):
        turn_eight_rows(target, to + 8 * first, target, to + 8 * first, 64, 32)


@numba.njit(nogil=True, cache=True)
def transpose_bits(words: np.ndarray, start: int) -> None:
    """The same in place."""
    transposed_bits(words, start, words, start)
