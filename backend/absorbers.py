"""What the absorbers of P10 let through: from the positions of their two wheels, as run files state them.

Each wheel has nine places, from -4 to 4, with silicon or silver foils; place 0 is empty. The thicknesses are those that
the public reader pyCXIM has for P10 (``get_absorber``), which were changed in November 2020. What is let through is
exp(-sum of mu d) with the mass attenuation of the NIST tables (see :mod:`backend.absorption`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from backend.absorption import ENERGY_RANGE_KEV, Material, mass_coefficients

WHEELS = ("abs1z", "abs2z")
"""Names of their positions in run files."""

_CHANGED = date(2020, 11, 6)
_CENTRE = 4
_OFF_CENTRE = 0.2
"""How far from a whole number a wheel still stands on a place."""
_OLD_SILICON_UM = (0, 0, 0, 0, 0, 25, 100, 400, 1600)
_OLD_SILVER_UM = (800, 200, 50, 12.5, 0, 0, 0, 0, 0)
_NEW_SILICON_UM = (0, 2000, 500, 125, 0, 25, 100, 400, 1600)
_NEW_SILVER_UM = (450, 0, 0, 0, 0, 0, 0, 0, 0)
_OF_SECOND_WHEEL = 2
"""Its foils are twice as thick."""

_SILICON = Material({"Si": 1}, 2329.0)
_SILVER_KG_M3 = 10490.0
# The edge of the K shell lies in the range; the energy above it is a little larger only so that they ascend.
_SILVER_KEV = np.array([5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 25.514, 25.5141, 30.0])
_SILVER_CM2_G = np.array([738.5, 461.0, 216.4, 119.3, 39.98, 18.36, 9.527, 55.39, 36.68])
_M_PER_UM = 1e-6


@dataclass(frozen=True, slots=True)
class Absorbers:
    """Foils in the beam: thickness of silicon and of silver."""

    silicon_um: float
    silver_um: float

    def transmission(self, photon_energy_kev: float) -> float:
        """Share of the beam that they let through.

        Raises
        ------
        ValueError
            The energy lies outside ``ENERGY_RANGE_KEV``.
        """
        silicon = mass_coefficients(_SILICON, photon_energy_kev).attenuation * _SILICON.density_kg_m3
        log_silver_cm2_g = np.interp(np.log(photon_energy_kev), np.log(_SILVER_KEV), np.log(_SILVER_CM2_G))
        silver = 0.1 * float(np.exp(log_silver_cm2_g)) * _SILVER_KG_M3
        return math.exp(-(silicon * self.silicon_um + silver * self.silver_um) * _M_PER_UM)


def absorbers_at(positions: Mapping[str, float], day: date | None) -> Absorbers | None:
    """The foils in the beam; ``None`` where a position is not stated or stands on no place.

    Parameters
    ----------
    positions : mapping
        Numbers by name, those of both wheels among them.
    day : date or None
        When; ``None`` = with the foils of today.
    """
    new = day is None or day > _CHANGED
    silicon_um, silver_um = (_NEW_SILICON_UM, _NEW_SILVER_UM) if new else (_OLD_SILICON_UM, _OLD_SILVER_UM)
    silicon = silver = 0.0
    for name, thicker in zip(WHEELS, (1, _OF_SECOND_WHEEL), strict=True):
        position = positions.get(name)
        if position is None or abs(position - round(position)) > _OFF_CENTRE:
            return None
        place = round(position) + _CENTRE
        if not 0 <= place < len(silicon_um):
            return None
        silicon += thicker * silicon_um[place]
        silver += thicker * silver_um[place]
    return Absorbers(silicon, silver)


def stated_transmission(
    positions: Mapping[str, float], photon_energy_kev: float | None, day: date | None
) -> float | None:
    """What the absorbers let through by the positions that a run file states; ``None`` where that is not known."""
    absorbers = absorbers_at(positions, day)
    if absorbers is None or photon_energy_kev is None:
        return None
    low_kev, high_kev = ENERGY_RANGE_KEV
    return absorbers.transmission(photon_energy_kev) if low_kev <= photon_energy_kev <= high_kev else None
