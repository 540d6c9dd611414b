"""Absorption by formula: against the tables of NIST, and what is said where it cannot be known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from speckle_series import series_info

import backend.formula_absorption
from backend.absorption import ENERGY_RANGE_KEV, MATERIALS, mass_coefficients
from backend.damage.dose import dose_scale_of
from backend.dose_settings import DoseSettings
from backend.errors import SettingsError
from backend.formula_absorption import FormulaError, check_formula, formula_coefficients
from backend.settings import load_settings
from backend.settings_form import filled_in, texts_of

FORMULAS = {
    "water": "H2O", "silica": "SiO2", "polystyrene": "C8H8", "pmma": "C5H8O2", "polyethylene": "C2H4",
}  # fmt: skip
KNOWN = {"flux_photons_per_s": 1e11, "beam_width_um": 10.0, "beam_height_um": 10.0}
INFO = series_info(100)
WAVELENGTH_M = 1.5498e-10  # 8 keV


# Tables 3 and 4 of NIST Standard Reference Database 126, cm2/g: attenuation and energy absorption.
@pytest.mark.parametrize(
    ("formula", "energy_kev", "attenuation", "absorption", "within"),
    [
        ("H2O", 5.0, 42.58, 41.88, 2e-3), ("H2O", 8.0, 10.37, 9.915, 2e-3), ("H2O", 10.0, 5.329, 4.944, 2e-3),
        ("H2O", 20.0, 0.8096, 0.5503, 2e-3), ("H2O", 30.0, 0.3756, 0.1557, 5e-3),
        ("C8H8", 8.0, 4.252, 3.915, 2e-3), ("C8H8", 20.0, 0.4363, 0.2075, 5e-3),
        ("C5H8O2", 10.0, 3.357, 3.026, 2e-3), ("C2H4", 15.0, 0.7452, 0.4834, 2e-3),
        ("Fe", 6.0, 84.84, 82.65, 0.02), ("Fe", 8.0, 305.6, 231.6, 0.02), ("Fe", 20.0, 25.68, 22.60, 0.02),
        ("Ag", 8.0, 216.4, 209.2, 0.02), ("Ag", 30.0, 36.68, 16.60, 0.02),
        ("Au", 8.0, 207.2, 199.9, 0.02), ("Au", 10.0, 118.1, 112.6, 0.02), ("Au", 15.0, 163.7, 129.4, 0.02),
    ],
)  # fmt: skip
def test_as_the_tables_have_it(
    formula: str, energy_kev: float, attenuation: float, absorption: float, within: float
) -> None:
    found = formula_coefficients(formula, energy_kev)
    assert found.attenuation == pytest.approx(0.1 * attenuation, rel=2e-3)
    assert found.energy_absorption == pytest.approx(0.1 * absorption, rel=within)


@given(st.sampled_from(sorted(MATERIALS)), st.floats(*ENERGY_RANGE_KEV))
def test_as_the_materials_that_need_no_package(material: str, energy_kev: float) -> None:
    ours, theirs = (
        mass_coefficients(MATERIALS[material], energy_kev),
        formula_coefficients(FORMULAS[material], energy_kev),
    )
    # Straight lines between tabulated energies are up to 5 % too high.
    assert ours.attenuation == pytest.approx(theirs.attenuation, rel=0.05)
    assert ours.energy_absorption == pytest.approx(theirs.energy_absorption, rel=0.05)


def test_a_mixture_is_the_sum_of_its_parts() -> None:
    water, salt, both = (formula_coefficients(formula, 8.4) for formula in ("H2O", "NaCl", "(H2O)20NaCl"))
    share = 20 * 18.015 / (20 * 18.015 + 58.443)
    assert both.energy_absorption == pytest.approx(
        share * water.energy_absorption + (1 - share) * salt.energy_absorption, rel=1e-4
    )


@given(st.text(max_size=100))
def test_any_text_is_a_formula_or_refused_in_words(text: str) -> None:
    try:
        formula = DoseSettings(formula=text).formula
    except ValidationError as error:
        assert error.errors()[0]["msg"]
        return
    assert formula == text
    try:
        found = formula_coefficients(text, 8.0)
    except FormulaError as error:
        # Elements without data for their absorption.
        assert "does not know the absorption of" in str(error)
        return
    assert 0 < found.energy_absorption <= found.attenuation < 100


@pytest.mark.parametrize("formula", ["Water", "SiO2)", "Xx2", "H0", "D2O"])
def test_what_is_no_formula_is_refused_where_it_is_written(formula: str, tmp_path: Path) -> None:
    with pytest.raises(FormulaError, match="is no chemical formula"):
        check_formula(formula)
    file = tmp_path / "settings.toml"
    file.write_text(f'[dose]\nformula = "{formula}"\n')
    with pytest.raises(SettingsError, match=r"dose\.formula.*is no chemical formula"):
        load_settings(file)
    before = DoseSettings()
    filled = filled_in(before, texts_of(before) | {"formula": formula})
    assert filled.section is None
    assert filled.faults["formula"].startswith(f"'{formula}' is no chemical formula")


def test_gold_takes_twenty_times_the_dose_of_water() -> None:
    gold, water = (
        dose_scale_of(DoseSettings.model_validate(KNOWN | more), INFO, WAVELENGTH_M)
        for more in ({"formula": "Au"}, {})
    )
    assert gold.problem == "" and gold.gray_per_s is not None and water.gray_per_s is not None
    assert gold.gray_per_s / water.gray_per_s == pytest.approx(199.9 / 9.915, rel=5e-3)


def test_a_thickness_needs_a_density() -> None:
    settings = DoseSettings.model_validate(KNOWN | {"formula": "Au", "thickness_mm": 0.001})
    scale = dose_scale_of(settings, INFO, WAVELENGTH_M)
    assert scale.gray_per_s is None and "needs the density" in scale.problem
    thin = dose_scale_of(settings.model_copy(update={"density_g_cm3": 19.3}), INFO, WAVELENGTH_M)
    entrance = dose_scale_of(settings.model_copy(update={"thickness_mm": None}), INFO, WAVELENGTH_M)
    assert thin.gray_per_s is not None and entrance.gray_per_s is not None
    # 207.2 cm2/g x 19.3 g/cm3 x 1 um = 0.3999.
    assert thin.gray_per_s / entrance.gray_per_s == pytest.approx(-np.expm1(-0.3999) / 0.3999, rel=1e-3)


def test_without_the_package_the_dose_stays_exposure_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend.formula_absorption, "xraylib", None)
    formula_coefficients.cache_clear()
    settings = DoseSettings.model_validate(KNOWN | {"formula": "Au"})
    scale = dose_scale_of(settings, replace(INFO, transmission=0.5), WAVELENGTH_M)
    assert (scale.gray_per_s, scale.transmission) == (None, 0.5)
    assert "needs the optional package xraylib" in scale.problem
    # The materials of the program need none.
    assert dose_scale_of(DoseSettings.model_validate(KNOWN), INFO, WAVELENGTH_M).gray_per_s is not None
