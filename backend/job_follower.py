"""Hands series that have ended to the recipes, and follows the jobs in a thread of its own, so that nobody waits."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait

from backend.beamtime_session import BeamtimeSession
from backend.errors import DispatchError, FeedbackError
from backend.finished_jobs import FinishedJobs, JobsNow, look_after_jobs
from backend.frames import SeriesInfo, SourceNotice
from backend.message_board import MessageBoard
from backend.series_run import SeriesRun
from backend.snapshot import JobRow, UntrustedHost

_LOOK_S = 0.5
_IDLE_LOOK_S = 5.0
_TRY_AGAIN_S = 2.0
_MOST_WITHOUT_JOBS = 100
_NOT_STORED = "jobs-not-stored"
_NOT_FOLLOWED = "jobs-not-followed"


class JobFollower:
    """The jobs of whichever beamtime folder is there. For one thread.

    Parameters
    ----------
    board : MessageBoard
        Takes what a person should know.

    Attributes
    ----------
    rows : tuple of JobRow
        Job table, newest first; empty while there is no beamtime folder, as nothing can be said of any job then.
    finished : FinishedJobs
        What the results of jobs say of the series that is shown.
    untrusted_host : UntrustedHost or None
        A host whose key a person has to approve.
    """

    def __init__(self, board: MessageBoard) -> None:
        self._board = board
        self.rows: tuple[JobRow, ...] = ()
        self.finished = FinishedJobs()
        self.untrusted_host: UntrustedHost | None = None
        self._session: BeamtimeSession | None = None
        self._ended: deque[tuple[SeriesInfo, int]] = deque(maxlen=_MOST_WITHOUT_JOBS)
        # Had recipes that could not be used because there was no cluster yet.
        self._unserved: deque[tuple[SeriesInfo, int]] = deque(maxlen=_MOST_WITHOUT_JOBS)
        self._hand_over_at = 0.0
        self._look_at = 0.0
        self._wanted = ""
        self._told: dict[str, SourceNotice] = {}
        # Checking a large result or asking a cluster takes its time.
        self._clerk = ThreadPoolExecutor(1, thread_name_prefix="jobs")
        self._looking: Future[JobsNow] | None = None

    def open(self, session: BeamtimeSession) -> None:
        """From now on jobs are kept in this beamtime folder."""
        self._session = session
        self._hand_over_at = 0.0

    def close(self) -> None:
        """Let go of the jobs; they run on. Cuts short what waits for a network."""
        if self._looking is not None:
            if self._session is not None:
                self._session.dispatcher.close()
            wait([self._looking])
            self._looking = None
        self._session = None
        self._board.solve(_NOT_FOLLOWED)
        self.rows = ()
        self.untrusted_host = None
        self._tell(tuple(SourceNotice(key, "warning", "") for key in self._told))

    def series_ended(self, info: SeriesInfo, frames: int) -> None:
        """A series for the recipes; without a beamtime folder it waits for one."""
        self._ended.append((info, frames))
        self._hand_over_at = 0.0
        # An earlier backend may have had its result already.
        self._wanted = info.name
        self._look_at = 0.0

    def hand_over(self) -> None:
        """Ask the recipes which of them run on the series that have ended; none is forgotten before that is stored."""
        if self._session is not None and self._session.cluster_is_open and self._unserved:
            # What ran already for a series is not run again.
            self._ended.extend(self._unserved)
            self._unserved.clear()
            self._hand_over_at = 0.0
        if self._session is None or not self._ended or time.monotonic() < self._hand_over_at:
            return
        self._hand_over_at = time.monotonic() + _TRY_AGAIN_S
        try:
            while self._ended:
                self._hand_over_one(self._session, *self._ended[0])
                self._ended.popleft()
        except FeedbackError as error:
            self._board.post_error(_NOT_STORED, error, at=time.time(), level="error")
        else:
            self._board.solve(_NOT_STORED)

    def _hand_over_one(self, session: BeamtimeSession, info: SeriesInfo, frames: int) -> None:
        if not info.folder.is_relative_to(session.folder.path):
            return
        jobs = session.dispatcher.series_ended(info, frames)
        if jobs.rows:
            self._look_at = 0.0
        if jobs.problems and not session.cluster_is_open:
            self._unserved.append((info, frames))
        self._tell_unused(jobs.problems)

    def frames_arrived(self, info: SeriesInfo, frames: int) -> None:
        """Hand a series that still runs to the recipes that want it; what cannot be stored now is tried at its end."""
        if self._session is not None:
            self._tell_unused(self._session.frames_arrived(info, frames))

    def _tell_unused(self, problems: tuple[DispatchError, ...]) -> None:
        for problem in problems:
            self._board.post_error(f"recipe-{problem.what}", problem, at=time.time(), level="error")

    def follow(self, run: SeriesRun | None) -> None:
        """Take in what the jobs did, then let them be looked after again; ``run`` is the series that is shown."""
        if self._session is not None and self._looking is not None and self._looking.done():
            looked, self._looking = self._looking, None
            self._take_in(looked, run)
        self.look()

    def look(self) -> None:
        """Show what is known of the jobs, and let them be looked after if that is due and not under way."""
        if self._session is None:
            return
        dispatcher = self._session.dispatcher
        # Also while the clerk waits for a network, the table shows what is known.
        self.rows = dispatcher.job_rows()
        if self._looking is not None:
            return
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + (_LOOK_S if dispatcher.has_work else _IDLE_LOOK_S)
            self._looking = self._clerk.submit(look_after_jobs, dispatcher, self._wanted)
            self._wanted = ""
        elif dispatcher.has_work and self._look_at > time.monotonic() + _TRY_AGAIN_S:
            # Work came since the last look.
            self._look_at = 0.0

    def _take_in(self, looked: Future[JobsNow], run: SeriesRun | None) -> None:
        try:
            jobs = looked.result()
        except FeedbackError as error:
            self._look_at = time.monotonic() + _TRY_AGAIN_S
            self._board.post_error(_NOT_FOLLOWED, error, at=time.time(), level="error")
            return
        self._board.solve(_NOT_FOLLOWED)
        self._tell(jobs.notices)
        self.untrusted_host = jobs.untrusted_host
        for row, checked in jobs.finished:
            problem = self.finished.take(row, checked, run)
            if problem is not None:
                self._board.post_error(f"job-{row.job_id}", problem, at=time.time(), level="error")

    def _tell(self, notices: tuple[SourceNotice, ...]) -> None:
        for notice in notices:
            if self._told.get(notice.key) != notice:
                self._told[notice.key] = notice
                self._board.post_notice(notice, at=time.time())
