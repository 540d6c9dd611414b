"""Answers the requests of windows and command lines; knows what each may touch, and nothing of the loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from backend.beamtime_session import BeamtimeSession
from backend.errors import DispatchError
from backend.frames import SeriesInfo
from backend.message_board import MessageBoard
from backend.publish.status import status_json
from backend.requests import (
    AcknowledgeMessage,
    AnyRequest,
    CancelJob,
    ChooseRecipe,
    GetStatus,
    InspectJob,
    Ping,
    Reply,
    ResumeJob,
    RunRecipe,
    SelectRing,
    Shutdown,
    SubmitCommand,
    TakeSettings,
)
from backend.settings_in_use import SettingsInUse
from backend.snapshot import RecipeRow, Snapshot
from backend.snapshot_composer import SnapshotComposer

_SERIES_REMEMBERED = 500


class RequestDesk:
    """Turns a request into its reply.

    Parameters
    ----------
    composer, board
        What is shown.
    settings
        What series are analysed with.
    stop : callable
        Ends the backend.

    Attributes
    ----------
    session : BeamtimeSession or None
        Where jobs and acknowledgements are kept.
    snapshot : Snapshot or None
        The newest one.
    something_new : bool
        True once a reply changed what is shown; whoever publishes sets it back.
    """

    def __init__(
        self,
        composer: SnapshotComposer,
        board: MessageBoard,
        settings: SettingsInUse,
        stop: Callable[[], None],
    ) -> None:
        self._composer = composer
        self._board = board
        self._settings = settings
        self._stop = stop
        self._series: dict[str, tuple[SeriesInfo, int]] = {}
        self.session: BeamtimeSession | None = None
        self.snapshot: Snapshot | None = None
        self.something_new = False

    def remember(self, info: SeriesInfo, frames: int) -> None:
        """A series that recipes may be run on."""
        self._series.pop(info.name, None)
        self._series[info.name] = (info, frames)
        if len(self._series) > _SERIES_REMEMBERED:
            del self._series[next(iter(self._series))]

    def recipe_rows(self) -> tuple[RecipeRow, ...]:
        """The recipes of the beamtime, if there is one."""
        return () if self.session is None else self.session.dispatcher.recipes.rows()

    def reply(self, request: AnyRequest) -> Reply:
        """Do what is asked for and say how it went.

        Raises
        ------
        FeedbackError
            It cannot be done; the words are for the person who asked.
        """
        match request:
            case Ping():
                return Reply(ok=True)
            case GetStatus():
                return Reply(ok=True, payload=b"" if self.snapshot is None else status_json(self.snapshot))
            case SelectRing(ring=ring):
                self._composer.select_ring(ring)
                self.something_new = True
                return Reply(ok=True)
            case AcknowledgeMessage(key=key):
                return self._acknowledge(key)
            case RunRecipe(series=series, recipe=recipe):
                return self._run_recipe(series, recipe)
            case ChooseRecipe(recipe=recipe, runs=runs):
                self._stored().dispatcher.recipes.choose(recipe, runs, time.time())
                self.something_new = True
                return Reply(ok=True)
            case SubmitCommand():
                return self._submit(request)
            case CancelJob(job_id=job_id):
                self._stored().dispatcher.cancel(job_id)
                return Reply(ok=True)
            case ResumeJob(job_id=job_id):
                self._stored().dispatcher.resume(job_id)
                return Reply(ok=True)
            case TakeSettings(file=file, author=author):
                return self._take_settings(Path(file), author)
            case InspectJob(job_id=job_id):
                return Reply(ok=True, payload=msgspec.json.encode(self._stored().dispatcher.details(job_id)))
            case Shutdown():
                self._stop()
                return Reply(ok=True)

    def _acknowledge(self, key: str) -> Reply:
        if not self._board.acknowledge(key):
            return Reply(ok=False, message="This message is gone already.")
        if self.session is not None:
            self.session.ledger.record_acknowledgement(key, time.time())
        return Reply(ok=True)

    def _run_recipe(self, series: str, recipe: str) -> Reply:
        known = self._series.get(series)
        if known is None:
            raise DispatchError(
                f"The backend has not read {series} since it started.",
                still_works="Nothing was changed.",
                try_this="Run the analysis on the command line: mento-gui correlate MASTER --to RESULT.h5",
            )
        info, frames = known
        self._stored().dispatcher.run(info, recipe, frames)
        return Reply(ok=True)

    def _take_settings(self, file: Path, author: str) -> Reply:
        change = self._settings.look_at(file)
        now = time.time()
        if change.changed or change.at_next_start:
            # Before they are used: no verdict is made with settings that nobody has changed.
            if self.session is not None:
                self.session.ledger.record_settings_change(author, now, f"{file}: {change.words}")
            self._board.post("settings", "info", f"{author} has changed the settings. {change.words}", at=now)
        self._settings.take(change)
        self.something_new = True
        return Reply(ok=True, message=change.words)

    def _submit(self, wish: SubmitCommand) -> Reply:
        name = wish.series or next(reversed(self._series), "")
        if wish.series and name not in self._series:
            raise DispatchError(
                f"The backend has not read {name} since it started.",
                still_works="Nothing was changed.",
                try_this="Leave the series out, or write the paths themselves in the command.",
            )
        info, frames = self._series.get(name, (None, 0))
        job_id = self._stored().dispatcher.submit(wish, info, frames)
        return Reply(ok=True, payload=job_id.encode())

    def _stored(self) -> BeamtimeSession:
        if self.session is None:
            raise DispatchError(
                "There is no beamtime folder to keep jobs in.",
                still_works="Live pictures and the verdict go on.",
                try_this="See the message about the beamtime folder.",
            )
        return self.session
