"""Multi-tau g2 equals a plain numpy computation, however frames come in pieces, and jackknife means leave one out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import numpy_twins
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speckle_movie import block_partition
from word_movies import add_frames, correlate, order_of, random_counts, random_partition

from backend.correlation.multitau import MultiTau, MultiTauResult, jackknife_error
from backend.correlation.run_products import VALUES
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords

CUTS = st.lists(st.integers(1, WORD_FRAMES), min_size=1, max_size=4)
LAGS_PER_LEVEL = st.one_of(
    st.sampled_from([2, 4, 8, 16]), st.integers(1, WORD_FRAMES // 2).map(lambda n: 2 * n)
)


@pytest.fixture(scope="module")
def pools() -> Iterator[list[Executor | None]]:
    """One thread, two and five."""
    with ThreadPoolExecutor(2) as two, ThreadPoolExecutor(5) as five:
        yield [None, two, five]


def twin_g2(
    movie: np.ndarray, partition: RingPartition, lags: int, without: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Lags and g2, shape (ring, lag); perhaps without one sector."""
    ring = numpy_twins.ring_cells(partition)
    pixels = partition.ring_pixels
    if without is not None:
        ring = np.where(partition.cell_of_pixel % partition.sectors == without, -1, ring)
        pixels = pixels - partition.cell_pixels[:, without]
    flat = movie.reshape(len(movie), -1)
    lag_frames, products, normalisers = numpy_twins.multitau_sums(flat, ring, partition.rings, lags)
    denominator = normalisers.astype(np.float64)
    with np.errstate(invalid="ignore"):
        g2 = pixels * products / np.where(denominator > 0, denominator, np.nan)
    return lag_frames, g2.T


def twin_sector_g2(movie: np.ndarray, partition: RingPartition, lags: int, sector: int) -> np.ndarray:
    """g2 of one sector of each ring alone, shape (ring, lag)."""
    ring = numpy_twins.ring_cells(partition)
    ring = np.where(partition.cell_of_pixel % partition.sectors == sector, ring, -1)
    flat = movie.reshape(len(movie), -1)
    _, products, normalisers = numpy_twins.multitau_sums(flat, ring, partition.rings, lags)
    denominator = normalisers.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (
            partition.cell_pixels[:, sector] * products / np.where(denominator > 0, denominator, np.nan)
        ).T


def assert_equal_to_twin(
    result: MultiTauResult, movie: np.ndarray, partition: RingPartition, lags: int
) -> None:
    lag_frames, g2 = twin_g2(movie, partition, lags)
    assert np.array_equal(result.lag_frames, lag_frames)
    np.testing.assert_allclose(result.g2, g2, rtol=1e-12)


def assert_same(one: MultiTauResult, other: MultiTauResult) -> None:
    """Bit for bit."""
    assert np.array_equal(one.lag_frames, other.lag_frames)
    assert np.array_equal(one.g2, other.g2, equal_nan=True)
    assert np.array_equal(one.replicates, other.replicates, equal_nan=True)


