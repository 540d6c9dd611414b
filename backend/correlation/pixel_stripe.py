"""Products of samples within one range of pixels, at all multi-tau levels: the part of the work that can be shared out.

The detector is cut into stripes of pixels that know nothing of each other, so threads never wait for each other and
the sums, being integers, do not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.correlation import event_kernels as kernels

_DENSE_OCCUPANCY = 0.25

Frame = tuple[np.ndarray, np.ndarray]
"""Pixels (ascending, uint32) and counts (uint32) of the photon events of one frame."""


@dataclass(slots=True)
class _Sample:
    """Counts of one or several frames: a sorted list, or a dense array once most pixels have photons."""

    pixel: np.ndarray | None
    count: np.ndarray


@dataclass(slots=True)
class _Level:
    lags: np.ndarray
    samples: list[_Sample | None]
    products: np.ndarray
    filled: int = 0
    waiting: _Sample | None = None


class PixelStripe:
    """Pixels ``first`` to ``last`` (excluded) of the detector.

    Parameters
    ----------
    cell_of_pixel : ndarray, shape (pixel,), int16
        Cell of each pixel of the whole detector, negative for none.
    cells : int
        Number of cells.
    frame_lags, level_lags : ndarray, int64
        Lags of single frames, and of the samples of every higher level in its own units.
    """

    def __init__(
        self,
        first: int,
        last: int,
        cell_of_pixel: np.ndarray,
        cells: int,
        frame_lags: np.ndarray,
        level_lags: np.ndarray,
    ) -> None:
        self._first = first
        self._last = last
        self._cell_of_pixel = cell_of_pixel[first:last]
        self._cells = cells
        self._frame_lags = frame_lags
        self._level_lags = level_lags
        self._levels: list[_Level] = []
        self._dense = np.zeros(last - first, np.uint32)

    def add_frames(self, frames: Sequence[Frame]) -> np.ndarray:
        """Add consecutive frames; returns their products with earlier ones, shape (frame, lag, cell), int64."""
        new = np.zeros((len(frames), len(self._frame_lags), self._cells), np.int64)
        for products, (pixel, count) in zip(new, frames, strict=True):
            inside = slice(*np.searchsorted(pixel, (self._first, self._last)))
            self._add_sample(0, _Sample(pixel[inside] - np.uint32(self._first), count[inside]), products)
        return new

    def products(self, level: int) -> np.ndarray:
        """Products of a level so far, shape (lag, cell), int64."""
        return self._levels[level].products

    def _level(self, number: int) -> _Level:
        if number == len(self._levels):
            lags = self._level_lags if number else self._frame_lags
            slots: list[_Sample | None] = [None] * int(lags[-1])
            self._levels.append(_Level(lags, slots, np.zeros((len(lags), self._cells), np.int64)))
        return self._levels[number]

    def _add_sample(self, number: int, sample: _Sample, new: np.ndarray) -> None:
        """Multiply a sample with the history of its level, keep it, and pass every second one on, summed."""
        level = self._level(number)
        slots = len(level.samples)
        reached = level.lags[level.lags <= level.filled]
        if len(reached):
            self._multiply(sample, [level.samples[(level.filled - lag) % slots] for lag in reached], new)
            level.products += new
        level.samples[level.filled % slots] = sample
        level.filled += 1
        if level.waiting is None:
            level.waiting = sample
        else:
            first, level.waiting = level.waiting, None
            longer = np.zeros((len(self._level_lags), self._cells), np.int64)
            self._add_sample(number + 1, self._sum(first, sample), longer)

    def _multiply(self, sample: _Sample, earlier: list[_Sample | None], products: np.ndarray) -> None:
        cells = self._cell_of_pixel
        if sample.pixel is not None:
            kernels.scatter(sample.pixel, sample.count, self._dense)
        dense = sample.count if sample.pixel is None else self._dense
        for row, other in zip(products, earlier, strict=False):
            if other is None:
                continue
            if other.pixel is not None:
                kernels.add_products(other.pixel, other.count, dense, cells, row)
            elif sample.pixel is not None:
                kernels.add_products(sample.pixel, sample.count, other.count, cells, row)
            else:
                kernels.add_dense_products(dense, other.count, cells, row)
        if sample.pixel is not None:
            kernels.clear(sample.pixel, self._dense)

    def _sum(self, first: _Sample, second: _Sample) -> _Sample:
        if first.pixel is not None and second.pixel is not None:
            if first.pixel.size + second.pixel.size < _DENSE_OCCUPANCY * self._dense.size:
                return _Sample(*kernels.merge(first.pixel, first.count, second.pixel, second.count))
        total = np.zeros(self._dense.size, np.uint32)
        for part in (first, second):
            if part.pixel is None:
                total += part.count
            else:
                total[part.pixel] += part.count
        return _Sample(None, total)
