"""The fit of g2: parameters, calibrated errors, and what it does where there is nothing to fit."""

from __future__ import annotations

import time

import numpy as np
import pytest

from backend.correlation.kww_fit import FittedRings, fit_all_rings, kww
from backend.correlation.multitau import MultiTauResult
from backend.settings import CorrelationSettings
from backend.snapshot import RingFit

LAGS = np.array([0, *range(1, 9), *range(10, 17, 2), *range(20, 33, 4), *range(40, 65, 8), 80, 96, 112, 128])
FRAME_TIME_S = 0.01
SIMPLE = CorrelationSettings(fit_exponent=False)
STRETCHED = CorrelationSettings()


def binned_kww(gamma_per_s: float, contrast: float, baseline: float, exponent: float) -> np.ndarray:
    """g2 as multi-tau sees it: each lag averages the pairs of frames of two bins."""
    values = [1.0 + contrast]
    for lag, width in zip(LAGS[1:], np.diff(LAGS), strict=True):
        shift = np.arange(1 - width, width)
        weight = (width - np.abs(shift)) / width**2
        values.append(weight @ kww((lag + shift) * FRAME_TIME_S, gamma_per_s, contrast, baseline, exponent))
    return np.array(values)


def noisy_result(
    seed: int, gamma_per_s: float, contrast: float, baseline: float, exponent: float, noise: float
) -> MultiTauResult:
    """g2 of one ring as the mean of 12 sectors with independent and with common (between lags) noise."""
    generator = np.random.default_rng(seed)
    sectors = 12
    own = generator.normal(0, noise, (sectors, LAGS.size))
    common = generator.normal(0, noise / 2, (sectors, 1)) * np.exp(-LAGS / 40)
    values = binned_kww(gamma_per_s, contrast, baseline, exponent) + own + common
    mean = values.mean(axis=0)
    replicates = (values.sum(axis=0) - values) / (sectors - 1)
    return MultiTauResult(LAGS, mean[None], replicates[:, None])


def together(*results: MultiTauResult) -> MultiTauResult:
    """Several rings as one result."""
    return MultiTauResult(
        LAGS,
        np.concatenate([one.g2 for one in results]),
        np.concatenate([one.replicates for one in results], axis=1),
    )


def fitted(
    result: MultiTauResult, settings: CorrelationSettings = STRETCHED, start: tuple[RingFit | None, ...] = ()
) -> FittedRings:
    return fit_all_rings(result, FRAME_TIME_S, settings, start=start)


def fit_one(result: MultiTauResult, fit_exponent: bool = True, start: RingFit | None = None) -> RingFit:
    (fit,) = fitted(result, STRETCHED if fit_exponent else SIMPLE, (start,) if start else ()).fits
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
    empty = MultiTauResult(LAGS[:1], whole.g2[:, :1], whole.replicates[..., :1])
    blank = MultiTauResult(LAGS, np.full_like(whole.g2, np.nan), np.full_like(whole.replicates, np.nan))
    few = MultiTauResult(LAGS, whole.g2, whole.replicates[:3])
    for result in (short, empty, blank, few):
        found = fitted(result)
        assert found.fits == (None,)
        assert "too few" in found.reasons[0]
        assert np.isnan(found.log_rate_covariance).all()


def test_lags_without_a_value_are_left_out() -> None:
    whole = noisy_result(5, 5.0, 0.2, 1.0, 1.0, 1e-5)
    g2, replicates = whole.g2.copy(), whole.replicates.copy()
    g2[0, 3:6] = np.nan
    replicates[:, 0, 3:6] = np.nan
    fit = fit_one(MultiTauResult(LAGS, g2, replicates))
    assert fit.gamma_per_s == pytest.approx(5.0, rel=1e-2)


def test_an_empty_sector_does_not_count() -> None:
    whole = noisy_result(5, 5.0, 0.2, 1.0, 1.0, 1e-4)
    replicates = np.concatenate([whole.replicates, np.full((1, 1, LAGS.size), np.nan)])
    fit = fit_one(MultiTauResult(LAGS, whole.g2, replicates))
    assert fit == fit_one(whole)


