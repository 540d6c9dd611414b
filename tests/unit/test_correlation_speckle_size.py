"""Speckle area from neighbouring pixels against the known width of simulated speckle."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speckle_movie import SpeckleMovie, block_partition, events_of, speckle_area_px
from word_movies import correlate

from backend.correlation.speckle_size import SpeckleSize
from backend.photon_events import RingPartition


def measured_area(
    sigma: float, mean: np.ndarray, frames: int, modes: int = 2, partition: RingPartition | None = None
) -> float:
    size = SpeckleSize(partition or block_partition(mean.shape, rings=2, fine_per_ring=8))
    movie = SpeckleMovie(mean, 5.0, modes, np.random.default_rng(1), sigma)
    size.add(events_of(frame) for frame in movie.frames(frames))
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
    photons = np.ones(2, np.uint32)
    size.add((np.array([40 * row + 39, 40 * row + 40], np.uint32), photons) for row in range(39))
    assert size.area_px(0.5) == 1.0


@pytest.mark.parametrize("contrast", [0.0, -0.1])
def test_one_pixel_where_there_is_no_contrast_or_no_light(contrast: float) -> None:
    size = SpeckleSize(block_partition((20, 20), rings=2))
    assert size.area_px(0.2) == 1.0
    size.add([(np.arange(5, dtype=np.uint32), np.ones(5, np.uint32))])
    assert size.area_px(contrast) == 1.0


def area_by_numpy(movie: np.ndarray, partition: RingPartition, contrast: float) -> float:
    """The same from whole frames."""
    fine = partition.fine_of_pixel
    frames = np.where(fine >= 0, movie.reshape(len(movie), -1), 0).astype(np.int64)
    if not frames.any():
        return 1.0
    share = np.bincount(fine[fine >= 0], frames.sum(axis=0)[fine >= 0]) / partition.fine_pixels / frames.sum()
    expected_image = np.where(fine >= 0, share[np.maximum(fine, 0)], 0.0).reshape(partition.shape_yx)
    pairs = (frames.sum(axis=1) * (frames.sum(axis=1) - 1.0)).sum()
    images = frames.reshape(-1, *partition.shape_yx)
    area = 1.0
    for axis in (1, 0):
        width = 1.0
        for distance in (1, 2, 3):
            first, last = slice(None, -distance), slice(distance, None)
            one, other = np.moveaxis(images, 1 + axis, 1)[:, first], np.moveaxis(images, 1 + axis, 1)[:, last]
            smooth = np.moveaxis(expected_image, axis, 0)
            products, expected = (one * other).sum(), (smooth[first] * smooth[last]).sum() * pairs
            if expected > 0:
                width += 2 * (products / expected - 1) / contrast
        area *= min(max(width, 1.0), 7.0)
    return area


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.tuples(st.integers(6, 40), st.integers(6, 40)), st.floats(0.05, 3.0),
    st.integers(1, 3), st.integers(0, 8),
)  # fmt: skip
def test_sums_are_those_of_whole_frames(
    seed: int, shape_yx: tuple[int, int], photons: float, threads: int, unused: int
) -> None:
    partition = block_partition(shape_yx, rings=2, sectors=2, fine_per_ring=2, unused=unused)
    movie = np.random.default_rng(seed).poisson(photons, (5, *shape_yx)).astype(np.uint32)
    with ThreadPoolExecutor(threads) as pool:
        size = SpeckleSize(partition, pool)
        for part in (movie[:2], movie[2:]):
            size.add(events_of(frame) for frame in part)
        for contrast in (0.3, 2.0):
            assert size.area_px(contrast) == pytest.approx(
                area_by_numpy(movie, partition, contrast), rel=1e-12
            )


@pytest.mark.parametrize("photons", [0.3, 2.0])
def test_contrast_is_the_weighted_mean_of_that_of_the_rings(photons: float) -> None:
    partition = block_partition((60, 60), rings=3, sectors=6, unused=90)
    movie = np.stack(
        list(SpeckleMovie(np.full((60, 60), photons), 2.0, 2, np.random.default_rng(4)).frames(30))
    )
    size = SpeckleSize(partition)
    size.add(events_of(frame) for frame in movie)
    multitau = correlate(movie, partition, 8)
    value, error = multitau.contrast()
    assert size.contrast() == pytest.approx(np.average(value, weights=1 / error**2), rel=1e-12)


def test_no_contrast_is_told_of_photons_that_do_not_show_one() -> None:
    partition = block_partition((30, 30), rings=2, sectors=4)
    size = SpeckleSize(partition)
    assert size.contrast() is None
    size.add(events_of(frame) for frame in np.random.default_rng(1).poisson(0.2, (20, 30, 30)))
    assert size.contrast() is None
