"""Jobs for the wrapper and the local executor, and what is asked of them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from backend.dispatch.folders import make_folder
from backend.dispatch.job import (
    DONE_FILE,
    INTENT_FILE,
    LOG_FILE,
    DoneRecord,
    JobIntent,
    JobRecord,
    JobReport,
    JobState,
    JobStatus,
    read_record,
    write_record,
)
from backend.dispatch.local_executor import LocalExecutor
from backend.dispatch.log_tail import read_log_tail

ROOT = Path(__file__).parents[2]
WRITE_RESULT = """
import sys, h5py, numpy
with h5py.File(sys.argv[1], "w") as file:
    file["/xpcs/multitau/normalized_g2"] = numpy.ones((3, 2))
    file["/xpcs/multitau/delay_list"] = numpy.arange(3)
    file["/xpcs/qmap/dynamic_roi_map"] = numpy.ones((4, 5), dtype="i4")
print("progress 0.5", file=sys.stderr)
print("written")
"""
WAIT_FOR_EVER = "import sys, signal; print('waiting', flush=True); signal.pause()"
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True:
    signal.pause()
"""


def intent(folder: Path, program: str, **changes: object) -> JobIntent:
    part = folder / "results" / ".part-job-1.h5"
    made = JobIntent(
        job_id=f"job-{folder.name}-1",
        series="silica_00001",
        detector="e4m",
        recipe="xpcs",
        recipe_sha256="ab" * 32,
        attempt=1,
        retries_left=0,
        executor="local",
        command=(sys.executable, "-c", program, str(part), "a b; $HOME `x` 'q'"),
        folder=folder / "results" / ".jobs" / "job-1",
        part_path=part,
        result_path=folder / "results" / "silica_00001_xpcs_results.h5",
        time_limit_s=60.0,
        nice=1,
        submitted_at=time.time(),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def prepare(job: JobIntent) -> JobIntent:
    make_folder(job.folder)
    write_record(job.folder / INTENT_FILE, job)
    return job


def wrapper(job: JobIntent) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "backend.dispatch.run_job", str(job.folder / INTENT_FILE)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)


def done_of(job: JobIntent) -> DoneRecord:
    record = read_record(job.folder / DONE_FILE, DoneRecord)
    assert record is not None
    return record


def wait_for(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def follow(executor: LocalExecutor, job: JobIntent, started: JobReport, **known: object) -> JobReport:
    """Poll until the job has ended."""
    status = JobStatus(state=JobState.RUNNING, identity=started.identity, started_at=started.started_at)
    record = JobRecord(job, replace(status, **known))  # type: ignore[arg-type]
    reports: list[JobReport] = []
    wait_for(lambda: (reports.extend(executor.poll([record])) or reports[-1]).state.is_final)
    return reports[-1]


def log_says(job: JobIntent, word: str) -> Callable[[], bool]:
    return lambda: read_log_tail(job.folder / LOG_FILE).last_line == word
