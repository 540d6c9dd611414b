"""g2 of simulated speckle has the right contrast, decay and baseline, and errors that are neither small nor large."""

from __future__ import annotations

import numpy as np
import pytest
from speckle_movie import SpeckleMovie, block_partition
from word_movies import correlate

from backend.correlation.multitau import MultiTauResult

CONTRAST = 0.25


def movie_g2(
    seed: int, mean: np.ndarray, rate: float, frames: int, i0_noise: float = 0.0, modes: int = 4
) -> MultiTauResult:
    movie = SpeckleMovie(mean, rate, modes, np.random.default_rng(seed))
    return correlate(list(movie.frames(frames, i0_noise)), PARTITION).result()


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
