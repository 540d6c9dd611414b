"""Pixels that stand for a ring: all of them, or evenly spread ones where they are too many."""

from __future__ import annotations

import numpy as np

from backend.pixel_order import PixelOrder


def chosen_positions(
    order: PixelOrder, rings: int, sectors: int, pixels_per_ring: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the pixels of each ring, at most ``pixels_per_ring``.

    Returns
    -------
    positions : ndarray, shape (chosen pixel,), uint32
        In the words, ring by ring, ascending.
    numbers : ndarray, shape (ring,), int64
        How many of each ring.
    """
    start, stop, cell = order.segments
    positions = [np.empty(0, np.uint32)]
    for ring in range(rings):
        of_ring = (cell >= ring * sectors) & (cell < (ring + 1) * sectors)
        lengths = (stop - start)[of_ring]
        before = np.cumsum(lengths) - lengths
        members = _evenly(int(lengths.sum()), pixels_per_ring)
        segment = np.searchsorted(before, members, side="right") - 1
        positions.append((start[of_ring][segment] + members - before[segment]).astype(np.uint32))
    return np.concatenate(positions), np.array([some.size for some in positions[1:]], np.int64)


def _evenly(number: int, most: int) -> np.ndarray:
    """Whole numbers below ``number``: all, or ``most`` of them from the first to the last."""
    return np.arange(number) if number <= most else np.linspace(0, number - 1, most).astype(np.int64)
