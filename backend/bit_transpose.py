"""Turns 64 x 64 bits: rows of frames into columns of pixels, and back."""

from __future__ import annotations

import numba
import numpy as np

from backend.machine_intrinsics import exchange_bits


@numba.njit(nogil=True, cache=True)
def transpose_bits(words: np.ndarray, start: int) -> None:
    """Turn the 64 x 64 bits of each of 8 columns of words: bit t of row i becomes bit i of row t.

    words : ndarray, uint64
        Row i stands at ``words[start + 8 i : start + 8 i + 8]``.
    """
    distance = 32
    mask = np.uint64(0x00000000FFFFFFFF)
    while distance:
        for first in range(0, 64, 2 * distance):
            row = first
            while row < first + distance:
                exchange_bits(words, start + 8 * row, start + 8 * (row + distance), np.uint64(distance), mask)
                row += 1
        distance >>= 1
        mask ^= mask << np.uint64(distance)
