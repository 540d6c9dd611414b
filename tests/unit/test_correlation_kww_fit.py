"""The fit of g2: parameters, calibrated errors, and what it does where there is nothing to fit."""

from __future__ import annotations

import numpy as np
import pytest
from speckle_movie import SpeckleMovie, block_partition, events_of

from backend.correlation.kww_fit import fit_rings, kww
from backend.correlation.multitau import MultiTau, MultiTauResult
from backend.snapshot import RingFit

LAGS = np.array([0, *range(1, 9), *range(10, 17, 2), *range(20, 33, 4), *range(40, 65, 8), 80, 96, 112, 128])
FRAME_TIME_S = 0.01


def noisy_result(
    seed: int, gamma_per_s: float, contrast: float, baseline: float, exponent: float, noise: float
) -> MultiTauResult:
    """g2 of one ring as the mean of 12 sectors with independent and with common (between lags) noise."""
    generator = np.random.default_rng(seed)
    sectors = 12
    own = generator.normal(0, noise, (sectors, LAGS.size))
    common = generator.normal(0, noise / 2, (sectors, 1)) * np.exp(-LAGS / 40)
    values = kww(LAGS * FRAME_TIME_S, gamma_per_s, contrast, baseline, exponent) + own + common
    mean = values.mean(axis=0)
    replicates = (values.sum(axis=0) - values) / (sectors - 1)
    return MultiTauResult(LAGS, mean[None], replicates[:, None])


def fit_one(result: MultiTauResult, fit_exponent: bool = True, start: RingFit | None = None) -> RingFit:
    (fit,) = fit_rings(result, FRAME_TIME_S, fit_exponent, (start,) if start else ())
    assert fit is not None
    return fit


@pytest.mark.parametrize("exponent", [0.6, 1.0, 1.7])
@pytest.mark.parametrize("gamma_per_s", [1.0, 5.0, 25.0])
def test_parameters_come_back_from_nearly_noiseless_curves(exponent: float, gamma_per_s: float) -> None:
    fit = fit_one(noisy_result(1, gamma_per_s, 0.15, 1.002, exponent, 1e-6))
    assert fit.gamma_per_s == pytest.approx(gamma_per_s, rel=2e-3)
    assert fit.contrast == pytest.approx(0.15, rel=2e-3)
    assert fit.baseline == pytest.approx(1.002, abs=1e-4)
    assert fit.exponent == pytest.approx(exponent, rel=2e-3)


@pytest.mark.parametrize(("exponent", "fit_exponent"), [(1.0, False), (1.0, True), (0.7, True), (1.5, True)])
def test_errors_are_calibrated(exponent: float, fit_exponent: bool) -> None:
    # With twelve sectors a pull follows Student's t: 1.1 would be perfect.
    truth = np.array([5.0, 0.2, 1.0, exponent])
    pulls = []
    for seed in range(150):
        fit = fit_one(noisy_result(seed, *truth, noise=0.008), fit_exponent)
        found = np.array([fit.gamma_per_s, fit.contrast, fit.baseline, fit.exponent])
        error = np.array([fit.gamma_err_per_s, fit.contrast_err, fit.baseline_err, fit.exponent_err])
        free = slice(0, 4 if fit_exponent else 3)
        pulls.append((found - truth)[free] / error[free])
    spread = np.std(pulls, axis=0)
    assert np.all((spread > 0.8) & (spread < 1.4)), spread
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.6)


def test_rate_of_simulated_speckle_comes_back_with_calibrated_errors() -> None:
    partition = block_partition((60, 60), rings=2, sectors=12)
    rate = np.repeat([0.04, 0.12], 1800).reshape(60, 60)
    pulls = []
    for seed in range(20):
        multitau = MultiTau(partition)
        movie = SpeckleMovie(np.full((60, 60), 0.5), rate, 2, np.random.default_rng(seed))
        for frame in movie.frames(200):
            multitau.add(*events_of(frame))
        for fit, truth in zip(fit_rings(multitau.result(), 1.0, False), (0.04, 0.12), strict=True):
            assert fit is not None
            pulls.append(
                [(fit.gamma_per_s - truth) / fit.gamma_err_per_s, (fit.contrast - 0.5) / fit.contrast_err]
            )
    spread, mean = np.std(pulls, axis=0), np.mean(pulls, axis=0)
    assert np.all((spread > 0.7) & (spread < 1.4)), spread
    assert np.all(np.abs(mean) < 0.7), mean


def test_a_warm_start_finds_the_same_answer() -> None:
    result = noisy_result(3, 5.0, 0.2, 1.0, 1.3, 0.004)
    cold = fit_one(result)
    far = RingFit(
        gamma_per_s=60.0, gamma_err_per_s=1.0, contrast=0.02, contrast_err=0.1, baseline=1.1,
        baseline_err=0.1, exponent=0.5, exponent_err=0.1, reduced_chi2=1.0,
    )  # fmt: skip
    for start in (cold, far):
        warm = fit_one(result, start=start)
        assert warm.gamma_per_s == pytest.approx(cold.gamma_per_s, rel=1e-3)
        assert warm.contrast == pytest.approx(cold.contrast, rel=1e-3)
        assert warm.exponent == pytest.approx(cold.exponent, rel=1e-3)


def test_too_few_lags_give_no_fit() -> None:
    whole = noisy_result(4, 5.0, 0.2, 1.0, 1.0, 0.01)
    short = MultiTauResult(LAGS[:6], whole.g2[:, :6], whole.replicates[..., :6])
    assert fit_rings(short, FRAME_TIME_S, True) == (None,)
    assert fit_rings(MultiTauResult(LAGS[:1], whole.g2[:, :1], whole.replicates[..., :1]), 1.0, True) == (
        None,
    )
    blank = MultiTauResult(LAGS, np.full_like(whole.g2, np.nan), np.full_like(whole.replicates, np.nan))
    assert fit_rings(blank, FRAME_TIME_S, True) == (None,)


def test_lags_without_a_value_are_left_out() -> None:
    whole = noisy_result(5, 5.0, 0.2, 1.0, 1.0, 1e-5)
    g2, replicates = whole.g2.copy(), whole.replicates.copy()
    g2[0, 3:6] = np.nan
    replicates[:, 0, 3:6] = np.nan
    fit = fit_one(MultiTauResult(LAGS, g2, replicates))
    assert fit.gamma_per_s == pytest.approx(5.0, rel=1e-2)


@pytest.mark.parametrize("fit_exponent", [False, True])
def test_flat_noise_is_not_given_a_certain_rate(fit_exponent: bool) -> None:
    """Where there is no decay the rate may be anything, and its error has to say so."""
    certain = 0
    for seed in range(40):
        fit = fit_one(noisy_result(seed, 5.0, 0.0, 1.0, 1.0, 0.01), fit_exponent)
        assert not fit.gamma_err_per_s <= 0
        certain += fit.gamma_per_s > 4 * fit.gamma_err_per_s
    assert certain <= 4


def test_static_speckle_is_given_no_certain_rate() -> None:
    """A curve that does not decay: baseline and contrast cannot be told apart."""
    certain = 0
    for seed in range(20):
        fit = fit_one(noisy_result(seed, 1e-6, 0.2, 1.0, 1.0, 0.003), False)
        certain += fit.gamma_per_s > 4 * fit.gamma_err_per_s
    assert certain <= 2
