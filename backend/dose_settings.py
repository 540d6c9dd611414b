"""Section ``[dose]`` of the settings: what makes gray of an exposure, and where the beam meets the sample."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from backend.settings_section import SettingsSection, setting


class DoseSettings(SettingsSection):
    """Dose in gray; without flux and beam size the dose stays the exposure, weighted by the transmission."""

    flux_photons_per_s: float | None = setting(
        None,
        "Photons per second at the sample: without absorbers where the files state their transmission, else as it is.",
        unit="1/s",
        gt=0,
        le=1e15,
    )
    transmission: float | None = setting(
        None,
        "Share of the beam that the absorbers let through; left empty it is that of the files: master, or run file.",
        gt=0,
        le=1,
    )
    beam_width_um: float | None = setting(
        None, "Full width of the beam at the sample, at half maximum.", unit="um", gt=0, le=10000
    )
    beam_height_um: float | None = setting(
        None, "Full height of the beam at the sample, at half maximum.", unit="um", gt=0, le=10000
    )
    material: Literal["water", "silica", "polystyrene", "pmma", "polyethylene"] = setting(
        "water", "What absorbs the beam; for a dilute sample its solvent."
    )
    formula: str | None = setting(
        None,
        "What absorbs the beam if it is none of these materials, as a formula: Au, Ca5(PO4)3F. Needs the optional "
        "package xraylib.",
        pattern=r"^[A-Za-z0-9().]+$",
        max_length=100,
    )
    density_g_cm3: float | None = setting(
        None,
        "Density of what has this formula; only needed with a thickness.",
        unit="g/cm3",
        gt=0,
        le=25,
    )
    thickness_mm: float | None = setting(
        None,
        "Thickness of the sample along the beam, for the mean dose over it; left empty it is the dose at the entrance.",
        unit="mm",
        gt=0,
        le=100,
    )
    residence_time_s: float | None = setting(
        None,
        "How long a flowing or scanned sample stays in the beam; its dose grows no further.",
        unit="s",
        gt=0,
        le=100000,
    )
    flow_speed_um_per_s: float | None = setting(
        None,
        "Its speed, where no time is given: it stays for beam size over speed.",
        unit="um/s",
        gt=0,
        le=1e9,
    )
    flow_direction: Literal["horizontal", "vertical"] = setting(
        "vertical", "Whether it passes the width (horizontal) or the height of the beam."
    )
    horizontal_motors: tuple[str, ...] = setting(
        ("samx",),
        "Motors that may move the sample sideways; the first that run file or batch description names.",
    )
    vertical_motors: tuple[str, ...] = setting(
        ("samz",),
        "Motors that may move the sample up and down; the first that run file or batch description names.",
    )
    motor_unit_um: float = setting(
        1000.0, "What these motors count in: 1000 for millimetres.", unit="um", gt=0, le=1e6
    )
    spots_of_any_sample: bool = setting(
        False, "Add up the dose of a place whatever the name of the sample; off where samples are exchanged."
    )

    @field_validator("formula")
    @classmethod
    def _is_a_formula(cls, formula: str | None) -> str | None:
        if formula is not None:
            # Only where there is one: the package that reads it takes a moment to load.
            from backend.formula_absorption import check_formula

            check_formula(formula)
        return formula
