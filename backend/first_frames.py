"""What the first frames of a series tell: mask, hot pixels, q rings, speckle size."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from backend.correlation.intensity import RadialIntensity
from backend.correlation.speckle_size import SpeckleSize
from backend.detector.event_decoder import EventDecoder
from backend.detector.geometry import Geometry, geometry_of
from backend.detector.mask import PixelMask, build_mask, hot_pixels, load_mask_file
from backend.detector.q_rings import partition_into_rings
from backend.detector.rough_rings import rough_rings
from backend.errors import FeedbackError, GeometryError, SettingsError
from backend.frames import FrameBatch, SeriesInfo
from backend.photon_events import EventBatch, RingPartition, distinct_pixels
from backend.settings import Settings

_UNKNOWN_SPECKLE_AREA_PX = 9.0
"""Cautiously large, for first frames with too few photons to measure it."""
_NO_FRAME_TIME = (
    "No file states the frame time: one second stands for one frame in lags, rates and dose until it does."
)


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """How the rest of a series is analysed.

    ``partition`` and ``geometry`` are ``None``, and ``no_rings`` says why, when there are no q rings.
    ``speckle_area_px`` is the area of one speckle in pixels; ``gradient``, shape (ring,), the slope of I(q) within
    rings at the start as :meth:`RadialIntensity.gradient` gives it. ``notices`` are sentences for the user.
    """

    mask: PixelMask
    geometry: Geometry | None
    partition: RingPartition | None
    no_rings: FeedbackError | None
    speckle_area_px: float
    gradient: np.ndarray | None
    notices: tuple[str, ...]


def plan_series(
    info: SeriesInfo, settings: Settings, batches: list[FrameBatch], pool: Executor | None = None
) -> SeriesPlan:
    """Mask, rings and speckle size from the first frames; trouble becomes a notice, never an exception.

    ``pool``: threads that share the work; without one the calling thread does it alone.
    """
    notices = list(info.notices)
    if info.frame_time_s is None:
        notices.append(_NO_FRAME_TIME)
    mask = _known_mask(info, settings, batches, notices)
    geometry = None
    no_rings: FeedbackError | None = None
    try:
        geometry = geometry_of(info.detector, settings.geometry)
    except GeometryError as error:
        no_rings = error
    events = _decode(info, mask.good, batches)
    if geometry is not None:
        # Without rings a bright centre could not be told from hot pixels.
        groups = rough_rings(geometry, mask.good, pool)
        mask = _without_hot_pixels(mask, events, groups, settings.mask.hot_pixel_tail)
    partition = None
    if geometry is not None:
        try:
            photons = events.pixel, events.count
            partition = partition_into_rings(geometry, mask.good, settings.rings, photons, pool)
        except GeometryError as error:
            no_rings = error
    area, gradient = _UNKNOWN_SPECKLE_AREA_PX, None
    if partition is not None:
        size = SpeckleSize(partition, pool)
        frames = len(events.frame_numbers)
        size.add(events.frame(index) for index in range(frames))
        gradient = _gradient(size.fine_counts, frames, partition)
        contrast = size.contrast()
        area = _UNKNOWN_SPECKLE_AREA_PX if contrast is None else size.area_px(contrast)
    if mask.hot:
        notices.append(f"{mask.hot} hot pixels were found in the first frames and are left out.")
    return SeriesPlan(mask, geometry, partition, no_rings, area, gradient, tuple(notices))


def _known_mask(
    info: SeriesInfo, settings: Settings, batches: list[FrameBatch], notices: list[str]
) -> PixelMask:
    """Without hot pixels; a mask of the settings that cannot be read becomes a notice."""
    extra = None
    if settings.mask.file is not None:
        try:
            extra = load_mask_file(settings.mask.file, info.detector.shape_yx)
        except SettingsError as error:
            notices.append(str(error))
    return build_mask(info.detector, settings.mask, _always_at_maximum(info, batches), extra)


def _decode(info: SeriesInfo, good: np.ndarray, batches: list[FrameBatch]) -> EventBatch:
    with EventDecoder(good, info.detector.dtype, info.detector.saturation_value) as decoder:
        return _joined([decoder.decode(batch) for batch in batches])


def _always_at_maximum(info: SeriesInfo, batches: list[FrameBatch]) -> np.ndarray:
    """Pixels at the type's maximum in every frame: gaps and dead pixels, whether marked or not; flat bool."""
    marked = info.detector.pixel_mask
    pixels = info.detector.shape_yx[0] * info.detector.shape_yx[1]
    candidates = np.ones(pixels, bool) if marked is None else ~marked.ravel()
    looked_at = False
    with EventDecoder(candidates.reshape(info.detector.shape_yx), info.detector.dtype, None) as decoder:
        for batch in batches:
            for index, chunk in enumerate(batch.chunks):
                single = replace(batch, frame_numbers=batch.frame_numbers[index : index + 1], chunks=(chunk,))
                events = decoder.decode(single)
                if events.set_aside:
                    continue
                looked_at = True
                at_maximum = np.zeros(pixels, bool)
                at_maximum[events.saturated_pixel] = True
                candidates &= at_maximum
                if not candidates.any():
                    return candidates
    return candidates if looked_at else np.zeros(pixels, bool)


def _without_hot_pixels(mask: PixelMask, events: EventBatch, groups: np.ndarray, tail: float) -> PixelMask:
    hot = hot_pixels(events, groups, tail)
    if hot.size == 0:
        return mask
    good = mask.good.copy()
    good.ravel()[hot] = False
    return replace(mask, good=good, hot=int(hot.size))


def _joined(events: list[EventBatch]) -> EventBatch:
    if len(events) == 1:
        return events[0]
    starts = np.cumsum([0] + [int(batch.offset[-1]) for batch in events])
    return EventBatch(
        frame_numbers=np.concatenate([batch.frame_numbers for batch in events]),
        offset=np.concatenate(
            [np.zeros(1, np.int64)]
            + [batch.offset[1:] + start for batch, start in zip(events, starts, strict=False)]
        ),
        pixel=np.concatenate([batch.pixel for batch in events]),
        count=np.concatenate([batch.count for batch in events]),
        saturated_pixel=distinct_pixels(batch.saturated_pixel for batch in events),
    )


def _gradient(fine_counts: np.ndarray, frames: int, partition: RingPartition) -> np.ndarray:
    """Slope of I(q) within rings in the first frames; the damage verdict starts with it."""
    intensity = RadialIntensity(partition, 1)
    intensity.add([], frames, fine_counts)
    return intensity.gradient()
