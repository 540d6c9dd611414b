"""Sums over q rings as the damage detector gets them, of speckle that relaxes and counts photons; no image is made.

The field of a speckle is a complex Ornstein-Uhlenbeck process E of one mode with offset; the intensity of its pixels,
1 + sqrt(contrast) (|E|^2 - 1), gives Poisson counts. So g2 - 1 = contrast exp(-2 lag gamma) exactly, also while the
relaxation rate changes, and ring sums carry the speckle noise that belongs to it. A detector that counts for a part of
the frame time, or all of it, sees the mean of a few instants within this part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

_FRAMES_AT_ONCE = 100
_MOST_INSTANTS = 4
_LARGEST_ERROR = 0.03
"""Of the contrast within a frame, because the mean of a few instants stands for that of all."""


@dataclass(frozen=True, slots=True)
class RingSpecklePlan:
    """What a series does.

    Attributes
    ----------
    photons : ndarray, shape (frame, ring), float64
        Mean per pixel.
    gamma_per_frame : ndarray, shape (frame, ring), float64
        Relaxation rate of the field.
    contrast : ndarray, shape (frame, ring), float64
        0 to 1.
    pixels, speckles : ndarray, shape (ring,), int64
        In each ring; a speckle covers neighbouring pixels and no pixel lies in two.
    sectors : int
        Equal parts of each ring, of neighbouring pixels, whose sums are told.
    module : tuple of float
        Share of the pixels of each ring, from and to, that one module of the detector reads.
    module_gain : ndarray or None, shape (frame, ring), float64
        Factor on the counts of this module; ``None`` = 1.
    exposure : float
        Part of the frame time, up to its end, in which photons are counted; 0 = an instant.
    """

    photons: np.ndarray
    gamma_per_frame: np.ndarray
    contrast: np.ndarray
    pixels: np.ndarray
    speckles: np.ndarray
    sectors: int = 1
    module: tuple[float, float] = (0.0, 0.0)
    module_gain: np.ndarray | None = None
    exposure: float = 0.0

    @property
    def instants(self) -> int:
        """Instants of a frame that are simulated."""
        # n instants in the middles of n equal parts lack a / (3 n^2) of the contrast, a = 2 gamma exposure.
        lost = 2 * float(self.gamma_per_frame.max()) * self.exposure / 3
        return int(np.clip(np.ceil(np.sqrt(lost / _LARGEST_ERROR)), 1, _MOST_INSTANTS))

    @property
    def sector_pixels(self) -> np.ndarray:
        """Pixels of each sector, shape (ring, sector), int64."""
        edges = -(-np.arange(self.sectors + 1) * self.pixels[:, None] // self.sectors)
        return np.diff(edges, axis=1)


@dataclass(frozen=True, slots=True)
class RingSums:
    """Sums of one series.

    Attributes
    ----------
    sector_counts : ndarray, shape (frame, ring, sector), int64
    sector_products : ndarray, shape (frame, ring, sector, lag), int64
        sum over pixels of I(t) I(t - lag), 0 where t < lag; of I(t) (I(t) - 1) at lag 0.
    fine_counts : ndarray, shape (frame, ring * fine rings), int64
        Photons of a finer I(q).
    """

    sector_counts: np.ndarray
    sector_products: np.ndarray
    fine_counts: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Photons of whole rings, shape (frame, ring), int64."""
        return self.sector_counts.sum(axis=2)

    @property
    def products(self) -> np.ndarray:
        """Products of whole rings, shape (frame, ring, lag), int64."""
        return self.sector_products.sum(axis=2)


