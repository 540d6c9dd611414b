"""Dose in gray: coefficients against the tables of the compounds, rates against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from speckle_series import SETTINGS, batch_of, series_info, speckle_frames

from backend.absorption import ENERGY_RANGE_KEV, MATERIALS, mass_coefficients
from backend.damage.dose import dose_rate_gray_per_s, dose_scale_of, residence_time_s_of
from backend.dose_settings import DoseSettings
from backend.frames import SeriesDescribed, SeriesEnded, SeriesInfo
from backend.series_notices import series_notices
from backend.series_numbers import record_of
from backend.series_run import SeriesRun
from backend.snapshot import VerdictState
from backend.snapshot_parts import trend_part

INFO = series_info(100)
WAVELENGTH_M = 1.476e-10
FLUX = {"flux_photons_per_s": 1e11}
KNOWN = FLUX | {"beam_width_um": 10.0, "beam_height_um": 10.0}
energies_kev = st.floats(*ENERGY_RANGE_KEV)


# Not what the code holds: table 4 of the same tables has these compounds by themselves (cm2/g).
@pytest.mark.parametrize(
    ("material", "energy_kev", "attenuation", "absorption"),
    [
        ("water", 5.0, 42.58, 41.88), ("water", 8.0, 10.37, 9.915), ("water", 10.0, 5.329, 4.944),
        ("water", 15.0, 1.673, 1.374), ("water", 30.0, 0.3756, 0.1557),
        ("polystyrene", 5.0, 17.67, 17.21), ("polystyrene", 8.0, 4.252, 3.915), ("polystyrene", 20.0, 0.4363, 0.2075),
        ("pmma", 6.0, 15.45, 14.98), ("pmma", 10.0, 3.357, 3.026), ("pmma", 30.0, 0.3032, 0.09645),
        ("polyethylene", 8.0, 3.975, 3.635), ("polyethylene", 15.0, 0.7452, 0.4834),
    ],
)  # fmt: skip
def test_compounds_are_the_sum_of_their_elements(
    material: str, energy_kev: float, attenuation: float, absorption: float
) -> None:
    found = mass_coefficients(MATERIALS[material], energy_kev)
    assert found.attenuation == pytest.approx(0.1 * attenuation, rel=2e-3)
    assert found.energy_absorption == pytest.approx(0.1 * absorption, rel=2e-3)


def test_silica_by_hand() -> None:
    # 28.085 / 60.083 silicon, 31.998 / 60.083 oxygen: 0.46744 * 63.13 + 0.53256 * 11.16 = 35.453 cm2/g.
    assert mass_coefficients(MATERIALS["silica"], 8.0).energy_absorption == pytest.approx(3.5453, rel=1e-4)


@given(st.sampled_from(sorted(MATERIALS)), energies_kev, energies_kev)
def test_absorption_falls_with_energy(material: str, first_kev: float, second_kev: float) -> None:
    low, high = (mass_coefficients(MATERIALS[material], e) for e in sorted((first_kev, second_kev)))
    assert high.attenuation <= low.attenuation * (1 + 1e-12)
    assert high.energy_absorption <= low.energy_absorption * (1 + 1e-12)
    assert low.energy_absorption < low.attenuation


@pytest.mark.parametrize("energy_kev", [0.0, 4.99, 30.01, math.nan])
def test_no_guess_outside_the_table(energy_kev: float) -> None:
    with pytest.raises(ValueError, match="from 5 to 30 keV"):
        mass_coefficients(MATERIALS["water"], energy_kev)


def test_every_material_of_the_settings_is_known() -> None:
    assert set(get_args(DoseSettings.model_fields["material"].annotation)) == set(MATERIALS)


def _rate(
    energy_kev: float, material: str, thickness_mm: float | None = None, area_um2: float = 100.0
) -> float:
    coefficients = mass_coefficients(MATERIALS[material], energy_kev)
    density_kg_m3 = MATERIALS[material].density_kg_m3
    mass_per_area = None if thickness_mm is None else density_kg_m3 * thickness_mm * 1e-3
    return dose_rate_gray_per_s(1e11, area_um2, energy_kev, coefficients, mass_per_area)


@pytest.mark.parametrize(("area_um2", "gray_per_s"), [(100.0, 1.146e6), (900.0, 1.273e5)])
def test_rate_in_water_by_hand(area_um2: float, gray_per_s: float) -> None:
    # 1e11 photons of 8.4 keV = 1.346e-15 J; 0.8515 m2/kg between 0.9915 at 8 and 0.4944 at 10 keV.
    assert _rate(8.4, "water", area_um2=area_um2) == pytest.approx(gray_per_s, rel=2e-3)


def test_mean_over_the_thickness_by_hand() -> None:
    # 1 mm of water at 10 keV: mu d = 0.5329, (1 - exp(-0.5329)) / 0.5329 = 0.7752.
    assert _rate(10.0, "water", 1.0) / _rate(10.0, "water") == pytest.approx(0.7752, rel=1e-3)
    # 2200 kg/m3, 3.545 m2/kg absorbed of 3.642 attenuated: 1 mm of silica takes 0.97 of the energy of all photons.
    absorbed_w = _rate(8.0, "silica", 1.0) * 2200 * 100e-12 * 1e-3
    assert absorbed_w / (1e11 * 8e3 * 1.602177e-19) == pytest.approx(0.9734, rel=2e-3)


@given(st.sampled_from(sorted(MATERIALS)), energies_kev, st.floats(1e-6, 100.0), st.floats(1.0, 10.0))
def test_thicker_is_less_on_average(
    material: str, energy_kev: float, thickness_mm: float, factor: float
) -> None:
    entrance, thin, thick = (
        _rate(energy_kev, material, d) for d in (None, thickness_mm, factor * thickness_mm)
    )
    assert 0 < thick <= thin * (1 + 1e-12) <= entrance * (1 + 2e-12)
    assert factor * thick >= thin * (1 - 1e-12)


def test_scale_of_a_series() -> None:
    settings = DoseSettings.model_validate(KNOWN)
    scale = dose_scale_of(settings, INFO, WAVELENGTH_M)
    dose, unit = scale.shown(np.array([0.0, 0.5, 2.0]))
    # 0.8515 m2/kg at 8.4 keV, as above.
    assert (unit, dose.tolist()) == ("MGy", pytest.approx([0.0, 0.573, 2.292], rel=2e-3))
    assert [scale.words(exposure_s) for exposure_s in (1e-9, 1e-5, 0.0105, 2.0)] == [
        "1.1 mGy", "11 Gy", "12 kGy", "2.3 MGy",
    ]  # fmt: skip


@pytest.mark.parametrize(("transmission", "kgy"), [(None, 573), (0.1, 57.3)])
def test_a_flowing_sample_gets_no_more_than_while_it_stays(transmission: float | None, kgy: float) -> None:
    info = replace(INFO, transmission=transmission)
    scale = dose_scale_of(DoseSettings.model_validate(KNOWN | {"residence_time_s": 0.5}), info, WAVELENGTH_M)
    dose, unit = scale.shown(np.array([0.25, 0.5, 0.75, 50.0]))
    assert unit == "kGy"
    assert dose == pytest.approx(kgy * np.array([0.5, 1, 1, 1]), rel=2e-3)
    assert scale.words(0.5) == scale.words(5.0)


@pytest.mark.parametrize(
    ("flow", "residence_s"),
    [
        ({}, math.inf),
        ({"flow_speed_um_per_s": 20.0}, 0.25),
        ({"flow_speed_um_per_s": 20.0, "flow_direction": "horizontal"}, 0.5),
        ({"flow_speed_um_per_s": 20.0, "residence_time_s": 3.0}, 3.0),
    ],
)
def test_a_flow_stays_for_beam_size_over_speed(flow: dict[str, float | str], residence_s: float) -> None:
    settings = DoseSettings.model_validate(KNOWN | {"beam_width_um": 10.0, "beam_height_um": 5.0} | flow)
    assert residence_time_s_of(settings) == residence_s
    assert dose_scale_of(settings, INFO, WAVELENGTH_M).longest_exposure_s == residence_s
    assert residence_time_s_of(DoseSettings(flow_speed_um_per_s=20.0)) == math.inf


@pytest.mark.parametrize(
    ("given_settings", "info", "wavelength_m", "problem"),
    [
        ({}, INFO, WAVELENGTH_M, ""),
        ({"beam_width_um": 10.0, "beam_height_um": 5.0}, INFO, WAVELENGTH_M, ""),
        (FLUX, INFO, WAVELENGTH_M, "the settings give a flux but not both width and height of the beam"),
        (KNOWN, replace(INFO, frame_time_s=None), WAVELENGTH_M, "frame time and wavelength have to be known"),
        (KNOWN, INFO, None, "frame time and wavelength have to be known"),
        (KNOWN, INFO, 3e-10, "absorption is known from 5 to 30 keV, the beam has 4.13"),
    ],
)
def test_what_is_not_known_stays_exposure(
    given_settings: dict[str, float], info: SeriesInfo, wavelength_m: float | None, problem: str
) -> None:
    scale = dose_scale_of(DoseSettings.model_validate(given_settings), info, wavelength_m)
    exposure_s = np.array([1.0, 2.0])
    assert (scale.gray_per_s, scale.words(1.0), scale.problem) == (None, "", problem)
    assert scale.shown(exposure_s) == (pytest.approx(exposure_s), "s of full beam")


def _run(dose: dict[str, float]) -> SeriesRun:
    settings = SETTINGS.model_copy(update={"dose": DoseSettings.model_validate(dose)})
    frames = speckle_frames(150)
    run = SeriesRun(replace(series_info(len(frames)), transmission=0.25), settings)
    run.add(batch_of(frames))
    return run


def test_a_series_tells_its_dose_in_words_and_in_the_trend() -> None:
    plain, in_gray = _run({}), _run(KNOWN | {"residence_time_s": 2.5})
    assert plain.verdict.state is in_gray.verdict.state is VerdictState.GOOD
    before, after = trend_part(plain.analysis), trend_part(in_gray.analysis)
    assert before is not None and after is not None
    # 0.02 s of a quarter of the beam per frame.
    assert before.dose_unit == "s of full beam"
    assert before.dose == pytest.approx((before.frame + 1) * 0.005)
    # 8.2656 keV = 1.3243e-15 J; 0.9915 * (8.2656 / 8) ** -3.1186 = 0.8955 m2/kg: 1.186 MGy per s of full beam.
    assert after.dose_unit == "kGy"
    assert after.dose == pytest.approx(1186 * np.minimum((after.frame + 1) * 0.005, 0.625), rel=2e-3)
    assert plain.verdict.why.startswith("Steady over 150 frames: ")
    assert in_gray.verdict.why.startswith("Steady over 150 frames and 740 kGy: ")
    # Gray is said, not used: the numbers behind the verdict are the same, bit for bit.
    assert np.array_equal(after.log10_evidence, before.log10_evidence)
    assert not [notice for notice in series_notices(in_gray.analysis) if notice.key.startswith("dose")]


@pytest.mark.parametrize("described_after", [0, 15, 100, 150])
def test_a_transmission_that_comes_late_holds_for_the_whole_series(described_after: int) -> None:
    """Whenever the run file comes, the end is that of a series that knew it from its start."""
    settings = SETTINGS.model_copy(update={"dose": DoseSettings.model_validate(KNOWN)})
    frames = speckle_frames(150)
    early = SeriesRun(replace(series_info(len(frames)), transmission=0.25), settings)
    late = SeriesRun(series_info(len(frames)), settings)
    early.add(batch_of(frames))
    late.add(batch_of(frames[:described_after]))
    before = late.verdict.why
    late.describe(SeriesDescribed("silica_00001", 0.25, {"samx": 1.0}))
    if before.startswith("Steady"):
        assert late.verdict.why != before
    late.add(batch_of(frames[described_after:], described_after))
    for run in (early, late):
        run.end(SeriesEnded("silica_00001", True, len(frames), "all there"))
    assert late.verdict == early.verdict
    assert late.verdict.why.startswith("Steady over 150 frames and 890 kGy: ")
    ours, theirs = (trend_part(run.analysis) for run in (late, early))
    assert ours is not None and theirs is not None
    assert (ours.dose_unit, ours.dose.tolist()) == (theirs.dose_unit, theirs.dose.tolist())
    assert record_of(late).exposure_s == record_of(early).exposure_s == pytest.approx(0.25 * 3.0, rel=1e-6)
    assert (late.info.transmission, late.info.side_numbers) == (0.25, {"samx": 1.0})


@pytest.mark.parametrize("described_after", [15, 100, 150])
def test_a_monitor_that_comes_late_holds_for_the_whole_series(described_after: int) -> None:
    """The column of a run file is complete when the last frame is over, and not before."""
    settings = SETTINGS.model_copy(update={"dose": DoseSettings.model_validate(KNOWN)})
    frames = speckle_frames(150)
    monitor = np.where(np.arange(150) < 100, 90.0, 72.0)
    early = SeriesRun(replace(series_info(len(frames)), monitor=monitor), settings)
    late = SeriesRun(series_info(len(frames)), settings)
    early.add(batch_of(frames))
    late.add(batch_of(frames[:described_after]))
    late.describe(SeriesDescribed("silica_00001", None, {}, monitor))
    late.add(batch_of(frames[described_after:], described_after))
    for run in (early, late):
        run.end(SeriesEnded("silica_00001", True, len(frames), "all there"))
    assert late.verdict == early.verdict
    ours, theirs = (trend_part(run.analysis) for run in (late, early))
    assert ours is not None and theirs is not None and ours.dose.tolist() == theirs.dose.tolist()
    assert record_of(late).exposure_s == record_of(early).exposure_s == pytest.approx(140 * 0.02, rel=1e-6)


def test_a_transmission_of_the_settings_wins_over_a_late_one() -> None:
    settings = SETTINGS.model_copy(update={"dose": DoseSettings(transmission=0.1)})
    run = SeriesRun(series_info(10), settings)
    run.describe(SeriesDescribed("silica_00001", 0.25, {}))
    assert run.info.transmission == run.analysis.info.transmission == 0.1


def test_a_dose_that_cannot_be_told_is_said_once() -> None:
    (notice,) = [one for one in series_notices(_run(FLUX).analysis) if one.key.startswith("dose")]
    assert "not both width and height" in notice.what and "[dose]" in notice.try_this
