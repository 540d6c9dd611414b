"""Runs jobs as processes of this computer. They outlive the backend and are found again by their claim."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import backend
from backend.dispatch.executor import cannot_prepare
from backend.dispatch.folders import make_job_folders
from backend.dispatch.job import (
    CLAIM_FILE,
    INTENT_FILE,
    LOG_FILE,
    STOP_GRACE_S,
    ClaimRecord,
    JobIntent,
    JobRecord,
    JobReport,
    JobState,
    JobStatus,
    open_for_group,
    read_record,
    write_record,
)
from backend.dispatch.job_report import report, report_of_done
from backend.dispatch.job_tasks import tasks_of
from backend.dispatch.process_identity import FOLDER_MARK, JOB_MARK, ProcessIdentity, processes_marked
from backend.errors import DispatchError

_SOURCE_FOLDER = Path(backend.__file__).parent.parent


class LocalExecutor:
    """Executor whose jobs are process groups of this user on this host.

    Parameters
    ----------
    parallel_jobs : int
        Jobs that may run at once.
    settings_file : Path or None
        Settings the live analysis runs with.
    processors : int or None
        Processors that all jobs together may use; ``None`` leaves them every one.
    clock : callable
        Seconds from any origin, never going back.
    """

    name = "local"
    python = sys.executable
    trouble = None

    def __init__(
        self,
        parallel_jobs: int = 1,
        settings_file: Path | None = None,
        processors: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._processors = processors
        self.parallel_jobs = parallel_jobs
        self.settings_file = settings_file
        self._kill_at: dict[str, float] = {}
        self._seen_elsewhere_at: dict[str, float] = {}

    def find(self, intents: Sequence[JobIntent]) -> list[JobReport]:
        """Reports of the intents that were started before; a job without a job file never was."""
        handed_over = [intent for intent in intents if (intent.folder / INTENT_FILE).exists()]
        return [
            self._judge(JobRecord(intent, JobStatus(state=JobState.QUEUED)))
            for intent in handed_over
            if (intent.folder / CLAIM_FILE).exists() or _processes_of(intent)
        ]

    def may_move(self, intent: JobIntent) -> bool:
        """There is nowhere else."""
        return False

    def submit(self, intent: JobIntent) -> JobReport:
        """Start the job in its own session, its output going to the log in its folder."""
        command = [sys.executable, "-m", "backend.dispatch.run_job", str(intent.folder / INTENT_FILE)]
        try:
            make_job_folders(intent)
            write_record(intent.folder / INTENT_FILE, intent)
            with open(intent.folder / LOG_FILE, "ab", opener=open_for_group) as log:
                process = subprocess.Popen(
                    command,
                    cwd=_SOURCE_FOLDER,
                    env=os.environ | {JOB_MARK: intent.job_id, FOLDER_MARK: str(intent.folder)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise cannot_prepare(intent.job_id, error) from error
        if self._processors is not None:
            _keep_to_processors(process.pid, self._processors)
        # Collects the exit code as soon as there is one, so that no ended process lingers; nobody waits for the thread.
        threading.Thread(target=process.wait, name=f"collect {intent.job_id}", daemon=True).start()
        return JobReport(
            job_id=intent.job_id,
            state=JobState.RUNNING,
            reason="Running on this computer.",
            identity=str(ProcessIdentity.of(process.pid) or ""),
            started_at=time.time(),
        )

    def poll(self, jobs: Sequence[JobRecord]) -> list[JobReport]:
        """One report per job; also kills jobs that did not stop in time after a cancel."""
        return [self._judge(job) for job in jobs]

    def cancel(self, job: JobRecord) -> None:
        """Ask the job's wrapper to stop, which stops the command; :meth:`poll` kills what does not obey.

        Raises
        ------
        DispatchError
            The job runs on another computer.
        """
        identity = self._identity_of(job, _claim(job.intent))
        if identity is not None and not identity.is_on_this_host:
            raise DispatchError(
                f"The job {job.intent.job_id} runs on {identity.host} and cannot be stopped from here.",
                still_works="It ends by itself at its time limit.",
                try_this=f"Stop process {identity.pid} on {identity.host}.",
            )
        # The wrapper first gives the command its own grace period.
        self._kill_at.setdefault(job.intent.job_id, self._clock() + 2 * STOP_GRACE_S)
        if identity is not None and identity.is_alive():
            _signal_process(identity.pid, signal.SIGTERM)

    def forget_refusals(self, job_id: str) -> None:
        """Nothing is ever refused here."""

    def close(self) -> None:
        """Let go of all jobs; they run on and are found again by their claims."""
        self._kill_at.clear()

    def _judge(self, job: JobRecord) -> JobReport:
        try:
            ended = self._report_of_done(job)
            if ended is not None:
                return ended
            claim = _claim(job.intent)
            identity = self._identity_of(job, claim)
            if identity is not None and not identity.is_on_this_host:
                return self._elsewhere(job, identity, claim)
            alive = identity is not None and identity.is_alive()
            if alive or (claim is None and _processes_of(job.intent)):
                return self._running(job, identity, claim)
            # It may have ended well between the first look and the second.
            return self._report_of_done(job) or self._vanished(job, identity, claim)
        except DispatchError as error:
            return report(job, JobState.FAILED, error.what, try_this=error.try_this, ended_at=time.time())

    def _report_of_done(self, job: JobRecord) -> JobReport | None:
        ended = report_of_done(job)
        if ended is not None:
            self._kill_at.pop(job.intent.job_id, None)
        return ended

    def _running(
        self, job: JobRecord, identity: ProcessIdentity | None, claim: ClaimRecord | None
    ) -> JobReport:
        job_id = job.intent.job_id
        if job.status.cancel_asked and job_id not in self._kill_at:
            self.cancel(job)
        kill_at = self._kill_at.get(job_id)
        if kill_at is not None and self._clock() >= kill_at:
            _kill_all(job.intent)
        return report(
            job,
            JobState.RUNNING,
            "Stopping." if kill_at is not None else "Running on this computer.",
            identity=str(identity or ""),
            started_at=claim.started_at if claim else job.status.started_at,
        )

    def _vanished(
        self, job: JobRecord, identity: ProcessIdentity | None, claim: ClaimRecord | None
    ) -> JobReport:
        _kill_all(job.intent)
        self._kill_at.pop(job.intent.job_id, None)
        return report(
            job,
            JobState.FAILED,
            "Its process vanished before it was done: killed, out of memory, or the computer was restarted."
            if claim
            else "Its process ended before it began to work.",
            try_this=f"Read {job.intent.folder / LOG_FILE}; check free memory; run the recipe again.",
            identity=str(identity or ""),
            started_at=claim.started_at if claim else job.status.started_at,
            ended_at=time.time(),
        )

    def _elsewhere(self, job: JobRecord, identity: ProcessIdentity, claim: ClaimRecord | None) -> JobReport:
        started_at = claim.started_at if claim else job.status.started_at or job.intent.submitted_at
        # Counted here from when it was first seen, as the clock of the other computer may be wrong.
        first_seen_at = self._seen_elsewhere_at.setdefault(job.intent.job_id, self._clock())
        longest_s = job.intent.time_limit_s * max(1, len(tasks_of(job.intent))) + 2 * STOP_GRACE_S
        overdue = self._clock() > first_seen_at + longest_s
        return report(
            job,
            JobState.FAILED if overdue else JobState.UNKNOWN,
            f"It was started on {identity.host} and left no result within its time limit."
            if overdue
            else f"It was started on {identity.host}; only its result can be seen from here.",
            try_this="Run the recipe again." if overdue else "",
            identity=str(identity),
            started_at=started_at,
            ended_at=time.time() if overdue else None,
        )

    @staticmethod
    def _identity_of(job: JobRecord, claim: ClaimRecord | None) -> ProcessIdentity | None:
        # The claim is the truth; the ledger may name a process that came second.
        return ProcessIdentity.parse(claim.identity if claim else job.status.identity)


def _claim(intent: JobIntent) -> ClaimRecord | None:
    return read_record(intent.folder / CLAIM_FILE, ClaimRecord)


def _processes_of(intent: JobIntent) -> list[int]:
    return processes_marked(FOLDER_MARK, str(intent.folder))


def _kill_all(intent: JobIntent) -> None:
    for pid in _processes_of(intent):
        _signal_process(pid, signal.SIGKILL)


def _keep_to_processors(pid: int, count: int) -> None:
    # The same ones for all jobs. The wrapper passes them on to the command, which starts much later.
    try:
        os.sched_setaffinity(pid, sorted(os.sched_getaffinity(0))[-count:])
    except ProcessLookupError:
        # It has ended already.
        return


def _signal_process(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        # It ended by itself just now, which is what was wanted.
        return
