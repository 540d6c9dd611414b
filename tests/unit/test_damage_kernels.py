"""Inner loops of the damage detector against slow, plain numpy."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.damage.noise_kernels import least_squares
from backend.damage.sector_kernels import (
    distance_in_sigma,
    distances_in_sigma,
    farthest_sum,
    usual_by_others,
    usual_counts,
)
from backend.damage.window_kernels import pairs_at_distances, sum_sectors

NEAREST = 5.0
JUMP = 0.02
SYSTEMATIC = 1e-4
seeds = st.integers(0, 2**32 - 1)


def _farthest_sum(
    counts: np.ndarray, usual: np.ndarray, variance: np.ndarray, free: np.ndarray
) -> tuple[int, int, int, int]:
    rings, sectors = counts.shape
    best, farthest = (0, 0, 0, 0), NEAREST
    ranges = [(first, end) for first in range(rings) for end in range(first + 1, rings + 1)]
    for sector, together, (first, end) in itertools.product(range(sectors), (1, 2), ranges):
        columns = (sector + np.arange(together)) % sectors
        of_counts, of_usual, of_variance = (
            float((of * free)[first:end, columns].sum()) for of in (counts, usual, variance)
        )
        distance = distance_in_sigma(of_counts, of_usual, of_variance + SYSTEMATIC * of_usual**2)
        if abs(of_counts - of_usual) > JUMP * of_usual and distance > farthest:
            best, farthest = (first, end, sector, together), distance
    return best


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.5, 1.0, 1.5, 3.0]), st.sampled_from([0.2, 20.0, 2000.0]))
def test_the_farthest_sum_is_that_of_all_sums(seed: int, module: float, photons: float) -> None:
    rng = np.random.default_rng(seed)
    usual = photons * rng.uniform(0.5, 1.5, (6, 5))
    factor = np.ones(usual.shape)
    first, sector = rng.integers(0, 5), rng.integers(0, 5)
    factor[first : first + 3, [sector, (sector + 1) % 5]] = module
    counts = rng.poisson(factor * usual).astype(float)
    variance = usual * rng.uniform(1.0, 2.0, (6, 1))
    free = rng.random(usual.shape) > 0.1
    found = farthest_sum(counts, usual, variance, free, SYSTEMATIC, JUMP, NEAREST)
    assert found == _farthest_sum(counts, usual, variance, free)


def test_counts_where_none_are_usual_are_far() -> None:
    usual, free = np.zeros((2, 3)), np.ones((2, 3), bool)
    counts = usual.copy()
    counts[1, 2] = 40.0
    assert farthest_sum(counts, usual, usual, free, SYSTEMATIC, JUMP, NEAREST) == (0, 2, 1, 2)
    assert farthest_sum(usual, usual, usual, free, SYSTEMATIC, JUMP, NEAREST)[3] == 0


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_sectors_are_compared_with_the_others_of_their_ring(seed: int) -> None:
    rng = np.random.default_rng(seed)
    products, expected = rng.poisson(3.0, (2, 5, 4)).astype(float)
    used = rng.random(products.shape) > 0.4
    of_ring = ((products * used).sum(axis=1), (expected * used).sum(axis=1))
    told, usual = usual_by_others(products, expected, used, of_ring)
    for ring, sector in np.ndindex(*products.shape):
        others = used[ring] & (np.arange(4) != sector)
        by_chance = expected[ring, others].sum()
        assert told[ring, sector] == (products[ring, sector] if by_chance else 0.0)
        foretold = products[ring, others].sum() / by_chance * expected[ring, sector] if by_chance else 0.0
        assert usual[ring, sector] == foretold


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_usual_counts_follow_the_sectors_in_use(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts, foreseen = rng.poisson(30.0, (4, 12)).astype(float), rng.uniform(0.1, 1.0, (4, 12))
    used = rng.random(counts.shape) > 0.3
    used[0] = False
    of_ring = (foreseen * used).sum(axis=1)
    level = (counts * used).sum(axis=1) / np.maximum(of_ring, 1e-9)
    assert np.array_equal(usual_counts(counts, foreseen, used, of_ring), foreseen * level[:, None])
    one_by_one = [
        distance_in_sigma(*numbers) for numbers in zip(counts.flat, foreseen.flat, foreseen.flat, strict=True)
    ]
    assert distances_in_sigma(counts, foreseen, foreseen).ravel().tolist() == one_by_one


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_sums_over_sectors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, used = rng.normal(size=(3, 12, 5)), rng.random((3, 12)) > 0.3
    assert np.array_equal(sum_sectors(values, used), (values * used[:, :, None]).sum(axis=1))


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 20), st.integers(1, 7))
def test_pairs_of_windows_are_counted_by_their_distance(seed: int, windows: int, frames: int) -> None:
    rng = np.random.default_rng(seed)
    last_frame = frames * np.cumsum(rng.integers(1, 4, windows)) - 1
    some, others = last_frame[rng.integers(0, windows) :], last_frame[: rng.integers(1, windows + 1)]
    apart = np.abs(np.subtract.outer(some, others)).ravel() // frames
    assert np.array_equal(pairs_at_distances(some, others, frames), np.bincount(apart))


def test_the_contrast_and_rate_of_the_noise_leave_least() -> None:
    rng = np.random.default_rng(1)
    contrasts, scatter = np.geomspace(0.01, 1.0, 7), rng.uniform(0.01, 0.1, 3)
    norm = rng.uniform(0.5, 2.0, (9, 3))
    along = 0.2 * norm * rng.uniform(0.5, 1.5, norm.shape)
    of_measured = rng.uniform(0.5, 1.0, 3)
    least, rates = np.empty((7, 3)), np.empty((7, 3), np.int64)
    least_squares(contrasts, along, norm, of_measured, scatter, least, rates)
    contrast = contrasts[:, None, None]
    rest = of_measured - 2 * contrast * along + contrast**2 * norm
    left = rest - (along - contrast * norm) ** 2 / (norm + 1 / (contrast**2 * scatter))
    assert np.array_equal(least, left.min(axis=1))
    assert np.array_equal(rates, left.argmin(axis=1))
