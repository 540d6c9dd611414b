"""g2 of whole rings from simulated speckle with known contrast and rate: enough series for pulls within seconds."""

from __future__ import annotations

import numba
import numpy as np

from backend.correlation.multitau import MultiTauResult

SECTORS = 12


def rings_result(
    rates_per_frame: np.ndarray,
    seed: int,
    *,
    frames: int = 400,
    pixels: int = 480,
    photons_per_pixel: float = 0.3,
    contrast: float = 0.2,
    lags_per_level: int = 8,
) -> MultiTauResult:
    """Multi-tau g2 of rings whose field relaxes with g1 = exp(-rate lag); every pixel is a speckle of its own.

    ``pixels`` is the number per ring.
    """
    rings = [
        _ring(_counts(pixels, frames, rate, photons_per_pixel, contrast, 1000 * seed + n), lags_per_level)
        for n, rate in enumerate(rates_per_frame.tolist())
    ]
    lags = rings[0][0]
    return MultiTauResult(
        lags, np.array([g2[0] for _, g2 in rings]), np.stack([g2[1:] for _, g2 in rings], axis=1)
    )


@numba.njit(cache=True)
def _counts(pixels: int, frames: int, rate: float, photons: float, contrast: float, seed: int) -> np.ndarray:
    np.random.seed(seed)
    counts = np.zeros((pixels, frames), np.int64)
    keep = np.exp(-rate)
    renew = np.sqrt(0.5 * (1 - keep * keep))
    modulation = np.sqrt(contrast)
    for pixel in range(pixels):
        real = np.sqrt(0.5) * np.random.normal()
        imaginary = np.sqrt(0.5) * np.random.normal()
        for frame in range(frames):
            counts[pixel, frame] = np.random.poisson(
                photons * (1 + modulation * (real * real + imaginary * imaginary - 1))
            )
            real = keep * real + renew * np.random.normal()
            imaginary = keep * imaginary + renew * np.random.normal()
    return counts


def _ring(counts: np.ndarray, lags_per_level: int) -> tuple[np.ndarray, np.ndarray]:
    """Lags, and g2 of the whole ring followed by that without each sector; shape (1 + sector, lag)."""
    pixels = len(counts)
    pairs = counts * (counts - 1)
    first = _all_and_without(counts)
    lags, curves = [0], [pixels * _all_and_without(pairs).sum(axis=1) / (first * (first - 1)).sum(axis=1)]
    level, unit, shortest = counts, 1, 1
    while level.shape[1] > shortest:
        sums = _all_and_without(level)
        for lag in range(shortest, min(lags_per_level, level.shape[1] - 1) + 1):
            products = _all_and_without(level[:, :-lag] * level[:, lag:]).sum(axis=1)
            lags.append(lag * unit)
            curves.append(pixels * products / (sums[:, :-lag] * sums[:, lag:]).sum(axis=1))
        bins = level.shape[1] // 2
        level = level[:, : 2 * bins].reshape(pixels, bins, 2).sum(axis=2)
        unit, shortest = 2 * unit, lags_per_level // 2 + 1
    g2 = np.array(curves).T
    # Sums without a sector are over fewer pixels.
    g2[1:] *= (SECTORS - 1) / SECTORS
    return np.array(lags), g2


def _all_and_without(values: np.ndarray) -> np.ndarray:
    """Sums over all pixels, then over those outside each sector; shape (1 + sector, frame)."""
    sector = values.reshape(SECTORS, len(values) // SECTORS, -1).sum(axis=1)
    total = sector.sum(axis=0)
    return np.concatenate([total[None], total - sector]).astype(np.float64)
