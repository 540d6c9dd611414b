"""Inner loops of the sector gate: which sectors, or sums over neighbouring ones, are farthest from usual."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def distance_in_sigma(counts: float, usual: float, variance: float) -> float:
    """Distance of counts from usual ones of this variance, in standard deviations; never negative.

    Square roots of counts scatter nearly alike however few they are (Anscombe).
    """
    widening = max(variance / max(usual, 1e-9), 1.0)
    return 2 * abs(np.sqrt(counts + 0.375) - np.sqrt(usual + 0.375)) / np.sqrt(widening)


@numba.njit(nogil=True, cache=True)
def farthest_sum(
    counts: np.ndarray,
    usual: np.ndarray,
    variance: np.ndarray,
    free: np.ndarray,
    systematic_variance: float,
    smallest_jump: float,
    nearest: float,
) -> tuple[int, int, int, int]:
    """First ring, ring behind the last, sector, and number of sectors from it on, which is 0 where no sum is far.

    Sectors are taken one by one and in pairs of neighbours, the last with the first.

    Parameters
    ----------
    counts, usual, variance : ndarray, shape (ring, sector), float64
        Counts, usual counts, and their variance by counting and speckle.
    free : ndarray, shape (ring, sector), bool
        False where nothing is to be looked for.
    systematic_variance : float
        Relative, and common to all rings.
    smallest_jump : float
        Sums that differ by a smaller part than this are not looked at.
    nearest : float
        Nor are those that differ by fewer standard deviations.
    """
    rings, sectors = counts.shape
    best = (0, 0, 0, 0)
    farthest = nearest
    of_counts, of_usual, of_variance = np.empty(rings), np.empty(rings), np.empty(rings)
    for sector in range(sectors):
        for together in range(1, 3):
            beside = (sector + together - 1) % sectors
            share = 0.5 * together  # of both sectors in the sum; one by itself is both of the same
            of_counts[:], of_usual[:], of_variance[:] = 0.0, 0.0, 0.0
            for ring in range(rings):
                one, other = share * free[ring, sector], share * free[ring, beside]
                more_counts = one * counts[ring, sector] + other * counts[ring, beside]
                more_usual = one * usual[ring, sector] + other * usual[ring, beside]
                more_variance = one * variance[ring, sector] + other * variance[ring, beside]
                far, limit = 0, farthest**2
                # All sums that end with this ring, side by side: one instruction serves several of them.
                for first in range(ring + 1):
                    of_counts[first] += more_counts
                    of_usual[first] += more_usual
                    of_variance[first] += more_variance
                    apart = of_counts[first] - of_usual[first]
                    whole = of_variance[first] + systematic_variance * of_usual[first] ** 2
                    # No distance is more than 2 apart / sqrt(whole).
                    far += 4 * apart**2 > limit * whole
                if not far:
                    continue
                for first in range(ring + 1):
                    if abs(of_counts[first] - of_usual[first]) <= smallest_jump * of_usual[first]:
                        continue
                    whole = of_variance[first] + systematic_variance * of_usual[first] ** 2
                    distance = distance_in_sigma(of_counts[first], of_usual[first], whole)
                    if distance > farthest:
                        best, farthest = (first, ring + 1, sector, together), distance
    return best


@numba.njit(nogil=True, cache=True)
def usual_counts(
    counts: np.ndarray, foreseen: np.ndarray, used: np.ndarray, foreseen_of_ring: np.ndarray
) -> np.ndarray:
    """What is ``foreseen``, times the counts of the ``used`` sectors of a ring over those foreseen there.

    Shapes: (ring, sector) and, ``foreseen_of_ring``, (ring,); float64, and bool for ``used``.
    """
    usual = np.empty_like(counts)
    for ring in range(counts.shape[0]):
        of_ring = 0.0
        for sector in range(counts.shape[1]):
            if used[ring, sector]:
                of_ring += counts[ring, sector]
        level = of_ring / max(foreseen_of_ring[ring], 1e-9)
        for sector in range(counts.shape[1]):
            usual[ring, sector] = foreseen[ring, sector] * level
    return usual


@numba.njit(nogil=True, cache=True)
def usual_by_others(
    products: np.ndarray, expected: np.ndarray, used: np.ndarray, of_ring: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Products, and what they would be by the other ``used`` sectors of their ring; both 0 where there is none.

    Parameters
    ----------
    products, expected : ndarray, shape (ring, sector), float64
    used : ndarray, shape (ring, sector), bool
    of_ring : tuple of ndarray, shape (ring,), float64
        Products and expected ones of all used sectors of each ring.
    """
    told, usual = np.zeros_like(products), np.zeros_like(products)
    for ring in range(products.shape[0]):
        for sector in range(products.shape[1]):
            of_products, of_expected = of_ring[0][ring], of_ring[1][ring]
            if used[ring, sector]:
                of_products -= products[ring, sector]
                of_expected -= expected[ring, sector]
            if of_expected > 0:
                told[ring, sector] = products[ring, sector]
                usual[ring, sector] = of_products / max(of_expected, 1e-300) * expected[ring, sector]
    return told, usual


@numba.njit(nogil=True, cache=True)
def distances_in_sigma(counts: np.ndarray, usual: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """The distance of each sector by itself; all arrays have the shape (ring, sector), float64."""
    distances = np.empty_like(counts)
    for ring in range(counts.shape[0]):
        for sector in range(counts.shape[1]):
            distances[ring, sector] = distance_in_sigma(
                counts[ring, sector], usual[ring, sector], variance[ring, sector]
            )
    return distances


def compile_kernels() -> None:
    """Load or compile the kernels, so that no series has to wait for them."""
    nothing = np.zeros((1, 1))
    none = np.zeros((1, 1), bool)
    farthest_sum(nothing, nothing, nothing, none, 0.0, 0.0, 0.0)
    usual_counts(nothing, nothing, none, np.zeros(1))
    usual_by_others(nothing, nothing, none, (np.zeros(1), np.zeros(1)))
    distances_in_sigma(nothing, nothing, nothing)
