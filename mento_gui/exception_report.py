"""Turns an unforeseen exception, in any thread, into a banner; without it Qt would end the whole program."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from types import TracebackType

from PyQt5.QtCore import QObject, pyqtSignal

from backend.errors import FeedbackError
from backend.snapshot import Message

logger = logging.getLogger(__name__)


class ExceptionReport(QObject):
    """Takes over ``sys.excepthook`` and ``threading.excepthook`` between ``install`` and ``remove``.

    ``reported`` is a queued signal where needed, so exceptions of other threads reach the window safely.
    """

    reported = pyqtSignal(object)

    def install(self) -> None:
        """Take over both hooks."""
        self._previous = (sys.excepthook, threading.excepthook)
        sys.excepthook = self._report
        threading.excepthook = self._report_thread

    def remove(self) -> None:
        """Give both hooks back."""
        sys.excepthook, threading.excepthook = self._previous

    def _report_thread(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            self._report(args.exc_type, args.exc_value, args.exc_traceback)

    def _report(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        logger.error("unforeseen error", exc_info=(kind, error, trace))
        self.reported.emit(message_of(error, trace))


def message_of(error: BaseException, trace: TracebackType | None = None) -> Message:
    """A message for the banner; the technical text follows the sentence after an empty line."""
    now = time.time()
    if isinstance(error, FeedbackError):
        return Message(
            key=f"window:{type(error).__name__}",
            level="error",
            what=error.what,
            still_works=error.still_works,
            try_this=error.try_this,
            at=now,
        )
    technical = "".join(traceback.format_exception(type(error), error, trace)).strip()
    return Message(
        key=f"window:{type(error).__name__}",
        level="error",
        what=f"A part of the window failed: {error or type(error).__name__}.\n\n{technical}",
        still_works="The measurement and the backend are not affected; the other panels go on.",
        try_this="Close and reopen the window if a panel stays wrong, and report the details.",
        at=now,
    )
