"""What a report, a checked result or a cancel makes of the status of a job."""

from __future__ import annotations

from dataclasses import replace

from backend.dispatch.clocks import TimesHere
from backend.dispatch.intake import CheckedResult
from backend.dispatch.job import JobReport, JobState, JobStatus


def cancelled_before(status: JobStatus, at: float, reason: str = "Cancelled before it started.") -> JobStatus:
    """Status of a job that will not be started."""
    return replace(status, state=JobState.CANCELLED, reason=reason, try_this="", ended_at=at)


def with_report(status: JobStatus, report: JobReport, times: TimesHere) -> JobStatus:
    """Status after a report of the executor, whose times are those of this computer's clock.

    A time that had to be moved is only the first bound on the true one: the one known before was nearer.
    """
    known = times.ahead_s != 0 and times.ended_at is None and status.started_at is not None
    # A job that is to be handed over again has no identity any more.
    queued = report.state in (JobState.QUEUED, JobState.PARKED)
    return replace(
        status,
        state=report.state,
        reason=report.reason,
        try_this=report.try_this,
        identity="" if queued else report.identity or status.identity,
        started_at=status.started_at if known else times.started_at or status.started_at,
        ended_at=times.ended_at,
        exit_code=report.exit_code,
        last_line=report.last_line,
    )


def judged_by_result(status: JobStatus, result: CheckedResult) -> JobStatus:
    """Status of a job that says it is done, after its files were checked."""
    if result.is_good:
        reason = "The result is complete and checked."
        return replace(status, reason=reason, try_this="", outputs=result.outputs)
    problem = result.problems[0]
    return replace(status, state=JobState.FAILED, reason=problem.what, try_this=problem.try_this)
