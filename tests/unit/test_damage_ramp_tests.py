"""The sequential ramp test against plain algebra on the whole series, and its promise under no change."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import binom

from backend.damage.ramp_tests import RampTests, SlowNoise

SCALES = (0.3, 1.5, 8.0)


Noise = tuple[SlowNoise, np.ndarray]
"""What neighbours share, and variances of their own, shape (number, channel)."""


def _noise(size: int, channels: int, rng: np.random.Generator) -> Noise:
    """Slow parts of any decay, some of them missing in a channel; variances that differ from number to number."""
    parts = int(rng.integers(1, 5))
    decay = np.exp(-1 / 10 ** rng.uniform(-2, 3, parts))
    strength = rng.uniform(0, 1, (parts, channels)) * rng.integers(0, 2, (parts, channels))
    # Means over windows share less with themselves than exponentials would have it.
    own = (strength * rng.uniform(0.7, 1.0, (parts, 1))).sum(axis=0)
    return SlowNoise(decay, strength * decay[:, None]), own + rng.uniform(0.5, 2.0, (size, channels))


def _covariances(noise: Noise, places: np.ndarray) -> list[np.ndarray]:
    """The full matrix of each channel, for numbers at these whole ``places``."""
    slow, variance = noise
    steps = np.abs(np.subtract.outer(places, places))
    shared = [
        (strength * slow.decay ** (np.maximum(steps, 1)[..., None] - 1)).sum(axis=2)
        for strength in slow.strength.T
    ]
    return [np.where(steps == 0, np.diag(own), of) for of, own in zip(shared, variance.T, strict=True)]


def _sequential(
    values: np.ndarray, noise: Noise, dose: np.ndarray, planned: int, places: np.ndarray | None = None
) -> RampTests:
    """Tests after all numbers; ``values`` has the shape (number, channel)."""
    slow, variance = noise
    steps = np.ones(len(values), int) if places is None else np.diff(places, prepend=places[0] - 1)
    tests = RampTests(len(values) + 1, planned, np.tile(SCALES, (values.shape[1], 1)), slow)
    for n, row in enumerate(values):
        tests.add(tests.predict(row, variance[n], int(steps[n])), dose[n])
    return tests


def _white(variance: float, size: int) -> Noise:
    return SlowNoise(np.zeros(1), np.zeros((1, 1))), np.full((size, 1), variance)


def _twin_residuals(values: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Whiten with the Cholesky factor of everything; each number against the level of those before it."""
    factor = np.linalg.cholesky(covariance)
    y, level = np.linalg.solve(factor, values), np.linalg.solve(factor, np.ones(len(values)))
    residuals = []
    for n in range(1, len(values)):
        weight = (level[:n] ** 2).sum()
        predicted = level[n] * (level[:n] @ y[:n]) / weight
        residuals.append((y[n] - predicted) / math.sqrt(1 + level[n] ** 2 / weight))
    return np.array(residuals)


