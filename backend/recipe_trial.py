"""Tries a recipe on a recorded series: the exact script, and a real run into a scratch folder."""

from __future__ import annotations

import shlex
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backend.acquisition.recorded_series import RecordedSeries
from backend.beamtime.folder import BeamtimeFolder
from backend.cluster_access import open_cluster
from backend.dispatch.cluster_executor import ClusterExecutor
from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.executor import Executor
from backend.dispatch.folders import make_folder
from backend.dispatch.intent import WhereJobRuns, make_intent
from backend.dispatch.job import INTENT_FILE, LOG_FILE, JobIntent, JobState
from backend.dispatch.job_command import program_of, script_of
from backend.dispatch.job_tasks import task_intent, tasks_of
from backend.dispatch.local_executor import LocalExecutor
from backend.dispatch.recipe import Recipe
from backend.errors import FeedbackError, SeriesError
from backend.frames import SeriesInfo, SeriesStarted
from backend.ledger import Ledger
from backend.settings import Settings
from backend.snapshot import JobRow

_POLL_S = 0.1
_OVER = (*(str(state) for state in JobState if state.is_final), str(JobState.PARKED))


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial ended: the row of its job, its log file, and where everything lies."""

    row: JobRow
    log: Path
    folder: Path


class RecipeTrial:
    """One recipe on one recorded series.

    Parameters
    ----------
    recipe : Recipe
        Runs once, whatever its retries.
    info : SeriesInfo
        From :func:`recorded_series`.
    folder : BeamtimeFolder
        Where the series lies; a cluster must see it.
    settings, settings_file
        As for the backend.

    Raises
    ------
    FeedbackError
        The recipe is for a cluster that is not set up, or no scratch folder can be made.
    """

    def __init__(
        self,
        recipe: Recipe,
        info: SeriesInfo,
        folder: BeamtimeFolder,
        settings: Settings,
        settings_file: Path | None,
    ) -> None:
        self._recipe = recipe.model_copy(update={"retries": 0})
        self._info = info
        self._beamtime = folder
        self._settings = settings
        self._scratch = _scratch_folder(recipe, folder)
        self._executor: Executor = (
            LocalExecutor(1, settings_file, settings.dispatch.processors)
            if recipe.executor == LocalExecutor.name
            else open_cluster(folder, settings, self._scratch)
        )

    def script(self) -> str:
        """Everything that would be run, as a person would type it.

        Raises
        ------
        DispatchError
            The series lacks something that the recipe needs.
        BeamtimeError
            The nodes cannot see a file.
        """
        intent = self._intent()
        if isinstance(self._executor, ClusterExecutor):
            handed_over, intent = self._executor.preview(intent)
            lines = ["# Handed over to Slurm:", handed_over.rstrip()]
        else:
            lines = [f"# Watched by: python -m backend.dispatch.run_job {INTENT_FILE}"]
        which = "# Which then runs:"
        if tasks := tasks_of(intent):
            intent, which = task_intent(intent, 0), f"# Which then runs, for task 0 of {len(tasks)}:"
        lines += [which, shlex.join(program_of(intent))]
        if intent.plan.script:
            lines += ["# With this script:", script_of(intent).rstrip()]
        return "\n".join(lines)

    def run(self, follow: Callable[[JobRow], None], stop: threading.Event) -> TrialResult:
        """Run it to its end; ``follow`` is called whenever the row changes, ``stop`` cancels it.

        Raises
        ------
        FeedbackError
            It cannot be started.
        """
        make_folder(self._scratch)
        ledger = Ledger(self._scratch / "ledger.sqlite")
        dispatcher = Dispatcher(
            ledger,
            {self._recipe.name: self._recipe},
            [self._executor],
            self._settings.dispatch,
            results_of=lambda _: self._scratch,
            beamtime=self._beamtime.path,
        )
        try:
            key = dispatcher.run(self._info, self._recipe.name).job_id
            row = self._follow(dispatcher, follow, stop)
            return TrialResult(row, self._scratch / ".jobs" / key / LOG_FILE, self._scratch)
        finally:
            dispatcher.close()
            ledger.close()

    def _follow(
        self, dispatcher: Dispatcher, follow: Callable[[JobRow], None], stop: threading.Event
    ) -> JobRow:
        asked_to_stop = False
        while True:
            for row in dispatcher.poll(time.time()):
                follow(row)
            (row,) = dispatcher.job_rows()
            if row.state in _OVER:
                return row
            if stop.wait(_POLL_S) and not asked_to_stop:
                asked_to_stop = True
                dispatcher.cancel(row.job_id)

    def _intent(self) -> JobIntent:
        where = WhereJobRuns(
            python=self._executor.python,
            results=self._scratch,
            beamtime=self._beamtime.path,
            settings=self._settings.dispatch,
            settings_file=self._executor.settings_file,
        )
        frames = self._info.expected_frames
        return make_intent(self._recipe, self._info, frames, where, attempt=1, at=time.time())


def recorded_series(path: Path, settings: Settings) -> SeriesInfo:
    """The series at a master file, detector folder or series folder.

    Raises
    ------
    SeriesError
        There is none.
    """
    source = RecordedSeries([path], settings)
    while not source.finished:
        for event in source.poll():
            if isinstance(event, SeriesStarted):
                return event.info
    raise SeriesError(f"{path} holds no series that can be read.", try_this="Give another one.")


def last_series(folder: BeamtimeFolder, settings: Settings) -> SeriesInfo:
    """The newest series below ``raw`` that can be read.

    Raises
    ------
    SeriesError
        There is none.
    """
    try:
        folders = [entry for entry in folder.raw.iterdir() if entry.is_dir()]
    except OSError as error:
        raise SeriesError(f"{folder.raw} cannot be looked at: {error.strerror or error}.") from error
    for newest in sorted(folders, key=lambda entry: entry.stat().st_mtime, reverse=True):
        try:
            return recorded_series(newest, settings)
        except FeedbackError:
            # A folder without a series, or one that cannot be read: an older one does as well for a trial.
            continue
    raise SeriesError(
        f"There is no series in {folder.raw} yet.",
        try_this="Give one with --on, for instance of mento-gui simulate.",
    )


def _scratch_folder(recipe: Recipe, folder: BeamtimeFolder) -> Path:
    if recipe.executor == LocalExecutor.name:
        return Path(tempfile.mkdtemp(prefix=f"mento-gui-{recipe.name}-"))
    # The nodes must see it.
    scratch = folder.scratch / f"mento-gui-{recipe.name}-{time.strftime('%Y%m%dT%H%M%S')}"
    try:
        make_folder(scratch)
    except OSError as error:
        raise FeedbackError(
            f"The folder {scratch} for the trial cannot be made: {error.strerror or error}.",
            try_this="Check that you may write in the scratch folder of the beamtime.",
        ) from error
    return scratch
