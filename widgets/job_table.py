"""All jobs with their state in words; a state nobody knows is called unknown, never done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qtawesome
from PyQt5.QtCore import QPoint, Qt, QUrl, pyqtSignal
from PyQt5.QtGui import QDesktopServices, QIcon
from PyQt5.QtWidgets import QMenu, QWidget

from backend.requests import CancelJob, ResumeJob, RunRecipe
from backend.snapshot import JobRow, Snapshot
from widgets.job_window import JobWindow
from widgets.qt_objects import add_entry, existing
from widgets.quantity_words import clock_words, duration_words
from widgets.row_table import Column, RowTable
from widgets.theme import DARK, Theme

_ICONS = {
    "queued": "mdi6.timer-sand",
    "submitted": "mdi6.server-network",
    "running": "mdi6.play",
    "done": "mdi6.check",
    "failed": "mdi6.alert-octagon",
    "cancelled": "mdi6.cancel",
    "parked": "mdi6.parking",
}
_UNKNOWN_ICON = "mdi6.help-circle-outline"


class JobTable(RowTable[JobRow]):
    """One row per job; the context menu cancels, runs again, and shows what the job said."""

    wish = pyqtSignal(object)
    outputs_wanted = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        self._theme = DARK
        super().__init__(
            _columns(self._icon),
            lambda row: row.job_id,
            parent,
            empty_words="No jobs yet. One starts when a series ends.",
        )
        self.setToolTip(
            "Jobs of this beamtime. Double click one for details and its log; right click to cancel or try again."
        )
        self.setProperty("help", "tables")
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._open_menu)
        self.window_of_job = JobWindow(self)
        self.window_of_job.wish.connect(self.wish)
        self.doubleClicked.connect(
            lambda index: self.window_of_job.open_job(self.rows.row_at(index.row()).job_id)
        )

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show the jobs of ``snapshot``, newest first."""
        self.show_rows(sorted(snapshot.jobs, key=lambda row: row.submitted_at, reverse=True))

    def set_theme(self, theme: Theme) -> None:
        """Draw the icons in the colours of ``theme``."""
        self._theme = theme
        self.rows.refresh_icons()

    def menu_for(self, row: JobRow) -> QMenu:
        """The context menu of one job; what makes no sense in its state is greyed."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        add_entry(
            menu,
            "Cancel this job",
            "Stops the job; results that are already written stay.",
            lambda: self.wish.emit(CancelJob(job_id=row.job_id)),
            enabled=row.state in ("queued", "submitted", "running", "unknown", "parked"),
        )
        add_entry(
            menu,
            "Try again",
            "Hands a parked job over once more, or begins a new attempt beside one that failed.",
            lambda: self.wish.emit(ResumeJob(job_id=row.job_id)),
            enabled=row.state in ("parked", "failed", "cancelled"),
        )
        add_entry(
            menu,
            "Run the recipe once more",
            "Runs the recipe as it is now on the same series, beside this result.",
            lambda: self.wish.emit(RunRecipe(series=row.series, recipe=row.recipe)),
            enabled=row.state in ("done", "failed", "cancelled"),
        )
        menu.addSeparator()
        add_entry(
            menu,
            "Details and log",
            "State and reason, recipe and versions, and the end of its log as it grows.",
            lambda: self.window_of_job.open_job(row.job_id),
        )
        self._add_result_entries(menu, row)
        return menu

    def _add_result_entries(self, menu: QMenu, row: JobRow) -> None:
        add_entry(
            menu,
            "Show its results",
            "Curves, pictures and texts that it left." if row.outputs else "There are none yet.",
            lambda: self.outputs_wanted.emit(row),
            enabled=bool(row.outputs),
        )
        add_entry(
            menu,
            "Open the result's folder",
            row.result_path or "There is no result yet.",
            lambda: _open_folder(row.result_path),
            enabled=bool(row.result_path),
        )

    def _open_menu(self, position: QPoint) -> None:
        index = self.indexAt(position)
        if index.isValid():
            self.menu_for(self.rows.row_at(index.row())).popup(
                existing(self.viewport()).mapToGlobal(position)
            )

    def _icon(self, row: JobRow) -> QIcon:
        colour = self._theme.alarm if row.state in ("failed", "parked") else self._theme.quiet
        return qtawesome.icon(_ICONS.get(row.state, _UNKNOWN_ICON), color=colour)


def state_words(row: JobRow) -> str:
    """The state of a job in words: queue reason, share done and time left, or how long it took."""
    if row.state == "running":
        return _running_words(row)
    if row.state == "done" and row.started_at is not None and row.ended_at is not None:
        return f"done in {duration_words(row.ended_at - row.started_at)}"
    return row.state if row.state in _ICONS else "unknown"


def note_words(row: JobRow) -> str:
    """What else to know: for a failure the reason and the last line of its log."""
    if row.state == "failed":
        return " · ".join(part for part in (row.reason, row.last_line) if part)
    return row.reason or row.last_line


def details_words(row: JobRow) -> str:
    """All that is known about a job, one fact per line."""
    facts = [
        ("Series", row.series),
        ("Recipe", f"{row.recipe} on {row.executor}"),
        ("State", state_words(row)),
        ("Submitted", clock_words(row.submitted_at)),
        ("Reason", row.reason),
        ("Last line of its log", row.last_line),
        ("Result", row.result_path),
        ("Try", row.try_this),
    ]
    return "\n".join(f"{name}: {words}" for name, words in facts if words)


def _running_words(row: JobRow) -> str:
    return "running" if row.progress is None else f"running {100 * row.progress:.0f} %"


def _columns(icon: Callable[[JobRow], QIcon]) -> list[Column[JobRow]]:
    return [
        Column("Series", "Series the job works on.", lambda row: row.series, 19),
        Column("Recipe", "What is run, and where.", lambda row: f"{row.recipe}, {row.executor}", 11),
        Column("State", "Where the job stands.", state_words, 18, icon=icon, hint=details_words),
        Column(
            "Note", "Reason, or the last line of its log.", note_words, 14, stretches=True, hint=details_words
        ),
    ]


def _open_folder(result_path: str) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(result_path).parent)))
