from __future__ import annotations

from dataclasses import replace

import pytest

from backend.acquisition.completeness import SeriesStanding, judge_end, patience_s

SETTLE_S, WAIT_S = 15.0, 60.0

ALL_THERE = SeriesStanding(
    frames=100,
    position=100,
    expected_frames=100,
    run_ended=False,
    batch_there=False,
    quiet_s=0.0,
    no_more_files=False,
)


@pytest.mark.parametrize(
    ("changes", "complete"),
    [
        ({}, None),
        ({"run_ended": True}, True),
        ({"batch_there": True}, True),
        ({"quiet_s": 14.9}, None),
        ({"quiet_s": 15.0}, True),
        ({"no_more_files": True}, True),
        ({"frames": 90, "run_ended": True}, False),
        ({"frames": 120, "position": 120, "run_ended": True}, True),
        ({"frames": 60, "position": 60, "quiet_s": 59.0}, None),
        ({"frames": 60, "position": 60, "quiet_s": 60.0}, False),
        ({"frames": 60, "position": 60, "batch_there": True, "quiet_s": 20.0}, None),
        ({"frames": 60, "position": 60, "run_ended": True, "quiet_s": 14.0}, None),
        ({"frames": 60, "position": 60, "run_ended": True, "quiet_s": 15.0}, False),
        ({"frames": 60, "position": 60, "no_more_files": True}, False),
        ({"expected_frames": None}, None),
        ({"expected_frames": None, "run_ended": True, "quiet_s": 1.0}, None),
        ({"expected_frames": None, "run_ended": True, "quiet_s": 15.0}, True),
        ({"expected_frames": None, "batch_there": True, "quiet_s": 15.0}, True),
        ({"expected_frames": None, "quiet_s": 15.0}, None),
        ({"expected_frames": None, "quiet_s": 60.0}, False),
        ({"expected_frames": None, "frames": 0, "position": 0, "run_ended": True, "quiet_s": 15.0}, False),
    ],
)
def test_the_end_of_a_series(changes: dict[str, object], complete: bool | None) -> None:
    end = judge_end(replace(ALL_THERE, **changes), SETTLE_S, WAIT_S)
    assert (None if end is None else end.complete) == complete
    assert end is None or end.reason.endswith(".")


@pytest.mark.parametrize(
    ("frame_time_s", "frames_per_file", "expected_frames", "wait_s"),
    [
        (None, None, None, 15.0),
        (0.001, 100, 1000, 15.0),
        (2.0, 1, 1000, 40.0),
        (0.1, 2000, 10000, 600.0),
        (0.1, None, 10000, 1015.0),
    ],
)
def test_slow_series_are_given_more_time(
    frame_time_s: float | None, frames_per_file: int | None, expected_frames: int | None, wait_s: float
) -> None:
    assert patience_s(SETTLE_S, frame_time_s, frames_per_file, expected_frames) == pytest.approx(wait_s)
