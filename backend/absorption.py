"""How strongly X-rays are absorbed: mass coefficients of the materials that samples are made of, 5 to 30 keV.

The values of the elements are those of J. H. Hubbell and S. M. Seltzer, Tables of X-Ray Mass Attenuation Coefficients
and Mass Energy-Absorption Coefficients, NIST Standard Reference Database 126, table 3. A compound has the mean of its
elements, weighted by mass; no element here has an absorption edge in the range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ENERGY_KEV = np.array([5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0])
# Per element: mass attenuation and mass energy-absorption at these energies, cm2/g.
_OF_ELEMENT_CM2_G = {
    "H": (
        (0.4193, 0.4042, 0.3914, 0.3854, 0.3764, 0.3695, 0.3570),
        (0.03278, 0.01996, 0.01160, 0.009849, 0.01102, 0.01355, 0.01863),
    ),
    "C": (
        (19.12, 10.95, 4.576, 2.373, 0.8071, 0.4420, 0.2562),
        (18.66, 10.54, 4.242, 2.078, 0.5627, 0.2238, 0.06614),
    ),
    "O": (
        (47.90, 27.70, 11.63, 5.952, 1.836, 0.8651, 0.3779),
        (47.15, 27.08, 11.16, 5.565, 1.545, 0.6179, 0.1729),
    ),
    "Si": (
        (245.0, 147.0, 64.68, 33.89, 10.34, 4.464, 1.436),
        (240.0, 143.9, 63.13, 32.89, 9.794, 4.076, 1.164),
    ),
}
_ATOMIC_MASS = {"H": 1.008, "C": 12.011, "O": 15.999, "Si": 28.085}

ENERGY_RANGE_KEV = (float(_ENERGY_KEV[0]), float(_ENERGY_KEV[-1]))


@dataclass(frozen=True, slots=True)
class Material:
    """Atoms of each element in a formula unit, and density."""

    atoms: dict[str, int]
    density_kg_m3: float


MATERIALS = {
    "water": Material({"H": 2, "O": 1}, 1000.0),
    "silica": Material({"Si": 1, "O": 2}, 2200.0),
    "polystyrene": Material({"C": 8, "H": 8}, 1060.0),
    "pmma": Material({"C": 5, "H": 8, "O": 2}, 1190.0),
    "polyethylene": Material({"C": 2, "H": 4}, 930.0),
}


@dataclass(frozen=True, slots=True)
class MassCoefficients:
    """m2/kg: ``attenuation`` of the beam, and ``energy_absorption``, the energy that stays in the material."""

    attenuation: float
    energy_absorption: float


def mass_coefficients(material: Material, photon_energy_kev: float) -> MassCoefficients:
    """Mass coefficients at ``photon_energy_kev``, straight lines in log-log between the tabulated energies.

    Raises
    ------
    ValueError
        The energy lies outside ``ENERGY_RANGE_KEV``.
    """
    low_kev, high_kev = ENERGY_RANGE_KEV
    if not low_kev <= photon_energy_kev <= high_kev:
        raise ValueError(
            f"absorption is known from {low_kev:g} to {high_kev:g} keV, not at {photon_energy_kev:g} keV"
        )
    mass = {element: number * _ATOMIC_MASS[element] for element, number in material.atoms.items()}
    whole = sum(mass.values())
    tabulated_cm2_g = sum(mass[element] / whole * np.array(_OF_ELEMENT_CM2_G[element]) for element in mass)
    attenuation, energy_absorption = (
        0.1 * float(np.exp(np.interp(np.log(photon_energy_kev), np.log(_ENERGY_KEV), np.log(row))))
        for row in np.asarray(tabulated_cm2_g)
    )
    return MassCoefficients(attenuation, energy_absorption)
