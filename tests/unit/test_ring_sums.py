"""Products of ring sums equal numpy, in any batches bit for bit, beyond 64 bits too."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.correlation.ring_sums import RingSums

FRAME_LAGS = st.sets(st.integers(1, 64), min_size=1, max_size=6)


def in_batches(ring_sums: RingSums, sums: np.ndarray, cuts: list[int]) -> RingSums:
    for part in np.split(sums, sorted(min(cut, len(sums)) for cut in cuts)):
        ring_sums.add(part)
    return ring_sums


def added_in_order(products: np.ndarray) -> np.ndarray:
    """Sum over frames as a plain loop rounds it."""
    total = np.zeros(products.shape[1])
    for row in products:
        total += row
    return total


def assert_equal_to_numpy(found: RingSums, sums: np.ndarray, lags: list[np.ndarray]) -> None:
    values = sums.astype(np.float64)
    assert np.array_equal(found.factorial_pairs, added_in_order(values * (values - 1)))
    level, number = sums, 0
    while len(level):
        normaliser, filled = found.level(number)
        assert filled == len(level)
        values = level.astype(np.float64)
        for row, lag in zip(normaliser, lags[min(number, 1)], strict=True):
            assert np.array_equal(row, added_in_order(values[lag:] * values[: max(len(values) - lag, 0)]))
        pairs = len(level) // 2
        level = level[: 2 * pairs : 2] + level[1 : 2 * pairs : 2]
        number += 1
    assert found.levels == number


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 300),
    st.integers(1, 12),
    st.sampled_from([0, 3, 2**16, 2**40]),
    FRAME_LAGS,
    FRAME_LAGS,
    st.lists(st.integers(0, 300), max_size=6),
)
def test_products_of_all_levels_in_any_batches(
    seed: int,
    frames: int,
    columns: int,
    top: int,
    frame_lags: set[int],
    level_lags: set[int],
    cuts: list[int],
) -> None:
    sums = np.random.default_rng(seed).integers(0, top, (frames, columns), endpoint=True)
    lags = [np.array(sorted(chosen), np.int64) for chosen in (frame_lags, level_lags)]
    assert_equal_to_numpy(in_batches(RingSums(columns, *lags), sums, cuts), sums, lags)


def test_sums_are_read_at_any_time() -> None:
    sums = np.random.default_rng(1).integers(0, 1000, (50, 3))
    lags = [np.array([1, 2, 5]), np.array([2, 3])]
    found = RingSums(3, *lags)
    assert found.levels == 0 and not found.factorial_pairs.any()
    for frame in range(50):
        found.add(sums[frame : frame + 1])
        assert_equal_to_numpy(found, sums[: frame + 1], lags)
