"""Kernels of the higher multi-tau levels: samples of counts, and their products segment by segment."""

from __future__ import annotations

import numba
import numpy as np

from backend.correlation.word_products import byte_products
from backend.machine_intrinsics import count_set_bits

_RUN = 1024
"""Positions at a time: they stay in the fastest cache, and sums of products of bytes fit into 31 bits."""


@numba.njit(nogil=True, cache=True)
def _count_bits(words: np.ndarray, mask: np.uint64, sample: np.ndarray) -> None:
    for i in range(words.size):
        sample[i] = count_set_bits(words[i] & mask)


@numba.njit(nogil=True, cache=True)
def _flagged(begin: int, flags: np.ndarray, found: np.ndarray) -> int:
    """Positions, counted from ``begin`` on, whose flag is set; returns how many."""
    eights = flags.view(np.uint64)
    number = 0
    for eight in range(eights.size):
        if eights[eight] != np.uint64(0):
            for i in range(8 * eight, 8 * eight + 8):
                found[number] = begin + i
                number += flags[i] != 0
    return number


@numba.njit(nogil=True, cache=True)
def _add_higher_planes(
    position: np.ndarray, words: np.ndarray, planes: int, mask: np.uint64, sample: np.ndarray
) -> None:
    for i in range(position.size):
        total = np.int64(sample[position[i]])
        for plane in range(1, planes):
            total += count_set_bits(words[plane, position[i]] & mask) << plane
        sample[position[i]] = total


@numba.njit(nogil=True, cache=True)
def samples_of_words(
    begin: int,
    end: int,
    words: np.ndarray,
    many: np.ndarray,
    planes: int,
    masks: np.ndarray,
    samples: np.ndarray,
    slots: np.ndarray,
) -> None:
    """Set ``samples[slots[i], begin:end]`` to the photons of the frames in ``masks[i]``."""
    found = np.empty(_RUN + 1, np.int64)
    for first in range(begin, end, _RUN):
        last = min(first + _RUN, end)
        position = found[: _flagged(first, many[first:last], found)]
        for i in range(masks.size):
            sample = samples[slots[i]]
            _count_bits(words[0, first:last], masks[i], sample[first:last])
            _add_higher_planes(position, words, planes, masks[i], sample)


@numba.njit(nogil=True, cache=True)
def add_samples(first: np.ndarray, second: np.ndarray, total: np.ndarray) -> None:
    """Set ``total`` to the sum of two samples."""
    for i in range(total.size):
        total[i] = first[i] + second[i]


@numba.njit(nogil=True, cache=True)
def bits_in_use(words: np.ndarray) -> np.uint64:
    """All words ORed."""
    used = np.uint64(0)
    for i in range(words.size):
        used |= words[i]
    return used


@numba.njit(nogil=True, cache=True)
def _product_of_counts(first: np.ndarray, second: np.ndarray) -> int:
    total = np.uint64(0)
    for i in range(first.size):
        total += np.uint64(first[i]) * np.uint64(second[i])
    return np.int64(total)


@numba.njit(nogil=True, cache=True)
def add_byte_products(
    first: int,
    last: int,
    segments: tuple[np.ndarray, np.ndarray, np.ndarray],
    samples: np.ndarray,
    slot: int,
    earlier: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Add sum over pixels of the product of a uint8 sample with earlier ones, for a range of segments.

    samples : ndarray, shape (slot, position)
    earlier : ndarray, shape (lag,), int64
        Slots of the earlier samples.
    sums : ndarray, shape (lag, cell), int64
    """
    for segment in range(first, last):
        cell = segments[2][segment]
        if cell < sums.shape[1]:
            for begin in range(segments[0][segment], segments[1][segment], _RUN):
                end = min(begin + _RUN, segments[1][segment])
                for row in range(earlier.size):
                    past = samples[earlier[row], begin:end]
                    sums[row, cell] += byte_products(samples[slot, begin:end], past)


@numba.njit(nogil=True, cache=True)
def add_count_products(
    first: int,
    last: int,
    segments: tuple[np.ndarray, np.ndarray, np.ndarray],
    samples: np.ndarray,
    slot: int,
    earlier: np.ndarray,
    sums: np.ndarray,
) -> None:
    """As :func:`add_byte_products` for wider counts."""
    for segment in range(first, last):
        cell = segments[2][segment]
        if cell < sums.shape[1]:
            begin, end = segments[0][segment], segments[1][segment]
            for row in range(earlier.size):
                past = samples[earlier[row], begin:end]
                sums[row, cell] += _product_of_counts(samples[slot, begin:end], past)
