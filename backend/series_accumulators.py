"""Everything that is summed up over the frames of a series, in one pass over the photon words."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from backend.correlation.age_bands import AgeBands
from backend.correlation.intensity import MeanImage, RadialIntensity, TotalTrace, photons_per_frame
from backend.correlation.irregular_times import IrregularTimes
from backend.correlation.multitau import MultiTau, MultiTauResult, NewFrames
from backend.correlation.two_time import TwoTime
from backend.damage.assessment import Assessment
from backend.damage.damage_detector import DamageDetector
from backend.damage.dose import dose_scale_of
from backend.detector.word_decoder import DecodedFrames, WordDecoder
from backend.first_frames import SeriesPlan
from backend.frames import FrameBatch, SeriesInfo
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords
from backend.pixel_order import TILE_PIXELS, PixelOrder, order_pixels
from backend.settings import Settings

_SHOWN_FRAMES = 50
DAMAGE_LAGS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32)
"""Lag 0: pairs of photons of a pixel within one frame, which know the contrast and hardly the rate. The longest are for
samples that relax in tens of frames."""


def exposure_of(info: SeriesInfo) -> float:
    """Part of the frame time in which photons are counted; all of it where no file says otherwise."""
    if info.count_time_s is None or info.frame_time_s is None:
        return 1.0
    return float(np.clip(info.count_time_s / info.frame_time_s, 0.0, 1.0))


class RingAccumulators:
    """Everything that is summed per q ring; ``irregular`` only where the frames are uneven, ``ages`` only elsewhere."""

    def __init__(
        self,
        partition: RingPartition,
        plan: SeriesPlan,
        info: SeriesInfo,
        settings: Settings,
        order: PixelOrder,
        image: MeanImage,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.partition = partition
        lags = settings.correlation.lags_per_level
        self.multitau = MultiTau(partition, order, lags, DAMAGE_LAGS, pool, image)
        self.two_time = TwoTime(
            partition, order, settings.two_time.max_bins, settings.two_time.pixels_per_ring, pool
        )
        self.radial = RadialIntensity(partition, _SHOWN_FRAMES)
        self.irregular: IrregularTimes | None = None
        if info.frame_start_s is not None and info.has_uneven_frames:
            self.irregular = IrregularTimes(
                partition, order, info.frame_start_s, settings.correlation.lags_per_level, pool
            )
        self.ages = AgeBands(partition) if self.irregular is None else None
        self._frame_time_s = frame_time_s = info.frame_time_s or 1.0
        self._dose_settings = settings.dose
        self._wavelength_m = None if plan.geometry is None else plan.geometry.wavelength_m
        self.damage = DamageDetector(
            settings.damage,
            partition.q_inv_nm,
            partition.cell_pixels,
            partition.ring_pixels / plan.speckle_area_px,
            np.array(DAMAGE_LAGS),
            frame_time_s,
            info.expected_frames,
            plan.gradient,
            even_frames=self.irregular is None,
            exposure=exposure_of(info),
        )
        self.describe(info)

    def describe(self, info: SeriesInfo) -> None:
        """Tell all doses, those of earlier frames too, as the series is described now."""
        self.dose = dose_scale_of(self._dose_settings, info, self._wavelength_m)
        if info.monitor is not None:
            self.damage.know_monitor(info.monitor)

    def add(
        self, words: PhotonWords, first_number: int, usable: np.ndarray, saturated: np.ndarray
    ) -> tuple[NewFrames, list[Assessment]]:
        """Add the newest frames of the word; ``usable``, shape (frame,), bool: the others are missing.

        ``saturated``, shape (frame, cell): pixels that gave no photons because they had too many.

        Returns their sums, and the damage assessments they complete.
        """
        frames = usable.size
        ends = self.damage.part_ends(frames)
        new = self.multitau.add(words, frames, int(np.count_nonzero(usable)), ends)
        self.two_time.add(words, frames)
        if self.ages is not None:
            self.ages.add(self.multitau)
        if self.irregular is not None:
            self.irregular.add(words, new.cell_counts)
        # Exposure up to the end of each frame. The dose of a flowing sample stands still after a while, but what
        # happens to it has to be seen all the time.
        exposure_s = np.arange(first_number + 1, first_number + frames + 1) * self._frame_time_s
        # A missing frame has no valid pixel: it is not a dark one.
        valid_pixels = usable[:, None] * (self.partition.cell_pixels.ravel() - saturated)
        said: list[Assessment] = []
        for products, (begin, end) in zip(new.cell_products, itertools.pairwise((0, *ends)), strict=True):
            counts, valid = new.cell_counts[begin:end], valid_pixels[begin:end]
            said += self.damage.add_part(counts, products, float(exposure_s[end - 1]), valid)
        return new, said

    def saturated_pixels(self, decoded: DecodedFrames | None, first_bit: int, frames: int) -> np.ndarray:
        """Saturated pixels of each sector of each ring in the frames from ``first_bit`` on; shape (frame, cell)."""
        cells = self.partition.cell_pixels.size
        number = np.zeros((frames, cells), np.int64)
        if decoded is None or not decoded.saturated.size:
            return number
        cell = self.partition.cell_of_pixel[decoded.saturated]
        for frame in range(frames):
            was = (decoded.saturated_in >> np.uint64(first_bit + frame)) & np.uint64(1) > 0
            number[frame] = np.bincount(cell[was & (cell >= 0)], minlength=cells)
        return number

    def g2(self) -> MultiTauResult:
        """g2 of everything so far, corrected for the slope of I(q) across rings; lags in units of the frame time."""
        gradient = self.radial.gradient()
        result = self.multitau.result(gradient)
        if self.irregular is None:
            return result
        return self.irregular.result(result, self._frame_time_s, gradient)

    def contrast(self) -> tuple[np.ndarray, np.ndarray]:
        """Speckle contrast and its error, both shape (ring,), corrected as in :meth:`g2`; costs much less than that."""
        return self.multitau.contrast(self.radial.gradient())

    def sector_g2(self) -> np.ndarray | None:
        """g2 of each sector of each ring, shape (sector, ring, lag); ``None`` where frames are uneven."""
        if self.irregular is not None:
            return None
        return self.multitau.sector_g2(self.radial.gradient())


class SeriesAccumulators:
    """Takes the frames of one series in order, as they were stored.

    Attributes
    ----------
    rings : RingAccumulators or None
        ``None`` when the detector has no q rings.
    image, trace : MeanImage, TotalTrace
        Of all good pixels.
    good_pixels : int
        How many there are.
    """

    def __init__(
        self, plan: SeriesPlan, info: SeriesInfo, settings: Settings, pool: ThreadPoolExecutor
    ) -> None:
        good = plan.mask.good
        partition = plan.partition
        outside = np.full(good.size, -1, np.int16)
        cell_of_pixel = outside if partition is None else partition.cell_of_pixel
        cells = 0 if partition is None else partition.rings * partition.sectors
        order = order_pixels(cell_of_pixel, cells, TILE_PIXELS)
        self._words = PhotonWords(order)
        self._decoder = WordDecoder(good, order, info.detector.dtype, info.detector.saturation_value, pool)
        self.rings: RingAccumulators | None = None
        if partition is None:
            self.image = MeanImage(order, outside, 0, pool)
        else:
            self.image = MeanImage(order, partition.fine_of_pixel, partition.fine_rings, pool)
            self.rings = RingAccumulators(partition, plan, info, settings, order, self.image, pool)
        self.good_pixels = int(np.count_nonzero(good))
        self.trace = TotalTrace(self.good_pixels)
        self.photons = 0
        self.frames = 0

    @property
    def frames_to_word_end(self) -> int:
        """Frames that still fit into the current word."""
        return WORD_FRAMES - self.frames % WORD_FRAMES

    def add(self, batch: FrameBatch) -> tuple[DecodedFrames, np.ndarray | None, list[Assessment]]:
        """Add consecutive frames, not beyond the end of the word.

        Returns
        -------
        decoded : DecodedFrames
            Which frames could be used; the others count as missing.
        ring_counts : ndarray or None, shape (frame, ring)
            Photons per ring.
        said : list of Assessment
        """
        first = self.frames % WORD_FRAMES
        decoded = self._decoder.decode(batch, first, self._words)
        ring_counts, said = self._add_up(int(batch.frame_numbers[0]), decoded.usable, decoded)
        return decoded, ring_counts, said

    def skip(self, first_number: int, frames: int) -> list[Assessment]:
        """Frames that never came, not beyond the end of the word."""
        return self._add_up(first_number, np.zeros(frames, bool))[1]

    def _add_up(
        self, first_number: int, usable: np.ndarray, decoded: DecodedFrames | None = None
    ) -> tuple[np.ndarray | None, list[Assessment]]:
        words, frames = self._words, usable.size
        words.settle()
        first = self.frames % WORD_FRAMES
        mask = (1 << (first + frames)) - (1 << first)
        present = int(np.count_nonzero(usable))
        ring_counts: np.ndarray | None = None
        said: list[Assessment] = []
        if self.rings is None:
            self.image.add(words, mask, present)
            photons = photons_per_frame(words, first, first + frames)
        else:
            saturated = self.rings.saturated_pixels(decoded, first, frames)
            new, said = self.rings.add(words, first_number, usable, saturated)
            ring_counts = new.ring_counts
            photons = ring_counts.sum(axis=1) + new.outside_counts
            bright = np.flatnonzero(new.ring_counts.any(axis=1)) + first_number
            self.rings.radial.add(bright.tolist(), present, new.fine_counts)
            self.image.frames += present
        for index in np.flatnonzero(usable).tolist():
            self.trace.add(first_number + index, int(photons[index]))
        self.photons += int(photons.sum())
        self.frames += frames
        if self.frames % WORD_FRAMES == 0:
            words.turn()
        return ring_counts, said
