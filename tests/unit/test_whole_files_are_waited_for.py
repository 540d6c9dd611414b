"""A data file appears as a whole, after its last frame: the time until then is no silence."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from speckle_series import SETTINGS, batch_of, series_info, speckle_frames

from backend.series_run import SeriesRun
from backend.settings_in_use import SettingsInUse
from backend.snapshot import VerdictState
from backend.snapshot_composer import SnapshotComposer

FRAMES_PER_FILE = 40
FRAME_TIME_S = 0.5
FRAMES = speckle_frames(3 * FRAMES_PER_FILE, seed=11)


class _Watched:
    """A composer and a run on a clock that the test turns; frames come as whole files, in batches of eight."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        patch.setattr(time, "time", lambda: self.now_s)
        patch.setattr(time, "monotonic", lambda: self.now_s)
        info = replace(series_info(len(FRAMES)), frame_time_s=FRAME_TIME_S)
        self.run = SeriesRun(info, SETTINGS)
        self.composer = SnapshotComposer(Path("/gpfs"), SettingsInUse(SETTINGS, None))
        self.composer.new_series(info, self.now_s)

    def bring_file(self, number: int) -> None:
        for first in range(number * FRAMES_PER_FILE, (number + 1) * FRAMES_PER_FILE, 8):
            batch = batch_of(FRAMES[first : first + 8], first)
            self.run.add(replace(batch, source=f"file {number}"))
            self.now_s += 0.05
            self.composer.frames_arrived(self.now_s)

    @property
    def says_no_data(self) -> bool:
        snapshot = self.composer.compose(self.run, phase="measuring")
        return snapshot.verdict.state is VerdictState.NO_DATA


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> _Watched:
    return _Watched(monkeypatch)


def test_the_pause_between_files_is_no_silence_but_a_missing_file_is(watched: _Watched) -> None:
    file_s = FRAMES_PER_FILE * FRAME_TIME_S
    for number in range(3):
        watched.now_s += file_s - 0.5
        assert not watched.says_no_data
        watched.bring_file(number)
    assert watched.run.frames_per_file == FRAMES_PER_FILE
    watched.now_s += 4 * file_s
    assert watched.says_no_data


def test_before_the_first_file_the_planned_series_is_waited_for(watched: _Watched) -> None:
    watched.now_s += len(FRAMES) * FRAME_TIME_S - 0.5
    assert not watched.says_no_data
    watched.now_s += 1.0
    assert watched.says_no_data


def test_a_long_file_in_many_batches_does_not_wear_off_the_known_pause(watched: _Watched) -> None:
    watched.run.info = replace(watched.run.info, frame_time_s=None)
    watched.bring_file(0)
    watched.now_s += 30.0
    watched.bring_file(1)
    watched.now_s += 30.0
    assert not watched.says_no_data
