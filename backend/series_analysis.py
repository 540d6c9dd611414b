"""One series from frames to numbers: the only way, whether live, replayed or in a cluster job."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from backend.batch_pieces import chosen_from, part_of
from backend.correlation.lag_covariance import RingStatistics
from backend.correlation.multitau import MultiTauResult
from backend.damage.assessment import Assessment
from backend.detector.pixel_watch import OddPixels, PixelWatch
from backend.first_frames import SeriesPlan, plan_series
from backend.frames import FrameBatch, SeriesInfo
from backend.freed_memory import give_back_freed_memory
from backend.photon_words import WORD_FRAMES
from backend.ring_fits import FinishedFits, RingFits
from backend.series_accumulators import RingAccumulators, SeriesAccumulators
from backend.set_aside import SetAside
from backend.settings import Settings
from backend.snapshot import RingFit
from backend.worker_pool import worker_pool

_FIRST_FRAMES = 20
_LONGEST_GAP = 100_000


@dataclass(slots=True)
class FrameRecord:
    """What is kept of every single frame when a result file is to be written; about 250 bytes per frame."""

    numbers: list[np.ndarray]
    ring_counts: list[np.ndarray]


class SeriesAnalysis:
    """Takes the frame batches of one series in order.

    The first frames are kept until there are enough to find gaps, hot pixels and the beam stop; from then on every
    frame is worked off as it comes. Missing frames and frames that cannot be decoded count as empty ones, so time
    stays right.

    Parameters
    ----------
    info, settings : SeriesInfo, Settings
    keep_frames : bool
        True to keep the ring sums of every frame: memory then grows with the series.
    """

    def __init__(self, info: SeriesInfo, settings: Settings, keep_frames: bool = False) -> None:
        self.info = info
        self.settings = settings
        self.plan: SeriesPlan | None = None
        self.sums: SeriesAccumulators | None = None
        self.frames = 0
        self.record = FrameRecord([], []) if keep_frames else None
        # Flat, true where a pixel was saturated in some frame; an overexposed frame has millions of them.
        self.saturated = np.zeros(info.detector.shape_yx[0] * info.detector.shape_yx[1], bool)
        # Pixels that were saturated in the newest frames: one flash must not condemn the whole series.
        self.saturated_now = np.empty(0, np.int64)
        self.set_aside = SetAside()
        self.frames_missing = 0
        self._waiting: list[FrameBatch] = []
        self._waiting_frames = 0
        self._next_frame = 0
        self._ring_fits: RingFits | None = None
        self._pixel_watch: PixelWatch | None = None
        self._ended = False

    @property
    def rings(self) -> RingAccumulators | None:
        """Sums per q ring; ``None`` before the first frames are planned, and without rings."""
        return None if self.sums is None else self.sums.rings

    @property
    def photons(self) -> int:
        """Photons in all good pixels and frames."""
        return 0 if self.sums is None else self.sums.photons

    @property
    def odd_pixels(self) -> OddPixels | None:
        """Hot and dead pixels in the rings as of the newest look; ``None`` before the first."""
        return None if self._pixel_watch is None else self._pixel_watch.found

    @property
    def frames_per_window(self) -> int:
        """Frames between two damage assessments."""
        if self.rings is None:
            return self.settings.damage.window_frames
        return self.rings.damage.frames_per_window

    @property
    def frames_waiting(self) -> int:
        """First frames kept until the analysis can begin."""
        return self._waiting_frames

    def describe(self, info: SeriesInfo) -> None:
        """Side files that came after the start say more of the series: its dose goes by them from now on."""
        self.info = info
        if self.rings is not None:
            self.rings.describe(info)

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
        """No more frames will come: work off what was kept."""
        said = self._begin() if self.plan is None and self._waiting else []
        if self._ring_fits is not None:
            self._ring_fits.close()
        if self._pixel_watch is not None and self.sums is not None:
            self._pixel_watch.look(self.sums.image.counts, self.sums.frames)
        self._ended = True
        return said

    def _begin(self) -> list[Assessment]:
        self.plan = plan_series(self.info, self.settings, self._waiting, worker_pool())
        self.sums = SeriesAccumulators(self.plan, self.info, self.settings, worker_pool())
        if self.plan.partition is not None:
            frame_time_s = self.info.frame_time_s or 1.0
            self._ring_fits = RingFits(frame_time_s, self.plan.partition.q_inv_nm, self.settings.correlation)
            self._pixel_watch = PixelWatch(self.plan.partition, self.plan.speckle_area_px, frame_time_s)
        first, self._waiting = self._waiting, []
        self._waiting_frames = 0
        return [assessment for batch in first for assessment in self._work_off(batch)]

    def _work_off(self, batch: FrameBatch) -> list[Assessment]:
        if self.sums is None or self._ended:
            raise RuntimeError("frames were added to a series that has ended")
        said: list[Assessment] = []
        for piece in self._in_order(batch):
            gap = int(piece.frame_numbers[0]) - self._next_frame
            said += self._skip(self.sums, gap)
            said += self._add(self.sums, piece)
        return said

    def _in_order(self, batch: FrameBatch) -> Iterator[FrameBatch]:
        """Runs of consecutive frames; what came twice or cannot be believed is set aside."""
        wanted: list[int] = []
        expected = self._next_frame
        for index, number in enumerate(batch.frame_numbers.tolist()):
            if number < expected:
                self.set_aside.add(f"frame {number} came twice; the first one counts")
            elif number - expected > _LONGEST_GAP:
                self.set_aside.add(f"frame {number} follows frame {expected - 1}: not believed")
            else:
                wanted.append(index)
                expected = number + 1
        numbers = batch.frame_numbers[wanted]
        edges = [0, *(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(wanted)]
        for first, last in itertools.pairwise(edges):
            if last > first:
                yield chosen_from(batch, wanted[first:last])

    def _skip(self, sums: SeriesAccumulators, frames: int) -> list[Assessment]:
        """Frames that never came."""
        said: list[Assessment] = []
        self.frames_missing += frames
        while frames > 0:
            piece = min(frames, sums.frames_to_word_end)
            said += sums.skip(self._next_frame, piece)
            self._next_frame += piece
            frames -= piece
            self._look_at_pixels(sums)
        return said

    def _add(self, sums: SeriesAccumulators, batch: FrameBatch) -> list[Assessment]:
        said: list[Assessment] = []
        while len(batch.chunks):
            room = sums.frames_to_word_end
            piece, batch = part_of(batch, 0, room), part_of(batch, room)
            decoded, ring_counts, found = sums.add(piece)
            said += found
            self._next_frame += len(piece.chunks)
            for _, reason in decoded.set_aside:
                self.set_aside.add(reason)
            usable = int(np.count_nonzero(decoded.usable))
            self.frames += usable
            self.frames_missing += len(piece.chunks) - usable
            self.saturated_now = decoded.saturated
            self.saturated[self.saturated_now] = True
            if self.record is not None and ring_counts is not None:
                self.record.numbers.append(piece.frame_numbers[decoded.usable])
                self.record.ring_counts.append(ring_counts[decoded.usable])
            self._look_at_pixels(sums)
        return said

    def _look_at_pixels(self, sums: SeriesAccumulators) -> None:
        """Look for pixels that became hot when it is time, at ends of words: never by batches."""
        watch = self._pixel_watch
        if watch is not None and sums.frames % WORD_FRAMES == 0 and watch.is_due(sums.frames):
            watch.look(sums.image.counts, sums.frames)
            give_back_freed_memory()

    def g2(self) -> MultiTauResult | None:
        """g2 of everything so far; ``None`` without rings or before two frames."""
        if self.rings is None or self.frames < 2:
            return None
        return self.rings.g2()

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
