"""kill -9 of the backend: whoever comes next finds everything again and does nothing twice."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from program import Program
from recorded_detector import RecordedDetector, RecordedSeries

from backend.snapshot import Snapshot

pytestmark = pytest.mark.system

SERIES_S = 40.0


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _job_states(snapshot: Snapshot) -> list[str]:
    return [job.state for job in snapshot.jobs]


def _jobs_run(program: Program) -> list[str]:
    """Numbers of the jobs that were really run, by the record each run leaves when it ends."""
    records = (program.root / "current" / "processed").rglob("done.json")
    return [json.loads(record.read_text())["job_id"] for record in records]


def test_a_series_cut_by_a_crash_is_finished_by_the_next_backend(
    program: Program, raw: Path, recordings: list[RecordedSeries]
) -> None:
    killed = program.start_backend()
    detector = RecordedDetector(raw, recordings[0])
    detector.begin()
    detector.write(2)
    with program.listen() as listener:
        listener.until(
            lambda snapshot: snapshot.series is not None and snapshot.series.frames == 20,
            SERIES_S,
            "20 frames",
        )
    _kill(killed.pid)
    killed.wait(5.0)
    detector.write(1)
    restarted = program.start_backend()
    assert restarted.pid != killed.pid
    detector.finish()
    with program.listen() as listener:
        listener.until(lambda snapshot: "done" in _job_states(snapshot), SERIES_S, "the job is done")
    status = program.status()
    (row,) = [row for row in status["runs"] if row["series"] == detector.series.name]
    assert (row["status"], row["frames"]) == ("complete", 40)
    assert len(status["runs"]) == 1
    (job,) = status["jobs"]
    assert (job["series"], job["recipe"], job["state"]) == (detector.series.name, "xpcs", "done")
    assert _jobs_run(program) == [job["job_id"]]
    assert Path(job["result_path"]).is_file()
    assert restarted.error == ""


def test_a_job_outlives_the_backend_and_is_found_again(
    program: Program, raw: Path, recordings: list[RecordedSeries]
) -> None:
    killed = program.start_backend()
    detector = RecordedDetector(raw, recordings[0])
    detector.begin()
    detector.finish()
    with program.listen() as listener:
        listener.until(lambda snapshot: "running" in _job_states(snapshot), SERIES_S, "the job runs")
    _kill(killed.pid)
    killed.wait(5.0)
    program.start_backend()
    with program.listen() as listener:
        snapshot = listener.until(
            lambda snapshot: _job_states(snapshot) not in ([], ["running"], ["queued"]),
            SERIES_S,
            "the job is over",
        )
    (job,) = snapshot.jobs
    assert job.state == "done", job.reason
    assert _jobs_run(program) == [job.job_id]
    # Who comes later still, and reads the series again, holds the same result against it.
    program.end_all()
    program.start_backend()
    with program.listen() as listener:
        snapshot = listener.until(lambda now: now.confirmed_g2 is not None, SERIES_S, "the result is shown")
    assert snapshot.confirmed_g2 is not None and snapshot.confirmed_g2.job_id == job.job_id
    assert _jobs_run(program) == [job.job_id]


def test_series_that_end_while_no_backend_runs_get_their_jobs_from_the_next(
    program: Program, raw: Path, recordings: list[RecordedSeries]
) -> None:
    first = program.start_backend()
    seen = RecordedDetector(raw, recordings[0])
    seen.begin()
    seen.finish()
    with program.listen() as listener:
        listener.until(lambda snapshot: "done" in _job_states(snapshot), SERIES_S, "the first job is done")
    _kill(first.pid)
    first.wait(5.0)
    for recording in recordings[1:4]:
        missed = RecordedDetector(raw, recording)
        missed.begin()
        missed.finish()
    program.start_backend()
    with program.listen() as listener:
        snapshot = listener.until(
            lambda snapshot: _job_states(snapshot) == ["done"] * 4, 3 * SERIES_S, "all have their job"
        )
    assert {job.series for job in snapshot.jobs} == {recording.name for recording in recordings[:4]}
    assert len(_jobs_run(program)) == 4
    assert {row.series for row in snapshot.runs if row.status == "complete"} == {
        job.series for job in snapshot.jobs
    }
