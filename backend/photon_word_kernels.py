"""Kernels that put pixels into order and write photons into their words."""

from __future__ import annotations

import numba
import numpy as np

from backend.sorted_photons import add_to_words, position_of

LONGEST_SEGMENT = 4096
BLOCK_POSITIONS = 512
"""Positions whose bits are turned at once; shares of the work begin at multiples of it."""
_ALIGNMENT = 16
_SHARE_POSITIONS = 16384
"""A share can begin at least this often."""


@numba.njit(nogil=True, cache=True)
def _cell_sizes(cell_of_pixel: np.ndarray, first: int, last: int, sizes: np.ndarray) -> None:
    sizes[:] = 0
    outside = sizes.size - 1
    for pixel in range(first, last):
        cell = np.int64(cell_of_pixel[pixel])
        sizes[cell if cell >= 0 else outside] += 1


@numba.njit(nogil=True, cache=True)
def count_segments(cell_of_pixel: np.ndarray, cells: int, tile_pixels: int) -> int:
    """Number of segments that :func:`place` will make."""
    sizes = np.empty(cells + 1, np.int64)
    segments = 0
    for first in range(0, cell_of_pixel.size, tile_pixels):
        _cell_sizes(cell_of_pixel, first, min(first + tile_pixels, cell_of_pixel.size), sizes)
        for size in sizes:
            segments += -(-size // LONGEST_SEGMENT)
    return segments


@numba.njit(nogil=True, cache=True)
def _rounded_up(number: int, step: int) -> int:
    return -(-number // step) * step


@numba.njit(nogil=True, cache=True)
def place(
    cell_of_pixel: np.ndarray,
    cells: int,
    tile_pixels: int,
    position: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    segment_cell: np.ndarray,
) -> int:
    """Fill position, start, stop and cell; returns the number of positions, a multiple of BLOCK_POSITIONS."""
    sizes = np.empty(cells + 1, np.int64)
    following = np.empty(cells + 1, np.int64)
    segment = 0
    free = 0
    share = 0
    for first in range(0, cell_of_pixel.size, tile_pixels):
        last = min(first + tile_pixels, cell_of_pixel.size)
        _cell_sizes(cell_of_pixel, first, last, sizes)
        for cell in range(cells + 1):
            if free - share >= _SHARE_POSITIONS or sizes[cell] > LONGEST_SEGMENT:
                free = share = _rounded_up(free, BLOCK_POSITIONS)
            following[cell] = free
            for at in range(free, free + sizes[cell], LONGEST_SEGMENT):
                start[segment] = at
                stop[segment] = min(at + LONGEST_SEGMENT, free + sizes[cell])
                segment_cell[segment] = cell
                segment += 1
            free += _rounded_up(sizes[cell], _ALIGNMENT)
        for pixel in range(first, last):
            cell = np.int64(cell_of_pixel[pixel])
            group = cell if cell >= 0 else cells
            position[pixel] = following[group]
            following[group] += 1
    return _rounded_up(free, BLOCK_POSITIONS)


@numba.njit(nogil=True, cache=True)
def flag_of(plane: int) -> np.uint8:
    """Bit that says that a pixel has something in a plane above the first; the highest planes share one."""
    return np.uint8(1 << min(plane, 7))


@numba.njit(nogil=True, cache=True)
def clear_higher_planes(words: np.ndarray, many: np.ndarray, planes: int) -> None:
    """Empty all planes but the first, where the flags say that they hold something, and the flags."""
    flags = many.view(np.uint64)
    for eight in range(flags.size):
        if flags[eight] == np.uint64(0):
            continue
        flags[eight] = 0
        for plane in range(1, planes):
            words[plane, 8 * eight : 8 * eight + 8] = 0


@numba.njit(nogil=True, cache=True)
def forget(bits: np.uint64, words: np.ndarray, many: np.ndarray, planes: int) -> None:
    """Take the frames of ``bits`` out of all words."""
    for position in range(many.size):
        words[0, position] &= ~bits
        if many[position]:
            for plane in range(1, planes):
                words[plane, position] &= ~bits


@numba.njit(nogil=True, cache=True)
def write_photons(photons: np.ndarray, words: np.ndarray, many: np.ndarray) -> None:
    """Add listed photons to the words."""
    for photon in photons:
        position = position_of(photon)
        for plane in range(1, add_to_words(photon, words, position)):
            many[position] |= flag_of(plane)
