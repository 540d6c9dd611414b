"""Streaming two-time correlation per ring with bounded memory: frames are summed into at most ``max_bins`` bins.

C(q, t1, t2) = N sum_p I_p(t1) I_p(t2) / (S(t1) S(t2)) over N pixels of the ring; the product of ring sums cancels
the incident intensity exactly. Summing neighbouring bins later gives the same numbers as binning from the start,
because products of sums are sums of products. The diagonal is left out: it would need I (I - 1).
"""

from __future__ import annotations

import numpy as np

from backend.correlation import event_kernels as kernels
from backend.photon_events import RingPartition


class TwoTime:
    """Two-time maps of all rings.

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
        self._products = np.zeros((partition.rings, self._max_bins, self._max_bins), np.int64)
        self._counts = np.zeros((partition.rings, self._max_bins), np.int64)
        self._bins = 0
        self.frames_per_bin = 1
        self._history = _SampleList()
        self._open: tuple[np.ndarray, np.ndarray] | None = None
        self._open_counts = np.zeros(partition.rings, np.int64)
        self._open_frames = 0

    def add(self, pixel: np.ndarray, count: np.ndarray) -> None:
        """Add the next frame, given as its photon events; a missing frame is an empty one."""
        chosen = kernels.select(pixel, count, self._ring_of_pixel, self._open_counts)
        self._open = chosen if self._open is None else kernels.merge(*self._open, *chosen)
        self._open_frames += 1
        if self._open_frames == self.frames_per_bin:
            self._close_bin(*self._open)

    def _close_bin(self, pixel: np.ndarray, count: np.ndarray) -> None:
        new = np.zeros((self._rings, max(self._bins, 1)), np.int64)
        kernels.scatter(pixel, count, self._dense)
        self._history.correlate(self._dense, self._ring_of_pixel, new, self._bins)
        kernels.clear(pixel, self._dense)
        at = self._bins
        self._products[:, at, :at] = new[:, :at]
        self._products[:, :at, at] = new[:, :at]
        self._counts[:, at] = self._open_counts
        self._history.append(pixel, count)
        self._bins += 1
        self._open = None
        self._open_counts = np.zeros(self._rings, np.int64)
        self._open_frames = 0
        if self._bins == self._max_bins:
            self._halve()

    def _halve(self) -> None:
        half = self._bins // 2
        shape = (self._rings, half, 2, half, 2)
        self._products[:, :half, :half] = self._products.reshape(shape).sum(axis=(2, 4))
        self._products[:, half:] = 0
        self._products[:, :, half:] = 0
        self._counts[:, :half] = self._counts.reshape(self._rings, half, 2).sum(axis=2)
        self._counts[:, half:] = 0
        self._history = self._history.halved()
        self._bins = half
        self.frames_per_bin *= 2

    def result(self, ring: int, gradient: float = 1.0) -> np.ndarray:
        """Map of one ring, shape (bin, bin), float32; diagonal and bins without photons are nan."""
        bins = self._bins
        counts = self._counts[ring, :bins].astype(np.float64)
        normaliser = counts[:, None] * counts[None, :] * gradient
        with np.errstate(invalid="ignore", divide="ignore"):
            values = self._pixels[ring] * self._products[ring, :bins, :bins] / normaliser
        values[normaliser == 0] = np.nan
        np.fill_diagonal(values, np.nan)
        return values.astype(np.float32)


class _SampleList:
    """Samples one behind the other in two growing arrays."""

    def __init__(self) -> None:
        self._pixel = np.empty(1 << 16, np.uint32)
        self._count = np.empty(1 << 16, np.uint32)
        self._offset = [0]

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

    def correlate(
        self, dense: np.ndarray, ring_of_pixel: np.ndarray, products: np.ndarray, bins: int
    ) -> None:
        offset = np.array(self._offset, np.int64)
        kernels.products_with_bins(offset, self._pixel, self._count, bins, dense, ring_of_pixel, products)

    def halved(self) -> _SampleList:
        """Neighbouring samples summed."""
        shorter = _SampleList()
        for index in range(0, len(self._offset) - 1, 2):
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
