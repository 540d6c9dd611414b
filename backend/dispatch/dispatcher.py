"""Decides which job runs when, so that every wish leads to one result or to a sentence that says why not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from backend.dispatch.clocks import ClockWatch, TimesHere, times_here
from backend.dispatch.command_recipe import command_recipe
from backend.dispatch.executor import Executor, NotNowError
from backend.dispatch.folders import folder_identity
from backend.dispatch.intake import CheckedResult, take_in
from backend.dispatch.intent import next_attempt
from backend.dispatch.job import JobIntent, JobRecord, JobReport, JobState, JobStatus
from backend.dispatch.job_board import JobBoard
from backend.dispatch.job_inspection import inspect_job
from backend.dispatch.outage_watch import OutageWatch
from backend.dispatch.recipe import Recipe
from backend.dispatch.recipe_book import RecipeBook
from backend.dispatch.status_steps import cancelled_before, judged_by_result, with_report
from backend.dispatch.wishes import SeriesEndJobs, Wishes
from backend.errors import DispatchError
from backend.frames import SeriesInfo
from backend.job_details import JobDetails
from backend.ledger import Ledger
from backend.requests import SubmitCommand
from backend.settings import DispatchSettings
from backend.snapshot import JobRow

_HANDED_OVER = (JobState.SUBMITTED, JobState.RUNNING, JobState.UNKNOWN)


class Dispatcher:
    """Turns series ends and wishes of a person into jobs and follows them; may be called from several threads.

    Only :meth:`poll` and :meth:`result_of` may wait for a network or a slow disk; they keep nobody else waiting.

    Parameters
    ----------
    ledger : Ledger
        Every intent is written here before anything is started; jobs of an earlier backend are taken up from here.
    recipes : mapping of str to Recipe
        By name.
    executors : sequence of Executor
        Run the jobs; a recipe names the one it is for.
    settings : DispatchSettings
        Which recipes run at series end, limits.
    results_of : callable
        Folder for the results of a series.
    beamtime : Path
        Beamtime folder, for the placeholder ``{beamtime}``.
    clock : callable
        Seconds since 1970.

    Attributes
    ----------
    outages : OutageWatch
        What keeps executors from their work, as of the last poll.
    recipes : RecipeBook
        The recipes, and which run by themselves.
    clocks : ClockWatch
        Whose clock differs from this computer's.
    """

    def __init__(
        self,
        ledger: Ledger,
        recipes: Mapping[str, Recipe],
        executors: Sequence[Executor],
        settings: DispatchSettings,
        *,
        results_of: Callable[[SeriesInfo], Path],
        beamtime: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._executors = {executor.name: executor for executor in executors}
        self.recipes = RecipeBook(recipes, settings.recipes_at_series_end, ledger, self._executors)
        self._beamtime = beamtime
        self._clock = clock
        self._lock = threading.RLock()
        self._one_poll = threading.Lock()
        self._board = JobBoard(ledger)
        self._wishes = Wishes(ledger, self._board, self._executors, settings, results_of, beamtime, clock)
        # An earlier backend may have died between starting a job and writing that down.
        self._to_find = {job.intent.job_id for job in self._board.jobs(JobState.QUEUED)}
        self._being_handed_over = ""
        self.outages = OutageWatch(self._board, self._executors, self.recipes.find, settings.local_after_s)
        self.clocks = ClockWatch()
        self._beamtime_identity = folder_identity(beamtime)
        for job in self._board.jobs(JobState.QUEUED, *_HANDED_OVER):
            if job.intent.executor not in self._executors:
                reason = f"Waiting: the executor {job.intent.executor} is not set up here."
                self._store(job, replace(job.status, reason=reason))

    def series_ended(self, info: SeriesInfo, frames: int) -> SeriesEndJobs:
        """Queue the recipes that run at series end and apply, each once per series and recipe text for ever.

        Raises
        ------
        LedgerError
            The intent cannot be stored; nothing was started.
        """
        with self._lock:
            return self._wishes.at_series_end(self.recipes, info, frames, self._may_be_elsewhere)

    def frames_arrived(self, info: SeriesInfo, frames: int) -> tuple[DispatchError, ...]:
        """Queue the recipes that run every so many frames, if enough came; returns why one could not be used.

        Raises
        ------
        LedgerError
            The intent cannot be stored; nothing was started.
        """
        with self._lock:
            return self._wishes.while_it_runs(self.recipes, info, frames, self._may_be_elsewhere)

    def add_executor(self, executor: Executor) -> None:
        """A further executor is set up now."""
        with self._lock:
            self._executors[executor.name] = executor

    def run(self, info: SeriesInfo, recipe_name: str, frames: int | None = None) -> JobRow:
        """Queue a recipe on a series because a person asked; every call is a new job.

        Raises
        ------
        DispatchError
            There is no such recipe, or the series lacks something it needs.
        LedgerError
            The intent cannot be stored; nothing was started.
        """
        with self._lock:
            recipe = self.recipes[recipe_name]
            return self._wishes.again(recipe, info, info.expected_frames if frames is None else frames)

    def submit(self, wish: SubmitCommand, info: SeriesInfo | None, frames: int | None) -> str:
        """Queue a command of a person's own and return its key; asked again with the same token, nothing is added.

        ``info`` is the series that its placeholders stand for, if there is one.

        Raises
        ------
        DispatchError
            The command cannot be used, or what is to run it is not set up.
        LedgerError
            The intent cannot be stored; nothing was started.
        """
        recipe = command_recipe(wish)
        self.recipes.check_executor(recipe)
        with self._lock:
            return self._wishes.command(wish, recipe, info, frames)

    def cancel(self, job_id: str) -> JobRow:
        """Stop a job; a queued one at once, one that was handed over as soon as it obeys or is killed.

        Raises
        ------
        DispatchError
            There is no such job, it has ended, or it cannot be reached.
        """
        with self._lock:
            job = self._board[job_id]
            status = job.status
            if status.state.is_final:
                raise DispatchError(
                    f"The job {job_id} has already ended ({status.state}).",
                    still_works="Nothing was changed.",
                )
            if status.state in (JobState.QUEUED, JobState.PARKED) and not self._may_be_elsewhere(job_id):
                self._store(job, cancelled_before(status, self._clock()))
            else:
                # Stored first: after a crash the next backend asks the job again.
                self._store(job, replace(status, reason="Stopping.", cancel_asked=True))
                if status.state in _HANDED_OVER:
                    self._executor_of(job).cancel(self._board[job_id])
            return self._board.row(job_id)

    def resume(self, job_id: str) -> JobRow:
        """Try a parked job again under its own key, or one that failed or was cancelled as a new attempt.

        Raises
        ------
        DispatchError
            There is no such job, or it is on its way or ended well.
        LedgerError
            It cannot be stored; nothing was started.
        """
        with self._lock:
            job = self._board[job_id]
            if job.status.state is JobState.PARKED:
                self._executor_of(job).forget_refusals(job_id)
                self._store(job, JobStatus(state=JobState.QUEUED))
                return self._board.row(job_id)
            if job.status.state not in (JobState.FAILED, JobState.CANCELLED):
                raise DispatchError(
                    f"The job {job_id} is {job.status.state}, so there is nothing to try again.",
                    still_works="Nothing was changed.",
                )
            intent = job.intent
            last = self._ledger.last_attempt(intent.series, intent.detector, intent.recipe_sha256)
            follower = next_attempt(intent, self._clock(), attempt=last + 1)
            self._board.add(follower)
            return self._board.row(follower.job_id)

    def poll(self, now: float) -> list[JobRow]:
        """Follow all jobs one step and start what may start; the rows that changed, newest first.

        Raises
        ------
        LedgerError
            A change cannot be stored; it is found again at the next call.
        DispatchError
            The beamtime folder is gone, so nothing can be said of any job.
        """
        with self._one_poll:
            self._check_beamtime()
            before = {row.job_id: row for row in self.job_rows()}
            for executor in tuple(self._executors.values()):
                self._find_earlier_jobs(executor)
                with self._lock:
                    active = self._board.jobs(*_HANDED_OVER, executor=executor.name)
                for report in executor.poll(active):
                    self._follow(report, now)
                self._start_queued(executor, now)
                with self._lock:
                    self.outages.mind(executor, now, self._may_be_elsewhere)
            return [row for row in self.job_rows() if before.get(row.job_id) != row]

    def job_rows(self) -> tuple[JobRow, ...]:
        """Job table, newest first."""
        with self._lock:
            return self._board.rows()

    @property
    def has_work(self) -> bool:
        """True while a job waits or is handed over."""
        with self._lock:
            return self._board.has_any(JobState.QUEUED, *_HANDED_OVER)

    def details(self, job_id: str) -> JobDetails:
        """All that is known of a job, with the end of its log.

        Raises
        ------
        DispatchError
            There is no such job.
        """
        with self._lock:
            job = self._board[job_id]
        return inspect_job(job, self._ledger.job_history(job_id))

    def result_of(self, job_id: str) -> CheckedResult:
        """Result of a job, checked anew against what the job said it wrote.

        Raises
        ------
        DispatchError
            There is no such job.
        """
        with self._lock:
            folder = self._board[job_id].intent.folder
        return take_in(folder)

    def close(self) -> None:
        """Let go of all jobs; they run on and are taken up by the next backend. Cuts a poll short."""
        for executor in self._executors.values():
            executor.close()

    def _may_be_elsewhere(self, job_id: str) -> bool:
        return job_id in self._to_find or job_id == self._being_handed_over

    def _executor_of(self, job: JobRecord) -> Executor:
        executor = self._executors.get(job.intent.executor)
        if executor is None:
            raise DispatchError(
                f"The job {job.intent.job_id} is in the hands of {job.intent.executor}, which is not set up here.",
                still_works="It ends by itself at its time limit.",
                try_this="Set the cluster up again (section [cluster] of the settings) and start anew.",
            )
        return executor

    def _find_earlier_jobs(self, executor: Executor) -> None:
        with self._lock:
            queued = self._board.jobs(JobState.QUEUED, executor=executor.name)
            intents = [job.intent for job in queued if job.intent.job_id in self._to_find]
        if not intents:
            return
        reports = executor.find(intents)
        with self._lock:
            for report in reports:
                self._follow(report, self._clock())
            for intent in intents:
                self._to_find.discard(intent.job_id)
                job = self._board[intent.job_id]
                if job.status.state is JobState.QUEUED and job.status.cancel_asked:
                    self._store(job, cancelled_before(job.status, self._clock()))

    def _follow(self, report: JobReport, now: float) -> None:
        # Checking a result may take long: nobody waits for it.
        intake = take_in(self._board[report.job_id].intent.folder) if report.state is JobState.DONE else None
        # A folder that has gone meanwhile would look like a job that never began.
        self._check_beamtime()
        with self._lock:
            job = self._board[report.job_id]
            self._board.show_progress(report.job_id, report.progress)
            times = times_here(report.started_at, report.ended_at, job.intent.submitted_at, self._clock())
            self._note_clock(job, report, times)
            status = with_report(job.status, report, times)
            if intake is not None:
                status = judged_by_result(status, intake)
            if status.cancel_asked and status.state is JobState.FAILED:
                status = replace(
                    status, state=JobState.CANCELLED, reason="Cancelled while it ran.", try_this=""
                )
            elif status.cancel_asked and status.state in (JobState.QUEUED, JobState.PARKED):
                status = cancelled_before(status, now)
            elif status.state is JobState.FAILED and job.intent.retries_left > 0:
                status = self._try_again(job.intent, status, now)
            self._store(job, status)

    def _note_clock(self, job: JobRecord, report: JobReport, times: TimesHere) -> None:
        said_at = report.ended_at or report.started_at
        is_news = report.ended_at is not None or job.status.started_at is None
        if said_at is not None and is_news:
            self.clocks.note(job.intent.executor, job.intent.job_id, said_at, times.ahead_s)

    def _try_again(self, intent: JobIntent, status: JobStatus, now: float) -> JobStatus:
        # Stored before the failure is: a crash in between repeats this step under the same key.
        follower = next_attempt(intent, now)
        self._board.add(follower)
        return replace(status, reason=f"{status.reason} It is tried again as attempt {follower.attempt}.")

    def _start_queued(self, executor: Executor, now: float) -> None:
        with self._lock:
            room = executor.parallel_jobs - len(self._board.jobs(*_HANDED_OVER, executor=executor.name))
            queued = self._board.jobs(JobState.QUEUED, executor=executor.name)
        for job in queued:
            if room <= 0:
                return
            intent = job.intent
            with self._lock:
                if self._board[intent.job_id].status.state is not JobState.QUEUED:
                    continue
                self._being_handed_over = intent.job_id
            try:
                report = self._hand_over(executor, intent, now)
            except NotNowError as problem:
                self._explain_wait(executor, problem)
                return
            finally:
                self._being_handed_over = ""
            room -= report.state in _HANDED_OVER

    def _hand_over(self, executor: Executor, intent: JobIntent, now: float) -> JobReport:
        try:
            report = executor.submit(intent)
        except NotNowError:
            raise
        except DispatchError as error:
            report = JobReport(
                job_id=intent.job_id,
                state=JobState.FAILED,
                reason=error.what,
                try_this=error.try_this,
                ended_at=now,
            )
        self._follow(report, now)
        return report

    def _explain_wait(self, executor: Executor, problem: NotNowError) -> None:
        with self._lock:
            for job in self._board.jobs(JobState.QUEUED, executor=executor.name):
                if job.status.cancel_asked:
                    status = cancelled_before(job.status, self._clock())
                else:
                    status = replace(job.status, reason=f"Waiting: {problem.what}", try_this=problem.try_this)
                self._store(job, status)

    def _check_beamtime(self) -> None:
        if folder_identity(self._beamtime) != self._beamtime_identity:
            raise DispatchError(
                f"The beamtime folder {self._beamtime} is gone, or another one has taken its name.",
                still_works="Jobs that were handed over go on; nothing is handed over and nothing given up.",
                try_this="They are followed again as soon as the folder is back.",
            )

    def _store(self, job: JobRecord, status: JobStatus) -> None:
        self._board.store(job.intent, status, self._clock())
