"""Ring sums of simulated speckle: equal to plain numpy, and with the g2 and the speckle noise they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

from backend.simulation.ring_speckle import RingSpecklePlan, simulate_ring_speckle

LAGS = np.array([1, 2, 5])


def _plan(
    frames: int, pixels: list[int], speckles: list[int], photons: float, gamma: float
) -> RingSpecklePlan:
    shape = (frames, len(pixels))
    fall_off = np.linspace(1, 0.5, len(pixels))
    return RingSpecklePlan(
        np.broadcast_to(photons * fall_off, shape),
        np.full(shape, gamma),
        np.full(shape, 0.25),
        np.array(pixels),
        np.array(speckles),
    )


def _counts_in_numpy(plan: RingSpecklePlan, ring: int, rng: np.random.Generator) -> np.ndarray:
    """Photons of each pixel of the next ring, shape (frame, pixel); not more than 100 frames."""
    pixels, speckles = int(plan.pixels[ring]), int(plan.speckles[ring])
    half = np.float32(np.sqrt(0.5))
    field = rng.standard_normal((2, speckles), np.float32) * half
    normals = rng.standard_normal((len(plan.photons), 2, speckles), np.float32)
    uniforms = rng.random((len(plan.photons), pixels), np.float32)
    mean = np.empty((len(plan.photons), speckles))
    for frame in range(len(mean)):
        keep = np.float32(np.exp(-plan.gamma_per_frame[frame, ring])) if frame else np.float32(1)
        field = keep * field + half * np.sqrt(1 - keep**2) * normals[frame]
        modulation = np.sqrt(plan.contrast[frame, ring])
        mean[frame] = plan.photons[frame, ring] * (1 + modulation * ((field**2).sum(axis=0) - 1))
    return poisson.ppf(uniforms, mean[:, np.arange(pixels) * speckles // pixels]).astype(np.int64)


def test_sums_equal_those_of_plain_numpy() -> None:
    plan = _plan(60, [90, 70], [90, 20], photons=0.6, gamma=0.2)
    sums = simulate_ring_speckle(plan, LAGS, seed=3, fine_rings=5)
    rng = np.random.default_rng(3)
    for ring in range(2):
        counts = _counts_in_numpy(plan, ring, rng)
        np.testing.assert_array_equal(sums.counts[:, ring], counts.sum(axis=1))
        for index, lag in enumerate(LAGS):
            products = (counts[lag:] * counts[:-lag]).sum(axis=1)
            np.testing.assert_array_equal(sums.products[lag:, ring, index], products)
            assert not sums.products[:lag, ring, index].any()
        fine = np.stack([part.sum(axis=1) for part in np.split(counts, 5, axis=1)], axis=1)
        np.testing.assert_array_equal(sums.fine_counts.reshape(60, 2, 5)[:, ring], fine)


def test_g2_and_speckle_noise_are_those_of_the_plan() -> None:
    plan = _plan(4000, [600], [200], photons=0.5, gamma=0.1)
    sums = simulate_ring_speckle(plan, LAGS, seed=1)
    pairs = np.array([(sums.counts[lag:, 0] * sums.counts[:-lag, 0]).sum() for lag in LAGS]) / 600
    g2 = sums.products[:, 0].sum(axis=0) / pairs
    np.testing.assert_allclose(g2 - 1, 0.25 * np.exp(-0.2 * LAGS), atol=0.01)
    # Ring sums scatter by counting, and by contrast / speckles.
    assert sums.counts.var() / sums.counts.mean() ** 2 == pytest.approx(1 / 300 + 0.25 / 200, rel=0.15)
