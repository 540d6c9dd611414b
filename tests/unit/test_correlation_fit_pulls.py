"""Fits of simulated speckle against the truth: (found - true) / error has mean zero and spread one."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from speckle_rings import rings_result

from backend.correlation.kww_fit import fit_all_rings
from backend.correlation.lag_covariance import lag_covariances
from backend.correlation.multitau import MultiTauResult
from backend.correlation.q_dependence import rate_law
from backend.settings import CorrelationSettings

Q_INV_NM = 0.02 * 1.08 ** np.arange(8)
DIFFUSION = 0.05 / Q_INV_NM[3] ** 2
CONTRAST = 0.2
SERIES = 24


@cache
def series() -> tuple[MultiTauResult, ...]:
    rates = DIFFUSION * Q_INV_NM**2
    return tuple(rings_result(rates, seed, contrast=CONTRAST) for seed in range(SERIES))


@pytest.mark.parametrize(
    "settings",
    [
        CorrelationSettings(),
        CorrelationSettings(fit_exponent=False),
        CorrelationSettings(shared_contrast=True, shared_baseline=True),
    ],
    ids=["free", "simple exponential", "shared"],
)
def test_ring_parameters_and_their_errors(settings: CorrelationSettings) -> None:
    pulls = []
    for result in series():
        found = fit_all_rings(result, 1.0, settings, Q_INV_NM)
        for fit, q in zip(found.fits, Q_INV_NM, strict=True):
            assert fit is not None
            pull = [
                np.log(fit.gamma_per_s / (DIFFUSION * q**2)) * fit.gamma_per_s / fit.gamma_err_per_s,
                (fit.contrast - CONTRAST) / fit.contrast_err,
                (fit.baseline - 1) / fit.baseline_err,
            ]
            pulls.append(pull + ([(fit.exponent - 1) / fit.exponent_err] if settings.fit_exponent else []))
    mean, spread = np.mean(pulls, axis=0), np.std(pulls, axis=0)
    # What is shared is measured once per series, not once per ring.
    most = 0.75 if settings.shared_contrast else 0.45
    assert np.all(np.abs(mean) < most), mean
    assert np.all((spread > 0.75) & (spread < 1.3)), spread


@pytest.mark.parametrize("shared", [False, True])
def test_diffusion_coefficient_and_power_of_q(shared: bool) -> None:
    settings = CorrelationSettings(shared_contrast=shared, shared_baseline=shared)
    pulls = []
    for result in series():
        law = rate_law(fit_all_rings(result, 1.0, settings, Q_INV_NM), Q_INV_NM, 400)
        assert law is not None and law.rings == 8
        at_pivot = DIFFUSION * law.pivot_q_inv_nm**2
        pulls.append(
            [
                (law.diffusion_nm2_per_s - DIFFUSION) / law.diffusion_err_nm2_per_s,
                (law.q_power - 2) / law.q_power_err,
                (law.pivot_rate_per_s - at_pivot) / law.pivot_rate_err_per_s,
                (law.exponent - 1) / law.exponent_err,
            ]
        )
    mean, spread = np.mean(pulls, axis=0), np.std(pulls, axis=0)
    assert np.all(np.abs(mean) < 0.6), mean
    assert np.all((spread > 0.6) & (spread < 1.4)), spread


def test_the_covariance_is_the_scatter_between_series() -> None:
    """Mean of the covariances told by single series against what many series really do."""
    told = np.mean(
        [
            one.matrix
            for result in series()
            for one in lag_covariances(
                result.lag_frames[1:], result.g2[:, 1:], result.replicates[..., 1:], Q_INV_NM
            )[2:6]
            if one is not None
        ],
        axis=0,
    )
    many = np.array([result.g2[2:6, 1:] for result in series()])
    seen = np.mean([np.cov(many[:, ring].T) for ring in range(4)], axis=0)
    ratio = np.sqrt(np.diag(seen) / np.diag(told))
    assert np.all((ratio > 0.7) & (ratio < 1.4)), ratio
    assert abs(np.median(ratio) - 1) < 0.1
    difference = seen / np.sqrt(np.outer(np.diag(seen), np.diag(seen))) - told / np.sqrt(
        np.outer(np.diag(told), np.diag(told))
    )
    assert np.sqrt((difference**2).mean()) < 0.15
