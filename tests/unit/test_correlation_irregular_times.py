"""g2 from the times of frames equals plain numpy, multi-tau where frames are even, and never depends on the batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speckle_movie import SpeckleMovie, block_partition
from word_movies import add_frames, order_of, random_counts, random_partition

from backend.correlation.irregular_times import IrregularTimes, lag_edges_s
from backend.correlation.multitau import MultiTau, MultiTauResult
from backend.frames import are_uneven
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords


@pytest.fixture(scope="module")
def pools() -> Iterator[list[Executor | None]]:
    """One thread, and three."""
    with ThreadPoolExecutor(3) as three:
        yield [None, three]


def correlate(
    movie: np.ndarray,
    partition: RingPartition,
    start_s: np.ndarray,
    longest: Sequence[int] = (WORD_FRAMES,),
    *,
    lags_per_level: int = 8,
    pool: Executor | None = None,
    tile_pixels: int = 1 << 17,
    **limits: int,
) -> tuple[IrregularTimes, MultiTauResult]:
    """A whole movie with a time for each frame; both kinds of g2, that of the times last."""
    order = order_of(partition, tile_pixels)
    multitau = MultiTau(partition, order, lags_per_level)
    irregular = IrregularTimes(partition, order, start_s, lags_per_level, pool, **limits)
    words = PhotonWords(order)
    for _, new in add_frames(multitau, words, movie, longest):
        irregular.add(words, new.cell_counts)
    return irregular, irregular.result(multitau.result(), 1.0)


def twin(
    movie: np.ndarray, partition: RingPartition, start_s: np.ndarray, edges_s: np.ndarray, without: int = -1
) -> tuple[np.ndarray, np.ndarray]:
    """Mean lag of each bin with pairs, and g2, shape (ring, bin), pair by pair; perhaps without one sector."""
    flat = movie.reshape(len(movie), -1).astype(np.int64)
    sector = np.where(partition.cell_of_pixel >= 0, partition.cell_of_pixel % partition.sectors, -1)
    ring = np.where(sector >= 0, partition.cell_of_pixel // partition.sectors, -1)
    lit = flat[:, ring >= 0].any(axis=1)
    later, earlier = np.tril_indices(len(flat), -1)
    lag_s = start_s[later] - start_s[earlier]
    bin_of_pair = np.searchsorted(edges_s, lag_s, side="left") - 1
    bins = edges_s.size - 1
    number = np.bincount(bin_of_pair[lit[later] & lit[earlier]], minlength=bins)
    chosen = lit[later] & lit[earlier]
    lag_sum_s = np.bincount(bin_of_pair[chosen], lag_s[chosen], bins)
    g2 = np.full((partition.rings, bins), np.nan)
    for index in range(partition.rings):
        pixels = flat[:, (ring == index) & (sector != without)]
        sums = pixels.sum(axis=1).astype(object)
        products, normaliser = np.zeros(bins, object), np.zeros(bins, object)
        for one, other, here in zip(later, earlier, bin_of_pair, strict=True):
            products[here] += int(pixels[one] @ pixels[other])
            normaliser[here] += sums[one] * sums[other]
        known = normaliser > 0
        g2[index, known] = (pixels.shape[1] * products[known] / normaliser[known]).astype(float)
    filled = number > 0
    return lag_sum_s[filled] / number[filled], g2[:, filled]


def uneven_times(generator: np.random.Generator, frames: int) -> np.ndarray:
    """Distances over several orders of magnitude."""
    return np.cumsum(0.001 * 10 ** generator.uniform(0, 3, frames))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(2, 150),
    pixels=st.sampled_from([5, 96, 300]),
    rings=st.integers(1, 3),
    sectors=st.integers(1, 4),
    mean=st.sampled_from([0.0, 0.02, 0.4, 30.0, 60_000.0]),
    missing=st.sampled_from([0.0, 0.3, 0.95]),
    longest=st.lists(st.integers(1, WORD_FRAMES), min_size=1, max_size=4),
    threads=st.integers(0, 1),
    tile_pixels=st.sampled_from([64, 65536]),
)
def test_equal_to_numpy_and_bit_for_bit_the_same_for_any_cuts_and_threads(
    pools: list[Executor | None],
    seed: int,
    frames: int,
    pixels: int,
    rings: int,
    sectors: int,
    mean: float,
    missing: float,
    longest: list[int],
    threads: int,
    tile_pixels: int,
) -> None:
    generator = np.random.default_rng(seed)
    partition = random_partition(generator, (1, pixels), rings, sectors)
    movie = random_counts(generator, frames, pixels, mean)
    movie[generator.random(frames) < missing] = 0
    start_s = uneven_times(generator, frames)
    _, whole = correlate(movie, partition, start_s)
    edges_s = lag_edges_s(np.diff(start_s).min(), start_s[-1] - start_s[0], 8)
    sector = seed % sectors
    for found, without in ((whole.g2, -1), (whole.replicates[sector], sector)):
        lag_s, g2 = twin(movie, partition, start_s, edges_s, without)
        np.testing.assert_allclose(whole.lag_frames[1:], lag_s, rtol=1e-12)
        np.testing.assert_allclose(found[:, 1:], g2, rtol=1e-12)
    _, cut = correlate(movie, partition, start_s, longest, pool=pools[threads], tile_pixels=tile_pixels)
    assert np.array_equal(cut.lag_frames, whole.lag_frames)
    assert np.array_equal(cut.g2, whole.g2, equal_nan=True)
    assert np.array_equal(cut.replicates, whole.replicates, equal_nan=True)


def test_even_times_give_the_lags_of_single_frames_of_multi_tau() -> None:
    partition = block_partition((20, 18), rings=3, unused=37)
    movie = np.random.default_rng(1).poisson(0.3, (200, 20, 18)).astype(np.uint32)
    order = order_of(partition)
    multitau = MultiTau(partition, order)
    for _ in add_frames(multitau, PhotonWords(order), movie):
        pass
    expected = multitau.result()
    _, result = correlate(movie, partition, 3.0 + 0.01 * np.arange(200))
    np.testing.assert_allclose(result.lag_frames[1:9], 0.01 * np.arange(1, 9), rtol=1e-9)
    assert np.array_equal(result.g2[:, :9], expected.g2[:, :9])
    assert np.array_equal(result.replicates[..., :9], expected.replicates[..., :9])
    assert np.array_equal(result.g2_err[:, :9], expected.g2_err[:, :9])


def test_bursts_of_relaxing_speckle_show_the_relaxation_that_frame_numbers_hide() -> None:
    # Ten bursts of eight frames, 1 ms apart, a burst every 50 ms; a time constant of g2 of 10 ms.
    partition = block_partition((60, 60), rings=2)
    start_s = np.add.outer(0.05 * np.arange(10), 0.001 * np.arange(8)).ravel()
    steps = np.round(start_s / 0.001).astype(int)
    film = SpeckleMovie(np.full((60, 60), 2.0), 0.05, 2, np.random.default_rng(4))
    frames = list(film.frames(int(steps[-1]) + 1))
    movie = np.stack([frames[step] for step in steps])
    assert are_uneven(start_s)
    _, result = correlate(movie, partition, start_s)
    expected = 1 + 0.5 * np.exp(-2 * 0.05 * result.lag_frames[1:] / 0.001)
    deviation = (result.g2[:, 1:] - expected) / result.g2_err[:, 1:]
    assert np.sqrt((deviation**2).mean()) < 1.6
    # Within a burst and from burst to burst: nothing in between.
    assert result.lag_frames[1] == pytest.approx(0.001)
    assert not ((result.lag_frames > 0.0075) & (result.lag_frames < 0.0425)).any()


def test_eleven_frames_at_growing_distance_give_lags_over_three_decades() -> None:
    partition = block_partition((12, 12), rings=1)
    movie = np.random.default_rng(2).poisson(5.0, (11, 12, 12)).astype(np.uint32)
    start_s = np.concatenate([[0.0], np.geomspace(0.001, 1.0, 10)])
    _, result = correlate(movie, partition, start_s)
    # The two closest pairs share the first bin.
    assert result.lag_frames[1] == pytest.approx((start_s[1] + start_s[2] - start_s[1]) / 2)
    assert result.lag_spread_frames is not None
    assert result.lag_spread_frames[1] == pytest.approx((start_s[2] - 2 * start_s[1]) / 2)
    assert result.lag_frames[-1] > 0.9
    assert np.all(np.diff(result.lag_frames) > 0)


@pytest.mark.parametrize("longest", [(64,), (1,), (7, 30)])
def test_frames_beyond_a_limit_are_counted_but_not_paired(longest: tuple[int, ...]) -> None:
    generator = np.random.default_rng(3)
    partition = block_partition((12, 12), rings=2)
    movie = generator.poisson(0.4, (150, 12, 12)).astype(np.uint32)
    start_s = uneven_times(generator, 150)
    for limits, times, paired in (
        ({"most_frames": 100}, start_s, 100),
        ({"most_photons": int(movie[:40].sum())}, start_s, 40),
        ({}, start_s[:90], 90),
    ):
        irregular, result = correlate(movie, partition, times, longest, **limits)
        assert irregular.frames == 150
        assert irregular.paired_frames == paired
        edges_s = lag_edges_s(np.diff(times[: limits.get("most_frames")]).min(), start_s[-1], 8)
        _, g2 = twin(movie[:paired], partition, start_s[:paired], edges_s)
        np.testing.assert_allclose(result.g2[:, 1:], g2, rtol=1e-12)


def test_bright_frames_fill_the_room_by_pixels_not_by_photons() -> None:
    partition = block_partition((12, 12), rings=2)
    movie = np.random.default_rng(3).poisson(100.0, (20, 12, 12)).astype(np.uint32)
    irregular, _ = correlate(
        movie, partition, uneven_times(np.random.default_rng(1), 20), most_photons=15 * 144 + 1
    )
    assert irregular.paired_frames == 15


def test_frames_beyond_the_word_are_refused() -> None:
    partition = block_partition((4, 4), rings=1, sectors=1)
    order = order_of(partition)
    irregular = IrregularTimes(partition, order, np.array([0.0, 1.0, 5.0]))
    with pytest.raises(ValueError, match="65 frames after 0"):
        irregular.add(PhotonWords(order), np.zeros((65, 1), np.int64))


@pytest.mark.parametrize(
    ("start_s", "uneven"),
    [
        (np.arange(1000) * 0.01, False),
        (np.array([0.0, 1.0]), False),
        (np.arange(1000) * 0.01 + 1e-4 * (np.arange(1000) == 500), False),
        (np.concatenate([np.arange(500), 600 + np.arange(500)]) * 0.01, True),
        (np.geomspace(0.001, 1.0, 11), True),
        (np.arange(1000) * 0.01 + np.random.default_rng(1).normal(0, 1e-3, 1000), True),
    ],
    ids=["even", "two frames", "one frame late", "a pause", "growing distance", "jitter"],
)
def test_what_counts_as_uneven(start_s: np.ndarray, uneven: bool) -> None:
    assert are_uneven(start_s) is uneven


def test_bins_of_lags_cover_everything_and_widen_by_octaves() -> None:
    edges_s = lag_edges_s(0.001, 10.0, 8)
    assert edges_s[0] == pytest.approx(0.0005)
    assert edges_s[-1] > 10.0
    width = np.diff(edges_s) / 0.001
    assert width[:8] == pytest.approx(1.0)
    assert width[8:12] == pytest.approx(2.0)
    assert width[12:16] == pytest.approx(4.0)
    # Never wider than a quarter of the lag.
    assert np.all(width[8:] * 0.001 <= 0.25 * edges_s[8:-1])
