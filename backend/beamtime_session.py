"""What the backend holds while a beamtime folder is there: lease, ledger, jobs, status file."""

from __future__ import annotations

from pathlib import Path

from backend.beamtime.folder import BeamtimeFolder
from backend.cluster_access import open_cluster
from backend.dispatch.cluster_executor import ClusterExecutor
from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.executor import Executor
from backend.dispatch.folders import folder_identity, make_folder, result_folder
from backend.dispatch.local_executor import LocalExecutor
from backend.dispatch.recipe_folder import load_recipes
from backend.errors import BeamtimeError, FeedbackError
from backend.lease import Lease
from backend.ledger import Ledger
from backend.publish.status import write_status_file
from backend.settings import Settings
from backend.snapshot import Snapshot

STATE_FOLDER = "mento-gui"
"""Below ``processed``: lock, ledger and status file of the backend."""


class BeamtimeSession:
    """Everything that is stored for one beamtime folder.

    ``problems`` are what a person should know about the opening: a damaged ledger set aside, a recipe that cannot be
    read.

    Raises
    ------
    FeedbackError
        The folder cannot be written, or another backend is at work on it.
    """

    def __init__(self, folder: BeamtimeFolder, settings: Settings, settings_file: Path | None) -> None:
        self.folder = folder
        self._identity = folder_identity(folder.path)
        self._state = folder.processed / STATE_FOLDER
        try:
            make_folder(self._state)
        except OSError as error:
            raise BeamtimeError(
                f"The folder {self._state} cannot be made: {error.strerror or error}.",
                still_works="Live pictures and the verdict go on; verdicts and jobs are not stored.",
                try_this="Check that you may write in the processed folder of the beamtime.",
            ) from error
        self._lease = Lease(self._state / "backend.lock")
        try:
            self.ledger = Ledger(self._state / "ledger.sqlite")
        except FeedbackError:
            self._lease.release()
            raise
        recipes, faulty = load_recipes([folder.shared / "recipes"])
        executors: list[Executor] = [
            LocalExecutor(settings.dispatch.parallel_jobs, settings_file, settings.dispatch.processors)
        ]
        problems: list[FeedbackError] = [*self.ledger.notices, *faulty]
        if any(recipe.executor == ClusterExecutor.name for recipe in recipes.values()):
            try:
                executors.append(open_cluster(folder, settings, self._state))
            except FeedbackError as error:
                problems.append(error)
        self.dispatcher = Dispatcher(
            self.ledger,
            recipes,
            executors,
            settings.dispatch,
            results_of=lambda info: result_folder(folder.raw, folder.processed, info),
            beamtime=folder.path,
        )
        self.problems = tuple(problems)

    def is_of(self, folder: BeamtimeFolder) -> bool:
        """True while this folder is the one the session was opened for, not a later one of the same name."""
        return folder.path == self.folder.path and folder_identity(folder.path) == self._identity

    def keep(self) -> None:
        """Renew the lease."""
        self._lease.keep()

    def write_status(self, snapshot: Snapshot) -> None:
        """Replace ``status.json``; OSError when that is not possible."""
        write_status_file(self._state / "status.json", snapshot)

    def close(self) -> None:
        """Let go of everything; running jobs go on and are found again by the next backend."""
        self.dispatcher.close()
        self.ledger.close()
        self._lease.release()
