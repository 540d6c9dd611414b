"""The running mean image, summed to a size that a window can show, as grey levels on a logarithmic scale."""

from __future__ import annotations

import math

import numpy as np

from backend.correlation.intensity import MeanImage
from backend.first_frames import SeriesPlan
from backend.snapshot import ImagePart

_HIGHEST_GREY = 253
_SATURATED = 254
_MASKED = 255
_SHOWN_DECADES = 4.0


class PreviewImage:
    """Makes previews of one series; what its mask and rings fix is worked out once.

    Parameters
    ----------
    plan : SeriesPlan
        Mask and rings.
    max_pixels : int
        Largest preview; bigger detectors are summed 2x2, 3x3 ...
    """

    def __init__(self, plan: SeriesPlan, max_pixels: int) -> None:
        self._shape_yx = plan.mask.good.shape
        self._binning = math.ceil(math.sqrt(plan.mask.good.size / max_pixels))
        self._good_pixels = _binned(plan.mask.good, self._binning)
        self._masked_pixels = int(plan.mask.good.size - np.count_nonzero(plan.mask.good))
        self._partition = plan.partition

    def part(self, image: MeanImage, saturated_pixel: np.ndarray) -> ImagePart:
        """Preview of the sum of all frames; only good pixels have counts.

        saturated_pixel : ndarray, shape (any,), int64
            Flat pixels that were saturated in some frame.
        """
        frames = image.frames
        total = image.binned(self._shape_yx, self._binning)
        mean = total.astype(np.float32) / (np.maximum(self._good_pixels, 1) * np.float32(max(frames, 1)))
        preview, level_counts = _grey_levels(mean)
        rows, columns = np.divmod(saturated_pixel, self._shape_yx[1])
        preview[rows // self._binning, columns // self._binning] = _SATURATED
        preview[self._good_pixels == 0] = _MASKED
        rings = self._partition
        center = (math.nan, math.nan) if rings is None else rings.beam_center_yx_px
        return ImagePart(
            preview=preview,
            level_counts=level_counts,
            binning=self._binning,
            beam_center_yx=((center[0] + 0.5) / self._binning - 0.5, (center[1] + 0.5) / self._binning - 0.5),
            ring_radii=np.empty((0, 2), np.float32)
            if rings is None
            else (rings.ring_edges_px / self._binning).astype(np.float32),
            q_inv_nm=np.empty(0) if rings is None else rings.q_inv_nm,
            frames=frames,
            masked_pixels=self._masked_pixels,
            saturated_pixels=len(saturated_pixel),
        )


def _binned(good: np.ndarray, binning: int) -> np.ndarray:
    """Good pixels in squares of ``binning`` pixels, float32; an incomplete last row or column counts as it is."""
    rows, columns = (np.arange(0, size, binning) for size in good.shape)
    inside = np.add.reduceat(good, rows, axis=0, dtype=np.float32)
    return np.add.reduceat(inside, columns, axis=1)


def _grey_levels(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image in grey levels 0 (no counts) to 253, and the mean counts that each level stands for."""
    positive = mean[mean > 0]
    highest = float(positive.max()) if positive.size else 1.0
    # A few bright pixels may lie above the shown range; a subset of the pixels finds it as well as all of them.
    if positive.size:
        highest = float(np.quantile(positive[:: max(positive.size // 50_000, 1)], 0.9995))
    lowest = max(highest / 10**_SHOWN_DECADES, float(positive.min()) if positive.size else highest / 10)
    lowest = min(lowest, highest / 10)
    level_counts = np.zeros(_HIGHEST_GREY + 1, np.float32)
    level_counts[1:] = np.geomspace(lowest, highest, _HIGHEST_GREY)
    scale = np.float32((_HIGHEST_GREY - 1) / math.log(highest / lowest))
    clipped = np.clip(mean, np.float32(lowest), np.float32(highest))
    preview = (1 + scale * np.log(clipped / np.float32(lowest))).astype(np.uint8)
    preview *= mean > 0
    return np.minimum(preview, _HIGHEST_GREY), level_counts
