"""When two series hit the same spot, and where a series was: from its files to the beam on the sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from eiger_files import write_batchinfo
from hypothesis import given
from hypothesis import strategies as st
from speckle_series import series_info, speckle_frames, write_speckle_series

from backend.acquisition.recorded_series import RecordedSeries
from backend.damage.spot import spot_of
from backend.dose_settings import DoseSettings
from backend.frames import SeriesDescribed, SeriesStarted
from backend.series_numbers import record_of
from backend.series_record import Spot
from backend.series_run import SeriesRun
from backend.settings import Settings, load_settings, settings_to_toml

BEAM = {"beam_width_um": 30.0, "beam_height_um": 20.0}
positions_um = st.floats(-1e5, 1e5)
widths_um = st.floats(0.1, 1e4)
spots = st.builds(Spot, positions_um, positions_um, widths_um, widths_um)


@given(spots)
def test_a_spot_overlaps_with_itself(spot: Spot) -> None:
    assert spot.overlaps(spot)


@given(spots, spots)
def test_overlap_does_not_depend_on_the_order(one: Spot, other: Spot) -> None:
    assert one.overlaps(other) == other.overlaps(one)


@given(spots, spots, st.floats(1.0, 10.0))
def test_a_larger_beam_never_loses_a_neighbour(one: Spot, other: Spot, factor: float) -> None:
    grown = replace(one, beam_width_um=factor * one.beam_width_um, beam_height_um=factor * one.beam_height_um)
    assert grown.overlaps(other) or not one.overlaps(other)


@given(spots, spots)
def test_spots_overlap_where_some_place_is_in_both(one: Spot, other: Spot) -> None:
    def edges(spot: Spot) -> tuple[float, float, float, float]:
        half_x, half_y = spot.beam_width_um / 2, spot.beam_height_um / 2
        return (
            spot.horizontal_um - half_x,
            spot.horizontal_um + half_x,
            spot.vertical_um - half_y,
            spot.vertical_um + half_y,
        )

    left, right, low, high = edges(one)
    other_left, other_right, other_low, other_high = edges(other)
    width = min(right, other_right) - max(left, other_left)
    height = min(high, other_high) - max(low, other_low)
    if abs(width) > 1e-6 and abs(height) > 1e-6:
        assert one.overlaps(other) == (width > 0 and height > 0)


@pytest.mark.parametrize(
    ("distance_um", "together"),
    [((29.9, 0), True), ((30.1, 0), False), ((0, 19.9), True), ((0, 20.1), False)],
)
def test_the_beam_size_is_the_measure(distance_um: tuple[float, float], together: bool) -> None:
    here = Spot(100.0, -50.0, 30.0, 20.0)
    there = Spot(100.0 + distance_um[0], -50.0 + distance_um[1], 30.0, 20.0)
    assert here.overlaps(there) == together


def test_motors_are_taken_in_the_order_of_the_settings() -> None:
    settings = DoseSettings.model_validate(BEAM | {"horizontal_motors": ("hx", "samx"), "motor_unit_um": 1.0})
    info = replace(series_info(10), side_numbers={"samx": 7.0, "samz": -2.0})
    assert spot_of(settings, info) == (Spot(7.0, -2.0, 30.0, 20.0), "")
    both = replace(info, side_numbers={"samx": 7.0, "samz": -2.0, "hx": 0.0})
    assert spot_of(settings, both) == (Spot(0.0, -2.0, 30.0, 20.0), "")


@pytest.mark.parametrize(
    ("dose", "numbers", "words"),
    [
        (
            {},
            {"samx": 1.0, "samz": 1.0},
            "section [dose] of the settings has not both width and height of the beam",
        ),
        (BEAM, {"samz": 1.0}, "the files of the series state no samx"),
        (BEAM, {}, "the files of the series state no samx and no samz"),
        (
            BEAM | {"vertical_motors": ("sz", "hz")},
            {"samx": 1.0},
            "the files of the series state no sz or hz",
        ),
        (BEAM | {"vertical_motors": ()}, {"samx": 1.0}, "state no motor (the settings name none)"),
        (BEAM | {"residence_time_s": 1.0}, {"samx": 1.0, "samz": 1.0}, "the sample flows or is scanned"),
        (BEAM | {"flow_speed_um_per_s": 1.0}, {"samx": 1.0, "samz": 1.0}, "scanned (flow_speed_um_per_s in"),
    ],
)
def test_an_unknown_spot_says_why(dose: dict, numbers: dict[str, float], words: str) -> None:
    info = replace(series_info(10), side_numbers=numbers)
    spot, why = spot_of(DoseSettings.model_validate(dose), info)
    assert spot is None and words in why


def test_the_motors_survive_the_settings_file(tmp_path: Path) -> None:
    settings = Settings.model_validate({"dose": {"horizontal_motors": ["e2_x", "samx"]}})
    file = tmp_path / "settings.toml"
    file.write_text(settings_to_toml(settings))
    assert load_settings(file).dose.horizontal_motors == ("e2_x", "samx")


def _write(raw: Path, run_file: str, batchinfo: str) -> Path:
    """A series whose run file and batch description state these lines."""
    master = write_speckle_series(raw, speckle_frames(30), per_file=15)
    run = master.parents[1] / "silica_00001.fio"
    run.write_text(run.read_text().replace("%p\n", "%p\n" + run_file))
    if batchinfo:
        write_batchinfo(master.with_name("silica_00001.batchinfo"), frames=30, more=batchinfo)
    return master.parents[1]


@pytest.mark.parametrize(
    ("run_file", "batchinfo", "position_mm"),
    [
        ("samx = 1.5\nsamz = -0.25\n", "", (1.5, -0.25)),
        ("", "samx: 2.5\nsamz = 0.5\n", (2.5, 0.5)),
        # Each states one; and where both speak the run file of the control system wins.
        ("samx = 1.5\n", "samx: 9\nsamz: 0.5\n", (1.5, 0.5)),
    ],
    ids=["run file", "batch description", "both"],
)
def test_positions_come_from_the_files_of_the_series(
    tmp_path: Path, run_file: str, batchinfo: str, position_mm: tuple[float, float]
) -> None:
    settings = Settings.model_validate({"dose": BEAM})
    source = RecordedSeries([_write(tmp_path / "raw", run_file, batchinfo)], settings)
    started: list[SeriesStarted] = []
    while not source.finished:
        started += [event for event in source.poll() if isinstance(event, SeriesStarted)]
    spot, why = spot_of(settings.dose, started[0].info)
    assert (spot, why) == (Spot(1000 * position_mm[0], 1000 * position_mm[1], 30.0, 20.0), "")


def test_positions_that_come_late_are_used() -> None:
    run = SeriesRun(series_info(10), Settings.model_validate({"dose": BEAM}))
    assert record_of(run).spot is None
    run.describe(SeriesDescribed("silica_00001", None, {"samx": 1.0, "samz": 2.0}))
    assert record_of(run).spot == Spot(1000.0, 2000.0, 30.0, 20.0)
