"""Runs jobs through a scheduler of a cluster that sees the beamtime folder, exactly once in effect.

A job is handed over on hold under its key, found again by that key whatever was lost on the way, and released once its
number is written down. What the scheduler says is only news: a claim file lets one process work, and only ``done.json``
proves a result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from backend.beamtime.path_map import PathMap
from backend.dispatch.backoff import Backoff
from backend.dispatch.cluster_rules import ClusterRules
from backend.dispatch.cluster_watch import ClusterWatch, is_known
from backend.dispatch.executor import NotNowError, cannot_prepare
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
    read_record,
    write_record,
)
from backend.dispatch.job_files import JobFiles, SharedFiles
from backend.dispatch.job_report import report, report_of_done
from backend.dispatch.job_script import batch_request, intent_on_node
from backend.dispatch.job_tasks import named, tasks_without_word
from backend.dispatch.patience import Patience
from backend.dispatch.scheduler import BatchJob, BatchState, Scheduler, Submission
from backend.dispatch.transport import TransportError
from backend.errors import BeamtimeError, DispatchError

_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 300.0
_LONGEST_PAUSE_OF_ALL_S = 60.0


class ClusterExecutor:
    """Executor whose jobs are batch jobs of a cluster.

    Parameters
    ----------
    scheduler : Scheduler
        Of the cluster.
    paths : PathMap
        From the beamtime folder here to the same folder on the nodes.
    rules : ClusterRules
        How jobs are started.
    files : JobFiles
        How the nodes come by the files of jobs.
    """

    name = "slurm"

    def __init__(
        self,
        scheduler: Scheduler,
        paths: PathMap,
        rules: ClusterRules,
        clock: Callable[[], float] = time.monotonic,
        files: JobFiles | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._paths = paths
        self._rules = rules
        self._clock = clock
        self._files: JobFiles = files or SharedFiles()
        self._watch = ClusterWatch(scheduler, rules.poll_s, rules.idle_poll_s, clock)
        self._memory: dict[str, Patience] = {}
        self._takes_none: NotNowError | None = None
        self._pause = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_OF_ALL_S, clock)
        self.parallel_jobs = rules.parallel_jobs
        self.python = rules.python
        self.settings_file = rules.settings_file

    def find(self, intents: Sequence[JobIntent]) -> list[JobReport]:
        """Intents that may have been handed over: those with a job file. The next poll looks for them by their key."""
        return [
            JobReport(
                job_id=intent.job_id,
                state=JobState.UNKNOWN,
                reason=f"It may have been handed over before; it is looked for on {self._scheduler.place}.",
            )
            for intent in intents
            if (intent.folder / INTENT_FILE).exists()
        ]

    @property
    def trouble(self) -> DispatchError | None:
        """Why the cluster takes no job, or does not say how they are."""
        return self._takes_none or self._watch.problem or self._files.trouble

    def may_move(self, intent: JobIntent) -> bool:
        """A job that nobody has begun may, if its claim counts for the nodes too or they never heard of it."""
        return self._files.shares_claims or not (intent.folder / INTENT_FILE).exists()

    def submit(self, intent: JobIntent) -> JobReport:
        """Hand over a job on hold; the next poll releases it, when its number stands in the ledger."""
        job = JobRecord(intent, JobStatus(state=JobState.QUEUED))
        known = self._by_its_files(job)
        if known is not None:
            return known
        patience = self._patience(intent)
        if patience.pause.wait_s > 0:
            return report(job, JobState.QUEUED, patience.refusal)
        if self._takes_none is not None and self._pause.wait_s > 0:
            raise self._takes_none
        waits_for = self._files.bring(intent)
        if waits_for:
            return report(job, JobState.QUEUED, waits_for)
        self._watch.hurry()
        try:
            answer = self._hand_over(intent)
        except NotNowError as problem:
            self._takes_none = problem
            raise
        self._takes_none = None
        self._pause.succeeded()
        if answer.number:
            return report(
                job, JobState.SUBMITTED, "Handed over, on hold until it is written down here.",
                identity=f"{answer.number} ",
            )  # fmt: skip
        if answer.refused:
            return self._refused(job, f"{self._scheduler.place} refused it: {answer.message}.")
        return report(
            job,
            JobState.UNKNOWN,
            f"No answer whether {self._scheduler.place} took it ({answer.message}); it is looked for by its key.",
        )

    def preview(self, intent: JobIntent) -> tuple[str, JobIntent]:
        """What would be handed over for a job, in words of the scheduler, and the job as the nodes would see it.

        Raises
        ------
        BeamtimeError
            A path lies outside the beamtime folder.
        """
        on_node = intent_on_node(intent, self._paths)
        request = batch_request(on_node, self.python, self._rules.setup)
        return self._scheduler.preview(request), on_node

    def poll(self, jobs: Sequence[JobRecord]) -> Iterator[JobReport]:
        """One report per job; releases what waits on hold, cancels what is asked for and what is surplus."""
        self._files.watch([job.intent for job in jobs])
        open_jobs = []
        for job in jobs:
            # What has ended says so itself, and need not wait for the cluster's answer.
            ended = self._by_its_end(job)
            if ended is None:
                open_jobs.append(job)
            else:
                yield ended
        if open_jobs and self._watch.look(open_jobs) and isinstance(self._takes_none, TransportError):
            self._takes_none = None
        for job in open_jobs:
            yield self._by_its_end(job) or self._judge(job)

    def cancel(self, job: JobRecord) -> None:
        """Let the next poll look at once; it cancels every job whose status asks for it."""
        self._watch.hurry()

    def forget_refusals(self, job_id: str) -> None:
        """The next hand-over is a first one again."""
        self._memory.pop(job_id, None)

    def close(self) -> None:
        """End the connection to the cluster; its jobs go on."""
        self._scheduler.close()
        self._files.close()

    def _patience(self, intent: JobIntent) -> Patience:
        pause = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S, self._clock)
        return self._memory.setdefault(intent.job_id, Patience(pause))

    def _hand_over(self, intent: JobIntent) -> Submission:
        on_node = self._prepare(intent)
        self._files.hand_in(intent)
        answer = self._scheduler.submit(batch_request(on_node, self.python, self._rules.setup))
        if answer.not_now:
            self._pause.failed()
            raise NotNowError(
                f"{self._scheduler.place} takes no job now: {answer.message}.",
                still_works="Live pictures, the verdict and local jobs go on; jobs for the cluster wait.",
                try_this="Ask the beamline staff whether the reservation of the beamtime still holds.",
            )
        return answer

    def _prepare(self, intent: JobIntent) -> JobIntent:
        """The job as the nodes see it, its folders made and its file written."""
        try:
            on_node = intent_on_node(intent, self._paths)
            make_job_folders(intent)
            write_record(intent.folder / INTENT_FILE, on_node)
        except BeamtimeError as error:
            raise DispatchError(error.what, still_works=error.still_works, try_this=error.try_this) from error
        except OSError as error:
            raise cannot_prepare(intent.job_id, error) from error
        return on_node

    def _refused(self, job: JobRecord, why: str) -> JobReport:
        patience = self._patience(job.intent)
        patience.refusals += 1
        patience.pause.failed()
        patience.unseen_since = None
        attempts = self._rules.submit_attempts
        if patience.refusals >= attempts:
            return report(
                job, JobState.PARKED, f"Parked after {attempts} attempts. {why}",
                try_this="Mend the cause (section [cluster] of the settings), then: mento-gui jobs retry KEY",
            )  # fmt: skip
        patience.refusal = f"{why} Attempt {patience.refusals} of {attempts}; it is tried again."
        return report(job, JobState.QUEUED, patience.refusal)

    def _by_its_end(self, job: JobRecord) -> JobReport | None:
        try:
            ended = report_of_done(job)
        except DispatchError as error:
            ended = _failed(job, error.what, error.try_this)
        if ended is not None:
            self._memory.pop(job.intent.job_id, None)
        return ended

    def _by_its_files(self, job: JobRecord) -> JobReport | None:
        """What the job itself has said, if it ever began; a job that has begun is never handed over again."""
        ended = self._by_its_end(job)
        if ended is not None:
            return ended
        claim = _claim(job)
        if claim is None:
            return None
        return report(job, JobState.UNKNOWN, "It has begun on the cluster.", started_at=claim.started_at)

    def _judge(self, job: JobRecord) -> JobReport:
        try:
            claim = _claim(job)
        except DispatchError as error:
            return _failed(job, error.what, error.try_this)
        try:
            batch, surplus = self._watch.of(job)
            if self._watch.problem is not None:
                problem = self._watch.problem
                return report(
                    job,
                    JobState.UNKNOWN,
                    f"{problem.what} Jobs on the cluster go on.",
                    try_this=problem.try_this,
                )
            if not self._watch.looks:
                return report(job, job.status.state, job.status.reason)
            for extra in surplus:
                self._scheduler.cancel(extra)
            return self._judge_absent(job, claim) if batch is None else self._judge_shown(job, batch, claim)
        except DispatchError as problem:
            return report(job, JobState.UNKNOWN, problem.what, try_this=problem.try_this)

    def _judge_shown(self, job: JobRecord, batch: BatchJob, claim: ClaimRecord | None) -> JobReport:
        patience = self._patience(job.intent)
        patience.unseen_since = None
        if batch.state.is_over:
            return self._judge_over(job, batch, claim)
        patience.over_since = None
        patience.out_of_sight_since = None
        if batch.state is not BatchState.WAITING:
            patience.waits_again_since = None
        if batch.never_starts and claim is None:
            patience.withdrawn = batch.reason
        if job.status.cancel_asked or (patience.withdrawn and claim is None):
            return self._stop(job, batch, patience)
        if batch.state is BatchState.WAITING and (claim is None or batch.held):
            if batch.held and is_known(batch, job.status.identity):
                self._scheduler.release(batch)
                self._watch.hurry()
            reason = batch.reason
            if batch.starts:
                reason = f"{reason.rstrip('.')}; Slurm expects to start it at {batch.starts}."
            return report(job, JobState.SUBMITTED, reason, identity=batch.identity)
        if claim is not None and batch.state is BatchState.WAITING and self._waits_again(patience):
            reason = "It has begun, but the scheduler shows it waiting again; its result is waited for."
            return report(job, JobState.UNKNOWN, reason, identity=batch.identity, started_at=claim.started_at)
        # The job's own claim is newer than the last look at the queue.
        running = claim is not None or batch.state is BatchState.RUNNING
        return report(
            job,
            JobState.RUNNING if running else JobState.UNKNOWN,
            batch.reason if batch.state is not BatchState.WAITING else "Running on the cluster.",
            identity=batch.identity,
            started_at=claim.started_at if claim else None,
        )

    def _waits_again(self, patience: Patience) -> bool:
        """True when the queue has shown a job that has begun as waiting for so long that it is no old picture."""
        if patience.waits_again_since is None:
            patience.waits_again_since = self._clock()
        return self._clock() - patience.waits_again_since > self._rules.settle_s

    def _stop(self, job: JobRecord, batch: BatchJob, patience: Patience) -> JobReport:
        if patience.cancelled_at_look != self._watch.looks:
            if patience.cancelled_at_look < 0:
                self._watch.hurry()
            self._scheduler.cancel(batch)
            patience.cancelled_at_look = self._watch.looks
        state = JobState.SUBMITTED if batch.state is BatchState.WAITING else JobState.RUNNING
        return report(job, state, patience.withdrawn or "Stopping.", identity=batch.identity)

    def _judge_over(self, job: JobRecord, batch: BatchJob, claim: ClaimRecord | None) -> JobReport:
        """The scheduler has finished with it, and it has not said itself how it ended."""
        # One that began and ended well would have said so: that was a second start, which found the first at work.
        if claim is not None and batch.state in (BatchState.NODE_LOST, BatchState.ENDED_WELL):
            return self._out_of_sight(job, claim, batch.reason)
        patience = self._patience(job.intent)
        if patience.over_since is None:
            patience.over_since = self._clock()
        settled = self._files.is_settled(job.intent, patience.over_since)
        if not settled or self._clock() - patience.over_since < self._rules.settle_s:
            reason = f"{batch.reason.rstrip('.')}; waiting for its files to appear here."
            return report(job, JobState.UNKNOWN, reason, identity=batch.identity)
        if patience.withdrawn and batch.state is BatchState.CANCELLED:
            self._memory.pop(job.intent.job_id, None)
            return report(job, JobState.QUEUED, f"Taken back: {patience.withdrawn}")
        if batch.state is BatchState.NODE_LOST:
            # Should it begin there after all, its claim keeps the next one from doing the work again.
            return self._refused(job, "Its node was lost before it began.")
        self._memory.pop(job.intent.job_id, None)
        silent = tasks_without_word(job.intent)
        who = f"{named(silent)} left no word" if silent else "left no word of its own"
        reason = f"{batch.reason.rstrip('.')}, and {who} ({self._scheduler.place}, {batch.number})."
        return _failed(job, reason, f"Read {job.intent.folder / LOG_FILE}; run the recipe again.")

    def _judge_absent(self, job: JobRecord, claim: ClaimRecord | None) -> JobReport:
        """The scheduler shows no job of this key: it was not taken, is forgotten, or ended long ago."""
        if claim is not None:
            return self._out_of_sight(job, claim, "The scheduler no longer shows it.")
        patience = self._patience(job.intent)
        if patience.unseen_since is None:
            patience.unseen_since = self._clock()
        if self._clock() - patience.unseen_since < self._rules.unseen_s:
            reason = "The scheduler does not show it"
            return report(job, JobState.UNKNOWN, f"{reason}; if that lasts, it is handed over again.")
        was_taken = bool(job.status.identity)
        why = f"{self._scheduler.place} {'has forgotten it' if was_taken else 'did not take it'}."
        return self._refused(job, why)

    def _out_of_sight(self, job: JobRecord, claim: ClaimRecord, why: str) -> JobReport:
        """It has begun and may still run: given up only when its own time limit is over.

        That is counted on this computer's clock from the moment it was lost, as the node's clock may be another.
        """
        patience = self._patience(job.intent)
        if patience.out_of_sight_since is None:
            patience.out_of_sight_since = self._clock()
        gone_s = self._clock() - patience.out_of_sight_since
        if gone_s > job.intent.time_limit_s + 4 * STOP_GRACE_S:
            self._memory.pop(job.intent.job_id, None)
            reason = f"{why} It left no result within its time limit."
            return _failed(job, reason, f"Read {job.intent.folder / LOG_FILE}; run the recipe again.")
        reason = f"{why} Its result is waited for until its time limit is over."
        return report(job, JobState.UNKNOWN, reason, started_at=claim.started_at)


def _failed(job: JobRecord, reason: str, try_this: str) -> JobReport:
    return report(job, JobState.FAILED, reason, try_this=try_this, ended_at=time.time())


def _claim(job: JobRecord) -> ClaimRecord | None:
    return read_record(job.intent.folder / CLAIM_FILE, ClaimRecord)
