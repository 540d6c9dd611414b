"""From where a pixel is to which q it sees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from backend.errors import GeometryError
from backend.frames import DetectorInfo
from backend.settings import GeometrySettings

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Geometry:
    """Flat detector, perpendicular to the beam.

    ``beam_center_yx_px`` is zero-based (row, column); the other lengths are metres.
    """

    shape_yx: tuple[int, int]
    pixel_size_m: float
    distance_m: float
    wavelength_m: float
    beam_center_yx_px: tuple[float, float]

    @property
    def largest_radius_px(self) -> float:
        """No pixel of the detector is farther from the direct beam."""
        (row, column), (rows, columns) = self.beam_center_yx_px, self.shape_yx
        return math.hypot(max(abs(row), abs(rows - row)), max(abs(column), abs(columns - column)))

    def azimuth_rad(self) -> np.ndarray:
        """Angle of each pixel around the direct beam; shape (y, x), float32, radians from -pi to pi."""
        rows = np.arange(self.shape_yx[0], dtype=np.float32) - np.float32(self.beam_center_yx_px[0])
        columns = np.arange(self.shape_yx[1], dtype=np.float32) - np.float32(self.beam_center_yx_px[1])
        return np.arctan2(rows[:, None], columns[None, :])

    def q_inv_nm(self, radius_px: np.ndarray | float) -> np.ndarray:
        """q = 4 pi / wavelength * sin(theta), tan(2 theta) = radius / distance; 1/nm."""
        two_theta = np.arctan(np.asarray(radius_px, np.float64) * (self.pixel_size_m / self.distance_m))
        return self.largest_q_inv_nm * np.sin(two_theta / 2)

    @property
    def largest_q_inv_nm(self) -> float:
        """4 pi / wavelength: q straight back into the beam; 1/nm."""
        return 4 * math.pi / (self.wavelength_m * 1e9)

    def radius_of_q_px(self, q_inv_nm: float) -> float:
        """Inverse of :meth:`q_inv_nm`; infinite for a q that no scattering angle below 90 degrees reaches."""
        sine = q_inv_nm * self.wavelength_m * 1e9 / (4 * math.pi)
        if sine >= math.sin(math.pi / 4):
            return math.inf
        return math.tan(2 * math.asin(sine)) * self.distance_m / self.pixel_size_m


def geometry_of(info: DetectorInfo, fallback: GeometrySettings) -> Geometry:
    """Geometry from what the detector files state, completed or overridden from the settings.

    Raises
    ------
    GeometryError
        A quantity is stated nowhere, or is absurd; names it.
    """
    center = None
    if fallback.beam_center_y_px is not None and fallback.beam_center_x_px is not None:
        center = (fallback.beam_center_y_px, fallback.beam_center_x_px)
    center = _chosen(info.beam_center_yx_px, center, fallback)
    pixel_size_m = _chosen(info.pixel_size_m, fallback.pixel_size_m, fallback)
    distance_m = _chosen(info.distance_m, fallback.distance_m, fallback)
    wavelength_m = wavelength_m_of(info, fallback)
    if pixel_size_m is None or distance_m is None or wavelength_m is None or center is None:
        stated = {
            "pixel size": pixel_size_m,
            "distance": distance_m,
            "wavelength": wavelength_m,
            "beam centre": center,
        }
        missing = " and ".join(name for name, value in stated.items() if value is None)
        raise GeometryError(
            f"The files do not state the {missing}, so pixels cannot be sorted into q rings.",
            still_works="The image and the intensity are shown.",
            try_this="Enter it in the settings, section [geometry].",
        )
    geometry = Geometry(info.shape_yx, pixel_size_m, distance_m, wavelength_m, center)
    _refuse_absurd(geometry)
    return geometry


def wavelength_m_of(info: DetectorInfo, fallback: GeometrySettings) -> float | None:
    """Wavelength as files or settings state it, unchecked; ``None`` where neither does."""
    return _chosen(info.wavelength_m, fallback.wavelength_m, fallback)


def _chosen(stated: _Value | None, from_settings: _Value | None, settings: GeometrySettings) -> _Value | None:
    first, second = (from_settings, stated) if settings.override else (stated, from_settings)
    return second if first is None else first


def _refuse_absurd(geometry: Geometry) -> None:
    extent_px = max(geometry.shape_yx)
    offset_px = max(
        max(-position, position - size)
        for position, size in zip(geometry.beam_center_yx_px, geometry.shape_yx, strict=True)
    )
    limits = (
        ("pixel size", geometry.pixel_size_m, 1e-6, 1e-2, "m"),
        ("distance", geometry.distance_m, 1e-3, 200.0, "m"),
        ("wavelength", geometry.wavelength_m, 1e-12, 1e-8, "m"),
    )
    faults = [
        f"{name} {value:.4g} {unit}"
        for name, value, low, high, unit in limits
        if not (math.isfinite(value) and low <= value <= high)
    ]
    row, column = geometry.beam_center_yx_px
    if not (math.isfinite(row) and math.isfinite(column)) or offset_px > 10 * extent_px:
        faults.append(f"beam centre at row {row:.6g}, column {column:.6g}")
    if faults:
        raise GeometryError(
            f"The geometry makes no sense: {', '.join(faults)}.",
            still_works="The image and the intensity are shown.",
            try_this="Correct the values in the control system; those of the settings, section [geometry], count only "
            "where the files state none.",
        )
