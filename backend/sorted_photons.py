"""Photons of the 64 frames of a word as a sorted list: what a word is as long as most pixels have none.

A photon is one number: the position of its pixel times 64, plus its frame in the word. A count of n stands there n
times. In this order the photons of a pixel stand together, and so do those of neighbours: whoever goes through the list
never jumps in memory, and pixels without a photon cost nothing.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

LISTED_PLANES = 6
"""Counts up to 63 are listed."""
MOST_POSITIONS = 1 << 26
"""Position and frame share 32 bits."""


def no_photons() -> np.ndarray:
    """An empty list."""
    return np.empty(0, np.uint32)


@numba.njit(nogil=True, cache=True)
def position_of(photon: np.uint32) -> Any:
    """Position of the pixel of a photon, int64."""
    return np.int64(photon) >> 6


@numba.njit(nogil=True, cache=True)
def frame_of(photon: np.uint32) -> Any:
    """Frame of a photon within the word, int64."""
    return np.int64(photon) & 63


@numba.njit(nogil=True, cache=True)
def photons_between(photons: np.ndarray, begin: int, end: int) -> np.ndarray:
    """Photons of the positions ``begin`` to ``end`` (excluded)."""
    return photons[np.searchsorted(photons, begin << 6) : np.searchsorted(photons, end << 6)]


@numba.njit(nogil=True, cache=True)
def end_of_pixel(photons: np.ndarray, first: int, position: int) -> int:
    """Where the photons of a position end that begin at ``first``; ``first`` itself if there are none."""
    last = first
    while last < photons.size and position_of(photons[last]) == position:
        last += 1
    return last


@numba.njit(nogil=True, cache=True)
def add_to_words(photon: np.uint32, words: np.ndarray, place: int) -> int:
    """Add a photon to the words of a place, shape (plane, place), uint64; returns how many planes it reached."""
    carry = np.uint64(1) << np.uint64(frame_of(photon))
    plane = 0
    while carry != np.uint64(0):
        both = words[plane, place] & carry
        words[plane, place] ^= carry
        carry = both
        plane += 1
    return plane


def joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Both lists as one."""
    if not first.size or not second.size:
        return second if not first.size else first
    # A stable sort finds that there are two sorted parts and merges them.
    return np.sort(np.concatenate([first, second]), kind="stable")


def planes_of(photons: np.ndarray) -> int:
    """Planes that the counts of a list need, at least 1."""
    planes = 1
    # A count of n stands there n times, so the first and the last of them are n - 1 apart.
    while np.any(photons[(1 << planes) - 1 :] == photons[: max(0, photons.size + 1 - (1 << planes))]):
        planes += 1
    return planes


def without_frames(photons: np.ndarray, bits: int) -> np.ndarray:
    """The list without the photons of some frames; ``bits`` has a 1 for each."""
    taken = np.array([bits >> frame & 1 for frame in range(64)], bool)
    return photons[~taken[photons & np.uint32(63)]]
