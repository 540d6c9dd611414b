"""The preview against plain numpy: sums of squares, grey levels, marked pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from speckle_series import SETTINGS, SHAPE_YX, batch_of, series_info, speckle_frames

from backend.preview_image import PreviewImage, grey_levels
from backend.series_analysis import SeriesAnalysis


def _plain_levels(mean: np.ndarray, level_counts: np.ndarray) -> np.ndarray:
    """The highest level that begins at or below each mean."""
    found = np.searchsorted(level_counts, mean, "right") - 1
    return np.where(mean > 0, np.maximum(found, 1), 0)


@given(
    st.lists(st.floats(0, 2.0**100, width=32, allow_subnormal=False), min_size=1, max_size=300),
    st.floats(1e-6, 1e6),
)
def test_each_pixel_has_the_level_that_its_counts_reach(values: list[float], scale: float) -> None:
    mean = np.array(values, np.float32)
    mean[: mean.size // 2] = np.float32(scale) * (1 + np.arange(mean.size // 2, dtype=np.float32))
    preview, level_counts = grey_levels(mean)
    assert np.array_equal(preview, _plain_levels(mean, level_counts))


def test_levels_rise_evenly_on_a_logarithmic_scale_over_four_decades_at_most() -> None:
    mean = np.geomspace(1e-9, 1.0, 5000).astype(np.float32)
    preview, level_counts = grey_levels(mean)
    steps = np.diff(np.log(level_counts[1:]))
    assert steps == pytest.approx(steps.mean(), rel=1e-3)
    assert level_counts[-1] / level_counts[1] == pytest.approx(1e4, rel=1e-3)
    assert preview.min() == 1 and preview.max() == 253
    assert np.all(np.diff(preview.astype(int)) >= 0)


@pytest.mark.parametrize("max_pixels", [SHAPE_YX[0] * SHAPE_YX[1], 2000])
def test_the_preview_of_a_series_shows_the_sum_of_its_frames(max_pixels: int) -> None:
    frames = speckle_frames(40, seed=4)
    # One pixel is saturated in one frame.
    frames[30, 20, 30] = np.iinfo(frames.dtype).max
    analysis = SeriesAnalysis(series_info(len(frames)), SETTINGS)
    analysis.add(batch_of(frames))
    plan, sums = analysis.plan, analysis.sums
    assert plan is not None and sums is not None
    part = PreviewImage(plan, max_pixels).part(sums.image, np.flatnonzero(analysis.saturated))
    frames[30, 20, 30] = 0
    size = part.binning
    squares = np.pad(
        np.where(plan.mask.good, frames.sum(axis=0), 0), [(0, -edge % size) for edge in SHAPE_YX]
    )
    good = np.pad(plan.mask.good, [(0, -edge % size) for edge in SHAPE_YX])
    rows, columns = (edge // size for edge in squares.shape)
    total = squares.reshape(rows, size, columns, size).sum(axis=(1, 3))
    pixels = good.reshape(rows, size, columns, size).sum(axis=(1, 3))
    mean = (total / (np.maximum(pixels, 1) * len(frames))).astype(np.float32)
    expected = _plain_levels(mean, part.level_counts)
    expected[20 // size, 30 // size] = 254
    expected[pixels == 0] = 255
    assert size == (1 if max_pixels > 2000 else 2)
    # A mean may lie at the very edge of a level: the order of two roundings decides.
    assert np.count_nonzero(part.preview != expected) <= 2
    assert (part.saturated_pixels, part.frames) == (1, 40)
