"""Pixels to q and back; geometry that is missing or absurd is refused in words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.detector.geometry import Geometry, geometry_of
from backend.errors import GeometryError
from backend.frames import DetectorInfo
from backend.settings import GeometrySettings

GEOMETRY = Geometry((400, 300), 75e-6, 5.0, 1.38e-10, (180.5, 140.0))
STATED = {
    "pixel_size_m": 75e-6,
    "distance_m": 5.0,
    "wavelength_m": 1.38e-10,
    "beam_center_yx_px": (180.5, 140.0),
}


def detector(**facts: object) -> DetectorInfo:
    return DetectorInfo(name="e4m", shape_yx=(400, 300), dtype=np.dtype(np.uint16), **facts)


def test_radius_and_azimuth_count_from_the_zero_based_beam_centre() -> None:
    azimuth = GEOMETRY.azimuth_rad()
    assert azimuth.shape == (400, 300)
    # The far corner of the detector.
    assert GEOMETRY.largest_radius_px == pytest.approx(math.hypot(400 - 180.5, 300 - 140.0))
    assert azimuth[300, 140] == pytest.approx(math.pi / 2)
    assert azimuth[0, 140] == pytest.approx(-math.pi / 2)


def test_q_follows_bragg_s_law() -> None:
    two_theta = math.atan(100 * 75e-6 / 5.0)
    q = 4 * math.pi / 0.138 * math.sin(two_theta / 2)
    assert float(GEOMETRY.q_inv_nm(100.0)) == pytest.approx(q, rel=1e-12)
    assert float(GEOMETRY.q_inv_nm(0.0)) == 0.0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(1e-3, 1e5), st.floats(0.01, 50), st.floats(2e-11, 5e-10))
def test_radius_of_q_inverts_q_of_radius(radius_px: float, distance_m: float, wavelength_m: float) -> None:
    geometry = Geometry((10, 10), 75e-6, distance_m, wavelength_m, (5.0, 5.0))
    back = geometry.radius_of_q_px(float(geometry.q_inv_nm(radius_px)))
    assert back == pytest.approx(radius_px, rel=1e-6)


def test_a_q_beyond_ninety_degrees_has_no_radius() -> None:
    assert GEOMETRY.radius_of_q_px(100.0) == math.inf
    assert GEOMETRY.radius_of_q_px(4 * math.pi / 0.138) == math.inf


def test_with_override_the_settings_win_where_they_say_something() -> None:
    corrected = GeometrySettings(override=True, beam_center_x_px=141.0, beam_center_y_px=182.0)
    geometry = geometry_of(detector(**STATED), corrected)
    assert geometry.beam_center_yx_px == (182.0, 141.0)
    assert (geometry.distance_m, geometry.wavelength_m) == (5.0, 1.38e-10)


def test_stated_values_win_and_settings_fill_the_gaps() -> None:
    fallback = GeometrySettings(
        distance_m=3.0, wavelength_m=1e-10, beam_center_x_px=1.0, beam_center_y_px=2.0
    )
    stated = geometry_of(detector(**STATED), fallback)
    assert (stated.distance_m, stated.wavelength_m) == (5.0, 1.38e-10)
    assert stated.beam_center_yx_px == (180.5, 140.0)
    filled = geometry_of(detector(pixel_size_m=75e-6), fallback)
    assert (filled.distance_m, filled.wavelength_m) == (3.0, 1e-10)
    assert filled.beam_center_yx_px == (2.0, 1.0)


@pytest.mark.parametrize(
    ("missing", "word"),
    [
        ("pixel_size_m", "pixel size"),
        ("distance_m", "distance"),
        ("wavelength_m", "wavelength"),
        ("beam_center_yx_px", "beam centre"),
    ],
)
def test_a_missing_quantity_is_named(missing: str, word: str) -> None:
    facts = {name: value for name, value in STATED.items() if name != missing}
    with pytest.raises(GeometryError, match=f"do not state the {word}, so") as refusal:
        geometry_of(detector(**facts), GeometrySettings())
    assert refusal.value.still_works and "[geometry]" in refusal.value.try_this


def test_several_missing_quantities_are_all_named() -> None:
    with pytest.raises(GeometryError, match="distance and wavelength and beam centre"):
        geometry_of(detector(pixel_size_m=75e-6), GeometrySettings())


def test_a_centre_of_which_only_one_half_is_set_is_missing() -> None:
    facts = {name: value for name, value in STATED.items() if name != "beam_center_yx_px"}
    with pytest.raises(GeometryError, match="beam centre"):
        geometry_of(detector(**facts), GeometrySettings(beam_center_x_px=3.0))


@pytest.mark.parametrize(
    ("fact", "value", "word"),
    [
        ("pixel_size_m", 75.0, "pixel size 75 m"),
        ("pixel_size_m", -75e-6, "pixel size"),
        ("distance_m", 5000.0, "distance 5000 m"),
        ("distance_m", math.nan, "distance nan m"),
        ("wavelength_m", 1.38, "wavelength 1.38 m"),
        ("wavelength_m", math.inf, "wavelength inf m"),
        ("beam_center_yx_px", (1e7, 10.0), "beam centre at row 1e.07"),
        ("beam_center_yx_px", (10.0, -1e7), "column -1e.07"),
        ("beam_center_yx_px", (math.nan, 3.0), "row nan"),
        ("beam_center_yx_px", (3.0, math.nan), "column nan"),
    ],
)
def test_absurd_geometry_is_refused_in_words(fact: str, value: object, word: str) -> None:
    with pytest.raises(GeometryError, match=word) as refusal:
        geometry_of(detector(**(STATED | {fact: value})), GeometrySettings())
    assert refusal.value.still_works and refusal.value.try_this


def test_a_beam_beside_the_detector_is_allowed() -> None:
    geometry = geometry_of(detector(**(STATED | {"beam_center_yx_px": (-900.0, 2000.0)})), GeometrySettings())
    assert geometry.largest_radius_px == pytest.approx(math.hypot(1300, 2000))
