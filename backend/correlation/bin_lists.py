"""Lists of the pixels that have a photon in each bin, one list behind the other, made of one word per pixel.

How long the lists will be is counted first, 256 bits at a time, so that they can lie close together: then all that is
written to lies in the fastest cache, and they stay in the next one.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.correlation.bit_counters import carry_on, count_rows, read_64_counters
from backend.correlation.two_time_kernels import BLOCK_BINS
from backend.machine_intrinsics import count_set_bits, count_trailing_zeros
from backend.word_vectors import lanes_with, list_lanes

WORDS_AT_ONCE = 32
"""The words of a block are filled up to a multiple of this with empty ones."""

LIST_ENTRIES = 8
"""The length of a list is a multiple of this."""

_ROW_WORDS = 4
_EIGHTS_AT_ONCE = 16
"""So many that eight digits overflow once at most."""

_DIGITS = 17
_ONE = np.uint64(1)

ListRoom = tuple[np.ndarray, np.ndarray]
"""What :func:`list_pixels` works with: made by :func:`new_list_room`."""


@numba.njit(nogil=True, cache=True)
def new_list_room(most_words: int) -> ListRoom:
    """Room to list up to so many words, at most 65536."""
    return np.empty(most_words + 8, np.uint16), np.arange(most_words // _ROW_WORDS).astype(np.uint16)


@numba.njit(nogil=True, cache=True)
def list_pixels(
    words: np.ndarray,
    empty: int,
    lists: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    free: int,
    room: ListRoom,
) -> int:
    """List for each of 64 bins the words that have its bit set; returns the place behind the last list.

    Parameters
    ----------
    words : ndarray, shape (a multiple of WORDS_AT_ONCE,), uint64
        Set to 0.
    empty : int
        Number with which each list is filled up to a multiple of LIST_ENTRIES.
    lists : ndarray, uint16
        The numbers of the words, from place ``free`` on, with a gap of LIST_ENTRIES before the first.
    begins, ends : ndarray, shape (64,), uint64
        Set to the first place of each list, and to that behind its last word.
    room : ListRoom
    """
    number, rows = room
    numbers = _photons_per_bin(words, rows)
    free += LIST_ENTRIES
    for t in range(BLOCK_BINS):
        begins[t], ends[t] = free, free
        free += (int(numbers[t]) + LIST_ENTRIES - 1) // LIST_ENTRIES * LIST_ENTRIES
        # Where there is no photon, this is the end of the list before, which has nothing yet, or the gap before all.
        for entry in range(LIST_ENTRIES):
            lists[free - LIST_ENTRIES + entry] = empty
    waiting = _number_words_in_use(words, number)
    # Round after round, each word gives its lowest bit, and those that are empty then leave. So nothing waits for the
    # word before, and there is no branch: which words have more bits has no pattern.
    while waiting:
        at = np.uint64(0)
        for i in range(waiting):
            whose = number[i]
            word = words[whose]
            lowest = np.uint64(count_trailing_zeros(word))
            end = ends[lowest]
            lists[end] = whose
            ends[lowest] = end + _ONE
            word &= word - _ONE
            words[whose] = word
            number[at] = whose
            at += np.uint64(word != np.uint64(0))
        waiting = int(np.int64(at))
    return free


@numba.njit(nogil=True, cache=True)
def _number_words_in_use(words: np.ndarray, number: np.ndarray) -> int:
    """Set the first of ``number`` to the numbers of the words that are not 0, and those behind to anything."""
    waiting = 0
    for first in range(0, words.size, 8):
        lanes = lanes_with(words, first, ~np.uint64(0))
        list_lanes(number, waiting, lanes, first)
        waiting += count_set_bits(lanes)
    return waiting


@numba.njit(nogil=True, cache=True)
def _photons_per_bin(words: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """How many words have each bit, shape (64,), int32."""
    counters, carry = np.zeros(_DIGITS * _ROW_WORDS, np.uint64), np.empty(_ROW_WORDS, np.uint64)
    digits = 8
    eights = words.size // WORDS_AT_ONCE
    for first in range(0, eights, _EIGHTS_AT_ONCE):
        some = min(eights - first, _EIGHTS_AT_ONCE)
        if count_rows(counters, 0, _ROW_WORDS, words, 0, rows, 8 * first, some, carry, _ROW_WORDS):
            digits = max(digits, 8 + carry_on(counters, 8 * _ROW_WORDS, _ROW_WORDS, carry))
    numbers = np.empty((_ROW_WORDS, BLOCK_BINS), np.int32)
    for word in range(_ROW_WORDS):
        read_64_counters(numbers.reshape(-1), BLOCK_BINS * word, counters, word, _ROW_WORDS, digits)
    total = numbers[0]
    for word in range(1, _ROW_WORDS):
        for t in range(BLOCK_BINS):
            total[t] += numbers[word, t]
    return total
