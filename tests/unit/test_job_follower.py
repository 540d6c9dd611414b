"""Series that have ended reach the recipes whatever stands in the way, and what is known of jobs is always shown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.beamtime.folder import find_beamtime_folder
from backend.beamtime_session import BeamtimeSession
from backend.errors import DispatchError
from backend.frames import DetectorInfo, SeriesInfo
from backend.job_follower import JobFollower
from backend.ledger_file import LedgerError
from backend.message_board import MessageBoard
from backend.settings import Settings
from backend.simulation.beamtime_tree import write_beamtime_skeleton

RECIPE = """
name = "mine"
title = "Mine"
description = "Writes no result."
command = ["/bin/sh", "-c", "while [ ! -e {beamtime}/go ]; do sleep 0.02; done", "{result}"]
"""


@pytest.fixture
def session(tmp_path: Path) -> Iterator[BeamtimeSession]:
    beamtime = write_beamtime_skeleton(tmp_path)
    recipes = beamtime / "shared" / "recipes"
    recipes.mkdir(parents=True, exist_ok=True)
    (recipes / "mine.toml").write_text(RECIPE, encoding="utf-8")
    settings = Settings.model_validate({"dispatch": {"recipes_at_series_end": ["mine"]}})
    session = BeamtimeSession(find_beamtime_folder(tmp_path), settings, None)
    yield session
    (beamtime / "go").touch()
    session.close()


def series(session: BeamtimeSession, number: int = 1) -> SeriesInfo:
    name = f"silica_{number:05d}"
    folder = session.folder.raw / name / "e4m"
    info = DetectorInfo("e4m", (514, 1030), np.dtype(np.uint16))
    return SeriesInfo(name, "silica", number, folder, info, folder / f"{name}_master.h5", expected_frames=100)


def follow_until(jobs: JobFollower, condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < until, jobs.rows
        jobs.hand_over()
        jobs.follow(None)
        time.sleep(0.01)


def test_a_series_waits_for_its_beamtime_folder(session: BeamtimeSession) -> None:
    jobs = JobFollower(MessageBoard())
    jobs.series_ended(series(session), 100)
    jobs.hand_over()
    assert jobs.rows == ()
    jobs.open(session)
    follow_until(jobs, lambda: [row.state for row in jobs.rows] == ["running"])
    jobs.close()
    # Nothing can be said of jobs whose folder is not there.
    assert jobs.rows == ()


def test_a_full_disk_loses_no_series(
    session: BeamtimeSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    board = MessageBoard()
    jobs = JobFollower(board)
    jobs.open(session)
    monkeypatch.setattr("backend.job_follower._TRY_AGAIN_S", 0.05)
    store = session.ledger.write_intent

    def refuse(*_: object) -> bool:
        raise LedgerError("The disk is full.", try_this="Make room.")

    monkeypatch.setattr(session.ledger, "write_intent", refuse)
    for number in (1, 2):
        jobs.series_ended(series(session, number), 100)
    jobs.hand_over()
    assert [message.what for message in board.messages()] == ["The disk is full."]
    monkeypatch.setattr(session.ledger, "write_intent", store)
    follow_until(jobs, lambda: len(jobs.rows) == 2)
    assert board.messages() == ()
    jobs.close()


def test_jobs_are_shown_while_something_waits_for_a_network(
    session: BeamtimeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = JobFollower(MessageBoard())
    jobs.open(session)
    answer = threading.Event()
    poll = session.dispatcher.poll

    def slow(now: float) -> list:  # type: ignore[type-arg]
        assert answer.wait(30.0)
        return poll(now)

    monkeypatch.setattr(session.dispatcher, "poll", slow)
    jobs.series_ended(series(session), 100)
    jobs.hand_over()
    jobs.follow(None)
    jobs.look()
    assert [row.state for row in jobs.rows] == ["queued"]
    answer.set()
    follow_until(jobs, lambda: jobs.rows[0].state == "running")
    jobs.close()


def test_series_wait_for_a_cluster_that_could_not_be_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recipes = write_beamtime_skeleton(tmp_path) / "shared" / "recipes"
    recipes.mkdir(parents=True, exist_ok=True)
    recipe = RECIPE.replace("{beamtime}/go", "/dev/null") + 'executor = "slurm"\n'
    settings = Settings.model_validate(
        {
            "dispatch": {"recipes_at_series_end": ["mine"]},
            "cluster": {"transport": "local", "python": "python"},
        }
    )
    (recipes / "mine.toml").write_text(recipe, encoding="utf-8")
    folder = find_beamtime_folder(tmp_path)

    def full_disk(*_: object) -> None:
        raise DispatchError("The settings cannot be kept: no space left on device.")

    with monkeypatch.context() as patch:
        patch.setattr("backend.beamtime_session._FIRST_PAUSE_S", 0.01)
        patch.setattr("backend.beamtime_session.open_cluster", full_disk)
        without = BeamtimeSession(folder, settings, None)
        jobs = JobFollower(MessageBoard())
        jobs.open(without)
        jobs.series_ended(series(without), 100)
        jobs.hand_over()
        assert {notice.what for notice in without.keep()} == {
            "The settings cannot be kept: no space left on device."
        }
        assert "not set up here" in caplog.text
        assert not without.dispatcher.job_rows()
    try:
        told: list[str] = []
        until = time.monotonic() + 60.0
        while not without.cluster_is_open:
            assert time.monotonic() < until
            told += [notice.what for notice in without.keep()]
        assert told[-1] == ""
        jobs.hand_over()
        (row,) = without.dispatcher.job_rows()
        assert (row.series, row.executor) == ("silica_00001", "slurm")
        jobs.hand_over()
        assert len(without.dispatcher.job_rows()) == 1
    finally:
        jobs.close()
        without.close()
