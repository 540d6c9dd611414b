"""All series of the beamtime that were seen, newest first, each with its verdict for the next shift."""

from __future__ import annotations

from PyQt5.QtCore import QPoint, Qt, pyqtSignal
from PyQt5.QtWidgets import QMenu, QWidget

from backend.requests import RunRecipe
from backend.snapshot import RunRow, Snapshot, VerdictState
from widgets.qt_objects import add_entry, existing
from widgets.quantity_words import clock_words, count_words
from widgets.row_table import Column, RowTable
from widgets.state_icon import state_icon
from widgets.state_style import state_style
from widgets.theme import DARK, Theme

FULL_CORRELATION_RECIPE = "xpcs"


class RunTable(RowTable[RunRow]):
    """One row per series; the context menu runs the full correlation again."""

    wish = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        self._theme = DARK
        super().__init__(
            self._columns(),
            lambda row: row.series,
            parent,
            empty_words="No series yet. They are found by themselves.",
        )
        self.setToolTip("Series seen so far. Right click a row to run the full correlation again.")
        self.setProperty("help", "tables")
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._open_menu)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show the series of ``snapshot``, newest first."""
        self.show_rows(sorted(snapshot.runs, key=lambda row: row.started_at or 0.0, reverse=True))

    def set_theme(self, theme: Theme) -> None:
        """Draw the state icons in the colours of ``theme``."""
        self._theme = theme
        self.rows.refresh_icons()

    def menu_for(self, row: RunRow) -> QMenu:
        """The context menu of one row."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        wish = RunRecipe(series=row.series, recipe=FULL_CORRELATION_RECIPE)
        add_entry(
            menu,
            f"Run the full correlation of {row.series}",
            "Submits the job again; the earlier result is kept until the new one is there.",
            lambda: self.wish.emit(wish),
        )
        return menu

    def _open_menu(self, position: QPoint) -> None:
        index = self.indexAt(position)
        if index.isValid():
            self.menu_for(self.rows.row_at(index.row())).popup(
                existing(self.viewport()).mapToGlobal(position)
            )

    def _columns(self) -> list[Column[RunRow]]:
        return [
            Column("Series", "Folder name of the series.", lambda row: row.series, 19),
            Column("Start", "When it started.", lambda row: clock_words(row.started_at), 8),
            Column("Frames", "Frames seen of frames planned.", _frames_words, 15, right_aligned=True),
            Column(
                "Verdict",
                "The last word on this series.",
                lambda row: state_style(row.verdict).word,
                15,
                icon=lambda row: state_icon(row.verdict, self._theme),
                hint=lambda row: row.why or row.verdict.value,
            ),
            Column("Why", "What was measured, against its limit.", _why_words, 20, stretches=True),
        ]


def _frames_words(row: RunRow) -> str:
    seen = count_words(row.frames)
    return seen if row.expected_frames is None else f"{seen} / {count_words(row.expected_frames)}"


def _why_words(row: RunRow) -> str:
    begin = "" if row.status == "complete" else f"{row.status}: "
    quiet = row.verdict in (VerdictState.IDLE, VerdictState.NO_DATA) and not row.why
    return f"{begin}{'' if quiet else row.why}".removesuffix(": ")
