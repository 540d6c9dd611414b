"""What the detector step hands to the correlation step: photon events and the partition into rings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np


def distinct_pixels(parts: Iterable[np.ndarray]) -> np.ndarray:
    """Flat pixels that occur in any of the parts, each once, ascending; uint32.

    Marking them on an image takes milliseconds where sorting the millions of an overexposed frame takes seconds.
    """
    filled = [part for part in parts if part.size]
    if not filled:
        return np.empty(0, np.uint32)
    marked = np.zeros(max(int(part.max()) for part in filled) + 1, bool)
    for part in filled:
        marked[part] = True
    return np.flatnonzero(marked).astype(np.uint32)


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Photons of several frames; a frame that could not be decoded is not among them.

    Attributes
    ----------
    frame_numbers : ndarray, shape (frame,), int64
        Position of each frame in the series, ascending.
    offset : ndarray, shape (frame + 1,), int64
        Events of frame i are ``offset[i]:offset[i + 1]``.
    pixel : ndarray, shape (event,), uint32
        Flat detector pixel, ascending within a frame. Only good pixels occur.
    count : ndarray, shape (event,), uint32
        Photons, at least 1.
    saturated_pixel : ndarray, shape (any,), uint32
        Good pixels that reached the detector's limit in some frame; not among the events.
    set_aside : tuple of (int, str)
        Frame number and reason of each frame that could not be used.
    """

    frame_numbers: np.ndarray
    offset: np.ndarray
    pixel: np.ndarray
    count: np.ndarray
    saturated_pixel: np.ndarray
    set_aside: tuple[tuple[int, str], ...] = field(default=())

    def frame(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and counts of the frame at this position in the batch."""
        part = slice(self.offset[index], self.offset[index + 1])
        return self.pixel[part], self.count[part]


@dataclass(frozen=True, slots=True)
class RingPartition:
    """Each good detector pixel belongs to one q ring and one sector of it, and to one fine ring; or to none.

    Attributes
    ----------
    shape_yx : tuple of int
        Detector rows and columns.
    rings, sectors, fine_rings : int
        Numbers of each.
    cell_of_pixel : ndarray, shape (pixel,), int16
        ``ring * sectors + sector``; -1 for a pixel outside all rings.
    fine_of_pixel : ndarray, shape (pixel,), int16
        Fine ring from 0; -1 outside. Fine rings lie within one ring each, in ascending q.
    ring_of_fine : ndarray, shape (fine ring,), int16
        The ring that each fine ring belongs to.
    cell_pixels : ndarray, shape (ring, sector), int64
        Pixels per cell.
    fine_pixels : ndarray, shape (fine ring,), int64
        Pixels per fine ring.
    q_inv_nm, fine_q_inv_nm : ndarray, float64
        Root of the mean of q^2 over each ring or fine ring, weighted with the squared intensity of the first frames as
        g2 weighs pixels (diffusive rates go with q^2).
    ring_edges_px : ndarray, shape (ring, 2), float64
        Inner and outer radius, detector pixels.
    beam_center_yx_px : tuple of float
        Zero-based row and column.
    """

    shape_yx: tuple[int, int]
    rings: int
    sectors: int
    fine_rings: int
    cell_of_pixel: np.ndarray
    fine_of_pixel: np.ndarray
    ring_of_fine: np.ndarray
    cell_pixels: np.ndarray
    fine_pixels: np.ndarray
    q_inv_nm: np.ndarray
    fine_q_inv_nm: np.ndarray
    ring_edges_px: np.ndarray
    beam_center_yx_px: tuple[float, float]

    @property
    def ring_pixels(self) -> np.ndarray:
        """Pixels per ring, shape (ring,), int64."""
        return self.cell_pixels.sum(axis=1)

    def ring_map(self) -> np.ndarray:
        """Ring of each pixel from 1, 0 = unused; shape (y, x), int32."""
        rings = np.where(self.cell_of_pixel >= 0, self.cell_of_pixel // self.sectors + 1, 0)
        return rings.astype(np.int32).reshape(self.shape_yx)

    def fine_ring_map(self) -> np.ndarray:
        """Fine ring of each pixel from 1, 0 = unused; shape (y, x), int32."""
        return (self.fine_of_pixel.astype(np.int32) + 1).reshape(self.shape_yx)
