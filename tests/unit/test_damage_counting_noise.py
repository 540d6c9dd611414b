"""Products of several lags share photons: the noise of their sums against that of simulated speckle."""

from __future__ import annotations

import numpy as np
import pytest

from backend.damage.noise_model import NoiseModel, counting_variance
from backend.damage.windows import WindowBuilder
from backend.simulation.ring_speckle import RingSpecklePlan, simulate_ring_speckle

LAGS = np.array([0, 1, 2, 3, 4, 6, 8, 16, 32])
FRAMES, RINGS, PIXELS, FRAMES_OF_WINDOW = 1600, 24, 500, 5
PHOTONS, CONTRAST = 0.15, 0.12


def _windows_of_g2(tau_c_frames: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """g2 - 1 of windows of rings that are all alike, shape (window, ring, lag), and their mean coincidences."""
    shape = (FRAMES, RINGS)
    pixels = np.full(RINGS, PIXELS)
    plan = RingSpecklePlan(
        np.full(shape, PHOTONS), np.full(shape, 1 / tau_c_frames), np.full(shape, CONTRAST), pixels, pixels
    )
    sums = simulate_ring_speckle(plan, LAGS, seed)
    builder = WindowBuilder(FRAMES_OF_WINDOW, pixels[:, None], LAGS, np.ones(RINGS))
    windows = list(
        builder.windows(sums.sector_counts, sums.sector_products, np.arange(1.0, FRAMES + 1), None)
    )
    windows = windows[-(-int(LAGS.max()) // FRAMES_OF_WINDOW) :]
    products = np.array([window.products[:, 0] for window in windows])
    expected = np.array([window.expected[:, 0] for window in windows])
    return products / expected - 1, expected.mean(axis=(0, 1))


@pytest.mark.parametrize("tau_c_frames", [3.0, 20.0, 60.0])
def test_photons_that_lags_share_belong_to_the_noise(tau_c_frames: float) -> None:
    excess, expected = _windows_of_g2(tau_c_frames, seed=1)
    gamma = np.full(1, 1 / tau_c_frames)
    model = NoiseModel(CONTRAST, gamma, gamma, np.zeros(1), 1e-3, np.full(1, float(PIXELS)), 0.0, 1.0)
    # Weights as of a change of the contrast: what stands out at all lags with speckle left.
    weights = model.excess(LAGS)[0] / CONTRAST
    of_coincidences = float(counting_variance(expected, model.excess(LAGS), LAGS)[0] @ weights**2)
    photons = PHOTONS * PIXELS * FRAMES_OF_WINDOW
    shared = float(weights @ model.shared_photons(LAGS, FRAMES_OF_WINDOW)[0] @ weights) / photons
    # From one window to the next but one: speckle hardly changes, what is counted is new.
    measured = excess @ weights
    found = float(np.mean((measured[2:] - measured[:-2]) ** 2)) / 2
    assert found == pytest.approx(of_coincidences + shared, rel=0.12)
