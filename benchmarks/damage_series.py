"""The series of the damage benchmark: how sample and beam go, and the sums over rings that come of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.simulation.ring_speckle import RingSpecklePlan, simulate_ring_speckle

FRAME_TIME_S = 0.05
EXPOSURE = 1.0
"""Part of the frame time in which photons are counted: the detector of the beamline counts nearly all the time."""
FINE_RINGS = 25
SECTORS = 12
# 15 % of the pixels: one sector, and most of the next.
MODULE = (0.35, 0.5)


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """What a series does.

    Attributes
    ----------
    tau_c_frames : float
        Correlation time of the field in the middle ring at the start; the rate goes with q squared.
    beam : ndarray, shape (frame,)
        Incident intensity; the length of the series.
    structure : ndarray, shape (frame, ring)
        Factor on I(q), 1 = as at the start.
    rate, contrast : ndarray, shape (frame,)
        Factor on all relaxation rates, and contrast.
    pixels : int
        Per ring, each a speckle of its own.
    photons_per_pixel : tuple
        In the lowest and the highest ring.
    onset : int
        Frame from which damage would grow.
    module_gain : ndarray or None, shape (frame, ring)
        Factor on the counts of a module that reads 15 % of the pixels of each ring.
    """

    tau_c_frames: float
    beam: np.ndarray
    structure: np.ndarray
    rate: np.ndarray
    contrast: np.ndarray
    pixels: int
    photons_per_pixel: tuple[float, float]
    onset: int
    module_gain: np.ndarray | None = None

    @property
    def photons(self) -> np.ndarray:
        """Mean photons per pixel, shape (frame, ring)."""
        form = np.geomspace(*self.photons_per_pixel, self.structure.shape[1])
        return self.beam[:, None] * self.structure * form

    @property
    def gamma_per_frame(self) -> np.ndarray:
        """Relaxation rate, shape (frame, ring)."""
        q_squared = np.geomspace(0.5, 2.0, self.structure.shape[1])
        return self.rate[:, None] * q_squared / self.tau_c_frames

    @property
    def q_inv_nm(self) -> np.ndarray:
        """Mean q of the rings, shape (ring,)."""
        return 0.02 * np.sqrt(np.geomspace(0.5, 2.0, self.structure.shape[1]))


@dataclass(frozen=True, slots=True)
class RingSeries:
    """Sums of one series.

    Attributes
    ----------
    counts : ndarray, shape (frame, ring), int64
    products : ndarray, shape (frame, ring, lag), int64
        sum over pixels of I(t) I(t - lag), 0 where t < lag; of I(t) (I(t) - 1) at lag 0.
    sector_counts, sector_products : ndarray, shape (frame, ring, SECTORS) and (frame, ring, SECTORS, lag), int64
        The same by sectors.
    sector_pixels : ndarray, shape (ring, SECTORS), int64
    fine_counts : ndarray, shape (frame, ring * FINE_RINGS), int64
        Photons of a finer I(q).
    """

    plan: SeriesPlan
    lags: np.ndarray
    counts: np.ndarray
    products: np.ndarray
    sector_counts: np.ndarray
    sector_products: np.ndarray
    sector_pixels: np.ndarray
    fine_counts: np.ndarray


def simulate(plan: SeriesPlan, lags: np.ndarray, seed: int) -> RingSeries:
    """The series of ``plan``; the same seed gives the same series."""
    shape = plan.structure.shape
    pixels = np.full(shape[1], plan.pixels)
    contrast = np.broadcast_to(plan.contrast[:, None], shape)
    speckle = RingSpecklePlan(
        plan.photons,
        plan.gamma_per_frame,
        contrast,
        pixels,
        pixels,
        SECTORS,
        MODULE,
        plan.module_gain,
        EXPOSURE,
    )
    sums = simulate_ring_speckle(speckle, lags, seed, FINE_RINGS)
    by_sector = sums.sector_counts, sums.sector_products, speckle.sector_pixels
    return RingSeries(plan, lags, sums.counts, sums.products, *by_sector, sums.fine_counts)


def restless_beam(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Incident intensity, shape (frame,): 3 % rms slow, 0.5 % white, drift up to 5 %, top-up; every fifth series a dip.

    Slow: correlation time 40 frames. Top-up: a saw of 1 %. Dip: 20-80 % lost for 10 to 60 frames.
    """
    slow = np.zeros(frames)
    memory = np.exp(-1 / 40)
    for frame in range(1, frames):
        slow[frame] = memory * slow[frame - 1] + np.sqrt(1 - memory**2) * rng.normal()
    beam = 1 + 0.03 * slow + 0.005 * rng.normal(size=frames)
    beam *= 1 + rng.uniform(-0.05, 0.05) * np.linspace(0, 1, frames)
    beam *= 1 - 0.01 * ((np.arange(frames) + rng.integers(0, 200)) % 200) / 200
    if rng.random() < 0.2:
        first = int(rng.integers(0, frames - 60))
        beam[first : first + int(rng.integers(10, 60))] *= rng.uniform(0.2, 0.8)
    return np.maximum(beam, 0.0)


def slow_tilt(
    shape: tuple[int, int], rms: float, correlation_frames: float, rng: np.random.Generator
) -> np.ndarray:
    """Factor on I(q), shape (frame, ring): ln of the lowest against the highest ring wanders by ``rms``."""
    frames, rings = shape
    memory = np.exp(-1 / correlation_frames)
    path = rng.normal(size=frames)
    for frame in range(1, frames):
        path[frame] = memory * path[frame - 1] + np.sqrt(1 - memory**2) * path[frame]
    return np.exp(rms * np.outer(path, np.linspace(0.5, -0.5, rings)))
