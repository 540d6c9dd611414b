"""Turns a wish into an intent that stands in the ledger: a recipe for a series, or a command of a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from backend.dispatch.executor import Executor
from backend.dispatch.folders import command_folder
from backend.dispatch.intent import WhereJobRuns, job_key, make_command_intent, make_intent
from backend.dispatch.job import JobState
from backend.dispatch.job_board import JobBoard
from backend.dispatch.recipe import Recipe
from backend.dispatch.recipe_book import RecipeBook
from backend.dispatch.status_steps import cancelled_before
from backend.errors import DispatchError
from backend.frames import SeriesInfo
from backend.ledger import Ledger
from backend.requests import SubmitCommand
from backend.settings import DispatchSettings
from backend.snapshot import JobRow


@dataclass(frozen=True, slots=True)
class SeriesEndJobs:
    """Jobs that a series end led to, and why a recipe could not be used."""

    rows: tuple[JobRow, ...]
    problems: tuple[DispatchError, ...]


class Wishes:
    """Adds jobs to the board, each wish once. Not for several threads at once; parameters as for the dispatcher."""

    def __init__(
        self,
        ledger: Ledger,
        board: JobBoard,
        executors: Mapping[str, Executor],
        settings: DispatchSettings,
        results_of: Callable[[SeriesInfo], Path],
        beamtime: Path,
        clock: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._board = board
        self._executors = executors
        self._settings = settings
        self._results_of = results_of
        self._beamtime = beamtime
        self._clock = clock
        self._newest_frames: dict[tuple[str, str, str], int] = {}

    def at_series_end(
        self, recipes: RecipeBook, info: SeriesInfo, frames: int, is_handed_over: Callable[[str], bool]
    ) -> SeriesEndJobs:
        """All recipes that run by themselves and apply, each once; ``is_handed_over`` as for :meth:`newest`."""
        rows: list[JobRow] = []
        problems: list[DispatchError] = []
        for name in recipes.that_run():
            try:
                recipe = recipes[name]
                if not recipe.applies(info, frames):
                    continue
                if recipe.when == "series-ended":
                    rows += self.once(recipe, info, frames)
                else:
                    rows += self.newest(recipe, info, frames, is_handed_over)
            except DispatchError as problem:
                problems.append(problem)
        return SeriesEndJobs(tuple(rows), tuple(problems))

    def while_it_runs(
        self, recipes: RecipeBook, info: SeriesInfo, frames: int, is_handed_over: Callable[[str], bool]
    ) -> tuple[DispatchError, ...]:
        """The recipes that run every so many frames, if enough came; why one could not be used."""
        problems: list[DispatchError] = []
        for recipe, every in recipes.that_run_again_and_again():
            due = frames // every * every
            if due and recipe.applies(info, due):
                try:
                    recipes.check_executor(recipe)
                    self.newest(recipe, info, due, is_handed_over)
                except DispatchError as problem:
                    problems.append(problem)
        return tuple(problems)

    def once(self, recipe: Recipe, info: SeriesInfo, frames: int) -> list[JobRow]:
        """A recipe for a series that has ended, if it was never asked for; the row it led to, if any.

        Raises
        ------
        DispatchError
            The series lacks something that the recipe needs.
        LedgerError
            The intent cannot be stored.
        """
        asked = self._ledger.last_attempt(info.name, info.detector.name, recipe.text_sha256)
        return [] if asked else [self.again(recipe, info, frames)]

    def again(self, recipe: Recipe, info: SeriesInfo, frames: int | None) -> JobRow:
        """A recipe for a series as a new job, whatever was asked before; errors as for :meth:`once`."""
        asked = self._ledger.last_attempt(info.name, info.detector.name, recipe.text_sha256)
        where = self._where(recipe, self._results_of(info))
        intent = make_intent(recipe, info, frames, where, attempt=asked + 1, at=self._clock())
        self._board.add(intent)
        return self._board.row(intent.job_id)

    def newest(
        self, recipe: Recipe, info: SeriesInfo, frames: int, is_handed_over: Callable[[str], bool]
    ) -> list[JobRow]:
        """A recipe for the first ``frames`` of a series, once; older runs that still wait give way to it.

        ``is_handed_over`` says whether a queued job may be running already. Errors as for :meth:`once`.
        """
        series = (info.name, info.detector.name, recipe.text_sha256)
        if self._newest_frames.get(series, 0) >= frames:
            return []
        if self._ledger.has_job(job_key(info.name, info.detector.name, recipe, 1, frames)):
            self._newest_frames[series] = frames
            return []
        older = [
            job
            for job in self._board.jobs(JobState.QUEUED)
            if (job.intent.series, job.intent.detector, job.intent.recipe_sha256) == series
            and not is_handed_over(job.intent.job_id)
        ]
        where = self._where(recipe, self._results_of(info))
        intent = make_intent(recipe, info, frames, where, attempt=1, at=self._clock())
        self._board.add(intent)
        self._newest_frames[series] = frames
        for job in older:
            status = cancelled_before(job.status, self._clock(), f"Gave way to a run on {frames} frames.")
            self._board.store(job.intent, status, self._clock())
        return [self._board.row(intent.job_id)]

    def command(
        self, wish: SubmitCommand, recipe: Recipe, info: SeriesInfo | None, frames: int | None
    ) -> str:
        """Key of the job for a command; asked again with the same token, nothing is added.

        Errors as for :meth:`once`.
        """
        folder = self._results_of(info) if info else command_folder(self._beamtime, recipe.name)
        where = self._where(recipe, folder)
        intent = make_command_intent(recipe, wish.token, info, frames, where, at=self._clock())
        self._board.add(intent)
        return intent.job_id

    def _where(self, recipe: Recipe, results: Path) -> WhereJobRuns:
        executor = self._executors[recipe.executor]
        return WhereJobRuns(
            python=executor.python,
            results=results,
            beamtime=self._beamtime,
            settings=self._settings,
            settings_file=executor.settings_file,
        )
