"""Two-time maps equal plain numpy, also after bins were summed; memory stays bounded."""

from __future__ import annotations

import numpy as np
import numpy_twins
import pytest
from speckle_movie import SpeckleMovie, block_partition, events_of

from backend.correlation.two_time import TwoTime
from backend.photon_events import RingPartition

PARTITION = block_partition((16, 15), rings=2, sectors=5, unused=11)


def ring_pixels(partition: RingPartition, ring: int) -> np.ndarray:
    inside = partition.cell_of_pixel >= 0
    return np.flatnonzero(inside & (partition.cell_of_pixel // partition.sectors == ring))


def accumulate(
    movie: np.ndarray, max_bins: int, pixels_per_ring: int = 10**6, partition: RingPartition = PARTITION
) -> TwoTime:
    two_time = TwoTime(partition, max_bins, pixels_per_ring)
    for frame in movie:
        two_time.add(*events_of(frame))
    return two_time


@pytest.mark.parametrize(
    ("frames", "frames_per_bin"), [(0, 1), (1, 1), (31, 1), (32, 2), (63, 2), (64, 4), (150, 8)]
)
@pytest.mark.parametrize("mean", [0.03, 2.0])
def test_equal_to_numpy_also_after_bins_were_summed(frames: int, frames_per_bin: int, mean: float) -> None:
    movie = np.random.default_rng(frames).poisson(mean, (frames, 16, 15)).astype(np.uint32)
    two_time = accumulate(movie, 32)
    assert two_time.frames_per_bin == frames_per_bin
    flat = movie.reshape(frames, 240)
    for ring in range(2):
        twin = numpy_twins.two_time(flat, ring_pixels(PARTITION, ring), frames_per_bin)
        np.testing.assert_allclose(two_time.result(ring), twin.astype(np.float32), rtol=1e-6)


def test_asking_for_changing_rings_in_between_changes_nothing() -> None:
    movie = np.random.default_rng(9).poisson(0.5, (75, 16, 15)).astype(np.uint32)
    asked = TwoTime(PARTITION, 32, 10**6)
    for number, frame in enumerate(movie):
        asked.add(*events_of(frame))
        if number % 3 == 0:
            asked.result(number % 2)
    once = accumulate(movie, 32)
    for ring in range(2):
        assert np.array_equal(asked.result(ring), once.result(ring), equal_nan=True)


def test_the_diagonal_and_dark_frames_are_nan_and_nothing_else_is() -> None:
    movie = np.ones((12, 16, 15), np.uint32)
    movie[4] = 0
    values = accumulate(movie, 32).result(0)
    dark = np.eye(12, dtype=bool)
    dark[4] = dark[:, 4] = True
    assert np.array_equal(np.isnan(values), dark)
    assert np.all(values[~dark] == 1.0)
    assert values.dtype == np.float32


def test_the_gradient_factor_divides() -> None:
    two_time = accumulate(np.ones((5, 16, 15), np.uint32), 32)
    np.testing.assert_allclose(two_time.result(1, gradient=1.25)[0, 1], 0.8)


def test_the_map_never_grows_beyond_its_bins() -> None:
    two_time = TwoTime(PARTITION, 32, 1000)
    generator = np.random.default_rng(1)
    for _ in range(1500):
        two_time.add(*events_of(generator.poisson(0.3, (16, 15))))
        assert two_time.result(0).shape[0] < 32
    assert two_time.frames_per_bin == 64


def test_memory_stays_bounded() -> None:
    import tracemalloc

    generator = np.random.default_rng(2)
    frames = [events_of(frame) for frame in generator.poisson(0.5, (50, 16, 15))]
    two_time = TwoTime(PARTITION, 64, 1000)
    tracemalloc.start()
    sizes = []
    for number in range(4000):
        two_time.add(*frames[number % 50])
        if number in (999, 3999):
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[1] < 1.2 * sizes[0] + 50_000


def test_only_so_many_pixels_per_ring_are_used() -> None:
    partition = block_partition((40, 40), rings=2)
    movie = np.random.default_rng(3).poisson(0.5, (20, 40, 40)).astype(np.uint32)
    two_time = accumulate(movie, 32, pixels_per_ring=100, partition=partition)
    np.testing.assert_allclose(two_time.pixel_fraction, 100 / 800)
    members = ring_pixels(partition, 1)
    chosen = members[np.linspace(0, members.size - 1, 100).astype(int)]
    twin = numpy_twins.two_time(movie.reshape(20, 1600), chosen, 1)
    np.testing.assert_allclose(two_time.result(1), twin.astype(np.float32), rtol=1e-6)


def test_decay_along_the_anti_diagonal_is_that_of_the_speckle() -> None:
    partition = block_partition((60, 60), rings=1)
    maps = []
    for seed in range(8):
        movie = SpeckleMovie(np.full((60, 60), 0.5), 0.05, 2, np.random.default_rng(seed))
        maps.append(accumulate(list(movie.frames(30)), 64, partition=partition).result(0))
    for lag in (1, 5, 20):
        values = np.array([np.mean(np.diagonal(values, lag)) for values in maps])
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - 1 - 0.5 * np.exp(-2 * 0.05 * lag)) < 4 * error
