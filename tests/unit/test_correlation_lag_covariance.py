"""Covariance between the lags of g2: jackknife, counting noise, and theory of speckle as a check."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speckle_rings import rings_result

from backend.correlation.kww_fit import fit_all_rings
from backend.correlation.lag_covariance import (
    RingStatistics,
    jackknife_deviations,
    lag_covariances,
    shot_noise_error,
)
from backend.correlation.multitau import MultiTauResult, jackknife_error
from backend.settings import CorrelationSettings

LAG_FRAMES = np.array([*range(1, 9), *range(10, 17, 2), *range(20, 33, 4)])


def curve(seed: int, rings: int = 1, sectors: int = 12, noise: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """g2 and replicates of rings whose sectors scatter independently."""
    values = 1 + np.random.default_rng(seed).normal(0, noise, (sectors, rings, LAG_FRAMES.size))
    return values.mean(axis=0), (values.sum(axis=0) - values) / max(sectors - 1, 1)


def speckle_and_shot_variance(
    lag_frames: np.ndarray, frames: int, speckles: int, contrast: float, rate: float, photons: float
) -> np.ndarray:
    """Variance of ring-averaged, symmetrically normalised g2, shape (lag,), from the moments of the field.

    Intensity 1 + x with x = sqrt(contrast) (|E|^2 - 1): the joint cumulants of x are sums over cycles of
    g(u) = exp(-rate |u|). To first order g2 deviates by the mean of y = x x' - c (x + x'), c = contrast g(lag)^2.
    Counting adds (1 + c) per pair of bins, and the noise of one bin times y's slope to it: each bin is in two pairs.
    """
    bin_frames = np.diff(lag_frames, prepend=0)
    variance = []
    for lag, width in zip(lag_frames, bin_frames, strict=True):
        shift = np.arange(-(frames - lag) + 1, frames - lag)
        weight = (frames - lag - np.abs(shift)) / (frames - lag) ** 2

        def g(u: np.ndarray | float) -> np.ndarray:
            return np.exp(-rate * np.abs(u))

        near, ahead, behind, own = g(shift), g(shift + lag), g(shift - lag), g(lag)
        c = contrast * own**2
        pairs = contrast**2 * (own**4 + near**4 + ahead**2 * behind**2)
        cycles = 2 * contrast**2 * (own**2 * near**2 + own**2 * ahead * behind + near**2 * ahead * behind)
        thirds = 2 * contrast**1.5 * own * near * (ahead + behind)
        seconds = contrast * (2 * near**2 + ahead**2 + behind**2)
        speckle = weight @ (pairs + cycles - c**2 - 2 * c * thirds + c**2 * seconds) / speckles
        counts = photons * width
        alone = contrast - c**2 + 2 * np.sqrt(contrast) * c
        twice = g(2 * lag)
        shared = contrast * twice**2 - c**2 + 2 * contrast**1.5 * own**2 * twice
        shot = ((1 + c) / counts**2 + 2 * (alone + shared) / counts) * width / (speckles * (frames - lag))
        variance.append(speckle + shot)
    return np.array(variance)


def test_deviations_square_up_to_the_jackknife_error() -> None:
    _, replicates = curve(1, rings=3)
    replicates[4, 1] = np.nan
    error = np.sqrt(np.nansum(jackknife_deviations(replicates) ** 2, axis=0))
    np.testing.assert_allclose(error, jackknife_error(replicates), rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rings=st.integers(1, 5),
    sectors=st.integers(1, 14),
    empty=st.integers(0, 12),
    gaps=st.sets(st.integers(0, LAG_FRAMES.size - 1)),
    log_noise=st.floats(-9, 2),
    common=st.floats(0, 50),
)
def test_any_scatter_gives_weights_that_can_be_used(
    seed: int, rings: int, sectors: int, empty: int, gaps: set[int], log_noise: float, common: float
) -> None:
    g2, replicates = curve(seed, rings, sectors, 10**log_noise)
    replicates = replicates + common * 10**log_noise * np.random.default_rng(seed + 1).normal(
        size=(sectors, 1, 1)
    )
    replicates[: min(empty, sectors)] = np.nan
    g2[:, list(gaps)] = np.nan
    replicates[..., list(gaps)] = np.nan
    for one in lag_covariances(LAG_FRAMES, g2, replicates, 0.01 * 1.1 ** np.arange(rings)):
        if sectors - min(empty, sectors) < 4 or len(gaps) == LAG_FRAMES.size:
            assert one is None
            continue
        assert one is not None
        assert np.flatnonzero(~one.lags).tolist() == sorted(gaps)
        assert np.isfinite(one.whitening).all() and np.isfinite(one.scatter).all()
        np.testing.assert_array_equal(one.whitening, np.tril(one.whitening))
        assert np.all(np.diag(one.whitening) > 0)


def test_white_noise_is_given_equal_weights() -> None:
    g2, replicates = curve(3, rings=9)
    (middle,) = lag_covariances(LAG_FRAMES, g2, replicates, 0.01 * 1.02 ** np.arange(9))[4:5]
    assert middle is not None
    weights = middle.whitening.T @ middle.whitening * 0.01**2 / 12
    # The errors of a single ring are uncertain by a seventh each.
    assert np.median(np.diag(weights)) == pytest.approx(1.0, abs=0.35)
    assert np.median(np.abs(weights - np.diag(np.diag(weights)))) < 0.1


def test_rings_far_away_in_q_do_not_help_each_other() -> None:
    g2, replicates = curve(5, rings=2)
    alone = lag_covariances(LAG_FRAMES, g2, replicates)
    apart = lag_covariances(LAG_FRAMES, g2, replicates, np.array([0.01, 0.03]))
    close = lag_covariances(LAG_FRAMES, g2, replicates, np.array([0.01, 0.0105]))
    assert alone[0] is not None and apart[0] is not None and close[0] is not None
    np.testing.assert_array_equal(alone[0].scatter, apart[0].scatter)
    assert len(close[0].scatter) == 2 * len(alone[0].scatter)


def test_a_lag_where_no_photons_met_counts_with_its_counting_noise() -> None:
    g2, replicates = curve(2)
    g2[0, 2], replicates[:, 0, 2] = 0.0, 0.0
    statistics = RingStatistics(np.array([500]), np.array([0.01]), 400)
    (without,) = lag_covariances(LAG_FRAMES, g2, replicates)
    (known,) = lag_covariances(LAG_FRAMES, g2, replicates, None, statistics)
    assert without is not None and not without.lags[2]
    assert known is not None and known.lags.all()
    least = shot_noise_error(LAG_FRAMES, statistics)[0, 2]
    assert np.sqrt(known.matrix[2, 2]) == pytest.approx(least)


def test_a_dim_ring_is_not_given_too_much_contrast() -> None:
    """So few photons that at most short lags no two of them meet."""
    statistics = RingStatistics(np.full(1, 480), np.full(1, 0.004), 400)
    found = []
    for seed in range(30):
        result = rings_result(np.array([0.05]), seed, photons_per_pixel=0.004)
        (one,) = lag_covariances(
            result.lag_frames[1:], result.g2[:, 1:], result.replicates[..., 1:], None, statistics
        )
        assert one is not None
        weights = one.whitening.T @ one.whitening
        g2 = result.g2[0, 1:][one.lags]
        found.append(float(weights.sum(axis=0) @ g2 / weights.sum()))
    assert np.mean(found) == pytest.approx(1.0, abs=4 * np.std(found) / np.sqrt(len(found)))


def test_counting_noise_of_light_without_speckle() -> None:
    many = [rings_result(np.array([1.0]), seed, contrast=0.0) for seed in range(60)]
    seen = np.std([result.g2[0, 1:] for result in many], axis=0)
    told = shot_noise_error(many[0].lag_frames[1:], RingStatistics(np.full(1, 480), np.full(1, 0.3), 400))[0]
    assert np.median(seen / told) == pytest.approx(1.0, abs=0.06)
    assert np.all((seen / told > 0.7) & (seen / told < 1.4))


@pytest.mark.parametrize(("rate", "photons"), [(0.03, 2.0), (0.2, 0.1)])
def test_scatter_between_sectors_is_what_theory_says(rate: float, photons: float) -> None:
    """Bright slow speckle and dim fast speckle: the first is limited by speckles, the second by photons."""
    rates = np.full(12, rate)
    result = rings_result(rates, 5, photons_per_pixel=photons, pixels=960)
    told = [
        np.diag(one.matrix)
        for one in lag_covariances(result.lag_frames[1:], result.g2[:, 1:], result.replicates[..., 1:])
        if one is not None
    ]
    theory = speckle_and_shot_variance(result.lag_frames[1:], 400, 960, 0.2, rate, photons)
    # Bins longer than the speckle lives average its noise, which the theory leaves out.
    short = rate * np.diff(result.lag_frames) < 1
    ratio = np.sqrt(np.mean(told, axis=0) / theory)[short]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.1), ratio
    assert np.all((ratio > 0.75) & (ratio < 1.3)), ratio


def test_counting_noise_that_is_known_changes_no_bright_fit() -> None:
    result: MultiTauResult = rings_result(np.array([0.05]), 3)
    statistics = RingStatistics(np.full(1, 480), np.full(1, 0.3), 400)
    choices = CorrelationSettings(fit_exponent=False)
    (plain,) = fit_all_rings(result, 1.0, choices).fits
    (told,) = fit_all_rings(result, 1.0, choices, statistics=statistics).fits
    assert plain is not None and told is not None
    assert told.gamma_per_s == pytest.approx(plain.gamma_per_s, abs=0.5 * plain.gamma_err_per_s)
