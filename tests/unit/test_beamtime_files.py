from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.beamtime.batchinfo import parse_batchinfo, read_batchinfo
from backend.beamtime.dates import parse_date
from backend.beamtime.fio import parse_fio, read_fio
from backend.beamtime.series_name import (
    SeriesName,
    is_series_name,
    parse_series_name,
)
from backend.errors import SeriesError

SCAN = """!
! Comments
!
%c
ascan om 0 1 2 0.5
user p10user Acquisition started at Mon Jan 20 01:05:00 2020
!
! Parameter
!
%p
fmbenergy = 8048.5
abs1z = 4
_sample = 12
limits = [1, 2.5]
broken = nan nan
!
! Data
!
%d
 Col 1 om DOUBLE
 Col 2 e4m STRING
 0.0 one
 0.5 two
 1.0
! Acquisition ended at Mon Jan 20 01:06:30 2020
"""


def test_a_scan() -> None:
    fio = parse_fio(SCAN)
    assert fio.command == "ascan om 0 1 2 0.5"
    assert (fio.started_at, fio.ended_at) == (datetime(2020, 1, 20, 1, 5), datetime(2020, 1, 20, 1, 6, 30))
    assert fio.ended and fio.number("fmbenergy") == 8048.5 and fio.number("limits") == 1.0
    assert (
        fio.parameters["_sample"] == "12" and fio.number("broken") is None and fio.number("nowhere") is None
    )
    assert fio.columns == ("om", "e4m") and fio.rows == ((0.0, "one"), (0.5, "two"))


def test_a_running_time_series_has_no_command_no_data_and_no_end() -> None:
    fio = parse_fio("!\n! Comments\n!\n%c\n!\n! Parameter\n!\n%p\nfmbenergy = 8048\n")
    assert (fio.command, fio.ended, fio.columns, fio.rows) == ("", False, (), ())


def test_the_end_counts_even_without_a_readable_date() -> None:
    fio = parse_fio("%p\nx = 1\n! Acquisition ended at noon\n")
    assert fio.ended and fio.ended_at is None and dict(fio.parameters) == {"x": 1}


@given(
    st.text(max_size=400)
    | st.lists(st.sampled_from([*SCAN.splitlines(), "%c", "= =", "a = '\\d", "x=5if"])).map("\n".join)
)
def test_no_text_breaks_the_parsers(text: str) -> None:
    fio = parse_fio(text)
    for name in fio.parameters:
        fio.number(name)
    batch = parse_batchinfo(text)
    assert batch.frames is None or batch.frames > 0


names = st.from_regex(r"_?[A-Za-z][A-Za-z0-9_]{0,10}", fullmatch=True)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(names.filter(lambda name: not name.startswith("_")), numbers, max_size=8))
def test_parameters_that_are_written_are_read_back(parameters: dict[str, float]) -> None:
    lines = "".join(f"{name} = {value!r}\n" for name, value in parameters.items())
    assert dict(parse_fio(f"%c\n%p\n{lines}").parameters) == parameters


@given(
    st.dictionaries(
        names, numbers | st.lists(numbers, max_size=4) | st.text("abc:= ", max_size=9), max_size=8
    ),
    st.sampled_from([": ", " = ", ":", "="]),
)
def test_batch_values_that_are_written_are_read_back(values: dict[str, object], separator: str) -> None:
    text = "".join(f"{name}{separator}{value!r}\n" for name, value in values.items())
    assert dict(parse_batchinfo(text).values) == values


def test_batchinfo_of_the_beamline(tmp_path: Path) -> None:
    path = tmp_path / "x.batchinfo"
    path.write_text(
        "start_time: Mon Nov 23 10:20:00 2026\nndata0: [1]\nndataend: [500]\nx0: 1000.5\ny0: 900.0\nrr: 5000\n"
        "energy: 8.048\npreset: 0.1\nunknown_key: {'a': 1}\n"
    )
    batch = read_batchinfo(path)
    assert batch.started_at == datetime(2026, 11, 23, 10, 20)
    assert batch.beam_center_yx_px == (899.0, 999.5)
    assert batch.distance_m == pytest.approx(5.0) and batch.wavelength_m == pytest.approx(
        1.5406e-10, rel=1e-4
    )
    assert batch.exposure_s == 0.1 and batch.frames == 500 and batch.values["unknown_key"] == {"a": 1}


def test_nothing_is_guessed_from_an_empty_or_senseless_batchinfo() -> None:
    for text in ("", "x0: here\ny0: there\nrr: -1\nenergy: 0\npreset: []\nndataend: [0]\nstart_time: 12\n"):
        batch = parse_batchinfo(text)
        stated = (
            batch.started_at,
            batch.beam_center_yx_px,
            batch.distance_m,
            batch.wavelength_m,
            batch.frames,
        )
        assert stated == (None,) * 5 and batch.exposure_s is None


def test_values_are_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    batch = parse_batchinfo(f"x0: open({str(mark)!r}, 'w')\n")
    assert not mark.exists() and batch.beam_center_yx_px is None


def test_text_in_latin_1_and_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "x.fio"
    path.write_bytes("%p\n_note = 5 µm\n".encode("latin-1"))
    assert read_fio(path).parameters["_note"] == "5 µm"
    with pytest.raises(SeriesError, match=r"nowhere\.fio"):
        read_fio(tmp_path / "nowhere.fio")


def test_dates() -> None:
    assert parse_date("2020-01-20T01:05:00Z") == datetime(2020, 1, 20, 1, 5, tzinfo=UTC)
    assert parse_date("Mon Jan 20 01:05:00 2020") == parse_date("2020-01-20 01:05:00")
    for text in ("", "yesterday", "Mon Foo 20 01:05:00 2020", "Mon Jan 99 01:05:00 2020", "2020-13-01"):
        assert parse_date(text) is None


samples = st.from_regex(r"[^/\\\x00-\x1f]{1,20}", fullmatch=True)


@given(samples, st.integers(0, 10**9))
def test_series_names_go_there_and_back(sample: str, number: int) -> None:
    name = SeriesName(sample, number)
    assert parse_series_name(str(name)) == name


@given(st.text(max_size=20))
def test_a_name_is_read_exactly_or_refused(text: str) -> None:
    if is_series_name(text):
        assert str(parse_series_name(text)) == text
    else:
        with pytest.raises(SeriesError, match="not the name of a series"):
            parse_series_name(text)


def test_names_at_the_edge() -> None:
    assert parse_series_name("a_b_00012") == SeriesName("a_b", 12)
    assert str(SeriesName("a", 123456)) == "a_123456"
    for text in ("a_0012", "_00012", "a00012", "a_012345", "a/b_00012", "a_00012\n"):
        assert not is_series_name(text)