def simulate_ring_speckle(
    plan: RingSpecklePlan, lags: np.ndarray, seed: int | tuple[int, ...], fine_rings: int = 1
) -> RingSums:
    """The series of ``plan``; the same seed gives the same series.

    Parameters
    ----------
    lags : ndarray, shape (lag,), int64
        Frames between the factors of the products, ascending; may begin with 0.
    fine_rings : int
        Parts of each ring that are counted by themselves.
    """
    rng = np.random.default_rng(seed)
    frames, rings = plan.photons.shape
    counts = np.zeros((frames, rings, plan.sectors), np.int64)
    products = np.zeros((frames, rings, plan.sectors, len(lags)), np.int64)
    fine_counts = np.zeros((frames, rings, fine_rings), np.int64)
    within = plan.exposure / plan.instants
    memory = np.exp(-plan.gamma_per_frame * (1 - plan.exposure + within)).astype(np.float32)
    memory_within = np.exp(-plan.gamma_per_frame * within).astype(np.float32)
    photons = plan.photons.astype(np.float32)
    modulation = np.sqrt(plan.contrast).astype(np.float32)
    gain = np.ones(photons.shape) if plan.module_gain is None else plan.module_gain
    gain = gain.astype(np.float32)
    for ring in range(rings):
        pixels, speckles = int(plan.pixels[ring]), int(plan.speckles[ring])
        speckle_of_pixel = np.arange(pixels) * speckles // pixels
        module = (round(plan.module[0] * pixels), round(plan.module[1] * pixels))
        field = rng.standard_normal((2, speckles), np.float32) * np.float32(np.sqrt(0.5))
        recent = np.zeros((int(lags.max()) + 1, pixels), np.uint8)
        for first in range(0, frames, _FRAMES_AT_ONCE):
            part = slice(first, min(first + _FRAMES_AT_ONCE, frames))
            number = part.stop - first
            normals = rng.standard_normal((number, plan.instants, 2, speckles), np.float32)
            _count_photons(
                field,
                recent,
                speckle_of_pixel,
                (normals, rng.random((number, pixels), np.float32)),
                (photons[part, ring], modulation[part, ring], gain[part, ring]),
                (memory[part, ring], memory_within[part, ring]),
                module,
                first,
                lags,
                (counts[part, ring], products[part, ring], fine_counts[part, ring]),
            )
    return RingSums(counts, products, fine_counts.reshape(frames, -1))


@numba.njit(nogil=True, cache=True)
def _count_photons(
    field: np.ndarray,
    recent: np.ndarray,
    speckle_of_pixel: np.ndarray,
    noise: tuple[np.ndarray, np.ndarray],
    laws: tuple[np.ndarray, np.ndarray, np.ndarray],
    memories: tuple[np.ndarray, np.ndarray],
    module: tuple[int, int],
    first: int,
    lags: np.ndarray,
    sums: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """One ring over some frames; ``field``, ``recent`` and ``sums`` are changed in place."""
    normals, uniforms = noise
    photons, modulation, gain = laws
    counts, products, fine_counts = sums
    slots, pixels = recent.shape
    sector_of_pixel = np.arange(pixels) * counts.shape[1] // pixels
    fine_ring_of_pixel = np.arange(pixels) * fine_counts.shape[1] // pixels
    mean = np.empty(field.shape[1], np.float32)
    earlier = np.empty(len(lags), np.int64)
    one = np.float32(1)
    for index in range(len(photons)):
        frame = first + index
        reached = np.searchsorted(lags, frame, side="right")
        earlier[:reached] = (frame - lags[:reached]) % slots
        _expose(field, normals[index], memories[0][index] if frame > 0 else one, memories[1][index], mean)
        for speckle in range(len(mean)):
            mean[speckle] = photons[index] * (one + modulation[index] * (mean[speckle] - one))
        row = recent[frame % slots]
        for pixel in range(pixels):
            expected = mean[speckle_of_pixel[pixel]]
            if module[0] <= pixel < module[1]:
                expected *= gain[index]
            # A lower bound of exp(-x) settles most pixels, which have no photon, without an exponential.
            if uniforms[index, pixel] < one - expected:
                row[pixel] = 0
                continue
            count = _poisson(expected, uniforms[index, pixel])
            row[pixel] = count
            if count == 0:
                continue
            sector = sector_of_pixel[pixel]
            counts[index, sector] += count
            fine_counts[index, fine_ring_of_pixel[pixel]] += count
            for lag in range(reached):
                if lags[lag] == 0:
                    products[index, sector, lag] += count * (count - 1)
                else:
                    products[index, sector, lag] += count * recent[earlier[lag], pixel]


@numba.njit(nogil=True, cache=True)
def _expose(
    field: np.ndarray, normals: np.ndarray, memory: float, memory_within: float, mean: np.ndarray
) -> None:
    """Let the field relax from one instant of a frame to the next; ``mean`` gets the mean of |E|^2 over them."""
    one = np.float32(1)
    mean[:] = 0
    for instant in range(len(normals)):
        keep = memory if instant == 0 else memory_within
        renew = np.float32(np.sqrt(0.5)) * np.sqrt(one - keep * keep)
        for speckle in range(len(mean)):
            real = keep * field[0, speckle] + renew * normals[instant, 0, speckle]
            imaginary = keep * field[1, speckle] + renew * normals[instant, 1, speckle]
            field[0, speckle], field[1, speckle] = real, imaginary
            mean[speckle] += real * real + imaginary * imaginary
    for speckle in range(len(mean)):
        mean[speckle] /= np.float32(len(normals))


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
