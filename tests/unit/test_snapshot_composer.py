"""Snapshots of one backend: what is said without data, when parts are made anew, the run table."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from speckle_series import SETTINGS, batch_of, series_info, speckle_frames

from backend.frames import SeriesEnded
from backend.series_run import SeriesRun
from backend.settings_in_use import SettingsInUse
from backend.snapshot import RunRow, Snapshot, VerdictState
from backend.snapshot_composer import SnapshotComposer

FRAMES = speckle_frames(150, seed=9)


class _Clock:
    """Both clocks of the composer."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        patch.setattr(time, "time", lambda: self.now_s)
        patch.setattr(time, "monotonic", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    return _Clock(monkeypatch)


@pytest.fixture
def composer(clock: _Clock) -> SnapshotComposer:
    return SnapshotComposer(Path("/gpfs"), SettingsInUse(SETTINGS, None))


def _compose(composer: SnapshotComposer, run: SeriesRun | None, **changes: Any) -> Snapshot:
    state = {
        "phase": "waiting", "waiting_for": "Waiting for files.", "beamtime": None, "jobs": (), "messages": (),
        "confirmed": None, "backlog_frames": 0,
    }  # fmt: skip
    return composer.compose(run, **(state | changes))


Begin = Callable[[int], SeriesRun]


@pytest.fixture
def begin(composer: SnapshotComposer, clock: _Clock) -> Iterator[Begin]:
    """Begins a series with so many frames; its fits end with the test, or they would wait on the clock of the test."""
    runs: list[SeriesRun] = []

    def begun(frames: int) -> SeriesRun:
        run = SeriesRun(series_info(len(FRAMES)), SETTINGS)
        runs.append(run)
        composer.new_series(run.info, clock.now_s)
        run.add(batch_of(FRAMES[:frames]))
        composer.frames_arrived(clock.now_s)
        return run

    yield begun
    for run in runs:
        run.analysis.finish()


def test_without_a_series_it_says_what_is_awaited(composer: SnapshotComposer) -> None:
    preparing = _compose(composer, None, phase="preparing")
    assert (preparing.verdict.state, "Preparing the kernels" in preparing.verdict.why) == (
        VerdictState.IDLE,
        True,
    )
    waiting = _compose(composer, None)
    assert (waiting.verdict.state, waiting.verdict.why) == (VerdictState.IDLE, "Waiting for files.")
    assert waiting.sequence == preparing.sequence + 1
    assert set(waiting.missing.values()) == {"No series yet."}


def test_silence_in_a_running_series_is_no_data(
    composer: SnapshotComposer, clock: _Clock, begin: Begin
) -> None:
    run = begin(120)
    assert _compose(composer, run).verdict.state is VerdictState.GOOD
    clock.now_s += 4.9
    assert _compose(composer, run).verdict.state is VerdictState.GOOD
    clock.now_s += 0.2
    silent = _compose(composer, run).verdict
    assert silent.state is VerdictState.NO_DATA
    assert silent.why == "No new frame for 5 s; 120 of 150 of silica_00001 seen."
    # The pictures of what was seen stay.
    assert _compose(composer, run).g2 is not None
    run.add(batch_of(FRAMES[120:], 120))
    composer.frames_arrived(clock.now_s)
    assert _compose(composer, run).verdict.state is VerdictState.GOOD
    run.end(SeriesEnded("silica_00001", True, 150, ""))
    clock.now_s += 3600
    assert _compose(composer, run).verdict.state is VerdictState.GOOD


def test_a_series_that_never_brought_a_frame_is_no_data_too(
    composer: SnapshotComposer, clock: _Clock
) -> None:
    run = SeriesRun(series_info(None), SETTINGS)
    composer.new_series(run.info, clock.now_s)
    assert _compose(composer, run).verdict.state is VerdictState.TOO_EARLY
    clock.now_s += 6
    assert _compose(composer, run).verdict.why == "No new frame for 6 s; 0 of silica_00001 seen."


def test_files_that_come_slowly_are_waited_for(
    composer: SnapshotComposer, clock: _Clock, begin: Begin
) -> None:
    run = begin(50)
    for first in (50, 60, 70):
        clock.now_s += 10
        run.add(batch_of(FRAMES[first : first + 10], first))
        composer.frames_arrived(clock.now_s)
    clock.now_s += 20
    assert _compose(composer, run).verdict.state is not VerdictState.NO_DATA
    clock.now_s += 11
    assert _compose(composer, run).verdict.state is VerdictState.NO_DATA


def test_parts_are_made_anew_when_frames_came_and_they_are_due(
    composer: SnapshotComposer, clock: _Clock, begin: Begin
) -> None:
    run = begin(60)
    first = _compose(composer, run).g2
    assert first is not None and first.frames == 60
    run.add(batch_of(FRAMES[60:70], 60))
    clock.now_s += 0.4
    assert _compose(composer, run).g2 is first
    clock.now_s += 0.2
    second = _compose(composer, run).g2
    assert second is not None and second.frames == 70
    # Fits come from a thread of their own whenever they are ready; with the last one nothing is left to be renewed.
    looked = threading.Event()
    while second is None or second.fit_frames < 70:
        looked.wait(0.01)
        clock.now_s += 0.6
        second = _compose(composer, run).g2
    clock.now_s += 10
    assert _compose(composer, run).g2 is second


def test_frames_in_waiting_go_before_pictures(
    composer: SnapshotComposer, clock: _Clock, begin: Begin
) -> None:
    run = begin(60)
    first = _compose(composer, run).g2
    run.add(batch_of(FRAMES[60:70], 60))
    clock.now_s += 1.0
    busy = _compose(composer, run, backlog_frames=1000)
    assert busy.g2 is first
    assert (busy.backend.backlog_frames, busy.series.frames) == (1000, 70)  # type: ignore[union-attr]
    clock.now_s += 1.1
    assert _compose(composer, run, backlog_frames=1000).g2 is not first


def test_missing_parts_say_why(composer: SnapshotComposer, clock: _Clock, begin: Begin) -> None:
    run = begin(10)
    waiting = _compose(composer, run)
    assert set(waiting.missing.values()) == {"Waiting for the first frames of silica_00001."}
    assert waiting.series is not None and waiting.series.frames == 10
    run.add(batch_of(FRAMES[10:45], 10))
    clock.now_s += 1
    early = _compose(composer, run)
    assert set(early.missing) == {"trend"}
    assert early.missing["trend"] == run.verdict.why == "Too early to tell (45 of 50 frames)."


def test_a_new_series_does_not_show_the_parts_of_the_old(
    composer: SnapshotComposer, clock: _Clock, begin: Begin
) -> None:
    run = begin(60)
    assert _compose(composer, run).image is not None
    composer.new_series(run.info, clock.now_s)
    fresh = _compose(composer, SeriesRun(series_info(10), SETTINGS))
    assert fresh.image is None and fresh.g2 is None


def _row(number: int, frames: int = 1) -> RunRow:
    return RunRow(
        series=f"gel_{number:05d}", sample="gel", detector="e4m", started_at=None, frames=frames, expected_frames=None,
        status="complete", verdict=VerdictState.GOOD, why="",
    )  # fmt: skip


def test_the_run_table_keeps_the_newest_two_hundred_newest_first(composer: SnapshotComposer) -> None:
    for number in range(250):
        composer.remember_row(_row(number))
    composer.remember_row(_row(249, frames=7))
    composer.remember_row(_row(100, frames=9))
    rows = _compose(composer, None).runs
    assert [row.series for row in rows] == [f"gel_{number:05d}" for number in range(249, 49, -1)]
    assert (rows[0].frames, rows[149].frames) == (7, 9)
