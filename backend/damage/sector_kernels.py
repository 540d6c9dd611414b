"""Inner loop of the sector gate: the sum over neighbouring rings and sectors that is farthest from usual."""

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
    systematic_variance: float,
    smallest_jump: float,
) -> tuple[int, int, int, int, float]:
    """First ring, ring behind the last, sector, number of sectors from it on, and distance in standard deviations.

    Sectors are taken one by one and in pairs of neighbours, the last with the first.

    Parameters
    ----------
    counts, usual, variance : ndarray, shape (ring, sector), float64
        Counts, usual counts, and their variance by counting and speckle; 0 where nothing is to be looked for.
    systematic_variance : float
        Relative, and common to all rings.
    smallest_jump : float
        Sums that differ by a smaller part than this are not looked at.
    """
    rings, sectors = counts.shape
    best = (0, 0, 0, 0)
    farthest = 0.0
    for sector in range(sectors):
        for together in range(1, 3):
            beside = (sector + together - 1) % sectors
            share = 0.5 * together  # of both sectors in the sum; one by itself is both of the same
            for first in range(rings):
                of_counts = of_usual = of_variance = 0.0
                for ring in range(first, rings):
                    of_counts += share * (counts[ring, sector] + counts[ring, beside])
                    of_usual += share * (usual[ring, sector] + usual[ring, beside])
                    of_variance += share * (variance[ring, sector] + variance[ring, beside])
                    if abs(of_counts - of_usual) <= smallest_jump * of_usual:
                        continue
                    whole = of_variance + systematic_variance * of_usual**2
                    distance = distance_in_sigma(of_counts, of_usual, whole)
                    if distance > farthest:
                        best, farthest = (first, ring + 1, sector, together), distance
    return best[0], best[1], best[2], best[3], farthest


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
    farthest_sum(nothing, nothing, nothing, 0.0, 0.0)
    distances_in_sigma(nothing, nothing, nothing)
