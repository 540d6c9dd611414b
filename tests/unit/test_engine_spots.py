"""A simulated beamtime through the real engine: dose per spot, the onset seen before, motion that the beam drives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from engine_in_thread import RunningEngine, beamtime
from simulated_sample import FRAME_TIME_S, FRAMES, GRAY_PER_S, SETTINGS, read_into, write_sample_series

from backend.acquisition.recorded_series import RecordedSeries
from backend.across_parts import spot_part
from backend.frames import FrameBatch, SeriesStarted
from backend.ledger import Ledger
from backend.requests import GetStatus
from backend.series_book import SeriesBook
from backend.series_run import SeriesRun
from backend.snapshot import Snapshot, VerdictState
from mento_gui.commands.status import status

WAIT_S = 60.0
WHOLE_GRAY = GRAY_PER_S * FRAMES * FRAME_TIME_S


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    root = tmp_path / "gpfs"
    beamtime(root)
    return root


@pytest.fixture
def book(tmp_path: Path) -> Iterator[SeriesBook]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    book = SeriesBook(lambda _doing, step: step())
    book.open(ledger)
    yield book
    ledger.close()


def _ended(name: str) -> Callable[[Snapshot], bool]:
    """The end of a series is on display, with its numbers looked up in the ledger."""

    def condition(snapshot: Snapshot) -> bool:
        series, sample = snapshot.series, snapshot.sample
        if series is None or sample is None or snapshot.spot is None:
            return False
        known = {row.series for row in sample.series if row.low_to_high_q is not None}
        return series.name == name and series.status != "running" and name in known

    return condition


def test_the_dose_of_a_spot_adds_up_over_series_and_restarts(root: Path) -> None:
    raw = root / "current" / "raw"
    with RunningEngine(root, SETTINGS) as engine:
        write_sample_series(raw, 1, transmission=0.5)
        first = engine.until(_ended("gel_00001"), WAIT_S)
        assert first.spot is not None and first.sample is not None
        assert first.spot.dose == pytest.approx(0.5 * WHOLE_GRAY, rel=1e-3)
        assert first.spot.words == "1.3 kGy on this spot, a fresh one."
        assert (first.spot.position_um, first.spot.beam_um) == ((0.0, 0.0), (30.0, 30.0))
        write_sample_series(raw, 2, x_mm=0.1)
        elsewhere = engine.until(_ended("gel_00002"), WAIT_S)
        assert elsewhere.spot is not None
        assert (elsewhere.spot.dose_before, elsewhere.spot.earlier_series) == (0.0, 0)
    # Another backend, which reads the newest series again: nothing is lost, nothing counts twice.
    with RunningEngine(root, SETTINGS) as engine:
        again = engine.until(_ended("gel_00002"), WAIT_S)
        assert again.spot is not None
        assert (again.spot.dose_before, again.spot.earlier_series) == (0.0, 0)
        assert again.spot.dose == pytest.approx(WHOLE_GRAY, rel=1e-3)
        write_sample_series(raw, 3, x_mm=0.02)
        last = engine.until(_ended("gel_00003"), WAIT_S)
        assert last.spot is not None and last.sample is not None
        assert last.spot.dose_before == pytest.approx(0.5 * WHOLE_GRAY, rel=1e-3)
        assert last.spot.words == "3.8 kGy on this spot, 1.3 kGy of it from 1 earlier series."
        assert [row.series for row in last.sample.series] == ["gel_00003", "gel_00002", "gel_00001"]
        assert [row.dose_words for row in last.sample.series] == ["3.8 kGy", "2.5 kGy", "1.3 kGy"]
        written = json.loads(engine.ask(GetStatus()).payload)
        assert written["spot"]["dose"] == last.spot.dose
        printed = CliRunner().invoke(status, ["--root", str(root)]).output
        assert "Dose: 3.8 kGy on this spot" in printed
        assert "Sample gel (e500): " in printed and "gel_00001" in printed


def test_the_onset_seen_before_is_a_warning_for_the_next_spot(root: Path) -> None:
    raw = root / "current" / "raw"
    with RunningEngine(root, SETTINGS) as engine:
        write_sample_series(raw, 1, scenario="acceleration")
        damaged = engine.until(_ended("gel_00001"), WAIT_S)
        assert damaged.verdict.state is VerdictState.DAMAGING
        assert damaged.spot is not None and damaged.verdict.onset_frame is not None
        onset_gray = GRAY_PER_S * FRAME_TIME_S * (damaged.verdict.onset_frame + 1)
        assert damaged.spot.onset_dose == pytest.approx(onset_gray, rel=1e-3)
        # The true onset is at half of the series.
        assert onset_gray == pytest.approx(0.5 * WHOLE_GRAY, rel=0.15)
        write_sample_series(raw, 2, transmission=0.25, x_mm=0.1)
        fresh = engine.until(_ended("gel_00002"), WAIT_S)
        assert fresh.spot is not None and fresh.sample is not None
        assert (fresh.spot.onset_series, fresh.spot.earlier_series) == ("gel_00001", 0)
        left = (onset_gray - 0.25 * WHOLE_GRAY) / (0.25 * GRAY_PER_S * FRAME_TIME_S)
        # Whole frames, rounded down.
        assert fresh.spot.frames_left == pytest.approx(left, abs=1.01)
        assert f"About {fresh.spot.frames_left} frames left to that dose." in fresh.spot.words
        write_sample_series(raw, 3, x_mm=0.1)
        reached = engine.until(_ended("gel_00003"), WAIT_S)
        assert reached.spot is not None
        assert (reached.spot.frames_left, reached.spot.earlier_series) == (0, 1)
        assert reached.spot.words.endswith("The dose of that onset is reached: move to a fresh spot.")


def test_motion_driven_by_the_beam_is_told_apart_from_damage(root: Path, caplog) -> None:
    raw = root / "current" / "raw"
    with RunningEngine(root, SETTINGS) as engine:
        for number, transmission in enumerate((1.0, 0.3, 0.1, 1.0, 0.3), 1):
            write_sample_series(
                raw, number, scenario="beam-driven", transmission=transmission, x_mm=0.1 * number
            )
            shown = engine.until(_ended(f"gel_{number:05d}"), WAIT_S)
            assert shown.sample is not None
            assert number > 2 or not shown.sample.beam_driven
        assert shown.sample is not None and shown.sample.motion is not None
        assert shown.sample.beam_driven
        assert shown.sample.motion.power == pytest.approx(1.0, abs=0.1)
        assert (shown.sample.dose_rate_unit, shown.sample.motion.series) == ("Gy/s", 5)
        assert {row.verdict for row in shown.sample.series} <= {"GOOD", "TOO EARLY"}
        assert shown.verdict.state is VerdictState.GOOD
        assert shown.verdict.why.startswith(
            "The motion goes with the dose rate: beam-driven, not damage. Steady over 400 frames and 760 Gy: "
        )
        assert shown.verdict.do == "Compare at lower flux."
        message = engine.message("beam-driven, not damage (relaxation rate ~ dose rate^(")
        assert (message.level, message.what.startswith("gel: ")) == ("warning", True)
        # What the frames of a series say by themselves is what is stored of it.
        assert all("beam-driven" not in row.why for row in shown.runs)


def test_a_steady_sample_is_not_called_beam_driven(book: SeriesBook, tmp_path: Path) -> None:
    for number, transmission in enumerate((1.0, 0.3, 0.1, 1.0, 0.3), 1):
        written = write_sample_series(tmp_path, number, transmission=transmission, x_mm=0.1 * number)
        run = read_into(book, written.folder)
        assert run.verdict.state in (VerdictState.GOOD, VerdictState.TOO_EARLY)
    sample = book.sample
    assert sample is not None and sample.motion is not None and sample.structure is not None
    assert abs(sample.motion.power) < 0.1
    assert not sample.beam_driven and book.motion_notice is not None and not book.motion_notice.what
    rates = [row.relaxation_rate_per_s for row in sample.series if row.relaxation_rate_per_s is not None]
    # D q^2 with D = 1000 nm2/s, whatever the absorbers.
    assert sample.q_inv_nm is not None
    assert rates == pytest.approx([1000.0 * sample.q_inv_nm**2] * len(rates), rel=0.15)


def test_a_series_read_twice_or_in_part_counts_once(book: SeriesBook, tmp_path: Path) -> None:
    written = write_sample_series(tmp_path, 1, frames=120)
    assert book.ledger is not None
    read_into(book, written.folder)
    (once,) = book.ledger.numbers()
    read_into(book, written.folder)
    assert book.ledger.numbers() == (once,)
    (written.folder / "e500" / "gel_00001_data_000006.h5").unlink()
    read_into(book, written.folder)
    assert book.ledger.numbers() == (once,)


def test_the_dose_of_a_series_that_a_crash_ends_is_kept(
    book: SeriesBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.series_book._KEEP_EVERY_S", 0.0)
    source = RecordedSeries([write_sample_series(tmp_path, 1, frames=120).folder], SETTINGS)
    run: SeriesRun | None = None
    while not source.finished:
        for event in source.poll():
            if isinstance(event, SeriesStarted):
                run = SeriesRun(event.info, SETTINGS)
                book.store(run)
            elif run is not None and isinstance(event, FrameBatch):
                run.add(event)
                book.keep(run)
    assert book.ledger is not None
    (kept,) = book.ledger.numbers()
    assert (kept.frames, kept.rate) == (120, None)
    after = read_into(book, write_sample_series(tmp_path, 2, frames=60).folder)
    part = spot_part(after, book.earlier)
    assert part.dose_before == pytest.approx(GRAY_PER_S * 120 * FRAME_TIME_S, rel=1e-3)


def test_a_series_that_has_just_begun_leaves_the_doses_of_others_in_gray(
    book: SeriesBook, tmp_path: Path
) -> None:
    run = read_into(book, write_sample_series(tmp_path, 1, frames=60).folder)
    begun = SeriesRun(replace(run.info, name="gel_00002", folder=tmp_path / "gel_00002"), SETTINGS)
    book.store(begun)
    assert book.sample is not None
    assert [(row.series, row.dose_words) for row in book.sample.series] == [
        ("gel_00002", "380 Gy"),
        ("gel_00001", "380 Gy"),
    ]


def test_without_a_ledger_the_dose_of_the_spot_is_not_known(tmp_path: Path) -> None:
    book = SeriesBook(lambda _doing, step: step())
    run = read_into(book, write_sample_series(tmp_path, 1, frames=60).folder)
    part = spot_part(run, book.earlier)
    assert (part.dose, book.sample) == (None, None)
    assert part.words == "The dose on this spot is not known: there is no ledger of earlier series."
