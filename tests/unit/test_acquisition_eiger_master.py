from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import eiger_files
import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.acquisition.data_file import inspect_data_file
from backend.acquisition.detector_folder import SeriesPlace
from backend.acquisition.eiger_master import read_master
from backend.acquisition.series_description import SeriesSources, describe_series
from backend.beamtime.batchinfo import parse_batchinfo
from backend.beamtime.fio import parse_fio
from backend.errors import SeriesError

BATCH = "x0: 21.5\ny0: 17.25\n"


def place(folder: Path) -> SeriesPlace:
    series = folder / "silica_00001"
    return SeriesPlace("silica_00001", series, series / "e4m", "silica_00001")


@pytest.mark.parametrize("layout", ["legacy", "2024"])
def test_both_layouts_state_the_same(tmp_path: Path, layout: str) -> None:
    path = eiger_files.write_master(
        tmp_path / "x_master.h5", layout=layout, links=2, start_time="2026-11-23T10:20:30.123456789+01:00"
    )
    facts = read_master(path)
    assert facts.shape_yx == (eiger_files.ROWS, eiger_files.COLUMNS) and facts.dtype == np.uint16
    assert facts.pixel_size_m == pytest.approx(75e-6) and facts.distance_m == pytest.approx(5.0)
    assert facts.wavelength_m == pytest.approx(1.54e-10)
    assert facts.beam_center_yx_px == (16.25, 20.5)
    assert facts.planned_frames == 10 and facts.frame_time_s == 0.01 and facts.count_time_s == 0.009
    assert facts.saturation_value == 60000 and facts.notices == () and not facts.holds_frames
    assert facts.started_at is not None and facts.started_at.isoformat() == "2026-11-23T10:20:30.123456+01:00"
    assert facts.pixel_mask is not None and not facts.pixel_mask.flags.writeable
    assert (
        facts.pixel_mask.sum() == eiger_files.ROWS + 1
        and facts.pixel_mask[3, 4]
        and facts.pixel_mask[:, 10].all()
    )


def test_the_form_follows_from_the_stack_of_the_newer_layout(tmp_path: Path) -> None:
    path = eiger_files.write_master(
        tmp_path / "x_master.h5", layout="2024", bit_depth_image=None, pixel_mask=None
    )
    facts = read_master(path)
    assert (facts.shape_yx, facts.dtype) == ((eiger_files.ROWS, eiger_files.COLUMNS), np.uint16)
    assert facts.planned_frames == 10 and not facts.holds_frames


def test_units_are_honoured(tmp_path: Path) -> None:
    facts = read_master(
        eiger_files.write_master(
            tmp_path / "x_master.h5",
            x_pixel_size=(75.0, "um"),
            y_pixel_size=(0.075, "mm"),
            distance=(5000.0, "mm"),
            wavelength=(0.154, "nm"),
            frame_time=(10.0, "ms"),
        )
    )
    assert facts.pixel_size_m == pytest.approx(75e-6) and facts.distance_m == pytest.approx(5.0)
    assert facts.wavelength_m == pytest.approx(1.54e-10) and facts.frame_time_s == pytest.approx(0.01)
    assert facts.notices == ()


@pytest.mark.parametrize("name", ["frame_starts", "frame_starts_as_axis"])
def test_times_of_frames_are_read_with_their_unit(tmp_path: Path, name: str) -> None:
    starts_ms = np.array([0.0, 1.0, 2.0, 50.0, 51.0])
    facts = read_master(eiger_files.write_master(tmp_path / "x_master.h5", **{name: (starts_ms, "ms")}))
    assert facts.frame_start_s is not None and not facts.frame_start_s.flags.writeable
    np.testing.assert_allclose(facts.frame_start_s, starts_ms / 1000)
    assert facts.notices == ()