@pytest.mark.parametrize("mean", [0.003, 0.05, 0.6, 8.0, 300.0])
@pytest.mark.parametrize("lags", [4, 8])
def test_equal_to_numpy_from_sparse_to_dense(mean: float, lags: int) -> None:
    partition = block_partition((20, 18), rings=3, unused=37)
    movie = np.random.default_rng(1).poisson(mean, (150, 20, 18)).astype(np.uint32)
    result = correlate(movie, partition, lags).result()
    assert_equal_to_twin(result, movie, partition, lags)
    assert result.lag_frames[-1] > 64


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 300),
    pixels=st.sampled_from([5, 96, 400]),
    rings=st.integers(1, 3),
    sectors=st.integers(1, 4),
    mean=st.sampled_from([0.0, 0.02, 0.4, 30.0, 3000.0, 60_000.0]),
    lags=LAGS_PER_LEVEL,
    missing=st.sampled_from([0.0, 0.3, 0.95]),
    longest=CUTS,
    threads=st.integers(0, 2),
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
    lags: int,
    missing: float,
    longest: list[int],
    threads: int,
    tile_pixels: int,
) -> None:
    generator = np.random.default_rng(seed)
    partition = random_partition(generator, (1, pixels), rings, sectors)
    movie = random_counts(generator, frames, pixels, mean)
    movie[generator.random(frames) < missing] = 0
    whole = correlate(movie, partition, lags)
    assert_equal_to_twin(whole.result(), movie, partition, lags)
    sector = seed % sectors
    np.testing.assert_allclose(
        whole.result().replicates[sector], twin_g2(movie, partition, lags, sector)[1], rtol=1e-12
    )
    alone = whole.sector_g2()
    assert alone.shape == whole.result().replicates.shape
    np.testing.assert_allclose(alone[sector], twin_sector_g2(movie, partition, lags, sector), rtol=1e-12)
    assert np.array_equal(whole.occurrences, numpy_twins.occurrences(movie, partition, VALUES))
    cut = correlate(movie, partition, lags, longest, pool=pools[threads], tile_pixels=tile_pixels)
    assert_same(cut.result(), whole.result())
    assert np.array_equal(cut.sector_g2(), alone, equal_nan=True)
    assert np.array_equal(cut.occurrences, whole.occurrences)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 200),
    mean=st.sampled_from([0.02, 1.0, 500.0]),
    lags=LAGS_PER_LEVEL,
    kept=st.lists(st.integers(0, WORD_FRAMES), unique=True, max_size=4),
    longest=CUTS,
    part_frames=st.integers(1, WORD_FRAMES),
    threads=st.integers(0, 2),
)
def test_counts_are_told_frame_by_frame_and_lagged_products_part_by_part(
    pools: list[Executor | None],
    seed: int,
    frames: int,
    mean: float,
    lags: int,
    kept: list[int],
    longest: list[int],
    part_frames: int,
    threads: int,
) -> None:
    generator = np.random.default_rng(seed)
    partition = random_partition(generator, (1, 300), 2, 3)
    movie = random_counts(generator, frames, 300, mean)
    order = order_of(partition)
    multitau = MultiTau(partition, order, lags, tuple(kept), pools[threads])
    cells = numpy_twins.cell_sums(movie.astype(np.int64), partition.cell_of_pixel, 6)
    products = numpy_twins.lagged_products(movie, partition, tuple(kept))
    for piece, told in add_frames(multitau, PhotonWords(order), movie, longest, part_frames):
        assert np.array_equal(told.cell_counts, cells[piece, :6])
        assert np.array_equal(told.ring_counts, cells[piece, :6].reshape(-1, 2, 3).sum(axis=2))
        assert np.array_equal(told.outside_counts, cells[piece, 6])
        parts = range(piece.start, piece.stop, part_frames)
        assert np.array_equal(told.cell_products, np.add.reduceat(products[: piece.stop], parts))
        assert multitau.frames == piece.stop
    # Lags that are kept leave g2 alone.
    assert_same(multitau.result(), correlate(movie, partition, lags).result())


@pytest.mark.parametrize("lags", [2, 8, 62, 64])
def test_counts_widen_from_bytes_to_32_bits_within_a_series(lags: int) -> None:
    """Dim, brighter and very bright words: no sum of a higher level may be cut off."""
    generator = np.random.default_rng(2)
    partition = block_partition((8, 9), rings=2, sectors=3)
    movie = np.concatenate(
        [
            random_counts(generator, WORD_FRAMES, 72, mean)
            for mean in (0.1, 3.0, 40.0, 0.1, 20_000.0, 65_000.0, 1.0)
        ]
    )
    for longest in ((WORD_FRAMES,), (7, 64, 33)):
        result = correlate(movie, partition, lags, longest).result()
        assert_equal_to_twin(result, movie, partition, lags)


@pytest.mark.parametrize("top", [1, 3, 7, 15])
def test_brighter_words_of_before_are_not_counted_again(top: int) -> None:
    """Only as many planes are looked at as are in use now; what others held belongs to earlier words."""
    generator = np.random.default_rng(top)
    partition = block_partition((10, 60), rings=2, sectors=3)
    movie = generator.integers(0, 200, (5 * WORD_FRAMES, 600), endpoint=True).astype(np.uint32)
    # A dark word between, so that nobody tidies up in passing.
    movie[2 * WORD_FRAMES : 3 * WORD_FRAMES] = 0
    movie[3 * WORD_FRAMES :] = generator.integers(0, top, (2 * WORD_FRAMES, 600), endpoint=True)
    multitau = correlate(movie, partition)
    assert np.array_equal(multitau.occurrences, numpy_twins.occurrences(movie, partition, VALUES))
    assert_equal_to_twin(multitau.result(), movie, partition, 8)


