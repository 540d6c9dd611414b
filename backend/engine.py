"""The loop that knows all steps and nothing else: source -> analysis -> snapshot -> publish; requests come back."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import msgspec

from backend.acquisition.folder_watch import FolderWatch
from backend.acquisition.source_thread import SourceThread
from backend.beamtime_session import BeamtimeSession, last_alive
from backend.errors import FeedbackError
from backend.frames import (
    FrameBatch,
    SeriesDescribed,
    SeriesEnded,
    SeriesInfo,
    SeriesStarted,
    SourceEvent,
    SourceNotice,
)
from backend.job_follower import JobFollower
from backend.kernel_warm_up import warm_up
from backend.lease import Lease
from backend.message_board import MessageBoard
from backend.publish.endpoint import endpoint_of, make_private
from backend.publish.server import SnapshotServer
from backend.rehearsal import Rehearsal
from backend.request_desk import RequestDesk
from backend.series_book import SeriesBook
from backend.series_notices import series_notices
from backend.series_run import SeriesRun
from backend.settings import Settings
from backend.settings_in_use import SettingsInUse
from backend.snapshot import Snapshot, Verdict
from backend.snapshot_composer import SnapshotComposer

_IDLE_PUBLISH_S = 0.5
_STATUS_FILE_S = 1.0
_WORK_BUDGET_S = 0.15
_PATIENCE_S = 0.1
_SESSION_RETRY_S = 10.0
_BEAMTIME = "the beamtime folder"
_log = logging.getLogger(__name__)


class Engine:
    """Runs the whole backend in the calling thread until it is told to stop.

    Parameters
    ----------
    root : Path
        Where ``current/`` or ``commissioning/`` stands.
    settings : Settings
        All tunable values.
    settings_file : Path or None
        Where they came from, handed on to jobs.

    Raises
    ------
    FeedbackError
        Another backend is at work for this root.
    """

    def __init__(self, root: Path, settings: Settings, settings_file: Path | None = None) -> None:
        self._rehearsal = Rehearsal(settings)
        self._in_use = in_use = SettingsInUse(settings, settings_file)
        self._watch = FolderWatch(root, settings, last_alive=last_alive)
        self._acquisition = SourceThread(self._watch)
        endpoint = endpoint_of(root)
        make_private(endpoint)
        self._lease = Lease(endpoint.folder / "backend.lock")
        try:
            self._server = SnapshotServer(endpoint)
        except FeedbackError:
            self._lease.release()
            raise
        self._board = MessageBoard()
        self._composer = SnapshotComposer(root, in_use)
        self._jobs = JobFollower(self._board)
        self._book = SeriesBook(self._guard)
        self._session_due_at = 0.0
        self._run: SeriesRun | None = None
        self._told: tuple[SourceNotice, ...] = ()
        self._stop = threading.Event()
        self._desk = RequestDesk(self._composer, self._board, in_use, self._stop.set)
        self._ready = threading.Event()
        self._published_at = 0.0
        self._status_written_at = 0.0
        # Frames may keep a thread busy for seconds; this one must go on saying that it is there.
        self._analyst = ThreadPoolExecutor(1, thread_name_prefix="analysis")
        self._analysing: Future[None] | None = None

    def stop(self) -> None:
        """End the loop in good order; may be called from a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Watch, analyse, publish and answer until :meth:`stop` or a shutdown request."""
        warming = threading.Thread(target=self._warm_up, name="warm-up", daemon=True)
        warming.start()
        self._acquisition.start()
        worked = False
        try:
            while not self._stop.is_set():
                self._guard("answering requests", self._answer)
                self._guard("renewing the lock", self._lease.keep)
                if self._is_analysing():
                    self._guard("following jobs", self._jobs.look)
                    self._guard("publishing", self._publish_sign_of_life)
                    continue
                # Before the next piece of work: pieces that take long must not keep all this waiting for ever.
                self._guard(_BEAMTIME, self._follow_beamtime)
                self._guard("storing jobs", self._jobs.hand_over)
                self._guard("following jobs", partial(self._jobs.follow, self._run))
                self._guard("publishing", partial(self._publish, worked))
                worked = self._ready.is_set() and self._work()
                if self._ready.is_set() and not worked:
                    self._rehearse()
        finally:
            self._close()

    def _close(self) -> None:
        self._acquisition.stop()
        self._analyst.shutdown(wait=True)
        self._rehearsal.stop()
        self._guard("ending the series", self._end_run)
        self._guard("closing the beamtime folder", self._close_session)
        self._server.close()
        self._lease.release()

    def _end_run(self) -> None:
        if self._run is not None and self._run.status == "running":
            self._run.break_off()
            self._store_run()

    def _close_session(self) -> None:
        self._jobs.close()
        session, self._desk.session = self._desk.session, None
        self._book.open(None)
        if session is not None:
            session.close()

    def _guard(self, doing: str, step: Callable[[], object]) -> None:
        """Run one step of the loop; trouble becomes a message and never ends the watch."""
        key = _key_of(doing)
        try:
            step()
        except FeedbackError as error:
            self._board.post_error(key, error, at=time.time(), level="error")
        except Exception as fault:  # noqa: BLE001 - the backend must outlive a fault nobody thought of; it is told
            _log.error("Fault while %s:\n%s", doing, traceback.format_exc())
            self._board.post(
                key,
                "error",
                f"A fault in the program while {doing}: {type(fault).__name__}: {fault}.",
                "The watch goes on.",
                "If it repeats, send the log to the authors.",
                at=time.time(),
            )

    def _warm_up(self) -> None:
        """Compile the kernels while the window already shows that someone is there."""
        self._guard("preparing the kernels", warm_up)
        self._ready.set()

    def _work(self) -> bool:
        """Work off waiting events for a moment, or until the verdict changes; true when there were any."""
        until = time.monotonic() + _WORK_BUDGET_S
        worked = False
        # A change is seen by everybody even when the next one waits in the backlog already.
        while time.monotonic() < until and not self._desk.something_new:
            event = self._acquisition.next_event()
            if event is None:
                break
            if self._desk.session is None:
                # A short series may be over within one round of the loop; it is to be stored and gets its jobs.
                self._guard(_BEAMTIME, self._follow_beamtime)
            step = partial(self._guard, "working off frames", partial(self._handle, event))
            self._analysing = self._analyst.submit(step)
            worked = True
            if self._is_analysing():
                break
        return worked

    def _rehearse(self) -> None:
        """Nothing waits: get ready for the first series."""
        if not self._rehearsal.is_over:
            step = partial(self._guard, "getting memory ready", self._rehearsal.step)
            self._analysing = self._analyst.submit(step)

    def _is_analysing(self) -> bool:
        """True while something is being worked off; what is short is waited for."""
        if self._analysing is not None:
            wait([self._analysing], timeout=_PATIENCE_S)
            if not self._analysing.done():
                return True
            self._analysing = None
        return False

    def _handle(self, event: SourceEvent) -> None:
        if isinstance(event, SourceNotice):
            self._board.post_notice(event, at=time.time())
        elif isinstance(event, SeriesStarted):
            self._start_series(event.info)
        elif self._run is None or event.series != self._run.info.name:
            raise FeedbackError(
                f"Frames of {event.series} came before its start.", still_works="They are left out."
            )
        elif isinstance(event, FrameBatch):
            self._add_frames(self._run, event)
        elif isinstance(event, SeriesDescribed):
            self._run.describe(event)
            self._composer.series_changed()
            self._store_run()
        else:
            self._end_series(self._run, event)

    def _start_series(self, info: SeriesInfo) -> None:
        if self._run is not None and self._run.status == "running":
            self._run.break_off()
            self._store_run()
        self._rehearsal.stop()
        self._run = SeriesRun(info, self._in_use.settings)
        self._composer.new_series(self._run.info, time.time())
        self._jobs.finished.forget_shown()
        self._desk.remember(info, 0)
        self._store_run()

    def _add_frames(self, run: SeriesRun, batch: FrameBatch) -> None:
        planned = run.analysis.plan is not None
        aside = run.analysis.set_aside.number
        self._store_verdicts(run, run.add(batch))
        self._book.keep(run)
        self._composer.frames_arrived(time.time())
        if not planned and run.analysis.plan is not None:
            for number, notice in enumerate(run.analysis.plan.notices):
                self._board.post(f"series-{run.info.name}-{number}", "warning", notice, at=time.time())
        if run.analysis.set_aside.number > aside:
            self._tell_set_aside(run)
        self._tell_news(run)
        self._jobs.frames_arrived(run.info, run.analysis.frames)

    def _tell_news(self, run: SeriesRun) -> None:
        """Show what became known about the series since the last time."""
        notices = series_notices(run.analysis)
        for notice in notices:
            if notice not in self._told:
                self._board.post_notice(notice, at=time.time())
        self._told = notices

    def _tell_set_aside(self, run: SeriesRun) -> None:
        aside = run.analysis.set_aside
        self._board.post(
            f"set-aside-{run.info.name}",
            "warning",
            f"{aside.number} frames of {run.info.name} are set aside; the last: {aside.last_reason}.",
            "All other frames are used.",
            "If it goes on, check the detector and the file writer.",
            at=time.time(),
        )

    def _end_series(self, run: SeriesRun, event: SeriesEnded) -> None:
        changes = run.end(event)
        self._jobs.series_ended(run.info, run.analysis.frames)
        self._store_verdicts(run, changes)
        self._tell_news(run)
        self._desk.remember(run.info, run.analysis.frames)
        self._composer.series_changed()
        self._store_run()
        if self._book.motion_notice is not None:
            self._board.post_notice(self._book.motion_notice, at=time.time())
        self._jobs.hand_over()

    def _store_verdicts(self, run: SeriesRun, changes: list[Verdict]) -> None:
        self._book.store_verdicts(run, changes)
        if changes:
            self._store_run()

    def _store_run(self) -> None:
        if self._run is not None:
            self._composer.remember_row(self._run.row())
            self._book.store(self._run)
            if self._desk.session is not None:
                settings = self._run.analysis.settings
                self._guard("keeping the settings", partial(self._desk.session.keep_settings, settings))

    def _follow_beamtime(self) -> None:
        """Open or close what is stored with the beamtime folder as it comes and goes."""
        folder = self._watch.folder
        if self._desk.session is not None:
            if folder is not None and self._desk.session.is_of(folder):
                for notice in self._desk.session.keep():
                    self._board.post_notice(notice, at=time.time())
                return
            self._close_session()
        if folder is None:
            self._session_due_at = 0.0
            return
        if time.monotonic() < self._session_due_at:
            return
        self._session_due_at = time.monotonic() + _SESSION_RETRY_S
        self._desk.session = BeamtimeSession(folder, self._in_use.settings, self._in_use.file)
        self._session_due_at = 0.0
        self._board.solve(_key_of(_BEAMTIME))
        for row in self._desk.session.ledger.series_rows(100)[::-1]:
            # A backend that was killed left its last series as running; nobody follows it any more.
            abandoned = row.status == "running"
            self._composer.remember_row(
                msgspec.structs.replace(row, status="incomplete") if abandoned else row
            )
        self._book.open(self._desk.session.ledger)
        self._store_run()
        self._jobs.open(self._desk.session)
        self._jobs.hand_over()
        for problem in self._desk.session.problems:
            self._board.post_error(f"beamtime-{problem.what}", problem, at=time.time(), level="warning")

    def _publish_sign_of_life(self) -> None:
        """The last snapshot again, while a long piece of work keeps its successor waiting."""
        if self._desk.snapshot is not None and time.monotonic() - self._published_at >= _IDLE_PUBLISH_S:
            self._published_at = time.monotonic()
            self._desk.snapshot = self._composer.again(self._desk.snapshot, self._jobs.rows)
            self._server.publish(self._desk.snapshot)

    def _publish(self, worked: bool) -> None:
        now = time.monotonic()
        pause_s = 1 / self._in_use.settings.publish.snapshots_per_s if worked else _IDLE_PUBLISH_S
        if now - self._published_at < pause_s and not self._desk.something_new:
            return
        self._published_at = now
        self._desk.something_new = False
        backlog = self._acquisition.waiting_frames
        self._desk.snapshot = self._composer.compose(
            self._run,
            phase=self._phase(),
            waiting_for=self._watch.description,
            beamtime=self._watch.beamtime,
            jobs=self._jobs.rows,
            messages=self._board.messages(),
            confirmed=self._jobs.finished.confirmed_g2,
            earlier=self._book.earlier,
            sample=self._book.sample,
            untrusted_host=self._jobs.untrusted_host,
            recipes=self._desk.recipe_rows(),
            backlog_frames=backlog,
        )
        self._server.publish(self._desk.snapshot)
        if self._desk.session is not None and now - self._status_written_at >= _STATUS_FILE_S:
            self._status_written_at = now
            self._write_status(self._desk.session, self._desk.snapshot)

    def _write_status(self, session: BeamtimeSession, snapshot: Snapshot) -> None:
        try:
            session.write_status(snapshot)
            self._board.solve("status-file")
        except OSError as error:
            self._board.post(
                "status-file",
                "warning",
                f"The status file cannot be written: {error.strerror or error}.",
                "Windows and mento-gui status still work.",
                "Check the disk and the quota.",
                at=time.time(),
            )

    def _phase(self) -> str:
        if not self._ready.is_set():
            return "preparing"
        return "measuring" if self._run is not None and self._run.status == "running" else "waiting"

    def _answer(self) -> None:
        idle = self._acquisition.waiting_frames == 0
        self._server.answer_requests(self._desk.reply, wait_s=0.05 if idle else 0.0)


def _key_of(doing: str) -> str:
    """Key of the message about trouble while doing this."""
    return f"engine-{doing}"