@pytest.mark.parametrize(
    ("starts", "why"),
    [
        (np.array([0.0, 1.0, 1.0]), "does not ascend"),
        (np.array([0.0, np.nan, 1.0]), "does not ascend"),
        (np.zeros((3, 2)), "is no list of numbers"),
        ([b"10:20:30.1", b"10:20:30.2"], "is no list of numbers"),
        ((np.array([0.0, 1.0, 5.0]), "fortnight"), "a unit that is not understood"),
    ],
)
def test_times_that_make_no_sense_are_set_aside_in_words(tmp_path: Path, starts: object, why: str) -> None:
    facts = read_master(eiger_files.write_master(tmp_path / "x_master.h5", frame_starts=starts))
    assert facts.frame_start_s is None and facts.frame_time_s == 0.01
    (notice,) = facts.notices
    assert notice.startswith("start_time in x_master.h5") and why in notice


@pytest.mark.parametrize("starts", [None, 0.0, np.zeros(1), np.zeros(0)])
def test_no_times_or_a_single_one_are_no_reason_for_words(tmp_path: Path, starts: object) -> None:
    facts = read_master(eiger_files.write_master(tmp_path / "x_master.h5", frame_starts=starts))
    assert facts.frame_start_s is None and facts.notices == ()


def test_times_of_uneven_frames_tell_the_frame_time(tmp_path: Path) -> None:
    uneven_s, even_s = np.array([0.0, 0.001, 0.01, 0.1]), np.array([0.0, 0.01, 0.0201, 0.0301])
    stated = (0.01, "s")
    for starts_s, frame_time, expected_s in (
        (uneven_s, None, 0.1 / 3),
        (uneven_s, stated, 0.1 / 3),
        (even_s, None, 0.0301 / 3),
        (even_s, stated, 0.01),
    ):
        path = tmp_path / "x_master.h5"
        eiger_files.write_master(path, frame_starts=starts_s, frame_time=frame_time)
        info = describe_series(place(tmp_path), SeriesSources(read_master(path)))
        assert info is not None and info.frame_start_s is not None
        assert info.frame_time_s == pytest.approx(expected_s)
        assert info.has_uneven_frames == (starts_s is uneven_s)
        assert info.longest_pause_s == pytest.approx(np.diff(starts_s).max())


def test_triggers_multiply_the_images(tmp_path: Path) -> None:
    assert read_master(eiger_files.write_master(tmp_path / "x_master.h5", ntrigger=7)).planned_frames == 70


def test_energy_stands_in_for_a_missing_wavelength(tmp_path: Path) -> None:
    facts = read_master(
        eiger_files.write_master(tmp_path / "x_master.h5", wavelength=None, energy=(8048.0, "eV"))
    )
    assert facts.wavelength_m == pytest.approx(1.5406e-10, rel=1e-4)


