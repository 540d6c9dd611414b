"""A test job, the same way that recipes go: handed over, claimed, run on a node, its result vouched for."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from backend.cluster_access import open_files, open_scheduler, open_transport
from backend.dispatch.cluster_executor import ClusterExecutor
from backend.dispatch.cluster_rules import ClusterRules
from backend.dispatch.file_checksum import measure_file
from backend.dispatch.intent import WhereJobRuns, make_intent
from backend.dispatch.job import (
    DONE_FILE,
    LOG_FILE,
    DoneRecord,
    JobIntent,
    JobRecord,
    JobReport,
    JobState,
    JobStatus,
    read_record,
)
from backend.dispatch.recipe import Recipe, text_sha256
from backend.doctor.examination import Check, Examination
from backend.doctor.finding import Finding, fault, good, note
from backend.doctor.node_report import NodeReport, read_node_report
from backend.errors import DispatchError
from backend.frames import DetectorInfo, SeriesInfo

_NAME = "doctor"
_TIME_LIMIT_S = 300.0
_STOP_WITHIN_S = 30.0
_POLL_S = 1.0
_LOOK_S = 0.1
_CLOCK_NOTE_S = 5.0


def _test_job(seen: Examination) -> Finding | None:
    if seen.job_wait_s <= 0:
        return None
    transport = seen.transport or open_transport(seen.plan)
    executor = ClusterExecutor(
        open_scheduler(seen.plan, transport),
        seen.plan.paths,
        ClusterRules(
            python=seen.plan.python, setup=seen.plan.setup, poll_s=_POLL_S, settle_s=30.0, submit_attempts=1
        ),
        files=open_files(seen.plan, transport, seen.settings.cluster),
    )
    job = _TestJob(executor, _intent(seen))
    began = time.monotonic()
    status = job.follow(seen.job_wait_s)
    if status.state is JobState.DONE:
        return _judge(job.intent, time.monotonic() - began)
    if status.state.is_final or status.state is JobState.PARKED:
        return fault(
            f"The test job failed: {status.reason}{_last_words(job.intent)}",
            "Jobs will fail the same way.",
            status.try_this or "Mend what its log says.",
        )
    job.stop()
    return fault(
        f"The test job gave no result within {seen.job_wait_s:g} s and was cancelled. Last seen: {status.reason}",
        "Jobs would wait as long.",
        "If it waited for nodes, ask who uses them; a longer patience is given with --job-wait.",
    )


class _TestJob:
    """One job of an executor, without a ledger: an examination that dies leaves at most a job of seconds."""

    def __init__(self, executor: ClusterExecutor, intent: JobIntent) -> None:
        self.intent = intent
        self._executor = executor
        self._status = JobStatus(state=JobState.QUEUED)
        self._pause = threading.Event()

    def follow(self, within_s: float) -> JobStatus:
        """State of the job when it has ended, is refused, or the time is over."""
        deadline = time.monotonic() + within_s
        while not self._is_over and time.monotonic() < deadline:
            self._step()
        return self._status

    def stop(self) -> None:
        """Cancel the job, if it was handed over, and see that it goes."""
        if self._status.state is JobState.QUEUED:
            return
        self._status = replace(self._status, cancel_asked=True)
        self._executor.cancel(JobRecord(self.intent, self._status))
        deadline = time.monotonic() + _STOP_WITHIN_S
        while not self._is_over and time.monotonic() < deadline:
            self._step()

    @property
    def _is_over(self) -> bool:
        return self._status.state.is_final or self._status.state is JobState.PARKED

    def _step(self) -> None:
        if self._status.state is JobState.QUEUED:
            # Not handed over yet, for instance while copies are sent.
            self._learn(self._executor.submit(self.intent))
        else:
            (report,) = self._executor.poll([JobRecord(self.intent, self._status)])
            self._learn(report)
        self._pause.wait(_LOOK_S)

    def _learn(self, report: JobReport) -> None:
        self._status = replace(
            self._status,
            state=report.state,
            reason=report.reason,
            try_this=report.try_this,
            identity=report.identity or self._status.identity,
            started_at=report.started_at or self._status.started_at,
            ended_at=report.ended_at,
        )


def _intent(seen: Examination) -> JobIntent:
    # Where copies are sent, the folder for them is all that there is.
    raw = "{beamtime}" if seen.plan.copies else "{beamtime}/raw"
    command = ["{python}", "-P", "-m", "backend.doctor.node_report", "{output}/node.h5", raw]
    document = {
        "name": _NAME, "title": "Test job", "description": "Reports on a node.", "command": command,
        "outputs": [{"file": "node.h5", "kind": "hdf5"}], "executor": "slurm", "time_limit_s": _TIME_LIMIT_S,
    }  # fmt: skip
    recipe = Recipe.model_validate(document | {"text_sha256": text_sha256(_NAME)})
    nothing = DetectorInfo("none", (1, 1), np.dtype(np.uint16))
    where = WhereJobRuns(
        python=seen.plan.python,
        results=seen.work_folder,
        beamtime=seen.folder.path,
        settings=seen.settings.dispatch,
        settings_file=None,
    )
    info = SeriesInfo(_NAME, _NAME, 0, seen.folder.raw, nothing)
    return make_intent(recipe, info, None, where, attempt=1, at=time.time())


def _judge(intent: JobIntent, took_s: float) -> Finding:
    done = read_record(intent.folder / DONE_FILE, DoneRecord)
    assert done is not None
    node = _checked_result(intent, done)
    ran_s = done.ended_at - done.started_at
    words = f"Ran on {node.host} with {node.cores} cores in {ran_s:.1f} s; from hand-over to result {took_s:.1f} s."
    if not node.raw_is_readable:
        return fault(
            f"{words} But raw data may not be read there.",
            "Jobs could not read the detector's files.",
            "Ask the beamline staff to admit the account to the beamtime's data.",
        )
    # Seen from here the job ended between its hand-over and now.
    wrong_by_s = max(intent.submitted_at - done.ended_at, done.ended_at - time.time())
    if wrong_by_s > _CLOCK_NOTE_S:
        return note(
            f"{words} The clock of the node is wrong by {wrong_by_s:.0f} s.", "Times of jobs look wrong."
        )
    return good(words)


def _checked_result(intent: JobIntent, done: DoneRecord) -> NodeReport:
    try:
        (output,) = done.outputs
        # On the nodes the same folder may have another name.
        file = intent.result_path.with_name(output.path.name)
        if measure_file(file) != (output.size_bytes, output.sha256):
            raise ValueError("its checksum differs from the one that the job gave")
        return read_node_report(file)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DispatchError(
            f"The result of the test job is not as the job wrote it: {error}.",
            still_works="Live pictures, the verdict and local jobs go on.",
            try_this="Check that both sides see the same file system, and that its disks are sound.",
        ) from error


def _last_words(intent: JobIntent) -> str:
    log: Path = intent.folder / LOG_FILE
    try:
        lines = [
            line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()
        ]
    except OSError:
        return ""
    return f" Its log ends: {' / '.join(lines[-3:])[:400]}" if lines else ""


_NEEDS = (
    "writing",
    "slurmrestd",
    "partition",
    "reservation",
    "versions",
    "files, here to cluster",
    "files, cluster to here",
    "disk and quota there",
)
JOB_CHECKS = (Check("test job", _NEEDS, _test_job),)
