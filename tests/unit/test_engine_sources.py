"""Between a source and the engine: the thread that polls, and the brake for recorded series."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.acquisition.paced_source import PacedSource
from backend.acquisition.source_thread import SourceThread
from backend.frames import (
    DetectorInfo,
    FrameBatch,
    SeriesEnded,
    SeriesInfo,
    SeriesStarted,
    SourceEvent,
    SourceNotice,
)


def _batch(first: int, frames: int = 4) -> FrameBatch:
    return FrameBatch("s", np.arange(first, first + frames), (b"",) * frames, "raw", np.dtype("u2"), (1, 1))


class _Scripted:
    """A source that yields these events, one list per poll; an exception among them is raised."""

    description = "scripted"

    def __init__(self, *polls: list[SourceEvent] | Exception) -> None:
        self._polls = list(polls)
        self.polled = 0

    def poll(self) -> list[SourceEvent]:
        self.polled += 1
        events = self._polls.pop(0) if self._polls else []
        if isinstance(events, Exception):
            raise events
        return events

    @property
    def finished(self) -> bool:
        return not self._polls


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        pause.wait(0.005)


def _drain(acquisition: SourceThread) -> list[SourceEvent]:
    got: list[SourceEvent] = []

    def exhausted() -> bool:
        while (event := acquisition.next_event()) is not None:
            got.append(event)
        return acquisition.exhausted

    _until(exhausted)
    return got


def test_all_events_arrive_in_order_through_a_queue_shorter_than_they_are() -> None:
    batches = [_batch(4 * number) for number in range(100)]
    acquisition = SourceThread(_Scripted(*([batch] for batch in batches)))
    assert acquisition.next_event() is None
    acquisition.start()
    _until(lambda: acquisition.waiting_frames > 0)
    got = _drain(acquisition)
    acquisition.stop()
    assert [event.frame_numbers[0] for event in got if isinstance(event, FrameBatch)] == list(
        range(0, 400, 4)
    )
    assert acquisition.waiting_frames == 0


def test_a_full_queue_makes_the_source_wait_and_stopping_does_not() -> None:
    source = _Scripted(*([_batch(number)] for number in range(1000)))
    acquisition = SourceThread(source)
    acquisition.start()
    _until(lambda: acquisition.waiting_frames >= 16 * 4)
    assert source.polled <= 18
    acquisition.stop()
    assert source.polled <= 18


def test_a_source_that_stumbles_is_told_and_polled_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("backend.acquisition.source_thread._AFTER_FAULT_S", 0.01)
    end = SeriesEnded("s", True, 4, "")
    acquisition = SourceThread(_Scripted([_batch(0)], ValueError("what is this"), [end]))
    acquisition.start()
    first, notice, last = _drain(acquisition)
    acquisition.stop()
    assert isinstance(first, FrameBatch) and last == end
    assert isinstance(notice, SourceNotice)
    assert (notice.level, notice.still_works) == ("error", "The watch goes on.")
    assert "ValueError: what is this" in notice.what
    assert "Traceback" in caplog.text


class _Clock:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds


def _series(frame_time_s: float | None) -> SeriesStarted:
    detector = DetectorInfo("e4m", (1, 1), np.dtype("u2"))
    return SeriesStarted(SeriesInfo("s", "s", 0, Path("."), detector, frame_time_s=frame_time_s))


@pytest.mark.parametrize(
    ("speed", "frame_time_s", "waits"),
    [
        (1.0, 0.5, [2.0, 2.0, 1.0]),
        (4.0, 0.5, [0.5, 0.5, 0.25]),
        (math.inf, 0.5, []),
        (1.0, None, [0.0, 0.0, 0.0]),
    ],
)
def test_a_batch_waits_until_its_last_frame_would_have_been_measured(
    speed: float, frame_time_s: float | None, waits: list[float]
) -> None:
    clock = _Clock()
    polls = [
        [_series(frame_time_s)],
        [_batch(0)],
        [_batch(4)],
        [_batch(8, 2)],
        [SeriesEnded("s", True, 10, "")],
    ]
    source = PacedSource(_Scripted(*polls), speed, clock, clock.wait)
    got = []
    while not source.finished:
        got.append(source.poll())
    assert got == polls
    assert clock.waits == pytest.approx(waits)
    assert source.description == "scripted"


def test_analysis_that_is_late_is_not_held_up_further() -> None:
    clock = _Clock()
    source = PacedSource(_Scripted([_series(0.5)], [_batch(0)], [_batch(4)]), 1.0, clock, clock.wait)
    source.poll()
    clock.now_s += 3.5
    source.poll()
    source.poll()
    assert clock.waits == pytest.approx([0.0, 0.5])