def test_missing_fields_are_none_without_a_word(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x_master.h5", "w"):
        pass
    facts = read_master(tmp_path / "x_master.h5")
    assert (
        facts.notices == ()
        and facts.distance_m is None
        and facts.pixel_mask is None
        and facts.shape_yx is None
    )


@pytest.mark.parametrize(
    ("field", "value", "attribute"),
    [
        ("distance", (0.0, "m"), "distance_m"),
        ("distance", (-3.0, "m"), "distance_m"),
        ("distance", (math.nan, "m"), "distance_m"),
        ("distance", (5.0, "furlong"), "distance_m"),
        ("distance", "five metres", "distance_m"),
        ("distance", np.arange(3.0), "distance_m"),
        ("wavelength", (1e9, "angstrom"), "wavelength_m"),
        ("x_pixel_size", (75.0, "m"), None),
        ("beam_center_x", (1e30, "pixel"), "beam_center_yx_px"),
        ("beam_center_x", (math.inf, "pixel"), "beam_center_yx_px"),
        ("frame_time", (-1.0, "s"), "frame_time_s"),
        ("nimages", 0, "planned_frames"),
        ("nimages", -5, "planned_frames"),
        ("pixel_mask", np.ones((4, 4), np.uint32), "pixel_mask"),
        ("pixel_mask", np.zeros((2, 3, 4), np.uint32), "pixel_mask"),
    ],
)
def test_absurd_values_are_set_aside_with_a_sentence(
    tmp_path: Path, field: str, value: object, attribute: str | None
) -> None:
    facts = read_master(eiger_files.write_master(tmp_path / "x_master.h5", **{field: value}))
    if attribute is not None:
        assert getattr(facts, attribute) is None
    assert len(facts.notices) == 1 and facts.notices[0].endswith(".")


def test_a_beam_centre_nobody_set_is_not_used(tmp_path: Path) -> None:
    facts = read_master(
        eiger_files.write_master(tmp_path / "x_master.h5", beam_center_x=0.0, beam_center_y=0.0)
    )
    assert facts.beam_center_yx_px is None and "(0, 0)" in facts.notices[0]


def test_links_to_files_that_are_not_there_do_no_harm(tmp_path: Path) -> None:
    path = eiger_files.write_master(tmp_path / "x_master.h5", links=3)
    with h5py.File(path, "a") as file:
        detector = file["entry/instrument/detector"]
        del detector["detector_distance"]
        detector["detector_distance"] = h5py.ExternalLink("nowhere.h5", "x")
    facts = read_master(path)
    assert facts.distance_m is None and facts.pixel_size_m is not None


def test_agreeing_beam_centres_say_nothing(tmp_path: Path) -> None:
    master = read_master(eiger_files.write_master(tmp_path / "x_master.h5"))
    info = describe_series(place(tmp_path), SeriesSources(master=master, batch=parse_batchinfo(BATCH)))
    assert info is not None and info.notices == ()
    assert info.detector.beam_center_yx_px == (16.25, 20.5)


def test_disagreement_is_said_and_the_master_wins(tmp_path: Path) -> None:
    master = read_master(eiger_files.write_master(tmp_path / "x_master.h5"))
    batch = parse_batchinfo("x0: 24.5\ny0: 17.25\nrr: 4000\nenergy: 12.0\n")
    info = describe_series(place(tmp_path), SeriesSources(master=master, batch=batch))
    assert (
        info is not None
        and info.detector.beam_center_yx_px == (16.25, 20.5)
        and info.detector.distance_m == 5.0
    )
    assert [notice.split()[1] for notice in info.notices] == ["beam", "distance", "wavelength"]
    assert "column 20.5 in the master" in info.notices[0] and "column 23.5 in the batch" in info.notices[0]


def test_batch_description_and_run_file_fill_what_the_master_lacks(tmp_path: Path) -> None:
    path = eiger_files.write_master(
        tmp_path / "x_master.h5",
        distance=None,
        wavelength=None,
        beam_center_x=None,
        count_time=None,
        nimages=None,
    )
    batch = parse_batchinfo(
        BATCH + "rr: 4000\npreset: 0.5\nndataend: [300]\nstart_time: Mon Nov 23 10:20:00 2026\n"
    )
    sources = SeriesSources(master=read_master(path), batch=batch, run=parse_fio("%p\nfmbenergy = 8048\n"))
    info = describe_series(place(tmp_path), sources)
    assert info is not None
    assert info.detector.beam_center_yx_px == (16.25, 20.5) and info.detector.distance_m == pytest.approx(4.0)
    assert info.detector.wavelength_m == pytest.approx(1.5406e-10, rel=1e-4)
    assert info.count_time_s == 0.5 and info.expected_frames == 300 and info.frame_time_s == 0.01
    assert info.started_at is not None and info.started_at.hour == 10


def test_the_absorbers_of_the_run_file_stand_in_for_a_transmission_in_the_master(tmp_path: Path) -> None:
    path = eiger_files.write_master(tmp_path / "x_master.h5", wavelength=(1.5498, "angstrom"))
    run = parse_fio("%p\nabs1z = 2.0\nabs2z = 0\n")
    info = describe_series(place(tmp_path), SeriesSources(master=read_master(path), run=run))
    # 100 um of silicon at 8 keV.
    assert info is not None and info.transmission == pytest.approx(0.2217, rel=3e-3)
    assert info.notices == ()
    stated = replace(read_master(path), transmission=0.5)
    info = describe_series(place(tmp_path), SeriesSources(master=stated, run=run))
    assert info is not None and info.transmission == 0.5


def test_the_monitor_of_the_master_or_of_the_run_file(tmp_path: Path) -> None:
    path = eiger_files.write_master(tmp_path / "x_master.h5", nimages=3)
    columns = "%p\nfmbenergy = 8000\n%d\n Col 1 om DOUBLE\n Col 2 curpetra DOUBLE\n"
    run = parse_fio(columns + " 0.1 100.0\n 0.2 -1\n 0.3 99.5\n")
    info = describe_series(place(tmp_path), SeriesSources(master=read_master(path), run=run))
    assert info is not None and info.monitor is not None
    np.testing.assert_array_equal(info.monitor, [100.0, np.nan, 99.5])
    short = parse_fio(columns + " 0.1 100.0\n")
    info = describe_series(place(tmp_path), SeriesSources(master=read_master(path), run=short))
    assert info is not None and info.monitor is None
    with h5py.File(path, "r+") as file:
        file["entry/control/data"] = np.array([5, 6, 7])
    info = describe_series(place(tmp_path), SeriesSources(master=read_master(path), run=run))
    assert info is not None and info.monitor is not None and info.monitor.tolist() == [5.0, 6.0, 7.0]


def test_a_monitor_that_cannot_be_is_set_aside(tmp_path: Path) -> None:
    path = eiger_files.write_master(tmp_path / "x_master.h5", nimages=3)
    with h5py.File(path, "r+") as file:
        file["entry/control/data"] = np.array([5.0, -6.0, 7.0])
    master = read_master(path)
    assert master.monitor is None
    assert any("no monitor counts" in notice for notice in master.notices)


def test_an_absorber_wheel_between_two_places_is_told(tmp_path: Path) -> None:
    master = read_master(eiger_files.write_master(tmp_path / "x_master.h5"))
    run = parse_fio("%p\nabs1z = 1.5\nabs2z = 0\n")
    info = describe_series(place(tmp_path), SeriesSources(master=master, run=run))
    assert info is not None and info.transmission is None
    assert "abs1z = 1.5, abs2z = 0" in info.notices[0]


def test_absurd_batch_values_are_set_aside(tmp_path: Path) -> None:
    path = eiger_files.write_master(
        tmp_path / "x_master.h5", distance=None, wavelength=None, beam_center_x=None
    )
    batch = parse_batchinfo("x0: 1e300\ny0: 2\nrr: 1e12\nenergy: 1e-9\n")
    info = describe_series(place(tmp_path), SeriesSources(master=read_master(path), batch=batch))
    assert info is not None and len(info.notices) == 3
    assert info.detector.beam_center_yx_px is None and info.detector.distance_m is None


def test_frames_of_another_shape_than_the_mask_win(tmp_path: Path) -> None:
    master = read_master(eiger_files.write_master(tmp_path / "x_master.h5"))
    data = eiger_files.write_data_file(
        tmp_path / "x_data_000001.h5", eiger_files.frames_of(0, 2, np.uint32, (9, 8))
    )
    info = describe_series(place(tmp_path), SeriesSources(master=master, first_data=inspect_data_file(data)))
    assert info is not None and info.detector.shape_yx == (9, 8) and info.detector.dtype == np.uint32
    assert info.detector.pixel_mask is None and "pixel mask is not used" in info.notices[0]


def test_nothing_known_gives_no_series(tmp_path: Path) -> None:
    assert describe_series(place(tmp_path), SeriesSources()) is None


@pytest.fixture(scope="module")
def whole_master(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return eiger_files.write_master(tmp_path_factory.mktemp("whole") / "x_master.h5").read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_master_cut_off_anywhere_is_refused_in_words(
    tmp_path: Path, whole_master: bytes, share: float
) -> None:
    path = tmp_path / "cut_master.h5"
    path.write_bytes(whole_master[: int(share * len(whole_master))])
    with pytest.raises(SeriesError, match="cut_master.h5"):
        read_master(path)
