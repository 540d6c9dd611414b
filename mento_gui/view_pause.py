"""Pausing the pictures: a band that says so, and an end that nobody has to remember."""

from __future__ import annotations

import time
from collections.abc import Callable

from PyQt5.QtCore import Qt, QTimer, pyqtSignal
from PyQt5.QtWidgets import QLabel, QWidget

RESUMES_AFTER_S = 300.0


class PauseBand(QLabel):
    """Yellow band with the time since the pause began; ``resumed`` is emitted when it ends, by key or by itself."""

    resumed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(parent)
        self.setObjectName("pauseBand")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setToolTip("Only the pictures stand still. Space goes on.")
        self._clock = clock
        self._began: float | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(500)
        self._timer.timeout.connect(self.refresh)
        self.hide()

    @property
    def is_paused(self) -> bool:
        """True while the pictures stand still."""
        return self._began is not None

    def pause(self) -> None:
        """Begin a pause."""
        self._began = self._clock()
        self._timer.start()
        self.refresh()
        self.show()

    def resume(self) -> None:
        """End the pause, if there is one."""
        if self._began is None:
            return
        self._began = None
        self._timer.stop()
        self.hide()
        self.resumed.emit()

    def refresh(self) -> None:
        """Bring the time up to date; end a pause that has lasted long enough."""
        if self._began is None:
            return
        lasted_s = self._clock() - self._began
        if lasted_s >= RESUMES_AFTER_S:
            self.resume()
            return
        minutes, seconds = divmod(int(lasted_s), 60)
        self.setText(
            f"Pictures paused {minutes:02d}:{seconds:02d} – the measurement and the verdict continue. Space goes on."
        )
