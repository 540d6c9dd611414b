"""Absorbed dose in gray: what flux, beam size, photon energy and material make of the exposure.

The detector of damage goes by exposure alone: seconds in the beam, whatever share of it the absorbers let through.
Gray is what a person compares between samples, energies and beamlines; it needs numbers that only a person knows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import constants

from backend.absorption import ENERGY_RANGE_KEV, MATERIALS, MassCoefficients, mass_coefficients
from backend.dose_settings import DoseSettings
from backend.formula_absorption import FormulaError, formula_coefficients
from backend.frames import SeriesInfo

_EXPOSURE_UNIT = "s of full beam"
_M2_PER_UM2 = 1e-12
_KG_M3_PER_G_CM3 = 1000.0
_PREFIXES = ((1e6, "MGy"), (1e3, "kGy"), (1.0, "Gy"), (1e-3, "mGy"))


@dataclass(frozen=True, slots=True)
class DoseScale:
    """How exposure becomes dose.

    Attributes
    ----------
    gray_per_s : float or None
        Per second of full beam; ``None`` where it is not known: then the dose is the seconds of full beam.
    transmission : float
        Share of the full beam that absorbers let through.
    longest_exposure_s : float
        Exposure after which the material has left the beam; infinite for a sample that stays.
    problem : str
        Why the dose is not in gray although the settings ask for it; empty when there is nothing to say.
    """

    gray_per_s: float | None = None
    transmission: float = 1.0
    longest_exposure_s: float = math.inf
    problem: str = ""

    def shown(self, exposure_s: np.ndarray) -> tuple[np.ndarray, str]:
        """Dose after each exposure (seconds of the beam behind the absorbers), same shape, and its unit."""
        if self.gray_per_s is None:
            return self.transmission * exposure_s, _EXPOSURE_UNIT
        gray = self.gray_per_s * self.transmission * np.minimum(exposure_s, self.longest_exposure_s)
        gray_per_unit, unit = _prefix(float(np.max(gray, initial=0.0)))
        return gray / gray_per_unit, unit

    def words(self, exposure_s: float) -> str:
        """Dose after an exposure, as in "12 kGy"; empty where it is not known in gray."""
        if self.gray_per_s is None:
            return ""
        dose, unit = self.shown(np.array([exposure_s]))
        # Two digits: flux and beam size are seldom known better.
        return f"{float(f'{dose[0]:.2g}'):g} {unit}"


def dose_scale_of(settings: DoseSettings, info: SeriesInfo, wavelength_m: float | None) -> DoseScale:
    """Dose of a series in gray where the settings give flux and beam size, else its exposure.

    Parameters
    ----------
    settings : DoseSettings
    info : SeriesInfo
        Its frame time and transmission are used; without a frame time there is no exposure to convert.
    wavelength_m : float or None
        X-ray wavelength.
    """
    transmission = 1.0 if info.transmission is None else info.transmission
    in_seconds = partial(DoseScale, None, transmission)
    if settings.flux_photons_per_s is None:
        return in_seconds()
    if settings.beam_width_um is None or settings.beam_height_um is None:
        return in_seconds(problem="the settings give a flux but not both width and height of the beam")
    if info.frame_time_s is None or wavelength_m is None:
        return in_seconds(problem="frame time and wavelength have to be known")
    photon_energy_kev = constants.h * constants.c / wavelength_m / (constants.kilo * constants.e)
    low_kev, high_kev = ENERGY_RANGE_KEV
    if not low_kev <= photon_energy_kev <= high_kev:
        return in_seconds(
            problem=f"absorption is known from {low_kev:g} to {high_kev:g} keV, the beam has {photon_energy_kev:.3g}"
        )
    area_um2 = settings.beam_width_um * settings.beam_height_um
    try:
        absorber = _absorber(settings, photon_energy_kev)
    except FormulaError as error:
        return in_seconds(problem=str(error))
    gray_per_s = dose_rate_gray_per_s(settings.flux_photons_per_s, area_um2, photon_energy_kev, *absorber)
    return DoseScale(gray_per_s, transmission, residence_time_s_of(settings))


def _absorber(settings: DoseSettings, photon_energy_kev: float) -> tuple[MassCoefficients, float | None]:
    """What the settings say absorbs the beam: its coefficients, and its mass per area where they give a thickness."""
    if settings.formula is None:
        material = MATERIALS[settings.material]
        coefficients, density_kg_m3 = mass_coefficients(material, photon_energy_kev), material.density_kg_m3
    elif settings.thickness_mm is not None and settings.density_g_cm3 is None:
        raise FormulaError("the mean dose over a thickness needs the density of what has the formula")
    else:
        coefficients = formula_coefficients(settings.formula, photon_energy_kev)
        density_kg_m3 = _KG_M3_PER_G_CM3 * (settings.density_g_cm3 or 0.0)
    if settings.thickness_mm is None:
        return coefficients, None
    return coefficients, density_kg_m3 * settings.thickness_mm * constants.milli


def residence_time_s_of(settings: DoseSettings) -> float:
    """How long the sample stays in the beam: as the settings have it, or beam size over speed; infinite at rest."""
    if settings.residence_time_s is not None:
        return settings.residence_time_s
    across_um = settings.beam_width_um if settings.flow_direction == "horizontal" else settings.beam_height_um
    if settings.flow_speed_um_per_s is None or across_um is None:
        return math.inf
    return across_um / settings.flow_speed_um_per_s


def dose_rate_gray_per_s(
    flux_photons_per_s: float,
    beam_area_um2: float,
    photon_energy_kev: float,
    coefficients: MassCoefficients,
    mass_per_area_kg_m2: float | None = None,
) -> float:
    """Energy absorbed per mass and second in a uniform beam, Gy/s.

    Where the beam enters, flux / area * E * (mu_en / rho). With a thickness d, the mean over it: the beam falls off as
    exp(-mu z), and the mean of that from 0 to d is (1 - exp(-mu d)) / (mu d). Here mu_en / rho is the mass
    energy-absorption and mu / rho the mass attenuation coefficient, rho the density (F. H. Attix, Introduction to
    Radiological Physics and Radiation Dosimetry, 1986: dose as collision kerma, narrow beam). The middle of a Gaussian
    beam whose full widths at half maximum make this area gets 12 % less.

    Parameters
    ----------
    flux_photons_per_s, beam_area_um2, photon_energy_kev : float
    coefficients : MassCoefficients
        Of what absorbs the beam, at this energy.
    mass_per_area_kg_m2 : float or None
        Density times thickness; ``None`` for the dose at the entrance.
    """
    energy_fluence_j_m2_s = (
        flux_photons_per_s / (beam_area_um2 * _M2_PER_UM2) * photon_energy_kev * constants.kilo * constants.e
    )
    entrance_gray_per_s = energy_fluence_j_m2_s * coefficients.energy_absorption
    if mass_per_area_kg_m2 is None:
        return entrance_gray_per_s
    depth = coefficients.attenuation * mass_per_area_kg_m2
    return entrance_gray_per_s * -math.expm1(-depth) / depth


def _prefix(gray: float) -> tuple[float, str]:
    """Gray per unit, and the largest unit of which there is at least one; the smallest one for less."""
    return next((prefix for prefix in _PREFIXES if gray >= prefix[0]), _PREFIXES[-1])
