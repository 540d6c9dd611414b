"""Decides which job runs when, so that every wish leads to one result or to a sentence that says why not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from backend.dispatch.executor import Executor
from backend.dispatch.intake import CheckedResult, take_in
from backend.dispatch.intent import make_intent, next_attempt
from backend.dispatch.job import JobIntent, JobRecord, JobReport, JobState, JobStatus
from backend.dispatch.recipe import Recipe
from backend.errors import DispatchError
from backend.frames import SeriesInfo
from backend.ledger import Ledger
from backend.settings import DispatchSettings
from backend.snapshot import JobRow

_ROWS_KEPT = 200


@dataclass(frozen=True, slots=True)
class SeriesEndJobs:
    """Jobs that a series end led to, and why a recipe could not be used."""

    rows: tuple[JobRow, ...]
    problems: tuple[DispatchError, ...]


class Dispatcher:
    """Turns series ends and wishes of a person into jobs and follows them; may be called from several threads.

    Parameters
    ----------
    ledger : Ledger
        Every intent is written here before anything is started; jobs of an earlier backend are taken up from here.
    recipes : mapping of str to Recipe
        By name.
    executor : Executor
        Runs the jobs.
    settings : DispatchSettings
        Which recipes run at series end, limits.
    results_of : callable
        Folder for the results of a series.
    beamtime : Path
        Beamtime folder, for the placeholder ``{beamtime}``.
    settings_file : Path or None
        Settings the live analysis runs with, for ``{settings}``.
    clock : callable
        Seconds since 1970.
    """

    def __init__(
        self,
        ledger: Ledger,
        recipes: Mapping[str, Recipe],
        executor: Executor,
        settings: DispatchSettings,
        *,
        results_of: Callable[[SeriesInfo], Path],
        beamtime: Path,
        settings_file: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._recipes = recipes
        self._executor = executor
        self._settings = settings
        self._results_of = results_of
        self._beamtime = beamtime
        self._settings_file = settings_file
        self._clock = clock
        self._lock = threading.RLock()
        unfinished = {record.intent.job_id: record for record in ledger.unfinished_jobs()}
        known = {record.intent.job_id: record for record in ledger.jobs(_ROWS_KEPT)} | unfinished
        oldest_first = sorted(known.values(), key=lambda record: record.intent.submitted_at)
        self._jobs = {record.intent.job_id: record for record in oldest_first}
        self._progress: dict[str, float | None] = {}
        # An earlier backend may have died between starting a job and writing that down.
        self._to_find = {job_id for job_id, job in unfinished.items() if job.status.state is JobState.QUEUED}

    def series_ended(self, info: SeriesInfo, frames: int) -> SeriesEndJobs:
        """Queue the recipes that run at series end and apply, each once per series and recipe text for ever.

        Raises
        ------
        LedgerError
            The intent cannot be stored; nothing was started.
        """
        rows: list[JobRow] = []
        problems: list[DispatchError] = []
        with self._lock:
            for name in self._settings.recipes_at_series_end:
                try:
                    recipe = self._recipe(name)
                    asked = self._ledger.last_attempt(info.name, info.detector.name, recipe.text_sha256)
                    if recipe.applies(info, frames) and not asked:
                        rows.append(self._queue(recipe, info, frames, attempt=1))
                except DispatchError as problem:
                    problems.append(problem)
        return SeriesEndJobs(tuple(rows), tuple(problems))

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
            recipe = self._recipe(recipe_name)
            asked = self._ledger.last_attempt(info.name, info.detector.name, recipe.text_sha256)
            return self._queue(
                recipe, info, info.expected_frames if frames is None else frames, attempt=asked + 1
            )

    def cancel(self, job_id: str) -> JobRow:
        """Stop a job; a queued one at once, a running one as soon as it obeys or is killed.

        Raises
        ------
        DispatchError
            There is no such job, it has ended, or it cannot be reached.
        """
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None:
                raise DispatchError(f"There is no job {job_id}.", try_this="Choose one from the job table.")
            if job.status.state.is_final:
                raise DispatchError(
                    f"The job {job_id} has already ended ({job.status.state}).",
                    still_works="Nothing was changed.",
                )
            self._find_earlier_jobs({job_id} & self._to_find)
            job = self._jobs[job_id]
            if job.status.state is JobState.QUEUED:
                status = replace(
                    job.status,
                    state=JobState.CANCELLED,
                    reason="Cancelled before it started.",
                    ended_at=self._clock(),
                )
            else:
                # Stored first: after a crash the next backend asks the job again.
                status = replace(job.status, reason="Stopping.", cancel_asked=True)
            self._store(job.intent, status)
            if status.cancel_asked:
                self._executor.cancel(self._jobs[job_id])
            return self._row(self._jobs[job_id])

    def poll(self, now: float) -> list[JobRow]:
        """Follow all jobs one step and start what may start; the rows that changed, newest first.

        Raises
        ------
        LedgerError
            A change cannot be stored; it is found again at the next call.
        """
        with self._lock:
            before = {job_id: self._row(job) for job_id, job in self._jobs.items()}
            try:
                self._find_earlier_jobs(set(self._to_find))
            except DispatchError as problem:
                self._explain_wait(problem.what)
            active = [
                job for job in self._own_jobs() if job.status.state in (JobState.RUNNING, JobState.UNKNOWN)
            ]
            for report in self._executor.poll(active):
                self._follow(report, now)
            self._start_queued(now)
            rows = [self._row(job) for job in reversed(self._jobs.values())]
            return [row for row in rows if before.get(row.job_id) != row]

    def job_rows(self) -> tuple[JobRow, ...]:
        """Job table, newest first."""
        with self._lock:
            return tuple(self._row(job) for job in reversed(self._jobs.values()))

    def result_of(self, job_id: str) -> CheckedResult:
        """Result of a job, checked anew against what the job said it wrote.

        Raises
        ------
        DispatchError
            There is no such job.
        """
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None:
            raise DispatchError(f"There is no job {job_id}.", try_this="Choose one from the job table.")
        return take_in(job.intent.folder)

    def close(self) -> None:
        """Let go of all jobs; they run on and are taken up by the next backend."""
        with self._lock:
            self._executor.close()

    def _recipe(self, name: str) -> Recipe:
        recipe = self._recipes.get(name)
        if recipe is None:
            raise DispatchError(
                f"There is no recipe {name}; known are {', '.join(sorted(self._recipes)) or 'none'}.",
                still_works="The live analysis and other recipes are not affected.",
                try_this="Correct the name in the settings, or add the recipe file to shared/recipes of the beamtime.",
            )
        return recipe

    def _queue(self, recipe: Recipe, info: SeriesInfo, frames: int | None, *, attempt: int) -> JobRow:
        intent = make_intent(
            recipe,
            info,
            frames,
            attempt=attempt,
            executor=self._executor.name,
            results=self._results_of(info),
            beamtime=self._beamtime,
            settings=self._settings,
            settings_file=self._settings_file,
            at=self._clock(),
        )
        self._remember_intent(intent)
        return self._row(self._jobs[intent.job_id])

    def _remember_intent(self, intent: JobIntent) -> None:
        if self._ledger.write_intent(intent):
            self._jobs[intent.job_id] = JobRecord(intent, JobStatus(state=JobState.QUEUED))
            self._forget_oldest()

    def _own_jobs(self) -> list[JobRecord]:
        """Newest first."""
        return [job for job in reversed(self._jobs.values()) if job.intent.executor == self._executor.name]

    def _find_earlier_jobs(self, job_ids: set[str]) -> None:
        intents = [job.intent for job in self._own_jobs() if job.intent.job_id in job_ids]
        if intents:
            for report in self._executor.find(intents):
                self._follow(report, self._clock())
            self._to_find -= job_ids

    def _explain_wait(self, cause: str) -> None:
        for job in self._own_jobs():
            if job.intent.job_id in self._to_find:
                self._store(job.intent, replace(job.status, reason=f"Waiting: {cause}"))

    def _follow(self, report: JobReport, now: float) -> None:
        job = self._jobs[report.job_id]
        self._progress[report.job_id] = report.progress
        status = replace(
            job.status,
            state=report.state,
            reason=report.reason,
            try_this=report.try_this,
            identity=report.identity or job.status.identity,
            started_at=report.started_at or job.status.started_at,
            ended_at=report.ended_at,
            exit_code=report.exit_code,
            last_line=report.last_line,
        )
        if status.state is JobState.DONE:
            status = _judged_by_result(status, take_in(job.intent.folder))
        if status.state is JobState.FAILED and status.cancel_asked:
            status = replace(status, state=JobState.CANCELLED, reason="Cancelled while it ran.", try_this="")
        elif status.state is JobState.FAILED and job.intent.retries_left > 0:
            status = self._try_again(job.intent, status, now)
        if not status.state.is_final and replace(status, last_line=job.status.last_line) == job.status:
            # A new line in the log alone is not worth a write to the disk.
            self._jobs[report.job_id] = JobRecord(job.intent, status)
        else:
            self._store(job.intent, status)

    def _try_again(self, intent: JobIntent, status: JobStatus, now: float) -> JobStatus:
        # Stored before the failure is: a crash in between repeats this step under the same key.
        follower = next_attempt(intent, now)
        self._remember_intent(follower)
        return replace(status, reason=f"{status.reason} It is tried again as attempt {follower.attempt}.")

    def _start_queued(self, now: float) -> None:
        jobs = self._own_jobs()
        room = self._executor.parallel_jobs - sum(
            job.status.state in (JobState.RUNNING, JobState.UNKNOWN) for job in jobs
        )
        queued = [
            job
            for job in jobs
            if job.status.state is JobState.QUEUED and job.intent.job_id not in self._to_find
        ]
        for job in queued[: max(0, room)]:
            try:
                report = self._executor.submit(job.intent)
            except DispatchError as error:
                report = JobReport(
                    job_id=job.intent.job_id,
                    state=JobState.FAILED,
                    reason=error.what,
                    try_this=error.try_this,
                    ended_at=now,
                )
            self._follow(report, now)

    def _store(self, intent: JobIntent, status: JobStatus) -> None:
        self._ledger.update_job(intent.job_id, status, self._clock())
        self._jobs[intent.job_id] = JobRecord(intent, status)

    def _forget_oldest(self) -> None:
        surplus = len(self._jobs) - _ROWS_KEPT
        finished = [job_id for job_id, job in self._jobs.items() if job.status.state.is_final]
        for job_id in finished[: max(0, surplus)]:
            del self._jobs[job_id]
            self._progress.pop(job_id, None)

    def _row(self, job: JobRecord) -> JobRow:
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
            result_path=str(intent.result_path) if done else "",
            try_this=status.try_this,
        )


def _judged_by_result(status: JobStatus, result: CheckedResult) -> JobStatus:
    if result.is_good:
        return replace(status, reason="The result is complete and checked.", try_this="")
    problem = result.problems[0]
    return replace(status, state=JobState.FAILED, reason=problem.what, try_this=problem.try_this)
