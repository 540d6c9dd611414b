"""Kernels for the size of a speckle: products of neighbouring pixels, as counted and as expected from the rings."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def add_frame(
    pixel: np.ndarray,
    count: np.ndarray,
    columns: int,
    groups: tuple[np.ndarray, np.ndarray],
    fine_counts: np.ndarray,
    cell_sums: tuple[np.ndarray, np.ndarray],
    products: np.ndarray,
) -> None:
    """Add the photons of a frame, their pairs, and sum of I(p) I(p + d) over pixels that are both in rings.

    Parameters
    ----------
    pixel, count : ndarray, shape (event,), uint32
        Pixels ascending: neighbours are found by walking along the list twice.
    columns : int
        Pixels of a row of the detector.
    groups : tuple of ndarray, shape (pixel,), int16
        Fine ring and cell of each pixel; negative outside.
    fine_counts : ndarray, shape (fine ring,), int64
    cell_sums : tuple of ndarray, shape (cell,), int64
        Photons n, and pairs n (n - 1) of photons in the same pixel.
    products : ndarray, shape (2, distance), int64
        At distances of 1, 2, ... along rows, and along columns.
    """
    fine_of_pixel, cell_of_pixel = groups
    cell_counts, cell_pairs = cell_sums
    inside = np.empty(pixel.size, np.int64)
    photons = np.empty(pixel.size, np.int64)
    events = 0
    for event in range(pixel.size):
        fine = fine_of_pixel[pixel[event]]
        if fine >= 0:
            number = np.int64(count[event])
            inside[events], photons[events] = pixel[event], number
            events += 1
            fine_counts[fine] += number
            cell = cell_of_pixel[pixel[event]]
            cell_counts[cell] += number
            cell_pairs[cell] += number * (number - 1)
    for axis in range(2):
        for index in range(products.shape[1]):
            step = (index + 1) * (columns if axis else 1)
            other = 0
            for event in range(events):
                there = inside[event] + step
                while other < events and inside[other] < there:
                    other += 1
                if other == events:
                    break
                # A step along a row does not go on in the next one.
                if inside[other] == there and (axis or there % columns > inside[event] % columns):
                    products[axis, index] += photons[event] * photons[other]


@numba.njit(nogil=True, cache=True)
def add_shares(
    rows: tuple[int, int], fine_of_pixel: np.ndarray, share: np.ndarray, products: np.ndarray
) -> None:
    """Add sum of share(p) share(p + d) over the pixels p of some rows.

    Parameters
    ----------
    rows : tuple of int
        First and last (excluded); p + d may lie beyond.
    fine_of_pixel : ndarray, shape (y, x), int16; negative outside, where the share is 0.
    share : ndarray, shape (fine ring,), float64
        Of one pixel of each fine ring.
    products : ndarray, shape (2, distance), float64
        As in :func:`add_frame`.
    """
    first, last = rows
    height, columns = fine_of_pixel.shape
    distances = products.shape[1]
    newest = np.zeros((distances + 1, columns))
    # By columns, so that neighbouring ones are added at once.
    sums = np.zeros((2, distances, columns))
    for y in range(first, min(last + distances, height)):
        here = newest[y % (distances + 1)]
        for x in range(columns):
            fine = fine_of_pixel[y, x]
            here[x] = share[fine] if fine >= 0 else 0.0
        for distance in range(1, distances + 1):
            if y < last:
                along_row = sums[0, distance - 1]
                for x in range(columns - distance):
                    along_row[x] += here[x] * here[x + distance]
            if first <= y - distance < last:
                before, along_column = newest[(y - distance) % (distances + 1)], sums[1, distance - 1]
                for x in range(columns):
                    along_column[x] += before[x] * here[x]
    for axis in range(2):
        for index in range(distances):
            products[axis, index] += sums[axis, index].sum()
