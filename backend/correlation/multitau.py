"""Streaming multi-tau g2 per q ring, with error bars from the scatter between sectors.

Level 0 holds single frames at lags 0..n, level L sums of 2^L frames at lags n/2 + 1..n of its own units. The
normaliser is the product of ring means of the very same two samples, summed over all pairs: changes of the incident
intensity cancel exactly, frame by frame (as in a two-time correlation), and missing or dark frames weigh nothing.

    g2(d) = N sum_t sum_p I_p(t) I_p(t + d) / sum_t S(t) S(t + d),   S(t) = sum_p I_p(t) over the N pixels of the ring

Lag 0 uses I (I - 1) and S (S - 1) and gives 1 + contrast without the shot noise. Errors are delete-one-sector
jackknife: shot noise, speckle and their correlation between lags are all in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.correlation import event_kernels as kernels
from backend.photon_events import RingPartition

_DENSE_OCCUPANCY = 0.25


@dataclass(frozen=True, slots=True)
class MultiTauResult:
    """g2 of all rings at the lags reached so far.

    Attributes
    ----------
    lag_frames : ndarray, shape (lag,), int64
        Ascending, from 0.
    g2 : ndarray, shape (ring, lag), float64
        nan where no pair of samples had photons.
    replicates : ndarray, shape (sector, ring, lag), float64
        g2 with one sector left out.
    """

    lag_frames: np.ndarray
    g2: np.ndarray
    replicates: np.ndarray

    @property
    def g2_err(self) -> np.ndarray:
        """One-sigma jackknife error, shape (ring, lag); nan where fewer than two replicates exist."""
        return jackknife_error(self.replicates)


def jackknife_error(replicates: np.ndarray) -> np.ndarray:
    """Delete-one jackknife standard error over axis 0; nan replicates (empty sectors) do not count."""
    valid = np.isfinite(replicates)
    number = valid.sum(axis=0)
    values = np.where(valid, replicates, 0.0)
    mean = values.sum(axis=0) / np.maximum(number, 1)
    squares = np.where(valid, (replicates - mean) ** 2, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(number > 1, np.sqrt(squares * (number - 1) / np.maximum(number, 1)), np.nan)


@dataclass(slots=True)
class _Sample:
    """Counts of one or several frames: a sorted list, or a dense array once most pixels have photons."""

    pixel: np.ndarray | None
    count: np.ndarray


@dataclass(slots=True)
class _Level:
    lags: np.ndarray
    samples: list[_Sample | None]
    # Counts per (ring, left-out sector) of the stored samples; column 0 leaves out nothing.
    sums: np.ndarray
    products: np.ndarray
    # Floating point: the square of a ring sum over thousands of frames does not fit into 64 bits.
    normaliser: np.ndarray
    filled: int = 0
    waiting: tuple[_Sample, np.ndarray] | None = None


class MultiTau:
    """Accumulates frames one by one; :meth:`result` may be asked for at any time.

    Parameters
    ----------
    partition : RingPartition
        Rings and sectors.
    lags_per_level : int
        Lags of level 0 (even); higher levels have half as many.
    extra_lags : tuple of int
        Lags of single frames beyond those, kept for the damage detector.
    """

    def __init__(
        self, partition: RingPartition, lags_per_level: int = 8, extra_lags: tuple[int, ...] = ()
    ) -> None:
        self._partition = partition
        self._lags_per_level = lags_per_level // 2 * 2
        self._extra_lags = tuple(sorted(lag for lag in extra_lags if lag > self._lags_per_level))
        self._levels: list[_Level] = []
        self._dense = np.zeros(partition.cell_of_pixel.size, np.uint32)
        cells = partition.rings * partition.sectors
        self._pairs = np.zeros(cells, np.int64)
        self._pair_normaliser = np.zeros((partition.rings, partition.sectors + 1))
        self.frames = 0

    @property
    def frame_lags(self) -> np.ndarray:
        """Lags, in frames, whose products :meth:`add` returns; shape (lag,), int64, ascending."""
        return np.array([*range(1, self._lags_per_level + 1), *self._extra_lags], np.int64)

    def add(self, pixel: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Add the next frame, given as its photon events; a missing frame is an empty one.

        Returns
        -------
        ring_counts : ndarray, shape (ring,), int64
            Photons per ring.
        lagged_products : ndarray, shape (ring, lag), int64
            sum over pixels of I(t) I(t - lag) for each of :attr:`frame_lags`.
        """
        shape = (self._partition.rings, self._partition.sectors)
        counts = np.zeros(shape[0] * shape[1], np.int64)
        pairs = np.zeros_like(counts)
        kernels.add_counts(pixel, count, self._partition.cell_of_pixel, counts, pairs)
        self._pairs += pairs
        sums = _leave_one_out(counts.reshape(shape))
        self._pair_normaliser += sums.astype(np.float64) * (sums - 1)
        new = self._add_sample(0, _Sample(pixel, count), sums)
        self.frames += 1
        return sums[:, 0], new.reshape(len(new), *shape).sum(axis=2).T

    def _new_level(self, level: int) -> _Level:
        half = self._lags_per_level // 2
        if level == 0:
            lags = self.frame_lags
        else:
            lags = np.arange(half + 1, self._lags_per_level + 1)
        slots = int(lags[-1])
        shape = (self._partition.rings, self._partition.sectors + 1)
        return _Level(
            lags=lags,
            samples=[None] * slots,
            sums=np.zeros((slots, *shape), np.int64),
            products=np.zeros((len(lags), self._partition.rings * self._partition.sectors), np.int64),
            normaliser=np.zeros((len(lags), *shape)),
        )

    def _add_sample(self, level_number: int, sample: _Sample, sums: np.ndarray) -> np.ndarray:
        """Correlate a sample with the history of its level, keep it, and pass pairs on; returns its products."""
        if level_number == len(self._levels):
            self._levels.append(self._new_level(level_number))
        level = self._levels[level_number]
        slots = len(level.samples)
        reached = level.lags[level.lags <= level.filled]
        new = np.zeros((len(level.lags), level.products.shape[1]), np.int64)
        if len(reached):
            self._correlate(sample, [level.samples[(level.filled - lag) % slots] for lag in reached], new)
            level.products += new
            earlier_sums = level.sums[(level.filled - reached) % slots]
            level.normaliser[: len(reached)] += sums.astype(np.float64) * earlier_sums
        level.samples[level.filled % slots] = sample
        level.sums[level.filled % slots] = sums
        level.filled += 1
        if level.waiting is None:
            level.waiting = (sample, sums)
        else:
            first, first_sums = level.waiting
            level.waiting = None
            self._add_sample(level_number + 1, self._sum(first, sample), first_sums + sums)
        return new

    def _correlate(self, sample: _Sample, earlier: list[_Sample | None], products: np.ndarray) -> None:
        cells = self._partition.cell_of_pixel
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

    def result(self, gradient: np.ndarray | None = None) -> MultiTauResult:
        """g2 of everything added so far.

        Parameters
        ----------
        gradient : ndarray or None, shape (ring,)
            <I>-map factor mean(m^2) / mean(m)^2 of each ring (1 = flat): the slope of I(q) across a ring would
            otherwise look like a static contrast.
        """
        lags = [np.zeros(1, np.int64)]
        products = [self._pairs[None]]
        normaliser = [self._pair_normaliser[None]]
        for number, level in enumerate(self._levels):
            reached = level.lags < level.filled
            if number == 0:
                # The extra lags are for the damage detector; higher levels have them too, with less noise.
                reached &= level.lags <= self._lags_per_level
            lags.append(level.lags[reached] << number)
            products.append(level.products[reached])
            normaliser.append(level.normaliser[reached])
        shape = (-1, self._partition.rings, self._partition.sectors)
        numerator = _leave_one_out(np.concatenate(products).reshape(shape)).astype(np.float64)
        pixels = _leave_one_out(self._partition.cell_pixels)
        denominator = np.concatenate(normaliser)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = pixels[None] * numerator / np.where(denominator > 0, denominator, np.nan)
        if gradient is not None:
            values = values / gradient[None, :, None]
        values = np.moveaxis(values, (0, 1, 2), (2, 1, 0))
        return MultiTauResult(np.concatenate(lags), values[0], values[1:])


def _leave_one_out(cells: np.ndarray) -> np.ndarray:
    """Sums over sectors (last axis): first all, then all but each sector; shape (..., ring, 1 + sector)."""
    total = cells.sum(axis=-1, keepdims=True)
    return np.concatenate([total, total - cells], axis=-1)
