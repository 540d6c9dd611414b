"""Opens the window with the files of a job: read aside, as a shared file system may take its time."""

from __future__ import annotations

from collections.abc import Callable

from PyQt5.QtCore import QObject, QRunnable, QThreadPool, pyqtSignal

from backend.output_view import OutputView
from backend.output_views import read_output_views
from backend.snapshot import JobRow
from mento_gui.main_window import MainWindow
from widgets.output_window import OutputWindow


class OutputOpener(QObject):
    """Shows what jobs left, above the window that it belongs to."""

    _read = pyqtSignal(object, object)

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._read.connect(self._show)

    def open(self, row: JobRow) -> None:
        """Read the files of this job and show them; returns at once."""
        pool = QThreadPool.globalInstance()
        if pool is not None:
            pool.start(_Reading(row, self._read.emit))

    def _show(self, row: JobRow, views: tuple[OutputView, ...]) -> None:
        OutputWindow(f"{row.recipe} on {row.series}", views, self._window.theme, self._window).show()


class _Reading(QRunnable):
    def __init__(self, row: JobRow, done: Callable[[JobRow, tuple[OutputView, ...]], None]) -> None:
        super().__init__()
        self._row = row
        self._done = done

    def run(self) -> None:
        self._done(self._row, read_output_views(self._row.outputs))
