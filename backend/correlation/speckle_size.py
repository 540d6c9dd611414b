"""Size of a speckle in pixels, from products of neighbouring pixels within single frames."""

from __future__ import annotations

import numpy as np

from backend.correlation import event_kernels as kernels
from backend.photon_events import RingPartition

_REACH_PX = 3


class SpeckleSize:
    """Accumulates I(p) I(p + d) at distances of 1 to 3 pixels along rows and columns."""

    def __init__(self, partition: RingPartition) -> None:
        self._partition = partition
        self._columns = partition.shape_yx[1]
        self._dense = np.zeros(partition.cell_of_pixel.size, np.uint32)
        self._products = np.zeros((2, _REACH_PX), np.int64)
        self._fine_counts = np.zeros(partition.fine_rings, np.int64)
        self._photon_pairs = 0.0

    def add(self, pixel: np.ndarray, count: np.ndarray) -> None:
        """Add one frame."""
        kernels.scatter(pixel, count, self._dense)
        for axis, stride in enumerate((1, self._columns)):
            for reach in range(_REACH_PX):
                step = stride * (reach + 1)
                kernels.neighbour_products(
                    pixel,
                    count,
                    self._dense,
                    step,
                    self._columns,
                    self._partition.cell_of_pixel,
                    self._products[axis, reach : reach + 1],
                )
        kernels.clear(pixel, self._dense)
        counts = np.zeros(self._partition.fine_rings, np.int64)
        kernels.add_counts(pixel, count, self._partition.fine_of_pixel, counts, np.zeros_like(counts))
        self._fine_counts += counts
        total = float(counts.sum())
        self._photon_pairs += total * (total - 1)

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
        total = float(self._fine_counts.sum())
        if contrast <= 0 or total == 0:
            return 1.0
        # The last one is that of the pixels outside, which have number -1.
        share = np.append(self._fine_counts / self._partition.fine_pixels / total, 0.0)
        image = share[self._partition.fine_of_pixel].reshape(self._partition.shape_yx)
        area = 1.0
        for axis in range(2):
            width = 1.0
            for reach in range(1, _REACH_PX + 1):
                first, second = (
                    (image[:, :-reach], image[:, reach:]) if axis == 0 else (image[:-reach], image[reach:])
                )
                expected = float(np.einsum("yx,yx->", first, second)) * self._photon_pairs
                if expected > 0:
                    width += 2 * (self._products[axis, reach - 1] / expected - 1) / contrast
            # Noise may be negative at one distance; only the sum is known to be no smaller than the pixel itself.
            area *= min(max(width, 1.0), 1.0 + 2 * _REACH_PX)
        return area
