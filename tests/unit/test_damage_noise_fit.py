"""Contrast and rates that the first windows of a series tell."""

from __future__ import annotations

import numpy as np
import pytest

from backend.damage.noise_model import NoiseModel, counting_variance, fit_noise_model
from backend.damage.windows import Window

LAGS = np.array([0, 1, 2, 3, 4, 6, 8, 16, 32])
RINGS, CONTRAST = 8, 0.12
PHOTONS = np.geomspace(0.21, 0.05, RINGS)


def _fitted(
    truth: NoiseModel, pixel_frames: float, seed: int, own_contrast: np.ndarray | float = 1.0
) -> NoiseModel:
    """What is made of g2 of ``truth``, times a factor for each ring, with counting noise."""
    rng = np.random.default_rng(seed)
    excess = truth.excess(LAGS) * np.reshape(own_contrast, (-1, 1))
    expected = np.repeat(pixel_frames * PHOTONS[:, None] ** 2, len(LAGS), axis=1)
    noise = np.sqrt(counting_variance(expected, excess, LAGS)) * rng.normal(size=excess.shape)
    window = Window(239, 240, 1.0, np.ones(RINGS), np.ones(RINGS), expected * (1 + excess + noise), expected)
    return fit_noise_model([window], LAGS, truth.speckles, 800, 0.0, 1.0, exposure=truth.exposure)


def _truth(tau_c_frames: float) -> NoiseModel:
    gamma = np.geomspace(0.5, 2.0, RINGS) / tau_c_frames
    none, speckles = np.zeros(RINGS), np.full(RINGS, 2000.0)
    return NoiseModel(CONTRAST, gamma, gamma, none, 1e-3, speckles, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(("tau_c_frames", "spread"), [(1.5, 0.35), (6.0, 0.2), (60.0, 0.06)])
def test_rings_of_fast_speckle_know_the_contrast_together(tau_c_frames: float, spread: float) -> None:
    """In the fastest rings hardly anything is left between frames: alone they might as well be slow and flat."""
    found = np.array([_fitted(_truth(tau_c_frames), 240 * 2000, seed).contrast for seed in range(20)])
    assert np.median(found) == pytest.approx(CONTRAST, rel=0.1)
    assert found.std() < spread * CONTRAST


def test_rings_may_differ_in_contrast() -> None:
    model = _fitted(_truth(6.0), 1e8, seed=1, own_contrast=np.linspace(0.9, 1.1, RINGS))
    assert model.contrast == pytest.approx(CONTRAST, rel=0.1)
    assert model.gamma_per_frame == pytest.approx(_truth(6.0).gamma_per_frame, rel=0.1)
