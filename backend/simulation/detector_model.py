"""The simulated detectors: shape, module gaps, defective pixels, default geometry and q of every radius."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

# Bits of the EIGER pixel mask.
MASK_GAP = 1
MASK_DEAD = 2
MASK_NOISY = 16

RADIUS_BINS_PER_PIXEL = 4

_HC_KEV_ANGSTROM = 12.39842


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorModel:
    """One detector and where it stands.

    Attributes
    ----------
    name : str
        Name on the command line.
    folder : str
        Name of its folder in a series at P10.
    description : str
        What the detector calls itself in its files.
    shape_yx : tuple of int
        Rows and columns.
    module_yx, gap_yx : tuple of int
        Size of a module and of the gaps between modules, pixels.
    pixel_size_m, distance_m, photon_energy_kev : float
    beam_center_yx_px : tuple of float
        Zero-based, pixel centres at whole numbers; may lie outside.
    beam_stop_radius_px, beam_stop_transmission : float
        Shadow around the direct beam; radius 0 means no beam stop.
    noisy_pixels, dead_pixels : int
        Defects: noisy ones read the maximum of the type, dead ones read zero; both are in the pixel mask.
    sensor_thickness_m, readout_time_s : float
    """

    name: str
    folder: str
    description: str
    shape_yx: tuple[int, int]
    module_yx: tuple[int, int]
    gap_yx: tuple[int, int]
    distance_m: float
    beam_center_yx_px: tuple[float, float]
    beam_stop_radius_px: float
    noisy_pixels: int
    dead_pixels: int
    beam_stop_transmission: float = 0.002
    pixel_size_m: float = 75e-6
    photon_energy_kev: float = 8.4
    sensor_thickness_m: float = 450e-6
    readout_time_s: float = 1e-5

    @property
    def wavelength_m(self) -> float:
        """Wavelength of the photons, metres."""
        return _HC_KEV_ANGSTROM / self.photon_energy_kev * 1e-10

    def pixel_mask(self) -> np.ndarray:
        """Mask as the detector states it, shape (y, x), uint32: 0 good, otherwise the sum of the ``MASK_`` bits.

        The defects belong to the detector, so they are the same in every series.
        """
        mask = np.zeros(self.shape_yx, np.uint32)
        for axis in (0, 1):
            gap_lines = _gap_lines(self.shape_yx[axis], self.module_yx[axis], self.gap_yx[axis])
            mask[(gap_lines, slice(None)) if axis == 0 else (slice(None), gap_lines)] = MASK_GAP
        generator = np.random.default_rng(zlib.crc32(self.name.encode()))
        good = np.flatnonzero(mask == 0)
        defects = generator.choice(good, self.noisy_pixels + self.dead_pixels, replace=False)
        mask.flat[defects[: self.noisy_pixels]] = MASK_NOISY
        mask.flat[defects[self.noisy_pixels :]] = MASK_DEAD
        return mask

    def radius_bin(self) -> np.ndarray:
        """Distance of each pixel from the beam centre in quarters of a pixel, shape (y, x), uint16."""
        rows = np.arange(self.shape_yx[0], dtype=np.float64)[:, None] - self.beam_center_yx_px[0]
        columns = np.arange(self.shape_yx[1], dtype=np.float64)[None, :] - self.beam_center_yx_px[1]
        return np.rint(np.hypot(rows, columns) * RADIUS_BINS_PER_PIXEL).astype(np.uint16)

    def q_inv_nm(self, radius_px: np.ndarray) -> np.ndarray:
        """q = 4 pi / lambda sin(theta / 2) at these radii, 1/nm; theta is the scattering angle, of any size."""
        angle = np.arctan(np.asarray(radius_px) * self.pixel_size_m / self.distance_m)
        return 4.0 * np.pi / (self.wavelength_m * 1e9) * np.sin(angle / 2.0)

    def geometry(self) -> dict[str, Any]:
        """Geometry as plain numbers in SI units, for the files that state the truth."""
        return {
            "distance_m": self.distance_m,
            "wavelength_m": self.wavelength_m,
            "pixel_size_m": self.pixel_size_m,
            "beam_center_y_px": self.beam_center_yx_px[0],
            "beam_center_x_px": self.beam_center_yx_px[1],
            "beam_stop_radius_px": self.beam_stop_radius_px,
        }


def _gap_lines(length: int, module: int, gap: int) -> np.ndarray:
    """Indices of the lines between modules along one axis."""
    lines = np.arange(length)
    return lines[lines % (module + gap) >= module]


EIGER_4M = DetectorModel(
    name="eiger4m",
    folder="e4m",
    description="Dectris Eiger 4M",
    shape_yx=(2167, 2070),
    module_yx=(514, 1030),
    gap_yx=(37, 10),
    distance_m=10.0,
    beam_center_yx_px=(1140.4, 985.7),
    beam_stop_radius_px=32.0,
    noisy_pixels=420,
    dead_pixels=60,
)

EIGER_500K = DetectorModel(
    name="eiger500k",
    folder="e500",
    description="Dectris Eiger 500K",
    shape_yx=(514, 1030),
    module_yx=(514, 1030),
    gap_yx=(37, 10),
    distance_m=10.0,
    beam_center_yx_px=(24.3, 512.6),
    beam_stop_radius_px=45.0,
    noisy_pixels=52,
    dead_pixels=12,
)

DETECTORS: dict[str, DetectorModel] = {model.name: model for model in (EIGER_4M, EIGER_500K)}
