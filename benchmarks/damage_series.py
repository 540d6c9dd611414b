"""Simulated series as the damage detector gets them: every pixel a speckle that relaxes and counts photons.

The field of a pixel is a complex Ornstein-Uhlenbeck process E of one mode with offset; its intensity
1 + sqrt(contrast) (|E|^2 - 1) gives Poisson counts. So g2 - 1 = contrast exp(-2 lag / tau_c) exactly, also while the
relaxation rate changes, and ring sums carry the speckle noise that belongs to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

FRAME_TIME_S = 0.05
FINE_RINGS = 25
_FRAMES_AT_ONCE = 100


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
    """

    tau_c_frames: float
    beam: np.ndarray
    structure: np.ndarray
    rate: np.ndarray
    contrast: np.ndarray
    pixels: int
    photons_per_pixel: tuple[float, float]
    onset: int

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
        sum over pixels of I(t) I(t - lag), 0 where t < lag.
    fine_counts : ndarray, shape (frame, ring * FINE_RINGS), int64
        Photons of a finer I(q).
    """

    plan: SeriesPlan
    lags: np.ndarray
    counts: np.ndarray
    products: np.ndarray
    fine_counts: np.ndarray


def simulate(plan: SeriesPlan, lags: np.ndarray, seed: int) -> RingSeries:
    """The series of ``plan``; the same seed gives the same series."""
    rng = np.random.default_rng(seed)
    frames, rings = plan.structure.shape
    counts = np.zeros((frames, rings), np.int64)
    products = np.zeros((frames, rings, len(lags)), np.int64)
    fine_counts = np.zeros((frames, rings, FINE_RINGS), np.int64)
    memory = np.exp(-plan.gamma_per_frame).astype(np.float32)
    photons = plan.photons.astype(np.float32)
    modulation = np.sqrt(plan.contrast).astype(np.float32)
    for ring in range(rings):
        field = rng.standard_normal((2, plan.pixels), np.float32) * np.float32(np.sqrt(0.5))
        recent = np.zeros((int(lags.max()) + 1, plan.pixels), np.uint8)
        for first in range(0, frames, _FRAMES_AT_ONCE):
            part = slice(first, min(first + _FRAMES_AT_ONCE, frames))
            shape = (part.stop - first, plan.pixels)
            _count_photons(
                field,
                recent,
                (rng.standard_normal((shape[0], 2, shape[1]), np.float32), rng.random(shape, np.float32)),
                (photons[part, ring], memory[part, ring], modulation[part]),
                first,
                lags,
                (counts[part, ring], products[part, ring], fine_counts[part, ring]),
            )
    return RingSeries(plan, lags, counts, products, fine_counts.reshape(frames, -1))


@numba.njit(nogil=True, cache=True)
def _count_photons(
    field: np.ndarray,
    recent: np.ndarray,
    noise: tuple[np.ndarray, np.ndarray],
    laws: tuple[np.ndarray, np.ndarray, np.ndarray],
    first: int,
    lags: np.ndarray,
    sums: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """One ring over some frames; ``field``, ``recent`` and ``sums`` are changed in place."""
    normals, uniforms = noise
    photons, memory, modulation = laws
    counts, products, fine_counts = sums
    slots, pixels = recent.shape
    mean = np.empty(pixels, np.float32)
    one = np.float32(1)
    for index in range(len(photons)):
        frame = first + index
        keep = memory[index] if frame > 0 else one
        renew = np.float32(np.sqrt(0.5)) * np.sqrt(one - keep * keep)
        for pixel in range(pixels):
            real = keep * field[0, pixel] + renew * normals[index, 0, pixel]
            imaginary = keep * field[1, pixel] + renew * normals[index, 1, pixel]
            field[0, pixel], field[1, pixel] = real, imaginary
            intensity = one + modulation[index] * (real * real + imaginary * imaginary - one)
            mean[pixel] = photons[index] * intensity
        row = recent[frame % slots]
        for pixel in range(pixels):
            expected = mean[pixel]
            # A lower bound of exp(-x) settles most pixels, which have no photon, without an exponential.
            if uniforms[index, pixel] < one - expected:
                row[pixel] = 0
                continue
            count = _poisson(expected, uniforms[index, pixel])
            row[pixel] = count
            counts[index] += count
            fine_counts[index, pixel * FINE_RINGS // pixels] += count
            for lag in range(len(lags)):
                if count and lags[lag] <= frame:
                    products[index, lag] += count * recent[(frame - lags[lag]) % slots, pixel]


@numba.njit(nogil=True, cache=True)
def _poisson(mean: float, uniform: float) -> int:
    """Inverse of the distribution function."""
    chance = np.exp(-mean)
    below, count = chance, 0
    while uniform >= below and count < 255:
        count += 1
        chance *= mean / count
        below += chance
    return count


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
