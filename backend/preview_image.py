"""The running mean image, summed to a size that a window can show, as grey levels on a logarithmic scale."""

from __future__ import annotations

import math

import numba
import numpy as np

from backend.correlation.intensity import MeanImage
from backend.first_frames import SeriesPlan
from backend.snapshot import ImagePart

_HIGHEST_GREY = 253
_SATURATED = 254
_MASKED = 255
_SHOWN_DECADES = 4.0
_DIGITS_LEFT_OUT = 15


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
        preview, level_counts = grey_levels(mean)
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
    total = np.zeros((-(-good.shape[0] // binning), -(-good.shape[1] // binning)), np.float32)
    for row in range(binning):
        for column in range(binning):
            part = good[row::binning, column::binning]
            total[: part.shape[0], : part.shape[1]] += part
    return total


def grey_levels(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image in grey levels 0 (no counts) to 253, and the mean counts at which each level begins.

    mean : ndarray, shape (y, x), float32, not negative
    """
    positive = mean[mean > 0]
    highest = float(positive.max()) if positive.size else 1.0
    # A few bright pixels may lie above the shown range; a subset of the pixels finds it as well as all of them.
    if positive.size:
        highest = float(np.quantile(positive[:: max(positive.size // 50_000, 1)], 0.9995))
    lowest = max(highest / 10**_SHOWN_DECADES, float(positive.min()) if positive.size else highest / 10)
    lowest = min(lowest, highest / 10)
    level_counts = np.zeros(_HIGHEST_GREY + 1, np.float32)
    level_counts[1:] = np.geomspace(lowest, highest, _HIGHEST_GREY)
    # Numbers that share exponent and highest digits are so near each other that one step leads to the right level.
    begins = (np.arange(1 << (32 - _DIGITS_LEFT_OUT), dtype=np.uint32) << _DIGITS_LEFT_OUT).view(np.float32)
    level_of_digits = np.searchsorted(level_counts[:-1], begins[: begins.size // 2], "right") - 1
    preview = np.empty(mean.shape, np.uint8)
    flat = np.ascontiguousarray(mean).reshape(-1)
    table = level_of_digits.clip(1).astype(np.uint8)
    _look_up(flat, flat.view(np.uint32), table, level_counts, preview.reshape(-1))
    return preview, level_counts


@numba.njit(nogil=True, cache=True)
def _look_up(
    mean: np.ndarray, digits: np.ndarray, table: np.ndarray, level_counts: np.ndarray, grey: np.ndarray
) -> None:
    """Set ``grey`` to the highest level that begins at or below each mean; what is below all of them is level 1.

    digits : ndarray, uint32
        The very bits of ``mean``, float32, which is never negative.
    table : ndarray, shape (2^31 >> digits left out,), uint8
        Level at the first of the numbers that share their highest bits.
    """
    for i in range(mean.size):
        level = np.int64(table[digits[i] >> np.uint32(_DIGITS_LEFT_OUT)])
        level += level < _HIGHEST_GREY and mean[i] >= level_counts[level + 1]
        grey[i] = level if mean[i] > 0 else 0
