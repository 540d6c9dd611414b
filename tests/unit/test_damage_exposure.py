"""Contrast that is lost because the speckle moves while a frame is exposed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.damage.exposure import between_frames, within_frame
from backend.damage.noise_model import NoiseModel, fit_noise_model
from backend.damage.windows import Window
from backend.frames import DetectorInfo, SeriesInfo
from backend.series_accumulators import exposure_of
from backend.simulation.ring_speckle import RingSpecklePlan, simulate_ring_speckle

DECAYS = np.array([0.0, 1e-4, 9e-3, 1.1e-2, 0.3, 1.0, 4.0, 20.0])


@pytest.mark.parametrize("lag", [0, 1, 3])
@pytest.mark.parametrize("exposure", [0.3, 1.0])
def test_the_factors_are_means_over_all_pairs_of_moments(lag: int, exposure: float) -> None:
    moments = (np.arange(800) + 0.5) / 800 * exposure
    apart = np.abs(lag + np.subtract.outer(moments, moments))
    model = NoiseModel(1.0, DECAYS / 2, DECAYS / 2, np.zeros(8), 1e-3, np.ones(8), 0.0, 1.0, exposure)
    expected = [np.exp(-decay * apart).mean() for decay in DECAYS]
    np.testing.assert_allclose(model.excess(np.array([lag]))[:, 0], expected, rtol=2e-4)


def test_an_instant_loses_nothing_and_a_long_exposure_nearly_all() -> None:
    np.testing.assert_array_equal(within_frame(np.zeros(2)), 1.0)
    np.testing.assert_array_equal(between_frames(np.zeros(2)), 1.0)
    assert within_frame(np.array([1e4]))[0] == pytest.approx(2e-4, rel=1e-3)
    assert np.isfinite(between_frames(np.array([1e4]))).all()


@pytest.mark.parametrize("lags", [[0, 1, 4], [1, 2, 8]])
@pytest.mark.parametrize("exposure", [0.0, 1.0])
def test_the_response_to_the_rate_is_the_slope_of_g2(lags: list[int], exposure: float) -> None:
    gamma = np.array([0.02, 0.5])
    model = NoiseModel(0.2, gamma, gamma, np.zeros(2), 1e-3, np.ones(2), 0.0, 1.0, exposure)
    at = np.array(lags)
    slope = (model.excess(at, 1.01) - model.excess(at, 0.99)) / 0.02
    np.testing.assert_allclose(model.rate_response(at), slope, rtol=1e-3, atol=1e-7)
    if exposure == 0.0:
        np.testing.assert_allclose(
            model.rate_response(at), -2 * gamma[:, None] * at * model.excess(at), rtol=1e-5, atol=1e-12
        )


@pytest.mark.parametrize(("gamma", "exposure"), [(0.02, 1.0), (0.3, 1.0), (0.6, 0.4)])
def test_simulated_frames_blur_as_they_should(gamma: float, exposure: float) -> None:
    frames, pixels, lags = 2500, 500, np.array([0, 1, 2])
    shape = (frames, 1)
    plan = RingSpecklePlan(
        np.full(shape, 1.0), np.full(shape, gamma), np.full(shape, 0.5), np.array([pixels]), np.array([pixels]),
        exposure=exposure,
    )  # fmt: skip
    sums = simulate_ring_speckle(plan, lags, seed=5)
    n = sums.counts[:, 0].astype(float)
    pairs = [(n * (n - 1)).sum()] + [(n[lag:] * n[:-lag]).sum() for lag in (1, 2)]
    found = pixels * sums.products[:, 0].sum(axis=0) / np.array(pairs) - 1
    model = NoiseModel(
        0.5, np.array([gamma]), np.array([gamma]), np.zeros(1), 1e-3, np.ones(1), 0.0, 1.0, exposure
    )
    np.testing.assert_allclose(found, model.excess(lags)[0], atol=0.015)


def test_the_fit_knows_that_the_exposure_raises_short_lags() -> None:
    """Fast speckle: without the exposure the contrast would be taken as too large."""
    lags, gamma = np.array([0, 1, 2, 3]), np.full(3, 0.4)
    truth = NoiseModel(0.2, gamma, gamma, np.zeros(3), 1e-3, np.ones(3), 0.0, 1.0, 1.0)
    expected = np.full((3, 4), 1e6)
    window = Window(9, 10, 1.0, np.ones(3), np.ones(3), expected * (1 + truth.excess(lags)), expected)
    blurred = fit_noise_model([window], lags, np.ones(3), 1000, 0.0, 1.0, exposure=1.0)
    assert blurred.contrast == pytest.approx(0.2, rel=0.03)
    assert blurred.gamma_per_frame == pytest.approx(gamma, rel=0.05)


@pytest.mark.parametrize(
    ("count_time_s", "frame_time_s", "exposure"),
    [(None, 0.1, 1.0), (0.05, None, 1.0), (0.025, 0.1, 0.25), (0.2, 0.1, 1.0)],
)
def test_the_exposure_is_that_of_the_files(
    count_time_s: float | None, frame_time_s: float | None, exposure: float
) -> None:
    detector = DetectorInfo("eiger4m", (8, 8), np.dtype(np.uint16))
    info = SeriesInfo(
        "gel_00001", "gel", 1, Path("raw"), detector, count_time_s=count_time_s, frame_time_s=frame_time_s
    )
    assert exposure_of(info) == pytest.approx(exposure)
