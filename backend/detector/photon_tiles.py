"""Kernels from decoded blocks to lists of photons, one list for each tile of the detector.

As long as most pixels have no photon within a word, that is less work than turning rows of frames into columns.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.detector.frame_rows import GROUP_PIXELS, GROUP_WORDS, lit_size
from backend.machine_intrinsics import count_trailing_zeros
from backend.sorted_photons import LISTED_PLANES

TOO_MANY = -1

Tiles = tuple[np.ndarray, np.ndarray, int]
"""Room for the photons of each tile, shape (tile, photon), uint32; how many are there, or TOO_MANY, shape (tile,),
int64; pixels of a tile. Without any tile, words are written instead."""

MOST_AT_ONCE = 64 << (LISTED_PLANES - 1)
"""Photons that must fit behind those that are there: 64 pixels of the highest plane."""


@numba.njit(nogil=True, cache=True, inline="always")
def _list_word(
    left: np.uint64,
    pixel: int,
    frame: int,
    copies: int,
    position: np.ndarray,
    listed: np.ndarray,
    tile: int,
    number: int,
) -> int:
    """Append each pixel that ``left`` has a bit for, from ``pixel`` on, so many times; there must be room."""
    while left != np.uint64(0):
        photon = position[pixel + count_trailing_zeros(left)] << np.uint32(6) | np.uint32(frame)
        left &= left - np.uint64(1)
        for _ in range(copies):
            listed[tile, number] = photon
            number += 1
    return number


@numba.njit(nogil=True, cache=True)
def list_first_plane(
    rows: np.ndarray,
    lit: np.ndarray,
    first: int,
    size: int,
    position: np.ndarray,
    listed: np.ndarray,
    tile: int,
    number: int,
) -> int:
    """Append the photons of the first plane of a piece of whole groups; returns as :func:`list_rows`.

    lit : ndarray, uint64
        Words of its rows that are not empty, as :func:`backend.detector.frame_rows.rows_of_planes` notes them.
    """
    if number == TOO_MANY:
        return TOO_MANY
    parts = lit_size(size) >> 6
    for at in range(64 * parts):
        left = lit[at]
        frame, part = divmod(at, parts)
        while left != np.uint64(0):
            word = (part << 6) + count_trailing_zeros(left)
            left &= left - np.uint64(1)
            if number + MOST_AT_ONCE > listed.shape[1]:
                return TOO_MANY
            row = rows[(word >> 3) * GROUP_WORDS + 8 * frame + (word & 7)]
            number = _list_word(row, first + (word << 6), frame, 1, position, listed, tile, number)
    return number


@numba.njit(nogil=True, cache=True)
def list_rows(
    rows: np.ndarray,
    planes: tuple[int, int],
    first: int,
    size: int,
    position: np.ndarray,
    listed: np.ndarray,
    tile: int,
    number: int,
) -> int:
    """Append the photons of some planes of a piece; returns how many the tile has then, or TOO_MANY."""
    if number == TOO_MANY or planes[1] > LISTED_PLANES:
        return TOO_MANY
    groups = -(-size // GROUP_PIXELS)
    for at in range(planes[0] * groups * GROUP_WORDS, planes[1] * groups * GROUP_WORDS):
        if rows[at] != np.uint64(0):
            if number + MOST_AT_ONCE > listed.shape[1]:
                return TOO_MANY
            frame, word = divmod(at % GROUP_WORDS, 8)
            plane, group = divmod(at // GROUP_WORDS, groups)
            pixel = first + group * GROUP_PIXELS + (word << 6)
            number = _list_word(rows[at], pixel, frame, 1 << plane, position, listed, tile, number)
    return number
