"""Puts together what the ledger and the job's own files say of one job."""

from __future__ import annotations

from collections.abc import Sequence

from backend.dispatch.job import DONE_FILE, LOG_FILE, DoneRecord, JobRecord, read_record
from backend.dispatch.job_command import program_of
from backend.dispatch.job_tasks import task_intent, tasks_of
from backend.dispatch.log_tail import read_last_lines
from backend.errors import DispatchError
from backend.job_details import JobDetails, JobStep
from backend.ledger_rows import JobStateChange

LOG_LINES = 40


def inspect_job(job: JobRecord, history: Sequence[JobStateChange]) -> JobDetails:
    """All that is known of a job now; reads the end of its log and its ``done.json``."""
    intent, status = job.intent, job.status
    versions: dict[str, str] = {}
    problem = ""
    try:
        done = read_record(intent.folder / DONE_FILE, DoneRecord)
        versions = {} if done is None else done.versions
    except DispatchError as error:
        problem = error.what
    return JobDetails(
        job_id=intent.job_id,
        series=intent.series,
        recipe=intent.recipe,
        recipe_sha256=intent.recipe_sha256,
        attempt=intent.attempt,
        executor=intent.executor,
        state=str(status.state),
        reason=status.reason,
        try_this=status.try_this,
        identity=status.identity,
        # Of several tasks the first one stands for all.
        command=program_of(task_intent(intent, 0) if tasks_of(intent) else intent),
        folder=str(intent.folder),
        submitted_at=intent.submitted_at,
        started_at=status.started_at,
        ended_at=status.ended_at,
        versions=versions,
        steps=tuple(JobStep(state=str(step.state), reason=step.reason, at=step.at) for step in history),
        log=read_last_lines(intent.folder / LOG_FILE, LOG_LINES),
        problem=problem,
    )
