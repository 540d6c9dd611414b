"""The jobs the dispatcher knows, each stored in the ledger before it counts, and their rows for the table."""

from __future__ import annotations

from dataclasses import replace

from backend.dispatch.job import JobIntent, JobRecord, JobState, JobStatus
from backend.errors import DispatchError
from backend.ledger import Ledger
from backend.snapshot import JobOutput, JobRow

_ROWS_KEPT = 200
_TASKS_IN_ROW = 12


class JobBoard:
    """Jobs in the order they were asked for. Not for several threads at once.

    Parameters
    ----------
    ledger : Ledger
        Jobs of an earlier backend are taken up from here.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        unfinished = {record.intent.job_id: record for record in ledger.unfinished_jobs()}
        known = {record.intent.job_id: record for record in ledger.jobs(_ROWS_KEPT)} | unfinished
        oldest_first = sorted(known.values(), key=lambda record: record.intent.submitted_at)
        self._jobs = {record.intent.job_id: record for record in oldest_first}
        self._progress: dict[str, float | None] = {}

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    def __getitem__(self, job_id: str) -> JobRecord:
        """Job of this key.

        Raises
        ------
        DispatchError
            There is none.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise DispatchError(f"There is no job {job_id}.", try_this="Choose one from the job table.")
        return job

    def jobs(self, *states: JobState, executor: str | None = None) -> list[JobRecord]:
        """Jobs in one of these states (in any if none is given), newest first."""
        return [
            job
            for job in reversed(self._jobs.values())
            if (not states or job.status.state in states) and executor in (None, job.intent.executor)
        ]

    def has_any(self, *states: JobState) -> bool:
        """True when a job is in one of these states."""
        return any(job.status.state in states for job in self._jobs.values())

    def add(self, intent: JobIntent) -> None:
        """Write a new intent down as queued; a key that is known already changes nothing."""
        if self._ledger.write_intent(intent):
            self._jobs[intent.job_id] = JobRecord(intent, JobStatus(state=JobState.QUEUED))
            self._forget_oldest()

    def move(self, intent: JobIntent) -> None:
        """Write down that a known job goes to the executor of ``intent``."""
        self._ledger.move_job(intent)
        self._jobs[intent.job_id] = replace(self._jobs[intent.job_id], intent=intent)

    def store(self, intent: JobIntent, status: JobStatus, at: float) -> None:
        """Write down what is known of a job now; a new line in its log alone is not worth a write to the disk."""
        before = self._jobs[intent.job_id].status
        if status.state.is_final or replace(status, last_line=before.last_line) != before:
            self._ledger.update_job(intent.job_id, status, at)
        self._jobs[intent.job_id] = JobRecord(intent, status)

    def show_progress(self, job_id: str, progress: float | None) -> None:
        """How far a job is, from 0 to 1; not stored."""
        self._progress[job_id] = progress

    def row(self, job_id: str) -> JobRow:
        """Row of one job."""
        job = self[job_id]
        intent, status = job.intent, job.status
        done = status.state is JobState.DONE
        return JobRow(
            job_id=intent.job_id,
            series=intent.series,
            recipe=intent.recipe,
            executor=intent.executor,
            state=str(status.state),
            reason=status.reason,
            submitted_at=intent.submitted_at,
            started_at=status.started_at,
            ended_at=status.ended_at,
            progress=1.0 if done else self._progress.get(intent.job_id),
            last_line=status.last_line,
            result_path=_first_file(job) if done else "",
            try_this=status.try_this,
            outputs=_for_the_table(status.outputs),
        )

    def rows(self) -> tuple[JobRow, ...]:
        """Job table, newest first."""
        return tuple(self.row(job_id) for job_id in reversed(self._jobs))

    def _forget_oldest(self) -> None:
        surplus = len(self._jobs) - _ROWS_KEPT
        finished = [job_id for job_id, job in self._jobs.items() if job.status.state.is_final]
        for job_id in finished[: max(0, surplus)]:
            del self._jobs[job_id]
            self._progress.pop(job_id, None)


def _for_the_table(outputs: tuple[JobOutput, ...]) -> tuple[JobOutput, ...]:
    """Files for a row, which travels with every snapshot: of many tasks only some, from the first to the last."""
    tasks = sorted({output.task for output in outputs if output.task is not None})
    if len(tasks) <= _TASKS_IN_ROW:
        return outputs
    shown = {tasks[place * (len(tasks) - 1) // (_TASKS_IN_ROW - 1)] for place in range(_TASKS_IN_ROW)}
    return tuple(output for output in outputs if output.task in shown)


def _first_file(job: JobRecord) -> str:
    if job.status.outputs:
        return job.status.outputs[0].path
    # A job of an earlier version of this program has its one result only.
    return str(job.intent.result_path) if job.intent.plan.writes_result else ""
