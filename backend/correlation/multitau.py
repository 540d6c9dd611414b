"""Streaming multi-tau g2 per q ring, with error bars from the scatter between sectors.

Level 0 holds single frames at lags 0..n, level L sums of 2^L frames at lags n/2 + 1..n of its own units. The
normaliser is the product of ring means of the very same two samples, summed over all pairs: changes of the incident
intensity cancel exactly, frame by frame (as in a two-time correlation), and missing or dark frames weigh nothing.

    g2(d) = N sum_t sum_p I_p(t) I_p(t + d) / sum_t S(t) S(t + d),   S(t) = sum_p I_p(t) over the N pixels of the ring

Lag 0 uses I (I - 1) and S (S - 1) and gives 1 + contrast without the shot noise. Errors are delete-one-sector
jackknife: shot noise, speckle and their correlation between lags are all in it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np

from backend.correlation.count_levels import CountLevels, NewSamples
from backend.correlation.intensity import MeanImage
from backend.correlation.photon_correlation import correlate_photons
from backend.correlation.ring_sums import RingSums
from backend.correlation.run_products import NO_IMAGE, Image, Lags, Room, Sums, new_room, new_sums
from backend.correlation.word_correlation import correlate_words
from backend.correlation.word_products import in_frame_order
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords
from backend.pixel_order import PixelOrder
from backend.worker_pool import processors, share_out

_FEWEST_SHARES = 16
_MOST_WORD_LEVELS = 4


@dataclass(frozen=True, slots=True)
class MultiTauResult:
    """g2 of all rings at the lags reached so far.

    Attributes
    ----------
    lag_frames : ndarray, shape (lag,), int64
        Ascending, from 0. Where frames are uneven, mean lags in units of the frame time (float64).
    g2 : ndarray, shape (ring, lag), float64
        nan where no pair of samples had photons.
    replicates : ndarray, shape (sector, ring, lag), float64
        g2 with one sector left out.
    lag_spread_frames : ndarray or None, shape (lag,), float64
        Rms distance of the pairs at a lag from their mean, where frames are uneven; ``None`` = as multi-tau bins them.
    """

    lag_frames: np.ndarray
    g2: np.ndarray
    replicates: np.ndarray
    lag_spread_frames: np.ndarray | None = None

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


@dataclass(frozen=True, slots=True)
class NewFrames:
    """What the newest frames add up to.

    Attributes
    ----------
    ring_counts : ndarray, shape (frame, ring), int64
        Photons per ring.
    cell_counts : ndarray, shape (frame, cell), int64
        Photons per cell: each sector of each ring.
    outside_counts : ndarray, shape (frame,), int64
        Photons of good pixels outside all rings.
    cell_products : ndarray, shape (part, cell, kept lag), int64
        sum over pixels and the frames of each part of I(t) I(t - lag); of I(t) (I(t) - 1) at lag 0.
    fine_counts : ndarray, shape (fine ring,), int64
        Photons per fine ring in all these frames; empty without an image.
    """

    ring_counts: np.ndarray
    cell_counts: np.ndarray
    outside_counts: np.ndarray
    cell_products: np.ndarray
    fine_counts: np.ndarray


class MultiTau:
    """Accumulates frames; :meth:`result` may be asked for at any time.

    Lowest levels work on photon words (one bit per frame), higher ones on numbers, sums of many frames.

    Parameters
    ----------
    partition : RingPartition
        Rings and sectors.
    order : PixelOrder
        Places of the pixels in the words.
    lags_per_level : int
        Lags of level 0 (even, 2 to 64); higher levels have half as many.
    kept_lags : tuple of int
        Lags of single frames, 0 to 64, whose products of the newest frames are told, for the damage detector.
    pool : Executor or None
        Threads that share the work; ``None`` = the calling thread alone. The numbers do not depend on it.
    image : MeanImage or None
        Gets the photons of all pixels on the way.
    """

    def __init__(
        self,
        partition: RingPartition,
        order: PixelOrder,
        lags_per_level: int = 8,
        kept_lags: tuple[int, ...] = (),
        pool: Executor | None = None,
        image: MeanImage | None = None,
    ) -> None:
        lags_per_level = lags_per_level // 2 * 2
        if not 2 <= lags_per_level <= WORD_FRAMES or not all(0 <= lag <= WORD_FRAMES for lag in kept_lags):
            raise ValueError(
                f"lags per level must lie between 2 and {WORD_FRAMES}, kept lags between 0 and {WORD_FRAMES}"
            )
        self._partition = partition
        self._order = order
        self._lags_per_level = lags_per_level
        self._kept_lags = kept_lags
        between_frames = [lag for lag in kept_lags if lag > 0]
        self._frame_lags = np.unique([*range(1, lags_per_level + 1), *between_frames]).astype(np.int64)
        self._level_lags = np.arange(lags_per_level // 2 + 1, lags_per_level + 1)
        # A lag of a level must not reach back further than the word before.
        self._word_levels = min(_MOST_WORD_LEVELS, (WORD_FRAMES // lags_per_level).bit_length())
        self._pool = pool
        self._image = image
        self._fine_rings = 0 if image is None else image.fine_rings
        self._rooms = threading.local()
        self._shares = order.shares(max(_FEWEST_SHARES, 2 * processors()))
        self._sums = new_sums(self._word_levels, self._lags(0, ()), 0)
        self._ring_sums = RingSums(
            partition.rings * (2 * partition.sectors + 1), self._frame_lags, self._level_lags
        )
        self._count_levels = CountLevels(order, self._level_lags, 1 << self._word_levels)
        self._photons = np.zeros(partition.rings * partition.sectors, np.int64)
        self.frames = 0
        self._present = 0

    @property
    def occurrences(self) -> np.ndarray:
        """How often a pixel had 0, 1, ... 6, and 7 or more photons in a frame; shape (ring, 8), int64.

        Missing frames do not count.
        """
        found = self._sums.occurrences.copy()
        found[:, 0] = self._partition.ring_pixels * self._present - found.sum(axis=1)
        return found

    def _lags(self, first: int, ends: Sequence[int]) -> Lags:
        """What to multiply for the frames of a word from ``first`` on, in parts that end before frames ``ends``."""
        last = ends[-1] if ends else first
        kept = np.full(self._frame_lags.size, -1, np.int64)
        for row, lag in enumerate(self._kept_lags):
            if lag > 0:
                kept[np.searchsorted(self._frame_lags, lag)] = row
        within = self._kept_lags.index(0) if 0 in self._kept_lags else -1
        masks = [_mask(first >> level << level, last >> level << level) for level in range(self._word_levels)]
        ring_of_cell = np.arange(self._partition.rings * self._partition.sectors) // self._partition.sectors
        parts = [_mask(begin, end) for begin, end in itertools.pairwise((first, *ends))]
        masks_and_parts = np.array(masks, np.uint64), np.array(parts, np.uint64)
        return Lags(self._frame_lags, self._level_lags, kept, within, *masks_and_parts, ring_of_cell)

    def add(
        self, words: PhotonWords, frames: int, present: int | None = None, part_ends: Sequence[int] = ()
    ) -> NewFrames:
        """Add the newest frames of the word; those before it in the word were added before.

        ``frames`` must not go beyond the word: after 64 frames altogether the word has to be turned.

        present : int or None
            How many of them were really there; the others are missing and hold nothing. ``None`` = all.
        part_ends : sequence of int
            Products are told in parts, which end before these of the new frames: ascending, the last is ``frames``.
            Empty = all in one.
        """
        first = self.frames % WORD_FRAMES
        last = first + frames
        if last > WORD_FRAMES:
            raise ValueError(f"{frames} frames after {first} do not fit into a word of {WORD_FRAMES}")
        lags = self._lags(first, [first + end for end in part_ends or (frames,)])
        new = self._new_sums(lags)
        samples = self._count_levels.begin(words, first, last)
        image = NO_IMAGE
        if self._image is not None:
            image = self._image.target(frames * ((1 << words.planes) - 1))
        of_threads: dict[int, Sums] = {}
        correlate = partial(self._correlate, words, lags, image, samples, of_threads)
        made = share_out(self._pool, correlate, self._shares)
        for sums in of_threads.values():
            for total, part in zip(new, sums, strict=True):
                total += part
        while not self._count_levels.take(made):
            made = share_out(self._pool, samples, self._shares)
        for name in ("products", "squares", "occurrences"):
            total = getattr(self._sums, name)
            total += getattr(new, name)
        self.frames += frames
        self._present += frames if present is None else present
        told = self._told(new, first, last)
        self._photons += told.cell_counts.sum(axis=0)
        rings, sectors = self._partition.rings, self._partition.sectors
        of_rings = leave_one_out(told.cell_counts.reshape(frames, rings, sectors))
        self._ring_sums.add(np.hstack([of_rings.reshape(frames, rings * (sectors + 1)), told.cell_counts]))
        return told

    def _new_sums(self, lags: Lags) -> Sums:
        return new_sums(self._word_levels, lags, len(self._kept_lags), self._fine_rings)

    def _correlate(
        self,
        words: PhotonWords,
        lags: Lags,
        image: Image,
        samples: Callable[[tuple[int, int]], NewSamples],
        of_threads: dict[int, Sums],
        share: tuple[int, int],
    ) -> NewSamples:
        room: Room | None = getattr(self._rooms, "room", None)
        if room is None:
            room = self._rooms.room = new_room()
        # Integers: it does not matter which shares a thread gets.
        thread = threading.get_ident()
        sums = of_threads.get(thread) or of_threads.setdefault(thread, self._new_sums(lags))
        segments = self._order.segments
        if words.photons_now is not None and words.photons_before is not None:
            photons = words.photons_now, words.photons_before
            correlate_photons(*share, segments, *photons, lags, room, image, sums)
        else:
            many = (words.many_now, words.many_before)
            source = words.now, words.before, many, words.planes
            correlate_words(*share, segments, *source, lags, room, image, sums)
        return samples(share)

    def _told(self, new: Sums, first: int, last: int) -> NewFrames:
        counts = in_frame_order(new.counts)[:, first:last].T
        cells = np.ascontiguousarray(counts[:, :-1])
        shape = (last - first, self._partition.rings, self._partition.sectors)
        rings = cells.reshape(shape).sum(axis=2)
        products = np.ascontiguousarray(new.cell_products.T)
        return NewFrames(rings, cells, counts[:, -1].copy(), products, new.fine[:-1].sum(axis=1))

    def result(self, gradient: np.ndarray | None = None) -> MultiTauResult:
        """g2 of everything added so far.

        Parameters
        ----------
        gradient : ndarray or None, shape (ring,)
            <I>-map factor mean(m^2) / mean(m)^2 of each ring (1 = flat): the slope of I(q) across a ring would
            otherwise look like a static contrast.
        """
        lag_frames, products, denominator = self.sums()
        # A whole ring over a million bright frames would not fit into 64 bits.
        numerator = leave_one_out(products.astype(np.float64))
        pixels = leave_one_out(self._partition.cell_pixels)
        values = normalised(pixels, numerator, denominator, gradient)
        return MultiTauResult(lag_frames, values[0], values[1:])

    def contrast(self, gradient: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """g2 at lag 0 minus 1, the speckle contrast, and its error; both shape (ring,). As in :meth:`result`."""
        rings, sectors = self._partition.rings, self._partition.sectors
        products = (self._sums.squares - self._photons).reshape(1, rings, sectors)
        normaliser = self._ring_sums.factorial_pairs[: rings * (sectors + 1)].reshape(1, rings, sectors + 1)
        numerator = leave_one_out(products.astype(np.float64))
        pixels = leave_one_out(self._partition.cell_pixels)
        values = normalised(pixels, numerator, normaliser, gradient)[..., 0]
        return values[0] - 1, jackknife_error(values[1:])

    def sector_g2(self, gradient: np.ndarray | None = None) -> np.ndarray:
        """g2 of each sector of each ring by itself, at the lags of :meth:`result`; shape (sector, ring, lag)."""
        _, products, normaliser = self._sums_of_cells()
        rings, sectors = self._partition.rings, self._partition.sectors
        alone = normaliser[:, rings * (sectors + 1) :].reshape(-1, rings, sectors)
        return normalised(self._partition.cell_pixels, products.astype(np.float64), alone, gradient)

    def _level_products(self, number: int) -> np.ndarray:
        if number < self._word_levels:
            return self._sums.products[number]
        return self._count_levels.levels[number - self._word_levels].products

    def sums(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What g2 of everything added so far is made of; copies, which later ones minus earlier ones may be taken of.

        Returns
        -------
        lag_frames : ndarray, shape (lag,), int64
            Ascending, from 0; those of an earlier call are the first ones of a later call.
        products : ndarray, shape (lag, ring, sector), int64
        normaliser : ndarray, shape (lag, ring, 1 + sector), float64
            Of the whole ring, and with one sector left out.
        """
        lag_frames, products, normaliser = self._sums_of_cells()
        rings, sectors = self._partition.rings, self._partition.sectors
        of_rings = normaliser[:, : rings * (sectors + 1)]
        return lag_frames, products, of_rings.reshape(-1, rings, sectors + 1)

    def _sums_of_cells(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lags; products, shape (lag, ring, sector); normaliser, shape (lag, column), as the ring sums have it."""
        lags = [np.zeros(1, np.int64)]
        products = [(self._sums.squares - self._photons)[None]]
        normaliser = [self._ring_sums.factorial_pairs[None]]
        for number in range(self._ring_sums.levels):
            values, filled = self._ring_sums.level(number)
            level_lags = self._level_lags if number else self._frame_lags
            # The extra lags are for the damage detector; higher levels have them too, with less noise.
            reached = (level_lags < filled) & (level_lags <= self._lags_per_level)
            lags.append(level_lags[reached] << number)
            products.append(self._level_products(number)[: level_lags.size][reached])
            normaliser.append(values[reached])
        rings, sectors = self._partition.rings, self._partition.sectors
        return (
            np.concatenate(lags),
            np.concatenate(products).reshape(-1, rings, sectors),
            np.concatenate(normaliser),
        )


def normalised(
    pixels: np.ndarray, numerator: np.ndarray, denominator: np.ndarray, gradient: np.ndarray | None
) -> np.ndarray:
    """g2 from sums, shape (part, ring, lag), float64; nan where there were no photons.

    pixels : ndarray, shape (ring, part)
    numerator, denominator : ndarray, shape (lag, ring, part), float64
        Sums over pairs of frames of the products of pixels, and of those of ring sums.
    gradient : ndarray or None, shape (ring,)
        As in :meth:`MultiTau.result`.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        values = pixels[None] * numerator / np.where(denominator > 0, denominator, np.nan)
    if gradient is not None:
        values = values / gradient[None, :, None]
    return np.moveaxis(values, (0, 1, 2), (2, 1, 0))


def _mask(first: int, last: int) -> int:
    """Bits ``first`` to ``last`` (excluded) of a word."""
    return (1 << last) - (1 << first) if last > first else 0


def leave_one_out(cells: np.ndarray) -> np.ndarray:
    """Sums over sectors (last axis): first all, then all but each sector; shape (..., ring, 1 + sector)."""
    total = cells.sum(axis=-1, keepdims=True)
    return np.concatenate([total, total - cells], axis=-1)
