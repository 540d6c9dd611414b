"""Follows the pixels of a series: which became hot, flash or are dead, long after the first frames were looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.detector.odd_pixels import JudgedPixels, judge_pixels
from backend.photon_events import RingPartition

FALSE_PIXELS = 0.01
"""Good pixels of an undamaged detector that are called hot or dead in a whole series, on average; at most."""

_FEWEST_FRAMES = 64
_SHORTEST_PAUSE_S = 5.0
_GROWTH = 1.25
_LOUD = 0.5


@dataclass(frozen=True, slots=True)
class OddPixels:
    """Pixels in q rings that do not belong there, after ``frames`` frames.

    Attributes
    ----------
    hot : ndarray, shape (hot,), int64
        Flat pixels with far too many photons, the worst first.
    photons, expected : ndarray, shape (hot,), int64 and float64
        What they counted, and what good pixels of their fine ring did on average.
    found_after : ndarray, shape (hot,), int64
        Frames after which each was first seen to be hot.
    flashing : ndarray, shape (hot,), bool
        True where most frames since then were quiet.
    dead : ndarray, shape (dead,), int64
        Flat pixels without a photon where there should be many.
    ring_share : ndarray, shape (ring,), float64
        Share of the photons of each q ring that its hot pixels hold.
    """

    frames: int
    hot: np.ndarray
    photons: np.ndarray
    expected: np.ndarray
    found_after: np.ndarray
    flashing: np.ndarray
    dead: np.ndarray
    ring_share: np.ndarray


class PixelWatch:
    """Looks at the summed image from time to time.

    When it looks depends on the frames alone: at the end, and during the series after a quarter more frames each time,
    at least :data:`_SHORTEST_PAUSE_S` of measuring later.

    Parameters
    ----------
    partition : RingPartition
        Rings and fine rings.
    speckle_area_px : float
        Pixels that vary together.
    frame_time_s : float
        Seconds from frame to frame.

    Attributes
    ----------
    found : OddPixels or None
        What the newest look found; ``None`` before the first.
    """

    def __init__(self, partition: RingPartition, speckle_area_px: float, frame_time_s: float) -> None:
        self._partition = partition
        self._speckle_area_px = speckle_area_px
        self._pause_frames = max(_FEWEST_FRAMES, round(_SHORTEST_PAUSE_S / frame_time_s))
        self._looks = 0
        self._next_frames = self._pause_frames
        self._before: np.ndarray | None = None
        self._mean_before = np.zeros(partition.fine_rings)
        self._frames_before = 0
        self._seen: dict[int, _Seen] = {}
        self.found: OddPixels | None = None

    def is_due(self, frames: int) -> bool:
        """Whether to look after this many frames."""
        return frames >= self._next_frames

    def look(self, counts: np.ndarray, frames: int) -> OddPixels:
        """Judge the summed image of this many frames, shape (pixel,), integers; it is kept until the next look."""
        if self.found is not None and self.found.frames == frames:
            return self.found
        self._looks += 1
        # The shares of all looks add up to one, of hot and dead pixels to a half each.
        probability = FALSE_PIXELS / (2 * self._looks * (self._looks + 1))
        partition = self._partition
        judged = judge_pixels(
            counts,
            partition.fine_of_pixel,
            partition.fine_rings,
            partition.shape_yx[1],
            self._speckle_area_px,
            probability,
        )
        self._follow(judged, counts, frames)
        self.found = self._told(judged, counts, frames)
        self._before, self._mean_before, self._frames_before = counts, judged.mean, frames
        self._next_frames = max(int(np.ceil(_GROWTH * frames)), frames + self._pause_frames)
        return self.found

    def _follow(self, judged: JudgedPixels, counts: np.ndarray, frames: int) -> None:
        """Note for each hot pixel whether it was loud since the look before: at least half as much as on the whole."""
        fine = self._partition.fine_of_pixel[judged.hot]
        photons, expected = counts[judged.hot].astype(np.float64), judged.mean[fine]
        new_photons, new_expected = photons, expected
        if self._before is not None:
            new_photons = photons - self._before[judged.hot]
            new_expected = expected - np.nan_to_num(self._mean_before[fine])
        share = (frames - self._frames_before) / frames
        loud = new_photons - new_expected >= _LOUD * share * (photons - expected)
        for pixel, is_loud in zip(judged.hot.tolist(), loud.tolist(), strict=True):
            seen = self._seen.setdefault(pixel, _Seen(frames, self._frames_before))
            seen.loud_frames += (frames - self._frames_before) if is_loud else 0

    def _told(self, judged: JudgedPixels, counts: np.ndarray, frames: int) -> OddPixels:
        partition = self._partition
        expected = judged.mean[partition.fine_of_pixel[judged.hot]]
        order = np.argsort(expected - counts[judged.hot], kind="stable")
        hot, expected = judged.hot[order], expected[order]
        seen = [self._seen[pixel] for pixel in hot.tolist()]
        ring = partition.cell_of_pixel[hot] // partition.sectors
        # Good pixels of all fine rings of a ring, then the hot ones on top.
        good = np.nan_to_num(judged.mean) * partition.fine_pixels
        photons = np.bincount(partition.ring_of_fine, good, partition.rings)
        excess = np.bincount(ring, counts[hot], partition.rings)
        return OddPixels(
            frames=frames,
            hot=hot,
            photons=counts[hot].astype(np.int64),
            expected=expected,
            found_after=np.array([one.found_after for one in seen], np.int64),
            flashing=np.array([one.is_flashing(frames) for one in seen], bool),
            dead=judged.dead,
            ring_share=excess / np.maximum(photons + excess, 1.0),
        )


@dataclass(slots=True)
class _Seen:
    """A hot pixel: frames at the look that found it and at the one before, and those of all loud spans since then."""

    found_after: int
    loud_after: int
    loud_frames: int = 0

    def is_flashing(self, frames: int) -> bool:
        return self.loud_frames < _LOUD * (frames - self.loud_after)
