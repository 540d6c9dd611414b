"""Multi-tau g2 equals a plain numpy computation, whatever the occupancy, and jackknife means leave one out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy_twins
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speckle_movie import SpeckleMovie, block_partition, events_of

from backend.correlation.multitau import MultiTau, MultiTauResult, jackknife_error
from backend.photon_events import RingPartition


def correlate(
    movie: Iterable[np.ndarray], partition: RingPartition, lags: int = 8, **options: object
) -> MultiTau:
    multitau = MultiTau(partition, lags, **options)
    for frame in movie:
        multitau.add(*events_of(frame))
    return multitau


def twin_g2(movie: np.ndarray, partition: RingPartition, lags: int) -> tuple[np.ndarray, np.ndarray]:
    lag_frames, products, normalisers = numpy_twins.multitau_sums(
        movie.reshape(len(movie), partition.cell_of_pixel.size), partition, lags
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return lag_frames, (partition.ring_pixels * products / normalisers).T


def assert_equal_to_twin(movie: np.ndarray, partition: RingPartition, lags: int) -> MultiTauResult:
    result = correlate(movie, partition, lags).result()
    lag_frames, g2 = twin_g2(movie, partition, lags)
    assert np.array_equal(result.lag_frames, lag_frames)
    np.testing.assert_allclose(result.g2, np.where(np.isfinite(g2), g2, np.nan), rtol=1e-12)
    return result


@pytest.mark.parametrize("mean", [0.003, 0.05, 0.6, 8.0])
@pytest.mark.parametrize("lags", [4, 8])
def test_equal_to_numpy_from_sparse_to_dense(mean: float, lags: int) -> None:
    partition = block_partition((20, 18), rings=3, unused=37)
    movie = np.random.default_rng(1).poisson(mean, (150, 20, 18)).astype(np.uint32)
    result = assert_equal_to_twin(movie, partition, lags)
    assert result.lag_frames[-1] > 64


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 70),
    st.sampled_from([0.0, 0.02, 0.4, 30.0]),
    st.sampled_from([4, 6, 8]),
    st.floats(0, 0.6),
)
def test_equal_to_numpy_for_any_movie_with_missing_frames(
    seed: int, frames: int, mean: float, lags: int, missing: float
) -> None:
    generator = np.random.default_rng(seed)
    partition = block_partition((8, 12), rings=2, sectors=4, unused=5)
    movie = generator.poisson(mean, (frames, 8, 12)).astype(np.uint32)
    movie[generator.random(frames) < missing] = 0
    assert_equal_to_twin(movie, partition, lags)


def test_integers_are_those_of_numpy_beyond_32_bits() -> None:
    partition = block_partition((6, 6), rings=1, sectors=2)
    movie = np.random.default_rng(2).integers(60000, 65535, (70, 6, 6)).astype(np.uint32)
    result = assert_equal_to_twin(movie, partition, 8)
    np.testing.assert_allclose(result.g2, 1.0, atol=0.01)


def test_long_bright_series_do_not_overflow() -> None:
    """The product of two ring sums passes 64 bits long before the sums do."""
    partition = block_partition((40, 40), rings=1, sectors=4)
    pixel = np.arange(1600, dtype=np.uint32)
    count = np.full(1600, 50_000, np.uint32)
    multitau = MultiTau(partition, 4)
    for _ in range(400):
        multitau.add(pixel, count)
    np.testing.assert_allclose(multitau.result().g2[:, 1:], 1.0, rtol=1e-12)


def test_asking_in_between_changes_nothing() -> None:
    partition = block_partition((10, 10), rings=2)
    movie = np.random.default_rng(3).poisson(0.3, (60, 10, 10)).astype(np.uint32)
    asked = MultiTau(partition)
    for frame in movie:
        asked.add(*events_of(frame))
        asked.result()
    once = correlate(movie, partition).result()
    assert np.array_equal(asked.result().g2, once.g2, equal_nan=True)
    assert np.array_equal(asked.result().replicates, once.replicates, equal_nan=True)


def test_extra_lags_are_returned_frame_by_frame_and_leave_g2_alone() -> None:
    partition = block_partition((10, 12), rings=2)
    movie = np.random.default_rng(4).poisson(0.5, (80, 10, 12)).astype(np.uint32)
    multitau = MultiTau(partition, 4, extra_lags=(3, 16, 30))
    assert multitau.frame_lags.tolist() == [1, 2, 3, 4, 16, 30]
    ring = (partition.cell_of_pixel // partition.sectors).reshape(10, 12)
    for t, frame in enumerate(movie):
        counts, products = multitau.add(*events_of(frame))
        assert counts.tolist() == [int(frame[ring == r].sum()) for r in range(2)]
        for column, lag in enumerate(multitau.frame_lags):
            expected = [
                int((frame * movie[t - lag])[ring == r].astype(np.int64).sum()) if t >= lag else 0
                for r in range(2)
            ]
            assert products[:, column].tolist() == expected
    result, plain = multitau.result(), correlate(movie, partition, 4).result()
    assert np.array_equal(result.lag_frames, plain.lag_frames)
    assert np.array_equal(result.g2, plain.g2, equal_nan=True)


def test_replicates_leave_one_sector_out() -> None:
    partition = block_partition((12, 12), rings=2, sectors=4)
    movie = np.random.default_rng(5).poisson(0.4, (40, 12, 12)).astype(np.uint32)
    result = correlate(movie, partition).result()
    for sector in range(4):
        kept = (partition.cell_of_pixel % 4 != sector).reshape(12, 12)
        cell = np.where(kept.ravel(), partition.cell_of_pixel, -1).astype(np.int16)
        smaller = partition.cell_pixels.copy()
        smaller[:, sector] = 0
        fields = {name: getattr(partition, name) for name in partition.__dataclass_fields__}
        part = RingPartition(**(fields | {"cell_of_pixel": cell, "cell_pixels": smaller}))
        np.testing.assert_allclose(result.replicates[sector], correlate(movie, part).result().g2, rtol=1e-12)


def test_no_frames_and_one_frame() -> None:
    partition = block_partition((8, 8), rings=2)
    empty = MultiTau(partition).result()
    assert empty.lag_frames.tolist() == [0]
    assert np.all(np.isnan(empty.g2)) and np.all(np.isnan(empty.g2_err))
    one = correlate(np.ones((1, 8, 8), np.uint32), partition).result()
    assert one.lag_frames.tolist() == [0]


def test_jackknife_error_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(6).normal(size=(20, 3))
    replicates = (values.sum(axis=0) - values) / 19
    np.testing.assert_allclose(jackknife_error(replicates), values.std(axis=0, ddof=1) / np.sqrt(20))
    with_gap = np.concatenate([replicates, np.full((1, 3), np.nan)])
    np.testing.assert_allclose(jackknife_error(with_gap), jackknife_error(replicates))
    assert np.all(np.isnan(jackknife_error(replicates[:1])))


CONTRAST = 0.25


def movie_g2(
    seed: int, mean: np.ndarray, rate: float, frames: int, i0_noise: float = 0.0, modes: int = 4
) -> MultiTauResult:
    movie = SpeckleMovie(mean, rate, modes, np.random.default_rng(seed))
    return correlate(np.stack(list(movie.frames(frames, i0_noise))), PARTITION).result()


PARTITION = block_partition((48, 48), rings=2, sectors=12)
FLAT = np.full((48, 48), 0.3)


@pytest.fixture(scope="module")
def many_movies() -> list[MultiTauResult]:
    return [movie_g2(seed, FLAT, 0.05, 128) for seed in range(30)]


def expected_g2(lag_frames: np.ndarray, rate: float) -> np.ndarray:
    """Siegert relation; a sum of b frames correlates by the square of sinh(b rate) / (b rate) more at long lags."""
    level = np.where(lag_frames > 8, np.ceil(np.log2(np.maximum(lag_frames, 1) / 8)), 0)
    width = 2.0**level
    frame = np.arange(64)
    bias = np.array(
        [np.mean(np.exp(-2 * rate * (frame[: int(b), None] - frame[None, : int(b)]))) for b in width]
    )
    return 1 + CONTRAST * np.exp(-2 * rate * lag_frames) * np.where(lag_frames > 0, bias, 1.0)


def test_g2_is_unbiased(many_movies: list[MultiTauResult]) -> None:
    g2 = np.stack([result.g2 for result in many_movies])
    error = g2.std(axis=0, ddof=1) / np.sqrt(len(g2))
    pull = (g2.mean(axis=0) - expected_g2(many_movies[0].lag_frames, 0.05)) / error
    assert np.all(np.abs(pull) < 4.0)
    assert np.sqrt((pull**2).mean()) < 1.5


def test_errors_of_g2_are_neither_too_small_nor_too_large(many_movies: list[MultiTauResult]) -> None:
    truth = expected_g2(many_movies[0].lag_frames, 0.05)
    pulls = np.stack([(result.g2 - truth) / result.g2_err for result in many_movies])
    assert 0.8 < pulls.std() < 1.25
    by_lag = pulls.std(axis=(0, 1))
    assert np.all((by_lag > 0.65) & (by_lag < 1.5))


def test_a_flickering_beam_leaves_the_baseline_at_one() -> None:
    result = movie_g2(1, FLAT, 3.0, 200, i0_noise=0.5)
    baseline = result.g2[:, 2:]
    assert np.all(np.abs(baseline - 1) < 4.5 * result.g2_err[:, 2:])
    assert abs(baseline.mean() - 1) < 0.004


def test_static_speckle_keeps_its_contrast_at_all_lags() -> None:
    g2 = np.stack([movie_g2(seed, FLAT, 0.0, 64).g2 for seed in range(12)])
    mean, error = g2.mean(axis=(0, 1)), g2.std(axis=(0, 1)) / np.sqrt(24)
    assert np.all(np.abs(mean - 1 - CONTRAST) < 4 * error)


def test_contrast_of_single_frames_is_unbiased_at_low_counts() -> None:
    """Dividing by n^2 instead of n (n - 1) would come out (1 + contrast) / n = 0.05 too low here."""
    partition = block_partition((48, 48), rings=8, sectors=12)
    movies = [
        SpeckleMovie(np.full((48, 48), 0.1), 0.5, 2, np.random.default_rng(seed)).frames(300)
        for seed in range(6)
    ]
    contrast = np.stack([correlate(list(movie), partition).result().g2[:, 0] - 1 for movie in movies])
    error = contrast.std() / np.sqrt(contrast.size)
    assert error < 0.012
    assert abs(contrast.mean() - 0.5) < 3 * error