def test_long_series_reach_high_levels() -> None:
    partition = block_partition((4, 5), rings=1, sectors=2)
    movie = np.random.default_rng(3).poisson(3.0, (3000, 20)).astype(np.uint32)
    result = correlate(movie, partition, 8, (64, 5, 40)).result()
    assert_equal_to_twin(result, movie, partition, 8)
    assert result.lag_frames[-1] == 8 * 256


def test_integers_are_those_of_numpy_beyond_32_bits() -> None:
    partition = block_partition((6, 6), rings=1, sectors=2)
    movie = np.random.default_rng(2).integers(60000, 65535, (70, 6, 6), endpoint=True).astype(np.uint32)
    result = correlate(movie, partition).result()
    assert_equal_to_twin(result, movie, partition, 8)
    np.testing.assert_allclose(result.g2, 1.0, atol=0.01)


def test_long_bright_series_do_not_overflow() -> None:
    """The product of two ring sums passes 64 bits long before the sums do."""
    partition = block_partition((40, 40), rings=1, sectors=4)
    result = correlate([np.full(1600, 50_000, np.uint32)] * 400, partition, 4).result()
    np.testing.assert_allclose(result.g2[:, 1:], 1.0, rtol=1e-12)


def test_asking_in_between_changes_nothing() -> None:
    partition = block_partition((10, 10), rings=2)
    movie = np.random.default_rng(3).poisson(0.3, (200, 10, 10)).astype(np.uint32)
    order = order_of(partition)
    asked = MultiTau(partition, order)
    for piece, _ in add_frames(asked, PhotonWords(order), movie, (20,)):
        assert_same(asked.result(), correlate(movie[: piece.stop], partition).result())


def test_the_slope_of_the_intensity_divides_g2() -> None:
    partition = block_partition((10, 12), rings=2)
    movie = np.random.default_rng(4).poisson(0.5, (80, 10, 12)).astype(np.uint32)
    multitau = correlate(movie, partition)
    plain, corrected = multitau.result(), multitau.result(np.array([1.0, 1.25]))
    np.testing.assert_allclose(corrected.g2, plain.g2 / np.array([[1.0], [1.25]]))
    np.testing.assert_allclose(corrected.replicates, plain.replicates / np.array([[1.0], [1.25]]))


def test_no_frames_and_one_frame() -> None:
    partition = block_partition((8, 8), rings=2)
    nothing = MultiTau(partition, order_of(partition))
    assert nothing.add(PhotonWords(order_of(partition)), 0).ring_counts.shape == (0, 2)
    empty = nothing.result()
    assert empty.lag_frames.tolist() == [0]
    assert np.all(np.isnan(empty.g2)) and np.all(np.isnan(empty.g2_err))
    assert not nothing.occurrences.any()
    one = correlate(np.ones((1, 8, 8), np.uint32), partition)
    assert one.result().lag_frames.tolist() == [0]
    assert one.result().g2.tolist() == [[0.0], [0.0]]
    assert one.occurrences.tolist() == [[0, 32, 0, 0, 0, 0, 0, 0]] * 2


def test_more_frames_than_fit_into_the_word_are_refused() -> None:
    partition = block_partition((8, 8), rings=2)
    order = order_of(partition)
    multitau, words = MultiTau(partition, order), PhotonWords(order)
    multitau.add(words, 60)
    with pytest.raises(ValueError, match="5 frames after 60 do not fit"):
        multitau.add(words, 5)


@pytest.mark.parametrize(("lags", "kept"), [(0, ()), (1, ()), (66, ()), (8, (-1,)), (8, (65,))])
def test_lags_that_a_word_does_not_hold_are_refused(lags: int, kept: tuple[int, ...]) -> None:
    partition = block_partition((8, 8), rings=2)
    with pytest.raises(ValueError, match="between 0 and"):
        MultiTau(partition, order_of(partition), lags, kept)


def test_jackknife_error_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(6).normal(size=(20, 3))
    replicates = (values.sum(axis=0) - values) / 19
    np.testing.assert_allclose(jackknife_error(replicates), values.std(axis=0, ddof=1) / np.sqrt(20))
    with_gap = np.concatenate([replicates, np.full((1, 3), np.nan)])
    np.testing.assert_allclose(jackknife_error(with_gap), jackknife_error(replicates))
    assert np.all(np.isnan(jackknife_error(replicates[:1])))
