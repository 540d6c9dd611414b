"""What the backend holds while a beamtime folder is there: lease, ledger, jobs, status file, settings by hash."""

from __future__ import annotations

from pathlib import Path

from backend.beamtime.folder import BeamtimeFolder
from backend.cluster_access import open_cluster
from backend.dispatch.backoff import Backoff
from backend.dispatch.cluster_executor import ClusterExecutor
from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.folders import folder_identity, make_folder, result_folder
from backend.dispatch.local_executor import LocalExecutor
from backend.dispatch.recipe_watch import RecipesNow, RecipeWatch
from backend.errors import BeamtimeError, DispatchError, FeedbackError
from backend.frames import SeriesInfo, SourceNotice
from backend.lease import Lease
from backend.ledger import Ledger
from backend.publish.status import write_status_file
from backend.settings import Settings, settings_to_toml
from backend.snapshot import Snapshot
from backend.whole_file import write_whole_text

STATE_FOLDER = "mento-gui"
"""Below ``processed``: lock, ledger and status file of the backend."""
_STATUS_FILE = "status.json"
_SETTINGS_FOLDER = "settings"
_CLUSTER = "cluster"
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0


def last_alive(folder: BeamtimeFolder) -> float | None:
    """When a backend last worked on this folder, in seconds since 1970 on the clock of its file system; or ``None``."""
    try:
        return (folder.processed / STATE_FOLDER / _STATUS_FILE).stat().st_mtime
    except OSError:
        # None ever did, or nothing can be known of it now.
        return None


class BeamtimeSession:
    """Everything that is stored for one beamtime folder.

    ``problems`` are what a person should know about the opening: a damaged ledger set aside. ``cluster_is_open`` says
    that recipes for the cluster can run.

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
            make_folder(self._state, beneath=folder.path)
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
        self._settings = settings
        self._recipe_watch = RecipeWatch(folder.shared / "recipes")
        found = self._recipe_watch.look() or RecipesNow({}, ())
        self._notices = found.notices
        here = LocalExecutor(settings.dispatch.parallel_jobs, settings_file, settings.dispatch.processors)
        self._recipes = found.recipes
        self.cluster_is_open = False
        # What keeps it from being set up may pass: a full disk, metadata that are not there yet.
        self._cluster_pause = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        cluster, notices = self._cluster_if_needed()
        self._notices += notices
        self.dispatcher = Dispatcher(
            self.ledger,
            found.recipes,
            [here, *cluster],
            settings.dispatch,
            results_of=lambda info: result_folder(folder.raw, folder.processed, info),
            beamtime=folder.path,
        )
        self.problems = self.ledger.notices

    def is_of(self, folder: BeamtimeFolder) -> bool:
        """True while this folder is the one the session was opened for, not a later one of the same name."""
        return folder.path == self.folder.path and folder_identity(folder.path) == self._identity

    def keep(self) -> tuple[SourceNotice, ...]:
        """Renew the lease and take up recipes that came or changed; what a person should know of them."""
        self._lease.keep()
        notices, self._notices = self._notices, ()
        changed = self._recipe_watch.look()
        if changed is not None:
            self._recipes = changed.recipes
            notices += changed.notices
        cluster, found = self._cluster_if_needed()
        for executor in cluster:
            self.dispatcher.add_executor(executor)
        if changed is not None:
            self.dispatcher.recipes.replace(changed.recipes)
        return notices + found

    def _cluster_if_needed(self) -> tuple[tuple[ClusterExecutor, ...], tuple[SourceNotice, ...]]:
        """The cluster, once there is a recipe for it, and what a person should know; tried again until it is set up."""
        wanted = any(recipe.executor == ClusterExecutor.name for recipe in self._recipes.values())
        if self.cluster_is_open or not wanted or self._cluster_pause.wait_s > 0:
            return (), ()
        try:
            cluster = open_cluster(self.folder, self._settings, self._state)
        except FeedbackError as error:
            self._cluster_pause.failed()
            return (), (SourceNotice(_CLUSTER, "warning", error.what, error.still_works, error.try_this),)
        self.cluster_is_open = True
        return (cluster,), (SourceNotice(_CLUSTER, "info", ""),)

    def frames_arrived(self, info: SeriesInfo, frames: int) -> tuple[DispatchError, ...]:
        """Hand a series that still runs to the recipes that want it; why one of them could not be used."""
        if not info.folder.is_relative_to(self.folder.path):
            return ()
        return self.dispatcher.frames_arrived(info, frames)

    def keep_settings(self, settings: Settings) -> None:
        """Write what a series is judged with into a file named by its hash, once: so it can be judged again.

        Raises
        ------
        BeamtimeError
            It cannot be written.
        """
        file = self._state / _SETTINGS_FOLDER / f"{settings.sha256}.toml"
        if file.exists():
            return
        try:
            file.parent.mkdir(exist_ok=True)
            write_whole_text(file, settings_to_toml(settings))
        except OSError as error:
            raise BeamtimeError(
                f"The settings of this series cannot be kept in {file.parent}: {error.strerror or error}.",
                still_works="Its verdicts are stored with the hash of the settings.",
                try_this="Check the disk and the quota.",
            ) from error

    def write_status(self, snapshot: Snapshot) -> None:
        """Replace ``status.json``; OSError when that is not possible."""
        write_status_file(self._state / _STATUS_FILE, snapshot)

    def close(self) -> None:
        """Let go of everything; running jobs go on and are found again by the next backend."""
        self.dispatcher.close()
        self.ledger.close()
        self._lease.release()
