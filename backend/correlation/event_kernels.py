"""Kernels on sparse samples: sorted lists of (pixel, count). All sums are integers, so order never matters."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def scatter(pixel: np.ndarray, count: np.ndarray, dense: np.ndarray) -> None:
    """Write the counts of a sample into the zeroed ``dense``, shape (pixel,), uint32."""
    for i in range(pixel.size):
        dense[pixel[i]] = count[i]


@numba.njit(nogil=True, cache=True)
def clear(pixel: np.ndarray, dense: np.ndarray) -> None:
    """Set ``dense`` back to zero where a sample had counts."""
    for i in range(pixel.size):
        dense[pixel[i]] = 0


@numba.njit(nogil=True, cache=True)
def add_products(
    pixel: np.ndarray, count: np.ndarray, dense: np.ndarray, cell_of_pixel: np.ndarray, products: np.ndarray
) -> None:
    """Add sum over pixels of sample times ``dense`` to ``products``, shape (cell,), int64."""
    for i in range(pixel.size):
        other = dense[pixel[i]]
        if other != 0:
            cell = cell_of_pixel[pixel[i]]
            if cell >= 0:
                products[cell] += np.int64(count[i]) * np.int64(other)


@numba.njit(nogil=True, cache=True)
def add_dense_products(
    first: np.ndarray, second: np.ndarray, cell_of_pixel: np.ndarray, products: np.ndarray
) -> None:
    """The same for two samples that are both dense, shape (pixel,), uint32."""
    # Neighbours are mostly of one cell: summing up until it changes spares a guess at every pixel.
    total = np.int64(0)
    cell = np.int64(-1)
    for i in range(first.size):
        here = np.int64(cell_of_pixel[i])
        if here != cell:
            if cell >= 0:
                products[cell] += total
            total = np.int64(0)
            cell = here
        total += np.int64(first[i]) * np.int64(second[i])
    if cell >= 0:
        products[cell] += total


@numba.njit(nogil=True, cache=True)
def add_counts(
    pixel: np.ndarray, count: np.ndarray, group_of_pixel: np.ndarray, counts: np.ndarray, pairs: np.ndarray
) -> None:
    """Add the photons n and the pairs n(n - 1) of a sample per group; ``counts``, ``pairs``: shape (group,), int64."""
    for i in range(pixel.size):
        group = group_of_pixel[pixel[i]]
        if group >= 0:
            n = np.int64(count[i])
            counts[group] += n
            pairs[group] += n * (n - 1)


@numba.njit(nogil=True, cache=True)
def add_to_image(pixel: np.ndarray, count: np.ndarray, image: np.ndarray) -> None:
    """Add a sample to ``image``, shape (pixel,), int64."""
    for i in range(pixel.size):
        image[pixel[i]] += np.int64(count[i])


@numba.njit(nogil=True, cache=True)
def merge(
    pixel_a: np.ndarray, count_a: np.ndarray, pixel_b: np.ndarray, count_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sum of two samples, again sorted by pixel."""
    size = pixel_a.size + pixel_b.size
    pixel = np.empty(size, np.uint32)
    count = np.empty(size, np.uint32)
    a = b = n = 0
    while a < pixel_a.size and b < pixel_b.size:
        if pixel_a[a] < pixel_b[b]:
            pixel[n] = pixel_a[a]
            count[n] = count_a[a]
            a += 1
        elif pixel_a[a] > pixel_b[b]:
            pixel[n] = pixel_b[b]
            count[n] = count_b[b]
            b += 1
        else:
            pixel[n] = pixel_a[a]
            count[n] = count_a[a] + count_b[b]
            a += 1
            b += 1
        n += 1
    while a < pixel_a.size:
        pixel[n] = pixel_a[a]
        count[n] = count_a[a]
        a += 1
        n += 1
    while b < pixel_b.size:
        pixel[n] = pixel_b[b]
        count[n] = count_b[b]
        b += 1
        n += 1
    return pixel[:n].copy(), count[:n].copy()


@numba.njit(nogil=True, cache=True)
def products_with_bins(
    offset: np.ndarray,
    pixel: np.ndarray,
    count: np.ndarray,
    bins: int,
    dense: np.ndarray,
    products: np.ndarray,
) -> None:
    """Set ``products[j]`` to the product of ``dense`` with sample j, for the first ``bins`` of a list of samples.

    offset : ndarray, shape (bins + 1,), int64; sample j is ``offset[j]:offset[j + 1]``.
    """
    for j in range(bins):
        total = np.int64(0)
        for i in range(offset[j], offset[j + 1]):
            total += np.int64(count[i]) * np.int64(dense[pixel[i]])
        products[j] = total


@numba.njit(nogil=True, cache=True)
def within(pixel: np.ndarray, count: np.ndarray, ring_of_pixel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of a sample whose pixels have a ring."""
    kept_pixel = np.empty(pixel.size, np.uint32)
    kept_count = np.empty(pixel.size, np.uint32)
    n = 0
    for i in range(pixel.size):
        if ring_of_pixel[pixel[i]] >= 0:
            kept_pixel[n] = pixel[i]
            kept_count[n] = count[i]
            n += 1
    return kept_pixel[:n].copy(), kept_count[:n].copy()


@numba.njit(nogil=True, cache=True)
def split_by_ring(
    pixel: np.ndarray, count: np.ndarray, ring_of_pixel: np.ndarray, rings: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sample sorted by ring, pixels of negative rings left out: starts, shape (ring + 1,), pixels and counts."""
    starts = np.zeros(rings + 1, np.int64)
    for i in range(pixel.size):
        ring = ring_of_pixel[pixel[i]]
        if ring >= 0:
            starts[ring + 1] += 1
    for ring in range(rings):
        starts[ring + 1] += starts[ring]
    fill = starts.copy()
    sorted_pixel = np.empty(starts[rings], np.uint32)
    sorted_count = np.empty(starts[rings], np.uint32)
    for i in range(pixel.size):
        ring = ring_of_pixel[pixel[i]]
        if ring >= 0:
            sorted_pixel[fill[ring]] = pixel[i]
            sorted_count[fill[ring]] = count[i]
            fill[ring] += 1
    return starts, sorted_pixel, sorted_count


@numba.njit(nogil=True, cache=True)
def neighbour_products(
    pixel: np.ndarray,
    count: np.ndarray,
    dense: np.ndarray,
    step: int,
    columns: int,
    cell_of_pixel: np.ndarray,
    products: np.ndarray,
) -> None:
    """Add sum of I(p) I(p + step) over pixels with both in rings to ``products[0]``.

    ``step`` is 1..3 along a row or a multiple of ``columns`` along a column.
    """
    total = np.int64(0)
    for i in range(pixel.size):
        here = np.int64(pixel[i])
        there = here + step
        if there >= dense.size or (step < columns and there % columns < here % columns):
            continue
        if dense[there] != 0 and cell_of_pixel[here] >= 0 and cell_of_pixel[there] >= 0:
            total += np.int64(count[i]) * np.int64(dense[there])
    products[0] += total
