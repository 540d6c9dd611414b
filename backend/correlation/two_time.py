"""Streaming two-time correlation per ring with bounded memory: frames are summed into at most ``max_bins`` bins.

C(q, t1, t2) = N sum_p I_p(t1) I_p(t2) / (S(t1) S(t2)) over N pixels of the ring; the product of ring sums cancels
the incident intensity exactly. Summing neighbouring bins later gives the same numbers as binning from the start,
because products of sums are sums of products. The diagonal is left out: it would need I (I - 1).

The binned photons of all rings are kept, but products are formed only for the ring that is asked for, and only for
bins that are new since it was asked for last.
"""

from __future__ import annotations

import numpy as np

from backend.correlation import event_kernels as kernels
from backend.photon_events import RingPartition


class TwoTime:
    """Two-time maps, one ring at a time.

    Parameters
    ----------
    partition : RingPartition
        Rings.
    max_bins : int
        Largest edge of a map (even); when it is reached, neighbouring bins are summed.
    pixels_per_ring : int
        At most this many pixels per ring are used, evenly spread, so that cost and memory stay bounded.
    """

    def __init__(self, partition: RingPartition, max_bins: int, pixels_per_ring: int) -> None:
        self._max_bins = max_bins // 2 * 2
        self._rings = partition.rings
        ring = np.where(partition.cell_of_pixel >= 0, partition.cell_of_pixel // partition.sectors, -1)
        self._ring_of_pixel = _thin_out(ring.astype(np.int16), partition.rings, pixels_per_ring)
        used = self._ring_of_pixel[self._ring_of_pixel >= 0]
        self._pixels = np.bincount(used, minlength=partition.rings)
        self.pixel_fraction = self._pixels / partition.ring_pixels
        self._dense = np.zeros(ring.size, np.uint32)
        self._history = [_Bins() for _ in range(partition.rings)]
        self.frames_per_bin = 1
        self._open: tuple[np.ndarray, np.ndarray] | None = None
        self._open_frames = 0
        self._shown_ring = -1
        self._products = np.zeros((self._max_bins, self._max_bins), np.int64)
        self._rows = 0

    def add(self, pixel: np.ndarray, count: np.ndarray) -> None:
        """Add the next frame, given as its photon events; a missing frame is an empty one."""
        chosen = kernels.within(pixel, count, self._ring_of_pixel)
        self._open = chosen if self._open is None else kernels.merge(*self._open, *chosen)
        self._open_frames += 1
        if self._open_frames < self.frames_per_bin:
            return
        starts, pixels, counts = kernels.split_by_ring(*self._open, self._ring_of_pixel, self._rings)
        for ring, bins in enumerate(self._history):
            part = slice(starts[ring], starts[ring + 1])
            bins.append(pixels[part], counts[part])
        self._open = None
        self._open_frames = 0
        if len(self._history[0]) == self._max_bins:
            self._halve()

    def _halve(self) -> None:
        self._history = [bins.halved() for bins in self._history]
        self._rows = 0
        self.frames_per_bin *= 2

    def result(self, ring: int, gradient: float = 1.0) -> np.ndarray:
        """Map of one ring, shape (bin, bin), float32; diagonal and bins without photons are nan."""
        if ring != self._shown_ring:
            self._shown_ring = ring
            self._rows = 0
        bins = self._history[ring]
        for row in range(self._rows, len(bins)):
            pixel, count = bins.sample(row)
            kernels.scatter(pixel, count, self._dense)
            bins.multiply(self._dense, row, self._products[row])
            kernels.clear(pixel, self._dense)
        self._rows = len(bins)
        lower = np.tril(self._products[: self._rows, : self._rows], -1)
        sums = bins.sums()
        normaliser = sums[:, None] * sums[None, :] * gradient
        with np.errstate(invalid="ignore", divide="ignore"):
            values = float(self._pixels[ring]) * (lower + lower.T) / normaliser
        values[normaliser == 0] = np.nan
        np.fill_diagonal(values, np.nan)
        return values.astype(np.float32)


class _Bins:
    """Samples of one ring, one behind the other in two growing arrays."""

    def __init__(self) -> None:
        self._pixel = np.empty(1024, np.uint32)
        self._count = np.empty(1024, np.uint32)
        self._offset = [0]

    def __len__(self) -> int:
        return len(self._offset) - 1

    def append(self, pixel: np.ndarray, count: np.ndarray) -> None:
        start = self._offset[-1]
        stop = start + pixel.size
        if stop > self._pixel.size:
            room = max(stop, 2 * self._pixel.size)
            self._pixel = np.concatenate([self._pixel[:start], np.empty(room - start, np.uint32)])
            self._count = np.concatenate([self._count[:start], np.empty(room - start, np.uint32)])
        self._pixel[start:stop] = pixel
        self._count[start:stop] = count
        self._offset.append(stop)

    def sample(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(self._offset[index], self._offset[index + 1])
        return self._pixel[part], self._count[part]

    def sums(self) -> np.ndarray:
        """Photons per bin, shape (bin,), float64."""
        running = np.concatenate([[0], np.cumsum(self._count[: self._offset[-1]], dtype=np.int64)])
        return np.diff(running[self._offset]).astype(np.float64)

    def multiply(self, dense: np.ndarray, bins: int, products: np.ndarray) -> None:
        """Set ``products[:bins]`` to the products of ``dense`` with the first ``bins`` samples."""
        kernels.products_with_bins(
            np.array(self._offset, np.int64), self._pixel, self._count, bins, dense, products
        )

    def halved(self) -> _Bins:
        """Neighbouring samples summed."""
        shorter = _Bins()
        for index in range(0, len(self), 2):
            shorter.append(*kernels.merge(*self.sample(index), *self.sample(index + 1)))
        return shorter


def _thin_out(ring_of_pixel: np.ndarray, rings: int, pixels_per_ring: int) -> np.ndarray:
    """Every k-th pixel of rings that have too many; the others become -1."""
    thinned = ring_of_pixel.copy()
    for ring in range(rings):
        members = np.flatnonzero(ring_of_pixel == ring)
        if members.size > pixels_per_ring:
            keep = members[np.linspace(0, members.size - 1, pixels_per_ring).astype(np.int64)]
            thinned[members] = -1
            thinned[keep] = ring
    return thinned
