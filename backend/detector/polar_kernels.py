"""Walks over the pixels of a detector by their distance from the beam, some rows at a time.

Maps of radius and azimuth of the whole detector would take longer to write and to read than to make again.
"""

from __future__ import annotations

import math

import numba
import numpy as np

SLICES = 4096
"""A turn around the beam is cut into so many slices."""

Place = tuple[float, float, int, int]
"""Row and column of the direct beam; first row and last row (excluded) to walk over."""

Edges = tuple[np.ndarray, np.ndarray]
"""Ascending radii in pixels, float64; and for each whole radius r how many of them are at most r, int64."""


def with_shells(edges: np.ndarray, largest_px: float) -> Edges:
    """The edges, with the table that the kernels begin their search with; no pixel is farther than ``largest_px``."""
    return edges, np.searchsorted(edges, np.arange(int(largest_px) + 2), side="right")


@numba.njit(nogil=True, cache=True)
def _below(radius: float, edges: Edges) -> int:
    """How many edges are at most the radius."""
    radii, of_shell = edges
    found = of_shell[int(radius)]
    while found < radii.size and radii[found] <= radius:
        found += 1
    return found


@numba.njit(nogil=True, cache=True)
def _slice_of(y: float, x: float) -> int:
    """Slice of the turn from -pi on; not all are equally wide, but they come in the order of the azimuth.

    The sum of both distances instead of the radius makes a square of the circle, and a division of the arctangent.
    """
    around = abs(y) + abs(x)
    rise = y / around if around > 0 else 0.0
    if x >= 0:
        quarters = 2 + rise
    elif y < 0:
        quarters = -rise
    else:
        quarters = 4 - rise
    return min(int(quarters * (SLICES // 4)), SLICES - 1)


@numba.njit(nogil=True, cache=True)
def count_shells(place: Place, good: np.ndarray, pixels: np.ndarray) -> None:
    """Add the good pixels of each whole radius."""
    row, column, first, last = place
    for y in range(first, last):
        for x in range(good.shape[1]):
            if good[y, x]:
                pixels[int(math.sqrt((y - row) ** 2 + (x - column) ** 2))] += 1


@numba.njit(nogil=True, cache=True)
def add_light_of_shells(
    center: tuple[float, float], good: np.ndarray, pixel: np.ndarray, count: np.ndarray, light: np.ndarray
) -> None:
    """Add the photons of good pixels at each whole radius."""
    for event in range(pixel.size):
        y, x = divmod(np.int64(pixel[event]), np.int64(good.shape[1]))
        if good[y, x]:
            light[int(math.sqrt((y - center[0]) ** 2 + (x - center[1]) ** 2))] += count[event]


@numba.njit(nogil=True, cache=True)
def add_light_of_groups(
    group_of_pixel: np.ndarray, pixel: np.ndarray, count: np.ndarray, light: np.ndarray
) -> None:
    """Add the photons of each group of pixels; pixels with a negative one are in none."""
    for event in range(pixel.size):
        group = group_of_pixel[pixel[event]]
        if group >= 0:
            light[group] += count[event]


@numba.njit(nogil=True, cache=True)
def set_rings(place: Place, good: np.ndarray, ring_of_shell: np.ndarray, rings: np.ndarray) -> None:
    """Set ``rings``, shape (y, x), int16, to the ring of each pixel's whole radius, and to -1 where it is bad."""
    row, column, first, last = place
    for y in range(first, last):
        for x in range(good.shape[1]):
            shell = int(math.sqrt((y - row) ** 2 + (x - column) ** 2))
            rings[y, x] = ring_of_shell[shell] if good[y, x] else -1


@numba.njit(nogil=True, cache=True)
def count_between(place: Place, good: np.ndarray, edges: Edges, pixels: np.ndarray) -> None:
    """Add the good pixels between neighbouring edges, the lower included."""
    row, column, first, last = place
    for y in range(first, last):
        for x in range(good.shape[1]):
            if good[y, x]:
                between = _below(math.sqrt((y - row) ** 2 + (x - column) ** 2), edges) - 1
                if 0 <= between < pixels.size:
                    pixels[between] += 1


@numba.njit(nogil=True, cache=True)
def sort_into_fine_rings(
    place: Place,
    good: np.ndarray,
    edges: Edges,
    fine_per_ring: int,
    px_to_tangent: float,
    maps: tuple[np.ndarray, np.ndarray],
    sums: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Fine ring and slice of each pixel, and sums over them.

    Parameters
    ----------
    px_to_tangent : float
        Tangent of the scattering angle per pixel of radius.
    maps : tuple of ndarray, shape (y, x), int16
        Set to the fine ring, -1 outside, and to the slice.
    sums : tuple of ndarray
        Added to: pixels of each fine ring (int64), the sum over them of sin(theta)^2 (float64), where 2 theta is the
        scattering angle; pixels of each slice of each ring, shape (ring, slice), int64.
    """
    row, column, first, last = place
    fine_of_pixel, slice_of_pixel = maps
    pixels, sine_squares, of_slices = sums
    for y in range(first, last):
        for x in range(good.shape[1]):
            fine = -1
            if good[y, x]:
                radius = math.sqrt((y - row) ** 2 + (x - column) ** 2)
                fine = _below(radius, edges) - 1
            if 0 <= fine < pixels.size:
                part = _slice_of(y - row, x - column)
                # sin(a / 2)^2 = (1 - cos(a)) / 2, with the cosine by the tangent, and nothing cancelled.
                tangent_squared = (radius * px_to_tangent) ** 2
                secant = math.sqrt(1 + tangent_squared)
                pixels[fine] += 1
                sine_squares[fine] += tangent_squared / (2 * secant * (1 + secant))
                of_slices[fine // fine_per_ring, part] += 1
                slice_of_pixel[y, x] = part
            else:
                fine = -1
            fine_of_pixel[y, x] = fine


@numba.njit(nogil=True, cache=True)
def set_cells(
    rows: tuple[int, int],
    fine_per_ring: int,
    sector_of_slice: np.ndarray,
    new_fine: np.ndarray,
    maps: tuple[np.ndarray, np.ndarray],
) -> None:
    """Turn slices into cells, and give fine rings their new numbers, in place; -1 stays outside.

    sector_of_slice : ndarray, shape (ring, slice), int64
        Counted through all rings: ring times sectors plus sector.
    new_fine : ndarray, shape (fine ring,), int64
    """
    fine_of_pixel, cell_of_pixel = maps
    for y in range(rows[0], rows[1]):
        for x in range(fine_of_pixel.shape[1]):
            fine = fine_of_pixel[y, x]
            if fine < 0:
                cell_of_pixel[y, x] = -1
            else:
                cell_of_pixel[y, x] = sector_of_slice[fine // fine_per_ring, cell_of_pixel[y, x]]
                fine_of_pixel[y, x] = new_fine[fine]
