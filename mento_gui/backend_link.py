"""The window's end of the wire: one timer takes the newest snapshot, and silence is announced."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from PyQt5.QtCore import QObject, QTimer, pyqtSignal

from backend.errors import FeedbackError
from backend.requests import AnyRequest, Reply
from backend.snapshot import Snapshot

SILENCE_LIMIT_S = 2.0
_POLL_INTERVAL_MS = 100

logger = logging.getLogger(__name__)


class Client(Protocol):
    """What the link needs of a client of the wire; every call returns at once."""

    def latest(self) -> Snapshot | None:
        """The newest snapshot not returned before."""
        ...

    def send(self, request: AnyRequest) -> int:
        """Queue a request; its number comes back with the reply."""
        ...

    def replies(self) -> list[tuple[int, Reply]]:
        """Replies since the last call."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class BackendLink(QObject):
    """Polls the client on the GUI thread.

    ``snapshot_changed`` carries a snapshot and the moment it arrived on ``clock``. ``lost`` is repeated with the age
    of the last arrival while nothing has come for two seconds. ``replied`` carries the request and its reply.
    ``failed`` carries an error that a person should see.
    """

    snapshot_changed = pyqtSignal(object, float)
    lost = pyqtSignal(float)
    replied = pyqtSignal(object, object)
    failed = pyqtSignal(object)

    def __init__(
        self, client: Client, parent: QObject | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(parent)
        self._client = client
        self._clock = clock
        self._heard_at = clock()
        self._reported = ""
        self._open: dict[int, AnyRequest] = {}
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_INTERVAL_MS)
        self._timer.timeout.connect(self.poll)

    def start(self) -> None:
        """Begin to poll; silence is counted from now."""
        self._heard_at = self._clock()
        self._timer.start()

    def stop(self) -> None:
        """Stop polling and close the connection."""
        self._timer.stop()
        self._client.close()

    @property
    def silent_for_s(self) -> float:
        """Seconds since the last snapshot arrived (or since the start)."""
        return self._clock() - self._heard_at

    def send(self, request: AnyRequest) -> None:
        """Send a wish of the person to the backend; a failure is announced, not raised."""
        try:
            self._open[self._client.send(request)] = request
        except FeedbackError as error:
            self.failed.emit(error)

    def poll(self) -> None:
        """Take the newest snapshot and all replies; announce silence."""
        try:
            snapshot = self._client.latest()
            answers = self._client.replies()
        except FeedbackError as error:
            self._report(error)
            snapshot, answers = None, []
        for number, reply in answers:
            request = self._open.pop(number, None)
            if request is not None:
                self.replied.emit(request, reply)
        if snapshot is not None:
            self._heard_at = self._clock()
            self._reported = ""
            self.snapshot_changed.emit(snapshot, self._heard_at)
        elif self.silent_for_s > SILENCE_LIMIT_S:
            self.lost.emit(self.silent_for_s)

    def _report(self, error: FeedbackError) -> None:
        # The wire is looked at ten times a second; the same trouble is told once until something good arrives.
        if str(error) != self._reported:
            self._reported = str(error)
            logger.warning("the backend could not be understood: %s", error)
            self.failed.emit(error)
