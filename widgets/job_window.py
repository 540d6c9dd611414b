"""One job in a small window of its own: where it stands and why, what was run, and its log as it grows."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from PyQt5.QtCore import Qt, QTimer, pyqtSignal
from PyQt5.QtGui import QFontDatabase, QHideEvent
from PyQt5.QtWidgets import (
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from backend.job_details import JobDetails, JobStep
from backend.requests import AnyRequest, CancelJob, InspectJob, Reply, ResumeJob
from widgets.qt_objects import existing
from widgets.quantity_words import clock_words, duration_words

_REFRESH_MS = 1000
_CAN_BE_CANCELLED = ("queued", "submitted", "running", "unknown", "parked")
_CAN_BE_TRIED_AGAIN = ("failed", "cancelled", "parked")
_CHANGES_NO_MORE = ("done", "failed", "cancelled")


class JobWindow(QDialog):
    """Asks about its job once a second while it is open and the job can change; blocks nothing.

    ``wish`` carries a request to the backend.
    """

    wish = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(parent)
        self._clock = clock
        self.job_id = ""
        self.setModal(False)
        self.facts = QFormLayout()
        self.facts.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.log.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.log.setToolTip("The last lines that the job wrote, the newest at the bottom.")
        self.cancel = self._button(
            "Cancel this job", "Stops it; results that are already written stay.", CancelJob
        )
        self.again = self._button(
            "Try again",
            "Hands a parked job over once more, or begins a new attempt beside one that failed.",
            ResumeJob,
        )
        self._build()
        self._timer = QTimer(self)
        self._timer.setInterval(_REFRESH_MS)
        self._timer.timeout.connect(self._ask)

    def open_job(self, job_id: str) -> None:
        """Show this job as soon as the backend has answered."""
        self.job_id = job_id
        self.setWindowTitle(f"Job {job_id}")
        self._show_facts([("Job", job_id), ("Backend", "It is being asked.")])
        self.log.setPlainText("")
        for button in (self.cancel, self.again):
            button.setEnabled(False)
        self._ask()
        self._timer.start()
        self.show()
        self.raise_()

    def show_reply(self, request: InspectJob, reply: Reply) -> None:
        """Show what the backend answered; an answer about another job is passed over."""
        if request.job_id != self.job_id or not self.isVisible():
            return
        if reply.ok:
            self._show_details(msgspec.json.decode(reply.payload, type=JobDetails))
        else:
            self._timer.stop()
            self._show_facts([("Job", self.job_id), ("Backend", reply.message), ("Try", reply.try_this)])

    def _show_details(self, details: JobDetails) -> None:
        self._show_facts(job_facts(details, self._clock()))
        self._show_log("\n".join(details.log) or "It has written nothing yet.")
        self.cancel.setEnabled(details.state in _CAN_BE_CANCELLED)
        self.again.setEnabled(details.state in _CAN_BE_TRIED_AGAIN)
        if details.state in _CHANGES_NO_MORE:
            self._timer.stop()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Nobody looks any more, so nothing is asked."""
        self._timer.stop()
        super().hideEvent(event)

    def _ask(self) -> None:
        self.wish.emit(InspectJob(job_id=self.job_id))

    def _button(self, text: str, tooltip: str, wish: Callable[..., AnyRequest]) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tooltip)
        button.setAutoDefault(False)

        def send(_checked: bool) -> None:
            self.wish.emit(wish(job_id=self.job_id))
            self._timer.start()

        button.clicked.connect(send)
        return button

    def _show_facts(self, facts: list[tuple[str, str]]) -> None:
        while self.facts.rowCount():
            self.facts.removeRow(0)
        for name, words in facts:
            label = QLabel(words)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self.facts.addRow(name, label)

    def _show_log(self, text: str) -> None:
        if text == self.log.toPlainText():
            return
        bar = existing(self.log.verticalScrollBar())
        at_end = bar.value() == bar.maximum()
        self.log.setPlainText(text)
        if at_end:
            bar.setValue(bar.maximum())

    def _build(self) -> None:
        close = QPushButton("Close")
        close.setToolTip("Close this window (Esc); the job goes on.")
        close.clicked.connect(self.hide)
        buttons = QHBoxLayout()
        for button in (self.cancel, self.again):
            buttons.addWidget(button)
        buttons.addStretch(1)
        buttons.addWidget(close)
        layout = QVBoxLayout(self)
        layout.addLayout(self.facts)
        layout.addWidget(self.log, 1)
        layout.addLayout(buttons)
        self.resize(720, 560)


def job_facts(details: JobDetails, now: float) -> list[tuple[str, str]]:
    """Name and words of all that is known, most important first; ``now`` in seconds since 1970."""
    versions = ", ".join(f"{name} {version}" for name, version in details.versions.items())
    facts = [
        ("State", f"{details.state}{_elapsed_words(details, now)}"),
        ("Reason", details.reason),
        ("Try", details.try_this),
        ("Series", details.series),
        (
            "Recipe",
            f"{details.recipe} ({details.recipe_sha256[:12]}), attempt {details.attempt}, on {details.executor}",
        ),
        ("Versions", versions),
        ("Asked for", clock_words(details.submitted_at)),
        ("Steps", " → ".join(f"{step.state} {clock_words(step.at)}" for step in _changes(details))),
        ("Runs as", details.identity),
        ("Folder", details.folder),
        ("Problem", details.problem),
    ]
    return [(name, words) for name, words in facts if words]


def _changes(details: JobDetails) -> list[JobStep]:
    return [
        step
        for before, step in zip((None, *details.steps), details.steps, strict=False)
        if before is None or before.state != step.state
    ]


def _elapsed_words(details: JobDetails, now: float) -> str:
    if details.started_at is None:
        waits = details.state in ("queued", "submitted", "parked")
        return f" for {duration_words(max(0.0, now - details.submitted_at))}" if waits else ""
    # The clock of the computer that runs it may be ahead of ours.
    seconds = max(0.0, (details.ended_at or now) - details.started_at)
    return f" after {duration_words(seconds)}" if details.ended_at else f" for {duration_words(seconds)}"
