"""The page that is watched: verdict and facts left, pictures in the middle and right, tables at the bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtWidgets import QGridLayout, QHBoxLayout, QSplitter, QTabWidget, QVBoxLayout, QWidget

from backend.snapshot import Message, Snapshot
from widgets.facts_panel import FactsPanel
from widgets.g2_view import G2View
from widgets.intensity_view import IntensityView
from widgets.job_table import JobTable
from widgets.message_table import MessageTable
from widgets.qt_objects import existing
from widgets.recipe_menu import RecipeMenu
from widgets.run_table import RunTable
from widgets.sample_table import SampleTable
from widgets.speckle_view import SpeckleView
from widgets.theme import Theme
from widgets.trend_view import TrendView
from widgets.two_time_view import TwoTimeView
from widgets.verdict_panel import VerdictPanel
from widgets.view_frame import ViewFrame

_LEFT_WIDTH_PX = (300, 420)
# Least height of the tables and of the pictures, and how room beyond that is shared between them.
_TABLES_HEIGHT_PX = 132
_PICTURES_HEIGHT_PX = 600
_SHARES = (9, 2)


class WatchPage(QWidget):
    """Owns the views. ``ring_selected`` is a click on a ring anywhere; ``wish`` is a request from a table."""

    ring_selected = pyqtSignal(int)
    wish = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(parent)
        self.verdict = VerdictPanel(clock=clock)
        self.facts = FactsPanel()
        self.speckle = SpeckleView()
        self.two_time = TwoTimeView()
        self.intensity = IntensityView()
        self.g2 = G2View()
        self.trend = TrendView()
        self.runs = RunTable()
        self.sample = SampleTable()
        self.jobs = JobTable()
        self.recipes = RecipeMenu()
        self.messages = MessageTable()
        self.views: tuple[ViewFrame, ...] = (self.speckle, self.two_time, self.intensity, self.g2, self.trend)
        for view in self.views:
            view.ring_selected.connect(self.ring_selected)
        for table in (self.runs, self.jobs, self.recipes):
            table.wish.connect(self.wish)
        self._build()

    def show_verdict(self, snapshot: Snapshot, arrived_at: float) -> None:
        """Show verdict, facts and tables, which are never paused."""
        self.verdict.show_snapshot(snapshot, arrived_at)
        self.facts.show_snapshot(snapshot)
        self.runs.show_snapshot(snapshot)
        self.sample.show_snapshot(snapshot)
        self.jobs.show_snapshot(snapshot)
        self.recipes.show_snapshot(snapshot)
        failed = sum(job.state == "failed" for job in snapshot.jobs)
        self._name_tab(self.jobs, "Jobs", len(snapshot.jobs), f"{failed} failed" if failed else "")

    def show_pictures(self, snapshot: Snapshot) -> None:
        """Show every picture that has something new."""
        for view in self.views:
            view.show_snapshot(snapshot)

    def show_messages(self, messages: Sequence[Message]) -> None:
        """List these messages."""
        self.messages.show_messages(messages)
        unseen = sum(not message.acknowledged for message in messages)
        self._name_tab(self.messages, "Messages", len(messages), f"{unseen} new" if unseen else "")

    def show_waiting(self, sentence: str) -> None:
        """Say in every empty picture what is awaited."""
        self.verdict.set_waiting(sentence)
        for view in self.views:
            if view.snapshot is None:
                view.show_empty(sentence)

    def set_stale(self, words: str) -> None:
        """Dim all pictures and say why; lift the veil with an empty text."""
        for view in self.views:
            view.set_stale(words)
        self.facts.set_stale(bool(words))

    def select_ring(self, ring: int | None) -> None:
        """Highlight one ring in all pictures, or none."""
        for view in self.views:
            view.select_ring(ring)

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme`` everywhere."""
        for part in (self.verdict, self.facts, self.runs, self.sample, self.jobs, self.messages, *self.views):
            part.set_theme(theme)

    def _name_tab(self, table: QWidget, name: str, count: int, extra: str) -> None:
        inner = ", ".join(part for part in (str(count) if count else "", extra) if part)
        self.lower_tabs.setTabText(self.lower_tabs.indexOf(table), f"{name} ({inner})" if inner else name)

    def _build(self) -> None:
        self.lower_tabs = QTabWidget()
        self.lower_tabs.setDocumentMode(True)
        existing(self.lower_tabs.tabBar()).setDrawBase(False)
        self.lower_tabs.addTab(self.jobs, "Jobs")
        self.lower_tabs.addTab(self.messages, "Messages")
        self.lower_tabs.setCornerWidget(self.recipes)
        series_tabs = QTabWidget()
        series_tabs.setDocumentMode(True)
        existing(series_tabs.tabBar()).setDrawBase(False)
        series_tabs.addTab(self.runs, "Series")
        series_tabs.addTab(self.sample, "Same sample")
        tables = QWidget()
        tables.setMinimumHeight(_TABLES_HEIGHT_PX)
        row = QHBoxLayout(tables)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(series_tabs, 11)
        row.addWidget(self.lower_tabs, 9)
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(self._pictures())
        split.addWidget(tables)
        for place, share in enumerate(_SHARES):
            split.setStretchFactor(place, share)
        # The pictures get all the room there is; the tables begin at their least height.
        split.setSizes([_PICTURES_HEIGHT_PX, _TABLES_HEIGHT_PX])
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 2, 6, 6)
        layout.setSpacing(6)
        layout.addWidget(self._left(), 2)
        layout.addWidget(split, 7)

    def _left(self) -> QWidget:
        left = QWidget()
        left.setMinimumWidth(_LEFT_WIDTH_PX[0])
        left.setMaximumWidth(_LEFT_WIDTH_PX[1])
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.verdict, 3)
        column.addWidget(self.facts, 2)
        return left

    def _pictures(self) -> QWidget:
        pictures = QWidget()
        grid = QGridLayout(pictures)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(6)
        # Twelve columns: image, map and I(q) share the upper row, g2 and the trend the lower one.
        grid.addWidget(self.speckle, 0, 0, 1, 4)
        grid.addWidget(self.two_time, 0, 4, 1, 4)
        grid.addWidget(self.intensity, 0, 8, 1, 4)
        grid.addWidget(self.g2, 1, 0, 1, 6)
        grid.addWidget(self.trend, 1, 6, 1, 6)
        for column in range(12):
            grid.setColumnStretch(column, 1)
        for row in range(2):
            grid.setRowStretch(row, 1)
        return pictures
