"""Size of a speckle in pixels, from products of neighbouring pixels within single frames."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor

import numpy as np

from backend.correlation import speckle_size_kernels as kernels
from backend.correlation.multitau import jackknife_error, leave_one_out, normalised
from backend.photon_events import RingPartition
from backend.worker_pool import equal_shares, share_out

_REACH_PX = 3
_PIECES = 16
_SIGNIFICANT = 5.0
"""A contrast of fewer standard errors is not known."""


class SpeckleSize:
    """Accumulates I(p) I(p + d) at distances of 1 to 3 pixels along rows and columns, and what the contrast needs.

    Parameters
    ----------
    partition : RingPartition
        Only pixels in its rings count.
    pool : Executor or None
        Threads that share the work; ``None`` = the calling thread alone. The numbers do not depend on it.

    Attributes
    ----------
    fine_counts : ndarray, shape (fine ring,), int64
        Photons so far.
    """

    def __init__(self, partition: RingPartition, pool: Executor | None = None) -> None:
        self._partition = partition
        self._pool = pool
        self._products = np.zeros((2, _REACH_PX), np.int64)
        self.fine_counts = np.zeros(partition.fine_rings, np.int64)
        self._cell_pairs = np.zeros((partition.rings, partition.sectors), np.int64)
        # Of all photons; of those of a ring, and of a ring without one of its sectors.
        self._photon_pairs = 0.0
        self._ring_pairs = np.zeros((partition.rings, 1 + partition.sectors))

    def add(self, frames: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Add frames, each given as its pixels, ascending, and their counts; both uint32."""
        for fine_counts, cell_counts, cell_pairs, products in share_out(self._pool, self._sums_of, frames):
            self._products += products
            self.fine_counts += fine_counts
            self._cell_pairs += cell_pairs.reshape(self._cell_pairs.shape)
            photons = float(fine_counts.sum())
            self._photon_pairs += photons * (photons - 1)
            of_rings = leave_one_out(cell_counts.reshape(self._cell_pairs.shape)).astype(np.float64)
            self._ring_pairs += of_rings * (of_rings - 1)

    def _sums_of(self, frame: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, ...]:
        partition = self._partition
        fine_counts, products = np.zeros_like(self.fine_counts), np.zeros_like(self._products)
        cell_counts, cell_pairs = np.zeros((2, self._cell_pairs.size), np.int64)
        groups = partition.fine_of_pixel, partition.cell_of_pixel
        columns = partition.shape_yx[1]
        kernels.add_frame(*frame, columns, groups, fine_counts, (cell_counts, cell_pairs), products)
        return fine_counts, cell_counts, cell_pairs, products

    def contrast(self) -> float | None:
        """Mean speckle contrast of all rings; ``None`` when there are too few photons to tell one.

        Of each ring as :meth:`backend.correlation.multitau.MultiTau.contrast` has it, weighted by its error.
        """
        pixels, pairs = leave_one_out(self._partition.cell_pixels), leave_one_out(self._cell_pairs)
        values = normalised(pixels, pairs[None].astype(np.float64), self._ring_pairs[None], None)[..., 0]
        value, error = values[0] - 1, jackknife_error(values[1:])
        usable = np.isfinite(value) & np.isfinite(error) & (error > 0)
        if not usable.any():
            return None
        weight = 1 / error[usable] ** 2
        mean = float((value[usable] * weight).sum() / weight.sum())
        return mean if mean * np.sqrt(weight.sum()) >= _SIGNIFICANT else None

    def area_px(self, contrast: float) -> float:
        """Speckle area: sum over all pixel distances of the correlation of intensities, from 1 upwards.

        Parameters
        ----------
        contrast : float
            Speckle contrast at distance zero.

        The correlation at distance d is (<I I'> / (<I><I'>) - 1) / contrast; the two axes are taken as separable.
        Expected products of uncorrelated pixels come from the smooth I(q) and the pairs n (n - 1) of photons in each
        frame: two different pixels always hold two different photons.
        """
        if contrast <= 0 or not self.fine_counts.any():
            return 1.0
        expected = self._expected_products()
        known = expected > 0
        excess = np.zeros(expected.shape)
        excess[known] = self._products[known] / expected[known] - 1
        width = 1.0 + 2 * excess.sum(axis=1) / contrast
        # Noise may be negative at one distance; only the sum is known to be no smaller than the pixel itself.
        return float(np.prod(np.clip(width, 1.0, 1.0 + 2 * _REACH_PX)))

    def _expected_products(self) -> np.ndarray:
        partition = self._partition
        share = self.fine_counts / partition.fine_pixels / self.fine_counts.sum()
        fine_of_pixel = partition.fine_of_pixel.reshape(partition.shape_yx)

        def work(rows: tuple[int, int]) -> np.ndarray:
            products = np.zeros(self._products.shape)
            kernels.add_shares(rows, fine_of_pixel, share, products)
            return products

        pieces = equal_shares(partition.shape_yx[0], _PIECES)
        sums: np.ndarray = np.sum(share_out(self._pool, work, pieces), axis=0)
        return sums * self._photon_pairs
