"""Local jobs leave processors to the live analysis."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from backend.dispatch.job import JobIntent, JobRecord, JobStatus
from backend.dispatch.local_executor import LocalExecutor
from backend.ledger_rows import JobState

WRITE_PROCESSORS = "import os, sys; open(sys.argv[1], 'w').write(repr(sorted(os.sched_getaffinity(0))))"


@pytest.mark.parametrize("processors", [1, 4096, None])
def test_a_job_sees_only_its_processors(tmp_path: Path, processors: int | None) -> None:
    folder = tmp_path / "job"
    result = tmp_path / "result.h5"
    intent = JobIntent(
        job_id="series-xpcs-1", series="series", detector="e4m", recipe="xpcs", recipe_sha256="", attempt=1,
        retries_left=0, executor="local", command=(sys.executable, "-c", WRITE_PROCESSORS, str(tmp_path / "part")),
        folder=folder, part_path=tmp_path / "part", result_path=result, time_limit_s=60.0, nice=0,
        submitted_at=time.time(),
    )  # fmt: skip
    executor = LocalExecutor(1, None, processors)
    executor.submit(intent)
    status = JobStatus(state=JobState.RUNNING)
    deadline = time.monotonic() + 60.0
    while not status.state.is_final and time.monotonic() < deadline:
        (report,) = executor.poll([JobRecord(intent, status)])
        status = JobStatus(state=report.state, reason=report.reason)
    mine = sorted(os.sched_getaffinity(0))
    assert status.state is JobState.DONE, status
    assert result.read_text() == repr(mine if processors is None else mine[-processors:])
