"""What a job's own files say of it: its end in ``done.json``, its progress in its log."""

from __future__ import annotations

from backend.dispatch.job import DONE_FILE, LOG_FILE, DoneRecord, JobRecord, JobReport, JobState, read_record
from backend.dispatch.log_tail import read_log_tail


def report(
    job: JobRecord,
    state: JobState,
    reason: str,
    *,
    try_this: str = "",
    identity: str = "",
    started_at: float | None = None,
    ended_at: float | None = None,
    exit_code: int | None = None,
) -> JobReport:
    """Report on a job with the progress and the last line of its log; what is not given stays as it is known."""
    tail = read_log_tail(job.intent.folder / LOG_FILE)
    return JobReport(
        job_id=job.intent.job_id,
        state=state,
        reason=reason,
        try_this=try_this,
        identity=identity or job.status.identity,
        started_at=started_at,
        ended_at=ended_at,
        exit_code=exit_code,
        progress=1.0 if state is JobState.DONE else tail.progress,
        last_line=tail.last_line,
    )


def report_of_done(job: JobRecord) -> JobReport | None:
    """Report on a job that has said how it ended; ``None`` when it has not yet.

    Raises
    ------
    DispatchError
        Its ``done.json`` cannot be used.
    """
    done = read_record(job.intent.folder / DONE_FILE, DoneRecord)
    if done is None:
        return None
    good = done.outcome == "done"
    return report(
        job,
        JobState.DONE if good else JobState.FAILED,
        done.reason,
        try_this="" if good else f"Read {job.intent.folder / LOG_FILE}, then run the recipe again.",
        identity=done.identity,
        started_at=done.started_at,
        ended_at=done.ended_at,
        exit_code=done.exit_code,
    )
