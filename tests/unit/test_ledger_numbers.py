"""Numbers of the series in the ledger: an older one gets room for them; a second look neither doubles nor loses any."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from series_records import RECORD, record

from backend.ledger import Ledger
from backend.ledger_file import open_ledger_file
from backend.ledger_schema import VERSIONS
from backend.snapshot import RunRow, VerdictState


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    opened = Ledger(path)
    yield opened
    opened.close()


def test_all_of_a_record_comes_back(ledger: Ledger, path: Path) -> None:
    nothing = record(
        2, spot=None, spot_unknown="no motor", exposure_s=None, gray_per_s=None, transmission=None,
        counts_per_s=None, rate=None, intensities=None, started_at=None, verdict=VerdictState.BAD_DATA,
    )  # fmt: skip
    damaged = record(3, verdict=VerdictState.DAMAGING, onset_exposure_s=4.5)
    for one in (RECORD, damaged, nothing):
        assert ledger.record_numbers(one, at=5000.0)
    assert ledger.numbers() == (RECORD, damaged, nothing)
    ledger.close()
    again = Ledger(path)
    assert again.numbers() == (RECORD, damaged, nothing)
    again.close()


def test_series_are_in_the_order_in_which_they_began(ledger: Ledger) -> None:
    late, early, unknown = record(5), record(1), record(3, started_at=None)
    for at, one in ((10.0, late), (20.0, early), (1003.5, unknown)):
        ledger.record_numbers(one, at)
    # Stored again: a series without a start keeps the place of its first time.
    ledger.record_numbers(unknown, 9999.0)
    assert [one.series for one in ledger.numbers()] == ["gel_00001", "gel_00003", "gel_00005"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path_factory.mktemp("shared") / "ledger.sqlite")
    yield ledger
    ledger.close()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=6))
def test_a_second_look_counts_once_and_forgets_nothing(shared: Ledger, frames: list[int]) -> None:
    number, seen = len(shared.numbers()) + 1, 0
    for read in frames:
        looked = record(number, frames=read, exposure_s=0.1 * read)
        assert shared.record_numbers(looked, 1.0) == (read >= seen)
        seen = max(seen, read)
    kept = shared.numbers()
    assert len(kept) == number
    assert (kept[-1].frames, kept[-1].exposure_s) == (seen, 0.1 * seen)


def test_two_detectors_have_a_record_each(ledger: Ledger) -> None:
    ledger.record_numbers(record(1), 1.0)
    ledger.record_numbers(record(1, detector="e500"), 1.0)
    assert [one.detector for one in ledger.numbers()] == ["e4m", "e500"]


def test_a_ledger_from_before_keeps_its_series_and_gets_the_table(path: Path) -> None:
    connection, _ = open_ledger_file(path, 1.0, VERSIONS[:1])
    connection.close()
    old = sqlite3.connect(path)
    old.execute(
        "INSERT INTO series (name, sample, detector, started_at, first_seen_at, frames, status, verdict, why)"
        " VALUES ('gel_00001', 'gel', 'e4m', 1.0, 1.0, 10, 'complete', 'GOOD', 'Steady.')"
    )
    old.commit()
    assert old.execute("PRAGMA user_version").fetchone() == (1,)
    old.close()
    ledger = Ledger(path)
    assert ledger.notices == ()
    assert ledger.numbers() == ()
    assert ledger.series_rows(9) == (
        RunRow(
            series="gel_00001", sample="gel", detector="e4m", started_at=1.0, frames=10, expected_frames=None,
            status="complete", verdict=VerdictState.GOOD, why="Steady.",
        ),
    )  # fmt: skip
    assert ledger.record_numbers(RECORD, 1.0)
    assert ledger.numbers() == (RECORD,)
    ledger.close()