def _twin_bayes_factors(values: np.ndarray, covariance: np.ndarray, dose: np.ndarray) -> np.ndarray:
    """Natural log per (scale, onset) by generalised least squares: unknown level projected out of the ramps."""
    inverse = np.linalg.inv(covariance)
    ones = np.ones(len(values))
    projected = inverse - np.outer(inverse @ ones, inverse @ ones) / (ones @ inverse @ ones)
    factors = np.empty((len(SCALES), len(values)))
    for onset, onset_dose in enumerate(np.concatenate([[0.0], dose[:-1]])):
        ramp = np.maximum(dose - onset_dose, 0.0)
        score, information = ramp @ projected @ values, ramp @ projected @ ramp
        for row, scale in enumerate(SCALES):
            grown = scale**2 * information
            factors[row, onset] = -0.5 * math.log1p(grown) + 0.5 * scale**2 * score**2 / (1 + grown)
    return factors


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 30), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_numbers_one_by_one_give_the_algebra_of_the_whole_series(size: int, channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = _noise(size, channels, rng)
    places = np.cumsum(rng.choice([1, 1, 1, 2, 5], size))
    values = rng.normal(2.0, 1.0, (size, channels))
    values += rng.uniform(0, 3, channels) * np.linspace(0, 1, size)[:, None]
    dose = np.cumsum(rng.uniform(0.2, 1.8, size)) / 40
    tests = _sequential(values, noise, dose, planned=40, places=places)
    prior = 0.95 * np.arange(40, 0, -1) / (40 * 41 / 2)
    prior[0] += 0.05
    over_dispersion = rng.choice((1.0, 1.7), channels)
    evidence = tests.log_evidence(over_dispersion)
    for channel, covariance in enumerate(_covariances(noise, places)):
        number = values[:, channel]
        residuals = _twin_residuals(number, covariance)
        assert tests.residuals[:, channel] == pytest.approx(residuals, rel=1e-9, abs=1e-9)
        # A factor on the covariance divides score^2 and information alike.
        factors = _twin_bayes_factors(number, covariance * over_dispersion[channel], dose)
        factors += np.log(prior[:size])
        wanted = logsumexp(np.append(factors - math.log(len(SCALES)), math.log(1 - prior[:size].sum())))
        assert evidence[channel] == pytest.approx(wanted, rel=1e-9, abs=1e-9)
        weights = np.exp(logsumexp(factors, axis=0) - logsumexp(factors))
        found = tests.onset_weights(channel, over_dispersion[channel])
        assert found == pytest.approx(weights, rel=1e-9, abs=1e-9)


def test_a_prediction_adds_nothing() -> None:
    rng = np.random.default_rng(3)
    slow, variance = _noise(12, 2, rng)
    values = rng.normal(size=(12, 2))
    tests = _sequential(values[:-1], (slow, variance[:-1]), np.arange(1.0, 12) / 12, planned=12)
    before = tests.log_evidence(np.ones(2))
    foreseen = tests.predict(values[-1], variance[-1], 1)
    assert tests.size == 11
    assert np.array_equal(tests.log_evidence(np.ones(2)), before)
    tests.add(foreseen, 1.0)
    assert np.array_equal(tests.residuals[-1], foreseen.residual)


def test_the_level_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    noise = _noise(20, 1, rng)
    values, dose = rng.normal(size=(20, 1)), np.arange(1.0, 21) / 20
    low = _sequential(values, noise, dose, planned=20)
    high = _sequential(values + 1000.0, noise, dose, planned=20)
    assert high.log_evidence(np.ones(1)) == pytest.approx(low.log_evidence(np.ones(1)), abs=1e-6)


def _evidence_paths(series: int, size: int, planned: int, scales: tuple[float, ...]) -> np.ndarray:
    """log E after each number of so many series without any change; shape (series, size)."""
    rng = np.random.default_rng(11)
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    covariance = 0.5 * np.eye(size) + 0.5 * np.exp(-distance / 6)
    factor = np.linalg.cholesky(covariance)
    # Each channel is a series of its own.
    values = factor @ rng.normal(size=(size, series))
    slow = SlowNoise(np.full(1, math.exp(-1 / 6)), np.full((1, series), 0.5 * math.exp(-1 / 6)))
    tests = RampTests(size, planned, np.tile(scales, (series, 1)), slow)
    paths = np.empty((series, size))
    for n in range(size):
        tests.add(tests.predict(values[n], np.ones(series), 1), (n + 1) / planned)
        paths[:, n] = tests.log_evidence(np.ones(series))
    return paths


@pytest.mark.parametrize(("size", "planned"), [(20, 20), (20, 5)], ids=["as planned", "four times longer"])
def test_without_a_change_the_evidence_rarely_grows(size: int, planned: int) -> None:
    paths = _evidence_paths(500, size, planned, (1.0, 4.0))
    final = np.exp(paths[:, -1])
    assert final.mean() <= 1 + 4 * final.std() / math.sqrt(len(final))
    alarms = int((paths.max(axis=1) >= math.log(20)).sum())
    # Ville: at most one series in twenty ever gets there; more than this many is less likely than 1e-4 then.
    assert alarms <= binom.isf(1e-4, len(paths), 1 / 20)


def test_a_change_is_found_and_its_onset_named() -> None:
    rng = np.random.default_rng(5)
    size, onset = 60, 24
    dose = np.arange(1.0, size + 1) / size
    values = rng.normal(0, 0.05, size) + 3.0 * np.maximum(dose - onset / size, 0)
    tests = _sequential(values[:, None], _white(0.05**2, size), dose, planned=size)
    assert tests.log_evidence(np.ones(1))[0] > math.log(1e6)
    assert abs(int(np.argmax(tests.onset_weights(0, 1.0))) - onset) <= 2


def test_the_forecast_is_that_of_slopes_and_onsets_drawn_from_their_posterior() -> None:
    rng = np.random.default_rng(6)
    size, planned = 30, 60
    dose = np.arange(1.0, size + 1) / planned
    values = rng.normal(0, 0.1, size) - 2.0 * np.maximum(dose - 0.2, 0)
    tests = _sequential(values[:, None], _white(0.1**2, size), dose, planned)
    chances = np.array([0.1, 0.5, 0.9])
    doses = tests.crossing_doses(0, 1.3, 0.8, chances)
    weight, mean, sigma = tests._posterior(0, 1.3, tests._likely_onset)
    chosen = rng.choice(weight.size, 40_000, p=weight.ravel())
    slope = rng.normal(mean.ravel()[chosen], sigma.ravel()[chosen])
    onset = np.concatenate([[0.0], dose[:-1]])[chosen % size]
    crossing = np.where(slope < 0, onset + 0.8 / np.maximum(-slope, 1e-12), np.inf)
    assert [np.mean(crossing <= limit) for limit in doses] == pytest.approx(chances, abs=0.01)
    assert np.isinf(tests.crossing_doses(0, 1.3, 1e3, chances)).all()


@pytest.mark.parametrize("onset", [0.0, 0.3])
def test_forecasts_hold_for_changes_from_the_first_number_on_as_well(onset: float) -> None:
    """Made when the evidence reaches 1000; about nine in ten are to hold."""
    rng = np.random.default_rng(7)
    planned, slope, height, sigma = 160, 0.3, 0.05, 0.022
    dose = np.arange(1.0, planned + 1) / planned
    held = 0
    for _ in range(160):
        values = rng.normal(0, sigma, planned) + slope * np.maximum(dose - onset, 0)
        tests = _until(values, sigma**2, dose, math.log(1000))
        early, late = tests.crossing_doses(0, 1.0, height, np.array([0.05, 0.95]))
        held += early <= onset + height / slope <= late
    assert binom.ppf(0.01, 160, 0.88) <= held <= binom.ppf(0.999, 160, 0.95)


def _until(values: np.ndarray, variance: float, dose: np.ndarray, log_evidence: float) -> RampTests:
    """White noise up to the number with which the evidence gets there."""
    slow = SlowNoise(np.zeros(1), np.zeros((1, 1)))
    tests = RampTests(len(values), len(values), np.array([[0.15, 0.9]]), slow)
    for value, at in zip(values, dose, strict=True):
        tests.add(tests.predict(np.array([value]), np.array([variance]), 1), float(at))
        if tests.log_evidence(np.ones(1))[0] >= log_evidence:
            return tests
    raise AssertionError("the change was not found")
