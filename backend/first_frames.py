"""What the first frames of a series tell: mask, hot pixels, q rings, speckle size."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from backend.correlation.intensity import RadialIntensity
from backend.correlation.multitau import MultiTau
from backend.correlation.speckle_size import SpeckleSize
from backend.detector.event_decoder import EventDecoder
from backend.detector.geometry import Geometry, geometry_of
from backend.detector.mask import PixelMask, build_mask, hot_pixels, load_mask_file
from backend.detector.q_rings import partition_into_rings
from backend.errors import FeedbackError, GeometryError, SettingsError
from backend.frames import FrameBatch, SeriesInfo
from backend.freed_memory import give_back_freed_memory
from backend.photon_events import EventBatch, RingPartition, distinct_pixels
from backend.photon_words import HIGHEST_COUNT, PhotonWords
from backend.pixel_order import TILE_PIXELS, order_pixels
from backend.settings import Settings

_UNKNOWN_SPECKLE_AREA_PX = 9.0
_SIGNIFICANT = 5.0
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
    plan = _plan(info, settings, batches, pool)
    # Maps of the whole detector were made on the way.
    give_back_freed_memory()
    return plan


def _plan(
    info: SeriesInfo, settings: Settings, batches: list[FrameBatch], pool: Executor | None
) -> SeriesPlan:
    notices = list(info.notices)
    if info.frame_time_s is None:
        notices.append(_NO_FRAME_TIME)
    extra = None
    if settings.mask.file is not None:
        try:
            extra = load_mask_file(settings.mask.file, info.detector.shape_yx)
        except SettingsError as error:
            notices.append(str(error))
    mask = build_mask(info.detector, settings.mask, _always_at_maximum(info, batches), extra)
    geometry = None
    no_rings: FeedbackError | None = None
    try:
        geometry = geometry_of(info.detector, settings.geometry)
    except GeometryError as error:
        no_rings = error
    events = _decode(info, mask.good, batches)
    if geometry is not None:
        # Without rings a bright centre could not be told from hot pixels.
        groups = _radial_groups(geometry, mask.good)
        mask = _without_hot_pixels(mask, events, groups, settings.mask.hot_pixel_tail)
    partition = None
    area = _UNKNOWN_SPECKLE_AREA_PX
    gradient = None
    if geometry is not None:
        try:
            partition = partition_into_rings(
                geometry, mask.good, settings.rings, _mean_image(events, mask.good), pool
            )
            area = _speckle_area(events, partition, pool)
            gradient = _gradient(events, partition)
        except GeometryError as error:
            no_rings = error
    if mask.hot:
        notices.append(f"{mask.hot} hot pixels were found in the first frames and are left out.")
    return SeriesPlan(mask, geometry, partition, no_rings, area, gradient, tuple(notices))


def _decode(info: SeriesInfo, good: np.ndarray, batches: list[FrameBatch]) -> list[EventBatch]:
    with EventDecoder(good, info.detector.dtype, info.detector.saturation_value) as decoder:
        return [decoder.decode(batch) for batch in batches]


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


def _radial_groups(geometry: Geometry, good: np.ndarray) -> np.ndarray:
    """Rough rings for the hot-pixel test; flat int16, -1 for bad pixels."""
    radius = geometry.radius_px().ravel().astype(np.int32)
    of_radius = (8 * np.log2(1 + np.arange(radius.max(initial=0) + 1))).astype(np.int16)
    groups: np.ndarray = of_radius[radius]
    groups[~good.ravel()] = -1
    return groups


def _without_hot_pixels(
    mask: PixelMask, events: list[EventBatch], groups: np.ndarray, tail: float
) -> PixelMask:
    hot = hot_pixels(_joined(events), groups, tail)
    if hot.size == 0:
        return mask
    good = mask.good.copy()
    good.ravel()[hot] = False
    return replace(mask, good=good, hot=int(hot.size))


def _joined(events: list[EventBatch]) -> EventBatch:
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


def _mean_image(events: list[EventBatch], good: np.ndarray) -> np.ndarray:
    pixel, count = (
        np.concatenate(parts) for parts in zip(*((b.pixel, b.count) for b in events), strict=True)
    )
    # Of no events at all numpy makes whole numbers.
    image = np.bincount(pixel, weights=count, minlength=good.size).astype(np.float64, copy=False)
    image /= max(sum(len(batch.frame_numbers) for batch in events), 1)
    return image.reshape(good.shape)


def _speckle_area(events: list[EventBatch], partition: RingPartition, pool: Executor | None) -> float:
    """Area of a speckle, or a cautious large one when the first frames hold too few photons to measure it."""
    good = partition.cell_of_pixel >= 0
    size = SpeckleSize(partition)
    order = order_pixels(partition.cell_of_pixel, partition.rings * partition.sectors, TILE_PIXELS)
    words = PhotonWords(order)
    frames = 0
    for batch in events:
        for index in range(len(batch.frame_numbers)):
            pixel, count = batch.frame(index)
            inside = good[pixel] & (count <= HIGHEST_COUNT)
            pixel, count = pixel[inside], count[inside]
            size.add(pixel, count)
            words.put(frames, pixel, count)
            frames += 1
    # Only the contrast is wanted; two lags are the fewest.
    contrast = MultiTau(partition, order, lags_per_level=2, pool=pool)
    contrast.add(words, frames)
    result = contrast.result()
    value, error = result.g2[:, 0] - 1, result.g2_err[:, 0]
    usable = np.isfinite(value) & np.isfinite(error) & (error > 0)
    if not usable.any():
        return _UNKNOWN_SPECKLE_AREA_PX
    weight = 1 / error[usable] ** 2
    mean = float((value[usable] * weight).sum() / weight.sum())
    if mean * np.sqrt(weight.sum()) < _SIGNIFICANT:
        return _UNKNOWN_SPECKLE_AREA_PX
    return size.area_px(mean)


def _gradient(events: list[EventBatch], partition: RingPartition) -> np.ndarray:
    """Slope of I(q) within rings in the first frames; the damage verdict starts with it."""
    intensity = RadialIntensity(partition, 1)
    for batch in events:
        fine = partition.fine_of_pixel[batch.pixel]
        counts = np.bincount(fine[fine >= 0], batch.count[fine >= 0], partition.fine_rings)
        intensity.add([], len(batch.frame_numbers), counts.astype(np.int64))
    return intensity.gradient()
