"""One series from frames to numbers: the only way, whether live, replayed or in a cluster job."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from backend.batch_pieces import part_of
from backend.correlation.intensity import MeanImage, RadialIntensity, TotalTrace
from backend.correlation.lag_covariance import RingStatistics
from backend.correlation.multitau import MultiTau, MultiTauResult
from backend.correlation.two_time import TwoTime
from backend.damage.assessment import Assessment
from backend.damage.damage_detector import DamageDetector
from backend.detector.event_decoder import EventDecoder
from backend.first_frames import SeriesPlan, plan_series
from backend.frames import FrameBatch, SeriesInfo
from backend.photon_events import EventBatch, RingPartition
from backend.ring_fits import FinishedFits, RingFits
from backend.settings import Settings
from backend.snapshot import RingFit

_FIRST_FRAMES = 20
_SHOWN_FRAMES = 50
_LONGEST_GAP = 100_000
DAMAGE_LAGS = (1, 2, 4, 8, 16)


_NO_EVENTS = (np.empty(0, np.uint32), np.empty(0, np.uint32))


@dataclass(frozen=True, slots=True)
class SeriesFrame:
    """One frame in its place in the series; a missing one has no events."""

    number: int
    events: tuple[np.ndarray, np.ndarray]
    missing: bool


class RingAccumulators:
    """Everything that is summed per q ring."""

    def __init__(
        self,
        partition: RingPartition,
        plan: SeriesPlan,
        info: SeriesInfo,
        settings: Settings,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._pool = pool
        self.partition = partition
        self.multitau = MultiTau(partition, settings.correlation.lags_per_level, DAMAGE_LAGS, pool)
        self.two_time = TwoTime(partition, settings.two_time.max_bins, settings.two_time.pixels_per_ring)
        self.radial = RadialIntensity(partition, _SHOWN_FRAMES)
        self.ring_counts: list[np.ndarray] = []
        self._damage_columns = np.searchsorted(self.multitau.frame_lags, DAMAGE_LAGS)
        self._frame_time_s = info.frame_time_s or 1.0
        self._transmission = 1.0 if info.transmission is None else info.transmission
        self._settings = settings
        self._info = info
        self._speckles = partition.ring_pixels / plan.speckle_area_px
        self.damage: DamageDetector | None = None

    def start_damage(self, gradient: np.ndarray) -> None:
        """Begin the damage verdict; ``gradient``, shape (ring,), is the slope of I(q) within rings at the start."""
        self.damage = DamageDetector(
            self._settings.damage,
            self.partition.q_inv_nm,
            self.partition.ring_pixels,
            self._speckles,
            np.array(DAMAGE_LAGS),
            self._frame_time_s,
            self._info.expected_frames,
            gradient,
        )

    def add(self, frames: list[SeriesFrame]) -> tuple[np.ndarray, np.ndarray]:
        """Add frames; return their ring counts and their lagged products for the damage detector.

        ring_counts : shape (frame, ring); lagged_products : shape (frame, ring, lag), lags as in DAMAGE_LAGS.
        """
        two_time = self._pool.submit(self._add_to_two_time, frames)
        radial = self._pool.submit(self._add_to_radial, frames)
        counts, products = self.multitau.add_frames([frame.events for frame in frames])
        two_time.result()
        radial.result()
        self.ring_counts.extend(row for row, frame in zip(counts, frames, strict=True) if not frame.missing)
        return counts, products[:, :, self._damage_columns]

    def _add_to_two_time(self, frames: list[SeriesFrame]) -> None:
        for frame in frames:
            self.two_time.add(*frame.events)

    def _add_to_radial(self, frames: list[SeriesFrame]) -> None:
        for frame in frames:
            if not frame.missing:
                self.radial.add(frame.number, *frame.events)

    def dose_s(self, frame: int) -> float:
        """Exposure up to the end of a frame, weighted by the transmission of the absorbers; seconds."""
        return (frame + 1) * self._frame_time_s * self._transmission


class SeriesAnalysis:
    """Takes the frame batches of one series in order.

    The first frames are kept until there are enough to find gaps, hot pixels and the beam stop; from then on every
    frame is worked off as it comes. Missing frames and frames that cannot be decoded count as empty ones, so time
    stays right.
    """

    def __init__(self, info: SeriesInfo, settings: Settings) -> None:
        self.info = info
        self.settings = settings
        self.plan: SeriesPlan | None = None
        self.rings: RingAccumulators | None = None
        self.image = MeanImage(info.detector.shape_yx[0] * info.detector.shape_yx[1])
        self.trace = TotalTrace(1)
        self.frame_numbers: list[int] = []
        self.photons = 0
        # Flat, true where a pixel was saturated in some frame; an overexposed frame has millions of them.
        self.saturated = np.zeros(self.image.counts.size, bool)
        # Pixels that were saturated in the newest frames: one flash must not condemn the whole series.
        self.saturated_now = np.empty(0, np.uint32)
        self.set_aside: list[tuple[int, str]] = []
        self.frames_missing = 0
        self._waiting: list[FrameBatch] = []
        self._waiting_frames = 0
        self._decoder: EventDecoder | None = None
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="correlate")
        self._next_frame = 0
        self._ring_fits: RingFits | None = None
        self._ended = False

    @property
    def frames(self) -> int:
        """Frames analysed so far."""
        return len(self.frame_numbers)

    @property
    def frames_per_window(self) -> int:
        """Frames between two damage assessments."""
        damage = None if self.rings is None else self.rings.damage
        return self.settings.damage.window_frames if damage is None else damage.frames_per_window

    @property
    def frames_waiting(self) -> int:
        """First frames kept until the analysis can begin."""
        return self._waiting_frames

    def add(self, batch: FrameBatch) -> list[Assessment]:
        """Add a batch; returns the damage assessments of the windows it completes."""
        if self.plan is not None:
            return self._work_off(batch)
        # Always the same number of first frames, however they arrive: the plan must not depend on the batches.
        room = _FIRST_FRAMES - self._waiting_frames
        first, rest = part_of(batch, 0, room), part_of(batch, room)
        self._waiting.append(first)
        self._waiting_frames += len(first.chunks)
        if self._waiting_frames < _FIRST_FRAMES:
            return []
        said = self._begin()
        return said + self._work_off(rest)

    def finish(self) -> list[Assessment]:
        """No more frames will come: work off what was kept, end the threads."""
        said = self._begin() if self.plan is None and self._waiting else []
        if self._decoder is not None:
            self._decoder.close()
        self._pool.shutdown(wait=True)
        if self._ring_fits is not None:
            self._ring_fits.close()
        self._ended = True
        return said

    def _begin(self) -> list[Assessment]:
        self.plan = plan_series(self.info, self.settings, self._waiting)
        good = self.plan.mask.good
        self._decoder = EventDecoder(good, self.info.detector.dtype, self.info.detector.saturation_value)
        self.trace = TotalTrace(int(np.count_nonzero(good)))
        if self.plan.partition is not None:
            self.rings = RingAccumulators(
                self.plan.partition, self.plan, self.info, self.settings, self._pool
            )
            self._ring_fits = RingFits(
                self.info.frame_time_s or 1.0, self.plan.partition.q_inv_nm, self.settings.correlation
            )
        first, self._waiting = self._waiting, []
        self._waiting_frames = 0
        events = [self._decoder.decode(batch) for batch in first]
        if self.rings is not None:
            # The I(q) of the first frames is needed before the verdict begins.
            preview = RadialIntensity(self.rings.partition, _SHOWN_FRAMES)
            for batch_events in events:
                for index, frame in enumerate(batch_events.frame_numbers.tolist()):
                    preview.add(frame, *batch_events.frame(index))
            self.rings.start_damage(preview.gradient())
        return [assessment for batch_events in events for assessment in self._accumulate(batch_events)]

    def _work_off(self, batch: FrameBatch) -> list[Assessment]:
        if self._decoder is None:
            raise RuntimeError("frames were added to a series that has ended")
        return self._accumulate(self._decoder.decode(batch))

    def _accumulate(self, events: EventBatch) -> list[Assessment]:
        self.set_aside.extend(events.set_aside)
        self.saturated[events.saturated_pixel] = True
        self.saturated_now = events.saturated_pixel
        frames: list[SeriesFrame] = []
        for index, number in enumerate(events.frame_numbers.tolist()):
            if number < self._next_frame:
                self.set_aside.append((number, f"frame {number} came twice; the first one counts"))
            elif number - self._next_frame > _LONGEST_GAP:
                before = self._next_frame - 1
                self.set_aside.append((number, f"frame {number} follows frame {before}: not believed"))
            else:
                absent = range(self._next_frame, number)
                frames.extend(SeriesFrame(gap, _NO_EVENTS, missing=True) for gap in absent)
                frames.append(SeriesFrame(number, events.frame(index), missing=False))
                self._next_frame = number + 1
        return self._add_frames(frames) if frames else []

    def _add_frames(self, frames: list[SeriesFrame]) -> list[Assessment]:
        image = self._pool.submit(self._add_to_image, [frame for frame in frames if not frame.missing])
        said: list[Assessment] = []
        if self.rings is not None and self.rings.damage is not None:
            counts, products = self.rings.add(frames)
            dose = np.array([self.rings.dose_s(frame.number) for frame in frames])
            said = self.rings.damage.add(counts, products, dose)
        image.result()
        self.frames_missing += sum(frame.missing for frame in frames)
        return said

    def _add_to_image(self, frames: list[SeriesFrame]) -> None:
        for frame in frames:
            photons = int(frame.events[1].sum())
            self.image.add(*frame.events)
            self.trace.add(frame.number, photons)
            self.frame_numbers.append(frame.number)
            self.photons += photons

    def g2(self) -> MultiTauResult | None:
        """g2 of everything so far, corrected for the slope of I(q) across rings."""
        if self.rings is None or self.frames < 2:
            return None
        return self.rings.multitau.result(self.rings.radial.gradient())

    @property
    def fitted_frames(self) -> int:
        """Frames that the newest finished fits are made of; 0 before the first."""
        newest = None if self._ring_fits is None else self._ring_fits.newest
        return 0 if newest is None else newest.frames

    def fitted(self, result: MultiTauResult) -> FinishedFits | None:
        """The newest finished fits; ``result`` is handed on to be fitted in the background.

        After the end of the series the fits of ``result`` itself, made afresh: they depend on the frames alone.
        """
        if self._ring_fits is None or self.rings is None:
            return None
        partition = self.rings.partition
        photons = np.bincount(partition.ring_of_fine, self.rings.radial.whole() * partition.fine_pixels)
        statistics = RingStatistics(partition.ring_pixels, photons / partition.ring_pixels, self.frames)
        if self._ended:
            return self._ring_fits.final(result, statistics)
        return self._ring_fits.submit(result, statistics)

    def fits(self, result: MultiTauResult) -> tuple[RingFit | None, ...]:
        """The fits of :meth:`fitted`, one per ring; empty before the first."""
        finished = self.fitted(result)
        return () if finished is None else finished.rings.fits
