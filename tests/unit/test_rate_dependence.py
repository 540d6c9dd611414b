"""The test for a dependence on the dose rate: how often it is wrong, what it finds, what it asks for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from backend.damage.rate_dependence import FALSE_ALARM_SHARE, lacking, rate_dependence

RATES = np.array([1.0, 0.3, 0.1, 1.0, 0.3, 0.1, 1.0, 0.3, 0.1, 0.03])


def _found(rate: np.ndarray, value: np.ndarray, error: np.ndarray):
    found = rate_dependence(rate, value, error, 0.1)
    assert found is not None
    return found


@pytest.mark.parametrize("scatter", [0.0, 0.1, 0.5])
def test_a_sample_that_does_not_care_is_seldom_said_to(scatter: float) -> None:
    """Over all tests from the third to the tenth series, whatever the scatter between series."""
    rng = np.random.default_rng(int(100 * scatter))
    samples, alarms = 400, 0
    for _ in range(samples):
        error = rng.uniform(0.02, 0.08, RATES.size)
        value = rng.normal(0.0, np.hypot(error, scatter))
        found = [_found(RATES[:n], value[:n], error[:n]) for n in range(3, RATES.size + 1)]
        alarms += any(one.chance < one.limit for one in found)
    # No more than the promised share allows by chance in one run of the test out of a million.
    assert alarms <= stats.binom.isf(1e-6, samples, FALSE_ALARM_SHARE)


def test_the_limits_of_all_tests_add_up_to_the_promise() -> None:
    rate = np.tile([1.0, 0.1], 100)
    value, error = np.random.default_rng(0).normal(size=200), np.full(200, 0.1)
    limits = [_found(rate[:n], value[:n], error[:n]).limit for n in range(3, 200)]
    assert sum(limits) < FALSE_ALARM_SHARE
    assert sum(limits) > 0.99 * FALSE_ALARM_SHARE


@pytest.mark.parametrize("power", [1.0, 0.5, -0.7])
def test_the_power_is_found_within_its_error(power: float) -> None:
    rng = np.random.default_rng(3)
    pulls = []
    for _ in range(200):
        error = rng.uniform(0.02, 0.08, RATES.size)
        value = power * np.log(RATES) + rng.normal(0.0, np.hypot(error, 0.1))
        found = _found(RATES, value, error)
        assert found.is_shown
        pulls.append((found.power - power) / found.power_err)
    assert abs(np.mean(pulls)) < 0.3
    assert 0.8 < np.std(pulls) < 1.4


def test_scatter_between_series_is_found_and_widens_the_error() -> None:
    rng = np.random.default_rng(5)
    rate = np.tile([1.0, 0.3, 0.1], 40)
    error = np.full(rate.size, 0.02)
    calm = _found(rate, rng.normal(0.0, 0.02, rate.size), error)
    rough = _found(rate, rng.normal(0.0, np.hypot(0.02, 0.2), rate.size), error)
    assert calm.scatter < 0.01
    assert rough.scatter == pytest.approx(0.2, rel=0.25)
    assert rough.power_err == pytest.approx(10 * calm.power_err, rel=0.3)


@given(st.floats(-5, 5), st.floats(1e-6, 1e6))
def test_units_do_not_matter(offset: float, unit: float) -> None:
    value = np.array([0.1, -0.2, 0.05, 0.0, 0.15])
    error = np.array([0.03, 0.05, 0.02, 0.04, 0.03])
    one, other = _found(RATES[:5], value, error), _found(unit * RATES[:5], value + offset, error)
    assert other.power == pytest.approx(one.power, abs=1e-6)
    assert other.chance == pytest.approx(one.chance, rel=1e-4)


def test_a_sure_but_tiny_power_is_no_dependence() -> None:
    rate = np.tile([1.0, 0.1], 50)
    found = _found(rate, 0.01 * np.log(rate), np.full(rate.size, 1e-3))
    assert found.chance < found.limit
    assert not found.is_shown and found.is_excluded


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ([], "3 series with a fitted relaxation rate and without a change are needed, none so far"),
        ([1.0, 0.1], "3 series with a fitted relaxation rate and without a change are needed, 2 so far"),
        ([1.0, 0.9, 1.1], "all 3 series have nearly the same dose rate; change it by a factor of 3 or more"),
        ([1.0, 0.3, 0.3], ""),
    ],
)
def test_it_says_what_is_lacking(rates: list[float], words: str) -> None:
    rate = np.array(rates)
    assert lacking(rate) == words
    assert (rate_dependence(rate, np.zeros(rate.size), np.ones(rate.size), 0.1) is None) == bool(words)
