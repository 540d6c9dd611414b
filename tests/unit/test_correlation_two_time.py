"""Two-time maps equal plain numpy, also after bins were summed; memory stays bounded."""

from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import numpy_twins
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speckle_movie import SpeckleMovie, block_partition
from word_movies import order_of, put_frames, two_time_of

from backend.correlation.two_time import TwoTime
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords

PARTITION = block_partition((16, 15), rings=2, sectors=5, unused=11)
accumulate = partial(two_time_of, PARTITION)


def ring_pixels(partition: RingPartition, ring: int) -> np.ndarray:
    inside = partition.cell_of_pixel >= 0
    return np.flatnonzero(inside & (partition.cell_of_pixel // partition.sectors == ring))


def exact_map(movie: np.ndarray, pixels: np.ndarray, frames_per_bin: int) -> np.ndarray:
    """The map of the chosen pixels of a movie, shape (frame, y, x), from exact integers, as float32."""
    bins = len(movie) // frames_per_bin
    flat = movie.reshape(len(movie), movie[0].size if len(movie) else 240)[:, pixels].astype(np.int64)
    binned = flat[: bins * frames_per_bin].reshape(bins, frames_per_bin, pixels.size).sum(axis=1)
    sums = binned.sum(axis=1).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        lower = np.tril(binned @ binned.T) * (pixels.size / sums)[:, None] * (1 / sums)
    values = np.tril(lower) + np.tril(lower, -1).T
    np.fill_diagonal(values, np.nan)
    return values.astype(np.float32)


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


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(0, 700),
    mean=st.sampled_from([0.003, 0.1, 3.0, 5000.0]),
    max_bins=st.sampled_from([32, 33, 64, 100, 130, 200]),
    longest_pieces=st.lists(st.integers(1, WORD_FRAMES), min_size=1, max_size=4).map(tuple),
    asked_rings=st.sampled_from([(), (0,), (1,), (0, 1)]),
)
def test_exact_for_any_movie_pieces_and_questions(
    seed: int,
    frames: int,
    mean: float,
    max_bins: int,
    longest_pieces: tuple[int, ...],
    asked_rings: tuple[int, ...],
) -> None:
    generator = np.random.default_rng(seed)
    movie = generator.poisson(mean, (frames, 16, 15)) * (generator.random((frames, 1, 1)) > 0.1)
    movie = np.minimum(movie, 65535).astype(np.uint32)
    two_time = accumulate(movie, max_bins, longest_pieces=longest_pieces, asked_rings=asked_rings)
    for ring in range(2):
        expected = exact_map(movie, ring_pixels(PARTITION, ring), two_time.frames_per_bin)
        assert len(expected) < max_bins
        assert np.array_equal(two_time.result(ring), expected, equal_nan=True)


@pytest.mark.parametrize("mean", [0.02, 0.6])
def test_exact_for_more_pixels_and_bins_than_are_multiplied_at_a_time(mean: float) -> None:
    partition = block_partition((150, 110), rings=2)
    movie = np.random.default_rng(5).poisson(mean, (300, 150, 110)).astype(np.uint32)
    for asked_rings in ((), (0,)):
        two_time = two_time_of(
            partition, movie, 400, pixels_per_ring=13000, longest_pieces=(64,), asked_rings=asked_rings
        )
        for ring in range(2):
            expected = exact_map(movie, ring_pixels(partition, ring), 1)
            assert np.array_equal(two_time.result(ring), expected, equal_nan=True)


@pytest.mark.parametrize("mean", [0.02, 40.0])
def test_exact_when_a_bin_is_longer_than_a_word(mean: float) -> None:
    movie = np.random.default_rng(7).poisson(mean, (4500, 16, 15)).astype(np.uint32)
    for frames in (2047, 2048, 2100, 4096 + 63, 4500):
        two_time = accumulate(movie[:frames], 32, longest_pieces=(17, 64), asked_rings=(1,))
        assert two_time.frames_per_bin > WORD_FRAMES or frames < 2048
        expected = exact_map(movie[:frames], ring_pixels(PARTITION, 1), two_time.frames_per_bin)
        assert np.array_equal(two_time.result(1), expected, equal_nan=True)


def test_frames_beyond_the_word_are_refused() -> None:
    order = order_of(PARTITION)
    two_time = TwoTime(PARTITION, order, 32, 1000)
    two_time.add(PhotonWords(order), 60)
    with pytest.raises(ValueError, match="do not fit"):
        two_time.add(PhotonWords(order), 5)


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


def test_the_map_and_the_memory_stay_bounded() -> None:
    generator = np.random.default_rng(1)
    order = order_of(PARTITION)
    words = PhotonWords(order)
    put_frames(words, generator.poisson(0.3, (WORD_FRAMES, 16, 15)), slice(0, WORD_FRAMES))
    two_time = TwoTime(PARTITION, order, 32, 1000)
    tracemalloc.start()
    sizes = []
    for number in range(4000):
        # The same word over and over, as if it had been turned and filled again.
        two_time.add(words, WORD_FRAMES)
        assert two_time.result(0).shape[0] < 32
        if number in (499, 3999):
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert two_time.frames_per_bin == 8192
    # Photons of a bin have three more binary digits.
    assert sizes[1] < sizes[0] + 3 * (240 + 32 * 8) * 8 + 20_000


def test_only_so_many_pixels_per_ring_are_used() -> None:
    partition = block_partition((40, 40), rings=2)
    movie = np.random.default_rng(3).poisson(0.5, (20, 40, 40)).astype(np.uint32)
    two_time = two_time_of(partition, movie, 32, pixels_per_ring=100)
    np.testing.assert_allclose(two_time.pixel_fraction, 100 / 800)
    # Evenly spread in the order of the words.
    position = order_of(partition).position_of_pixel
    members = np.array(sorted(ring_pixels(partition, 1), key=lambda pixel: position[pixel]))
    chosen = members[np.linspace(0, members.size - 1, 100).astype(int)]
    twin = numpy_twins.two_time(movie.reshape(20, 1600), chosen, 1)
    np.testing.assert_allclose(two_time.result(1), twin.astype(np.float32), rtol=1e-6)


def test_decay_along_the_anti_diagonal_is_that_of_the_speckle() -> None:
    partition = block_partition((60, 60), rings=1)
    maps = []
    for seed in range(8):
        movie = SpeckleMovie(np.full((60, 60), 0.5), 0.05, 2, np.random.default_rng(seed))
        maps.append(two_time_of(partition, np.array(list(movie.frames(30))), 64).result(0))
    for lag in (1, 5, 20):
        values = np.array([np.mean(np.diagonal(values, lag)) for values in maps])
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - 1 - 0.5 * np.exp(-2 * 0.05 * lag)) < 4 * error
