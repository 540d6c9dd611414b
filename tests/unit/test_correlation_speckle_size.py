"""Speckle area from neighbouring pixels against the known width of simulated speckle."""

from __future__ import annotations

import numpy as np
import pytest
from speckle_movie import SpeckleMovie, block_partition, events_of, speckle_area_px

from backend.correlation.speckle_size import SpeckleSize
from backend.photon_events import RingPartition


def measured_area(
    sigma: float, mean: np.ndarray, frames: int, modes: int = 2, partition: RingPartition | None = None
) -> float:
    size = SpeckleSize(partition or block_partition(mean.shape, rings=2, fine_per_ring=8))
    movie = SpeckleMovie(mean, 5.0, modes, np.random.default_rng(1), sigma)
    for frame in movie.frames(frames):
        size.add(*events_of(frame))
    return size.area_px(1 / modes)


@pytest.mark.parametrize("sigma", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("level", [0.3, 2.0])
def test_area_of_speckle_of_known_width(sigma: float, level: float) -> None:
    area = measured_area(sigma, np.full((80, 80), level), 60)
    assert abs(area / speckle_area_px(sigma) - 1) < 0.12


def test_few_photons_per_frame_do_not_make_speckle_look_small() -> None:
    """The expected products go with n (n - 1): n^2 would be 1 / n = 4 % too much, nearly a tenth of the contrast."""
    area = measured_area(0.8, np.full((24, 24), 0.045), 8000)
    assert abs(area / speckle_area_px(0.8) - 1) < 0.12


def test_a_slope_of_the_intensity_is_not_taken_for_speckle() -> None:
    mean = np.repeat(3.0 / (1 + 0.1 * np.arange(80)), 80).reshape(80, 80)
    partition = block_partition((80, 80), rings=2, fine_per_ring=40)
    area = measured_area(0.7, mean, 60, partition=partition)
    assert abs(area / speckle_area_px(0.7) - 1) < 0.12


def test_masked_pixels_do_not_count() -> None:
    partition = block_partition((80, 80), rings=2, fine_per_ring=8, unused=350)
    area = measured_area(0.7, np.full((80, 80), 1.0), 80, partition=partition)
    assert abs(area / speckle_area_px(0.7) - 1) < 0.15


def test_neighbours_do_not_wrap_around_the_end_of_a_row() -> None:
    partition = block_partition((40, 40), rings=2)
    size = SpeckleSize(partition)
    for row in range(39):
        size.add(np.array([40 * row + 39, 40 * row + 40], np.uint32), np.ones(2, np.uint32))
    assert size.area_px(0.5) == 1.0


@pytest.mark.parametrize("contrast", [0.0, -0.1])
def test_one_pixel_where_there_is_no_contrast_or_no_light(contrast: float) -> None:
    size = SpeckleSize(block_partition((20, 20), rings=2))
    assert size.area_px(0.2) == 1.0
    size.add(np.arange(5, dtype=np.uint32), np.ones(5, np.uint32))
    assert size.area_px(contrast) == 1.0
