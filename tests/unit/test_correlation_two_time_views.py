"""Two-time maps by age and lag, and cuts at chosen ages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.correlation.two_time_views import age_lag_map, ageing_cuts


def symmetric_map(bins: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(1.2, 0.1, (bins, bins))
    values = np.tril(values, -1) + np.tril(values, -1).T
    np.fill_diagonal(values, np.nan)
    return values.astype(np.float32)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(bins=st.integers(0, 20), seed=st.integers(0, 100))
def test_every_value_stands_at_its_age_and_lag(bins: int, seed: int) -> None:
    values = symmetric_map(bins, seed)
    by_lag, age_bins = age_lag_map(values)
    assert by_lag.shape == age_bins.shape == (bins, bins)
    assert np.isfinite(by_lag).sum() == bins * (bins - 1) // 2
    for lag in range(1, bins):
        for first in range(bins - lag):
            assert by_lag[lag, first] == values[first, first + lag] == values[first + lag, first]
            # The middle of the middles of both bins.
            assert age_bins[lag, first] == 0.5 * ((first + 0.5) + (first + lag + 0.5))


def test_a_cut_averages_the_values_of_its_window_only() -> None:
    values = symmetric_map(30)
    values[4, 7] = values[7, 4] = np.nan
    (cut,) = ageing_cuts(values, np.array([6.0]), 3.0)
    assert (cut.age_bins, cut.window_bins) == (6.0, 3.0)
    for lag, g2 in zip(cut.lag_bins.tolist(), cut.g2.tolist(), strict=True):
        expected = [
            values[first, first + lag]
            for first in range(30 - lag)
            if 4.5 <= first + 0.5 * (lag + 1) <= 7.5 and (first, first + lag) != (4, 7)
        ]
        np.testing.assert_allclose(g2, np.mean(expected, dtype=np.float64), rtol=1e-6)
    # Times before the start do not exist, so at a young age neither do long lags.
    assert cut.lag_bins.max() == 14


def test_cuts_show_how_a_sample_slows_down() -> None:
    time = np.arange(120) + 0.5
    age = 0.5 * (time[:, None] + time)
    lag = np.abs(time[:, None] - time)
    values = 1 + 0.3 * np.exp(-2 * lag / (2 + 0.2 * age))
    young, old = ageing_cuts(values, np.array([20.0, 90.0]), 6.0)
    for cut in (young, old):
        short = cut.lag_bins <= 20
        expected = 1 + 0.3 * np.exp(-2 * cut.lag_bins / (2 + 0.2 * cut.age_bins))
        np.testing.assert_allclose(cut.g2[short], expected[short], atol=2e-3)
    assert young.g2[9] < old.g2[9]


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_errors_are_the_scatter_of_the_mean_also_when_neighbours_are_alike(memory: float) -> None:
    generator = np.random.default_rng(5)
    means, errors = [], []
    for _ in range(200):
        noise = np.zeros(160)
        for i in range(1, 160):
            noise[i] = memory * noise[i - 1] + generator.normal()
        values = np.full((160, 160), np.nan)
        first = np.arange(159)
        values[first, first + 1] = values[first + 1, first] = noise[first]
        (cut,) = ageing_cuts(values, np.array([80.0]), 100.0)
        means.append(cut.g2[0])
        errors.append(cut.g2_err[0])
    assert 0.8 < np.sqrt(np.mean(np.square(errors))) / np.std(means) < 1.2


def test_too_few_values_have_no_error_and_equal_ones_none_at_all() -> None:
    (cut,) = ageing_cuts(symmetric_map(4), np.array([2.0]), 1.0)
    assert np.isnan(cut.g2_err).all() and np.isfinite(cut.g2).all()
    (flat,) = ageing_cuts(np.ones((20, 20)), np.array([10.0]), 8.0)
    assert flat.g2_err[0] == 0.0
    (empty,) = ageing_cuts(np.full((20, 20), np.nan), np.array([10.0]), 8.0)
    assert empty.lag_bins.size == empty.g2.size == 0
