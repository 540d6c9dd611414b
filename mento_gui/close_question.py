"""The one question the window asks when it is closed while a series is running."""

from __future__ import annotations

from enum import Enum

from PyQt5.QtWidgets import QMessageBox, QWidget

from widgets.qt_objects import existing


class CloseChoice(Enum):
    """What shall happen to the backend this window has started."""

    KEEP = "keep"
    STOP = "stop"
    CANCEL = "cancel"


def ask_about_backend(parent: QWidget) -> CloseChoice:
    """Ask whether the backend shall go on watching without the window."""
    box = QMessageBox(parent)
    box.setWindowTitle("Close the window")
    box.setText("A series is running. Shall the backend go on watching it?")
    box.setInformativeText("If it goes on, verdicts and jobs continue, and the next window finds it again.")
    keep = box.addButton("Keep it watching", QMessageBox.AcceptRole)
    stop = box.addButton("Stop it too", QMessageBox.DestructiveRole)
    cancel = box.addButton("Do not close", QMessageBox.RejectRole)
    for button, tooltip in (
        (keep, "Only the window closes."),
        (stop, "No more verdicts until a window or a backend is started again."),
        (cancel, "Nothing happens."),
    ):
        existing(button).setToolTip(tooltip)
    box.setDefaultButton(keep)
    box.setEscapeButton(cancel)
    box.exec_()
    chosen = box.clickedButton()
    return {id(keep): CloseChoice.KEEP, id(stop): CloseChoice.STOP}.get(id(chosen), CloseChoice.CANCEL)