@pytest.mark.parametrize("settings", [SIMPLE, STRETCHED])
@pytest.mark.parametrize(
    ("gamma_per_s", "contrast", "noise", "reason"),
    [
        (5.0, 0.0, 0.01, "no contrast above the noise"),
        (1e-6, 0.2, 0.003, "too slow to fit"),
        (2e3, 0.2, 0.003, "too fast to fit"),
    ],
)
def test_a_ring_that_cannot_be_fitted_says_why(
    settings: CorrelationSettings, gamma_per_s: float, contrast: float, noise: float, reason: str
) -> None:
    said = [
        fitted(noisy_result(seed, gamma_per_s, contrast, 1.0, 1.0, noise), settings) for seed in range(30)
    ]
    silent = [found.reasons[0] for found in said if found.fits[0] is None]
    # A chance slope now and then looks like a decay.
    assert len(silent) >= 27
    assert np.mean([words == reason for words in silent]) > 0.8, silent


def test_a_ring_with_a_fit_has_no_reason_against_it() -> None:
    found = fitted(
        together(noisy_result(1, 5.0, 0.2, 1.0, 1.0, 0.004), noisy_result(2, 1e-6, 0.2, 1.0, 1.0, 0.003))
    )
    assert [fit is None for fit in found.fits] == [bool(reason) for reason in found.reasons] == [False, True]
    fit = found.fits[0]
    assert fit is not None
    assert found.log_rate_covariance[0, 0] == pytest.approx((fit.gamma_err_per_s / fit.gamma_per_s) ** 2)


def test_a_rate_that_changes_nothing_is_no_fit() -> None:
    """g2 that rises at long lags drives some fits to rates at which all lags are too late."""
    for seed in range(60):
        noise = np.random.default_rng(seed).normal(0, np.where(LAGS < 48, 3e-3, 1e-4), (12, LAGS.size))
        values = binned_kww(20.0, 0.1, 1.0, 1.0) + np.where(LAGS < 48, 0.0, 0.1) + noise
        replicates = (values.sum(axis=0) - values) / 11
        (fit,) = fitted(MultiTauResult(LAGS, values.mean(axis=0)[None], replicates[:, None])).fits
        assert fit is None or (fit.gamma_err_per_s > 0 and fit.contrast_err > 0 and fit.exponent_err > 0), (
            seed
        )


def test_a_shared_contrast_gives_slow_rings_their_rate() -> None:
    """A ring that has only begun to decay when the series ends: its rate hangs on what contrast and baseline are."""
    rates = (0.3, 4.0, 16.0)
    result = together(*(noisy_result(7 + n, rate, 0.2, 1.0, 1.0, 0.004) for n, rate in enumerate(rates)))
    alone = fitted(result, SIMPLE)
    shared = fitted(
        result, CorrelationSettings(fit_exponent=False, shared_contrast=True, shared_baseline=True)
    )
    for name in ("contrast", "contrast_err", "baseline", "baseline_err"):
        assert len({getattr(fit, name) for fit in shared.fits}) == 1
    slow, same = alone.fits[0], shared.fits[0]
    assert same is not None
    assert same.gamma_per_s == pytest.approx(0.3, abs=4 * same.gamma_err_per_s)
    assert slow is None or slow.gamma_err_per_s > 2 * same.gamma_err_per_s
    assert shared.log_rate_covariance[0, 1] != 0.0
    assert alone.log_rate_covariance[1, 2] == 0.0


def test_a_shared_baseline_leaves_the_contrasts_free() -> None:
    result = together(noisy_result(1, 4.0, 0.3, 1.01, 1.0, 1e-4), noisy_result(2, 8.0, 0.1, 1.01, 1.0, 1e-4))
    first, second = fitted(result, CorrelationSettings(shared_baseline=True)).fits
    assert first is not None and second is not None
    assert first.baseline == second.baseline == pytest.approx(1.01, abs=1e-3)
    assert (first.contrast, second.contrast) == pytest.approx((0.3, 0.1), abs=2e-3)


def test_thirty_rings_are_fitted_in_the_time_between_two_snapshots() -> None:
    rings = [noisy_result(n, 2.0 * 1.1**n, 0.2, 1.0, 1.0, 0.004) for n in range(30)]
    result = together(*rings)
    cold = fitted(result)
    times = []
    for _ in range(3):
        begin = time.thread_time()
        fitted(result, start=cold.fits)
        times.append(time.thread_time() - begin)
    # A tenth of a second on a quiet machine; this one may be busy.
    assert min(times) < 0.5
