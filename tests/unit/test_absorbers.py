"""What the absorbers let through, from the positions in a run file."""

from __future__ import annotations

from datetime import date

import pytest

from backend.absorbers import Absorbers, absorbers_at, stated_transmission

TODAY, BEFORE = date(2026, 5, 1), date(2020, 11, 6)


def test_no_foil_lets_everything_through() -> None:
    assert absorbers_at({"abs1z": 0.0, "abs2z": 0.02}, TODAY) == Absorbers(0.0, 0.0)
    assert stated_transmission({"abs1z": 0.0, "abs2z": 0.0}, 8.4, TODAY) == 1.0


@pytest.mark.parametrize(
    ("positions", "day", "silicon_um", "silver_um"),
    [
        ((1, 0), TODAY, 25, 0),
        ((0, 1), TODAY, 50, 0),
        ((2, 4), TODAY, 3300, 0),
        ((-3, -2), TODAY, 3000, 0),
        ((-4, -4), TODAY, 0, 1350),
        ((-1, -1), BEFORE, 0, 37.5),
        ((-4, 3), BEFORE, 800, 800),
        ((-1, 0), None, 125, 0),
    ],
)
def test_the_foils_of_both_wheels_add_up(
    positions, day: date | None, silicon_um: float, silver_um: float
) -> None:
    stated = dict(zip(("abs1z", "abs2z"), map(float, positions), strict=True))
    assert absorbers_at(stated, day) == Absorbers(silicon_um, silver_um)


@pytest.mark.parametrize("positions", [(0.5, 0.0), (5.0, 0.0), (0.0, -6.0), (0.0, None)])
def test_a_wheel_between_or_beyond_its_places_says_nothing(positions) -> None:
    stated = {name: at for name, at in zip(("abs1z", "abs2z"), positions, strict=True) if at is not None}
    assert absorbers_at(stated, TODAY) is None
    assert stated_transmission(stated, 8.4, TODAY) is None


@pytest.mark.parametrize(
    ("silicon_um", "silver_um", "energy_kev", "expected"),
    [
        # exp(-mu d), mu of the NIST tables: silicon 64.68 cm2/g x 2.329 g/cm3 = 150.6 / cm at 8 keV.
        (100.0, 0.0, 8.0, 0.2217),
        (25.0, 0.0, 10.0, 0.8209),
        (0.0, 12.5, 8.0, 0.0586),
        (0.0, 50.0, 20.0, 0.3817),
        # Just below and above the K edge of silver.
        (0.0, 25.0, 25.5, 0.7788),
        (0.0, 25.0, 25.53, 0.2341),
    ],
)
def test_transmission(silicon_um: float, silver_um: float, energy_kev: float, expected: float) -> None:
    found = Absorbers(silicon_um, silver_um).transmission(energy_kev)
    assert found == pytest.approx(expected, rel=3e-3)


@pytest.mark.parametrize("energy_kev", [None, 2.0, 80.0])
def test_without_an_energy_in_range_nothing_is_said(energy_kev: float | None) -> None:
    assert stated_transmission({"abs1z": 1.0, "abs2z": 0.0}, energy_kev, TODAY) is None
