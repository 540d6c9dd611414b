"""Order of the detector's pixels in which neighbours belong to the same cell of the ring partition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.photon_word_kernels import BLOCK_POSITIONS, count_segments, place

TILE_PIXELS = 1 << 17
"""Pixels whose words fit into a fast cache together; a multiple of the pixels of a compressed block."""


@dataclass(frozen=True, slots=True)
class PixelOrder:
    """Where each pixel stands, so that pixels of one cell follow each other within each tile of the detector.

    Attributes
    ----------
    position_of_pixel : ndarray, shape (pixel,), uint32
        Place of each flat detector pixel; some positions between segments stay empty.
    positions : int
        Number of positions, a multiple of BLOCK_POSITIONS.
    segment_start, segment_stop : ndarray, shape (segment,), int64
        Runs of positions that belong to one cell, ascending.
    segment_cell : ndarray, shape (segment,), int64
        Cell of each segment; ``cells`` for pixels outside all rings.
    cells : int
        Number of cells of the partition.
    tile_pixels : int
        Flat detector pixels whose positions stand together.
    """

    position_of_pixel: np.ndarray
    positions: int
    segment_start: np.ndarray
    segment_stop: np.ndarray
    segment_cell: np.ndarray
    cells: int
    tile_pixels: int

    @property
    def segments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Start, stop and cell of all segments."""
        return self.segment_start, self.segment_stop, self.segment_cell

    def shares(self, number: int) -> list[tuple[int, int]]:
        """About equal ranges of segments, for threads: (first, last excluded)."""
        targets = np.linspace(0, self.positions, number + 1)[1:-1]
        possible = np.flatnonzero(self.segment_start % BLOCK_POSITIONS == 0)
        after = np.searchsorted(self.segment_start[possible], targets)
        edges = np.append(possible, self.segment_start.size)[after]
        bounds = np.unique(np.concatenate([[0], edges, [self.segment_start.size]])).tolist()
        return list(zip(bounds[:-1], bounds[1:], strict=True))

    def positions_of(self, share: tuple[int, int]) -> tuple[int, int]:
        """First position and last (excluded) of a share; multiples of BLOCK_POSITIONS, some belong to no pixel."""
        last = self.positions if share[1] == self.segment_start.size else self.segment_start[share[1]]
        return int(self.segment_start[share[0]]), int(last)

    def to_pixels(self, values: np.ndarray) -> np.ndarray:
        """``values``, shape (position,), in the order of the detector; shape (pixel,)."""
        return values[self.position_of_pixel]


def order_pixels(cell_of_pixel: np.ndarray, cells: int, tile_pixels: int) -> PixelOrder:
    """Order in which the pixels of each cell stand together within tiles of ``tile_pixels`` flat pixels.

    Tiles keep neighbours of the detector near each other in memory: photons of one compressed block are scattered
    over a piece that fits into a fast cache.

    cell_of_pixel : ndarray, shape (pixel,), int16; negative outside all rings.
    """
    segments = count_segments(cell_of_pixel, cells, tile_pixels)
    start, stop, cell = (np.empty(segments, np.int64) for _ in range(3))
    position = np.empty(cell_of_pixel.size, np.uint32)
    positions = place(cell_of_pixel, cells, tile_pixels, position, start, stop, cell)
    return PixelOrder(position, positions, start, stop, cell, cells, tile_pixels)
