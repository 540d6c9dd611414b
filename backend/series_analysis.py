"""One series from frames to numbers: the only way, whether live, replayed or in a cluster job."""

from __future__ import annotations

import numpy as np

from backend.batch_pieces import part_of
from backend.correlation.intensity import MeanImage, RadialIntensity, TotalTrace
from backend.correlation.kww_fit import fit_rings
from backend.correlation.multitau import MultiTau, MultiTauResult
from backend.correlation.two_time import TwoTime
from backend.damage.assessment import Assessment
from backend.damage.damage_detector import DamageDetector
from backend.detector.event_decoder import EventDecoder
from backend.first_frames import SeriesPlan, plan_series
from backend.frames import FrameBatch, SeriesInfo
from backend.photon_events import EventBatch, RingPartition
from backend.settings import Settings
from backend.snapshot import RingFit

_FIRST_FRAMES = 20
_SHOWN_FRAMES = 50
_LONGEST_GAP = 100_000
DAMAGE_LAGS = (1, 2, 4, 8, 16)


class RingAccumulators:
    """Everything that is summed per q ring."""

    def __init__(
        self, partition: RingPartition, plan: SeriesPlan, info: SeriesInfo, settings: Settings
    ) -> None:
        self.partition = partition
        self.multitau = MultiTau(partition, settings.correlation.lags_per_level, DAMAGE_LAGS)
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

    def add(
        self, frame: int, pixel: np.ndarray, count: np.ndarray, *, missing: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add a frame and return its ring counts and lagged products for the damage detector."""
        counts, products = self.multitau.add(pixel, count)
        self.two_time.add(pixel, count)
        if not missing:
            self.radial.add(frame, pixel, count)
            self.ring_counts.append(counts)
        return counts, products[:, self._damage_columns]

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
        self.saturated: set[int] = set()
        self.set_aside: list[tuple[int, str]] = []
        self.frames_missing = 0
        self._waiting: list[FrameBatch] = []
        self._waiting_frames = 0
        self._decoder: EventDecoder | None = None
        self._next_frame = 0
        self._fits: tuple[RingFit | None, ...] = ()
        self._fitted_at = -1

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
        # The last fit starts afresh, so that it depends on the frames alone and not on when earlier fits were made.
        self._fits = ()
        self._fitted_at = -1
        return said

    def _begin(self) -> list[Assessment]:
        self.plan = plan_series(self.info, self.settings, self._waiting)
        good = self.plan.mask.good
        self._decoder = EventDecoder(good, self.info.detector.dtype, self.info.detector.saturation_value)
        self.trace = TotalTrace(int(np.count_nonzero(good)))
        if self.plan.partition is not None:
            self.rings = RingAccumulators(self.plan.partition, self.plan, self.info, self.settings)
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
        self.saturated.update(events.saturated_pixel.tolist())
        said: list[Assessment] = []
        for index, frame in enumerate(events.frame_numbers.tolist()):
            if frame < self._next_frame:
                self.set_aside.append((frame, f"frame {frame} came twice; the first one counts"))
                continue
            if frame - self._next_frame > _LONGEST_GAP:
                self.set_aside.append(
                    (frame, f"frame {frame} follows frame {self._next_frame - 1}: not believed")
                )
                continue
            for absent in range(self._next_frame, frame):
                said.extend(self._add_frame(absent, _NO_EVENTS, _NO_EVENTS, missing=True))
            pixel, count = events.frame(index)
            said.extend(self._add_frame(frame, pixel, count, missing=False))
        return said

    def _add_frame(
        self, frame: int, pixel: np.ndarray, count: np.ndarray, *, missing: bool
    ) -> list[Assessment]:
        self._next_frame = frame + 1
        if missing:
            self.frames_missing += 1
        else:
            photons = int(count.sum())
            self.image.add(pixel, count)
            self.trace.add(frame, photons)
            self.frame_numbers.append(frame)
            self.photons += photons
        if self.rings is None or self.rings.damage is None:
            return []
        counts, products = self.rings.add(frame, pixel, count, missing=missing)
        dose = np.array([self.rings.dose_s(frame)])
        return self.rings.damage.add(counts[None], products[None], dose)

    def g2(self) -> MultiTauResult | None:
        """g2 of everything so far, corrected for the slope of I(q) across rings."""
        if self.rings is None or self.frames < 2:
            return None
        return self.rings.multitau.result(self.rings.radial.gradient())

    def fits(self, result: MultiTauResult) -> tuple[RingFit | None, ...]:
        """KWW fits to ``result``, started from the last ones; repeated only when frames were added."""
        if self._fitted_at != self.frames:
            self._fits = fit_rings(
                result, self.info.frame_time_s or 1.0, self.settings.correlation.fit_exponent, self._fits
            )
            self._fitted_at = self.frames
        return self._fits


_NO_EVENTS = np.empty(0, np.uint32)
