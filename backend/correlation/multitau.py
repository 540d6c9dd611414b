"""Streaming multi-tau g2 per q ring, with error bars from the scatter between sectors.

Level 0 holds single frames at lags 0..n, level L sums of 2^L frames at lags n/2 + 1..n of its own units. The
normaliser is the product of ring means of the very same two samples, summed over all pairs: changes of the incident
intensity cancel exactly, frame by frame (as in a two-time correlation), and missing or dark frames weigh nothing.

    g2(d) = N sum_t sum_p I_p(t) I_p(t + d) / sum_t S(t) S(t + d),   S(t) = sum_p I_p(t) over the N pixels of the ring

Lag 0 uses I (I - 1) and S (S - 1) and gives 1 + contrast without the shot noise. Errors are delete-one-sector
jackknife: shot noise, speckle and their correlation between lags are all in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np

from backend.correlation import event_kernels as kernels
from backend.correlation.pixel_stripe import Frame, PixelStripe
from backend.photon_events import RingPartition

_STRIPES = 8


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
class _RingSums:
    """Ring sums of the samples of one level, and their products: the normaliser."""

    lags: np.ndarray
    # Counts per (ring, left-out sector) of the stored samples; column 0 leaves out nothing.
    sums: np.ndarray
    # Floating point: the square of a ring sum over thousands of frames does not fit into 64 bits.
    normaliser: np.ndarray
    filled: int = 0
    waiting: np.ndarray | None = None


class MultiTau:
    """Accumulates frames; :meth:`result` may be asked for at any time.

    Parameters
    ----------
    partition : RingPartition
        Rings and sectors.
    lags_per_level : int
        Lags of level 0 (even); higher levels have half as many.
    extra_lags : tuple of int
        Lags of single frames beyond those, kept for the damage detector.
    pool : Executor or None
        Threads that share the work; ``None`` = the calling thread alone. The numbers do not depend on it.
    """

    def __init__(
        self,
        partition: RingPartition,
        lags_per_level: int = 8,
        extra_lags: tuple[int, ...] = (),
        pool: Executor | None = None,
    ) -> None:
        self._partition = partition
        self._lags_per_level = lags_per_level // 2 * 2
        self._extra_lags = tuple(sorted(lag for lag in extra_lags if lag > self._lags_per_level))
        self._level_lags = np.arange(self._lags_per_level // 2 + 1, self._lags_per_level + 1)
        self._pool = pool
        cells = partition.rings * partition.sectors
        edges = np.linspace(0, partition.cell_of_pixel.size, _STRIPES + 1).astype(np.int64)
        self._stripes = [
            PixelStripe(first, last, partition.cell_of_pixel, cells, self.frame_lags, self._level_lags)
            for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        ]
        self._levels: list[_RingSums] = []
        self._pairs = np.zeros(cells, np.int64)
        self._pair_normaliser = np.zeros((partition.rings, partition.sectors + 1))
        self.frames = 0

    @property
    def frame_lags(self) -> np.ndarray:
        """Lags, in frames, whose products :meth:`add_frames` returns; shape (lag,), int64, ascending."""
        return np.array([*range(1, self._lags_per_level + 1), *self._extra_lags], np.int64)

    def add_frames(self, frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray]:
        """Add the next frames, given as their photon events; a missing frame is an empty one.

        Returns
        -------
        ring_counts : ndarray, shape (frame, ring), int64
            Photons per ring.
        lagged_products : ndarray, shape (frame, ring, lag), int64
            sum over pixels of I(t) I(t - lag) for each of :attr:`frame_lags`.
        """
        shape = (len(frames), len(self.frame_lags), self._partition.rings, self._partition.sectors)
        share_out = map if self._pool is None else self._pool.map
        # Threads begin with the stripes while this one goes through the ring sums.
        parts = share_out(partial(_add_to_stripe, frames), self._stripes)
        ring_counts = np.array([self._add_sums(*frame) for frame in frames]).reshape(shape[0], shape[2])
        new = np.zeros((*shape[:2], shape[2] * shape[3]), np.int64)
        for part in parts:
            new += part
        self.frames += len(frames)
        return ring_counts, np.moveaxis(new.reshape(shape).sum(axis=3), 1, 2)

    def add(self, pixel: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`add_frames` for a single frame; the frame axis is left out."""
        ring_counts, products = self.add_frames([(pixel, count)])
        return ring_counts[0], products[0]

    def _add_sums(self, pixel: np.ndarray, count: np.ndarray) -> np.ndarray:
        """Add a frame to contrast and normalisers; returns its photons per ring."""
        counts = np.zeros_like(self._pairs)
        kernels.add_counts(pixel, count, self._partition.cell_of_pixel, counts, self._pairs)
        sums = _leave_one_out(counts.reshape(self._partition.rings, self._partition.sectors))
        self._pair_normaliser += sums.astype(np.float64) * (sums - 1)
        self._add_level_sums(0, sums)
        return sums[:, 0]

    def _add_level_sums(self, number: int, sums: np.ndarray) -> None:
        if number == len(self._levels):
            lags = self._level_lags if number else self.frame_lags
            history = np.zeros((int(lags[-1]), *sums.shape), np.int64)
            self._levels.append(_RingSums(lags, history, np.zeros((len(lags), *sums.shape))))
        level = self._levels[number]
        slots = len(level.sums)
        reached = level.lags[level.lags <= level.filled]
        earlier = level.sums[(level.filled - reached) % slots]
        level.normaliser[: len(reached)] += sums.astype(np.float64) * earlier
        level.sums[level.filled % slots] = sums
        level.filled += 1
        if level.waiting is None:
            level.waiting = sums
        else:
            first, level.waiting = level.waiting, None
            self._add_level_sums(number + 1, first + sums)

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
            products.append(np.sum([stripe.products(number) for stripe in self._stripes], axis=0)[reached])
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


def _add_to_stripe(frames: Sequence[Frame], stripe: PixelStripe) -> np.ndarray:
    return stripe.add_frames(frames)


def _leave_one_out(cells: np.ndarray) -> np.ndarray:
    """Sums over sectors (last axis): first all, then all but each sector; shape (..., ring, 1 + sector)."""
    total = cells.sum(axis=-1, keepdims=True)
    return np.concatenate([total, total - cells], axis=-1)
