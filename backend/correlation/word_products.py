"""Sums of products of photon counts, 64 frames at a time, for a run of pixels of one cell.

With one bit per frame, the product of a frame with the one ``lag`` frames before is an AND with the word shifted by
``lag``, and the sum over 64 frames is the number of bits set. Sums of 2, 4 and 8 frames (the first levels of a
multi-tau correlator) are the steps in which a popcount adds up neighbouring bits:

    level 1: (a + b)(c + d) = ac + bd + ad + bc: the same AND, once straight and once with the pairs of bits swapped
    level 2, 3: numbers of bits per nibble and per byte, multiplied as bytes; the lag is a shift by whole bytes

Counts above 1 have several planes, n = sum_k 2^k b_k, and a product is the sum over pairs of planes; levels 2 and 3
take four planes at once (a hexadecimal digit of the count).

All loops run over plain arrays in steps that the compiler turns into vector instructions.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.machine_intrinsics import add_product_32, count_set_bits

DIGIT_PLANES = 4
LONGEST_RUN = 448
"""Pixels of a run: all that is worked on at once fits into the fastest cache."""
MOST_COUNTED = 224
"""Words counted at once: 8-bit counters per frame must not overflow."""

_ODD_BITS = np.uint64(0x5555555555555555)
_PAIRS = np.uint64(0x3333333333333333)
_LOW_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_LOWEST_BITS = np.uint64(0x0101010101010101)
_ONE = np.uint64(1)


@numba.njit(nogil=True, cache=True)
def shift_back(now: np.ndarray, before: np.ndarray, frames: int, past: np.ndarray) -> None:
    """Set ``past`` to the words as they were 0 to 64 frames ago: bit t is the frame ``frames`` before frame t."""
    if frames == 64:
        past[: now.size] = before
        return
    shift = np.uint64(frames)
    # In two steps, because shifting a word by 64 bits is not defined.
    rest = np.uint64(63 - frames)
    for i in range(now.size):
        past[i] = (now[i] << shift) | ((before[i] >> _ONE) >> rest)


@numba.njit(nogil=True, cache=True)
def frame_products(now: np.ndarray, past: np.ndarray, mask: np.uint64) -> int:
    """Sum of products of single frames, one plane each; ``mask`` chooses frames."""
    total = np.int64(0)
    for i in range(now.size):
        total += count_set_bits(now[i] & past[i] & mask)
    return total


@numba.njit(nogil=True, cache=True)
def pair_products(now: np.ndarray, past: np.ndarray, mask: np.uint64) -> int:
    """Sum of products of sums of two frames, one plane each; ``mask`` chooses whole pairs."""
    total = np.int64(0)
    for i in range(now.size):
        word = now[i] & mask
        swapped = ((past[i] >> _ONE) & _ODD_BITS) | ((past[i] & _ODD_BITS) << _ONE)
        total += count_set_bits(word & past[i]) + count_set_bits(word & swapped)
    return total


@numba.njit(nogil=True, cache=True)
def add_quadruples(words: np.ndarray, plane: int, even: np.ndarray, odd: np.ndarray) -> None:
    """Add 2^plane times the photons of every four frames, as bytes: those of quadruples 0, 2, 4 ... to ``even``."""
    weight = np.uint64(plane)
    for i in range(words.size):
        pairs = words[i] - ((words[i] >> _ONE) & _ODD_BITS)
        nibbles = (pairs & _PAIRS) + ((pairs >> np.uint64(2)) & _PAIRS)
        even[i] += (nibbles & _LOW_NIBBLES) << weight
        odd[i] += ((nibbles >> np.uint64(4)) & _LOW_NIBBLES) << weight


@numba.njit(nogil=True, cache=True)
def quadruple_masks(mask: np.uint64) -> tuple[np.uint64, np.uint64]:
    """``mask``, which chooses whole quadruples of frames, for the bytes of even and odd quadruples."""
    spread = np.uint64(17)
    return (mask & _LOW_NIBBLES) * spread, ((mask >> np.uint64(4)) & _LOW_NIBBLES) * spread


@numba.njit(nogil=True, cache=True)
def keep(words: np.ndarray, mask: np.uint64, kept: np.ndarray) -> None:
    """Set ``kept`` to the masked words."""
    for i in range(words.size):
        kept[i] = words[i] & mask


@numba.njit(nogil=True, cache=True)
def byte_products(first: np.ndarray, second: np.ndarray) -> int:
    """Sum of products of two arrays of bytes; it must lie below 2^31, as with 33,000 of them it always does."""
    total = np.int32(0)
    for i in range(first.size):
        total = add_product_32(total, first[i], second[i])
    return np.int64(total)


@numba.njit(nogil=True, cache=True)
def count_by_frame(words: np.ndarray, counters: np.ndarray) -> None:
    """Set ``counters``, shape (8,), uint64: byte j of counter k is the number of words with bit 8 j + k.

    words : ndarray, shape (at most MOST_COUNTED,), uint64
    """
    c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = np.uint64(0)
    for i in range(words.size):
        word = words[i]
        c0 += word & _LOWEST_BITS
        c1 += (word >> np.uint64(1)) & _LOWEST_BITS
        c2 += (word >> np.uint64(2)) & _LOWEST_BITS
        c3 += (word >> np.uint64(3)) & _LOWEST_BITS
        c4 += (word >> np.uint64(4)) & _LOWEST_BITS
        c5 += (word >> np.uint64(5)) & _LOWEST_BITS
        c6 += (word >> np.uint64(6)) & _LOWEST_BITS
        c7 += (word >> np.uint64(7)) & _LOWEST_BITS
    counters[0] = c0
    counters[1] = c1
    counters[2] = c2
    counters[3] = c3
    counters[4] = c4
    counters[5] = c5
    counters[6] = c6
    counters[7] = c7


def in_frame_order(counts: np.ndarray) -> np.ndarray:
    """Counts whose last axis stands as ``count_by_frame`` leaves it (k, j), sorted by frame 8 j + k."""
    return counts.reshape(*counts.shape[:-1], 8, 8).swapaxes(-1, -2).reshape(counts.shape)
