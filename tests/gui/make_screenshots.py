"""Renders the real window with example snapshots to PNG files, at two sizes and for every state.

Run as ``python tests/gui/make_screenshots.py FOLDER`` where the package is installed.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from example_snapshots import empty, example, with_confirmed, with_messages  # noqa: E402
from PyQt5.QtCore import QSettings  # noqa: E402
from PyQt5.QtWidgets import QApplication  # noqa: E402

from backend.requests import AnyRequest, Reply  # noqa: E402
from backend.snapshot import Snapshot, VerdictState  # noqa: E402
from mento_gui.application import make_application  # noqa: E402
from mento_gui.backend_link import BackendLink  # noqa: E402
from mento_gui.main_window import MainWindow  # noqa: E402

SIZES = ((1366, 700), (1920, 1040))


class SilentClient:
    """A wire on which nothing is said; the pictures are handed to the window directly."""

    def latest(self) -> Snapshot | None:
        return None

    def send(self, request: AnyRequest) -> int:
        return 1

    def replies(self) -> list[tuple[int, Reply]]:
        return []

    def close(self) -> None:
        return None


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    application = make_application()
    preferences = QSettings(str(folder / "preferences.ini"), QSettings.Format.IniFormat)
    window = MainWindow(BackendLink(SilentClient()), preferences=preferences, save_folder=folder)
    window.show()
    for size in SIZES:
        window.resize(*size)
        _states(application, window, folder, f"{size[0]}x{size[1]}")
    window.toggle_theme()
    _save(application, window, folder / "light-GOOD.png", example())
    window.toggle_theme()
    window.close()


def _states(application: QApplication, window: MainWindow, folder: Path, size: str) -> None:
    window.show_waiting("The backend is starting.")
    application.processEvents()
    for state in VerdictState:
        name = state.value.replace(" ", "-")
        snapshot = example(state, detector="e4m" if state is VerdictState.WATCH else "e500")
        _save(application, window, folder / f"{size}-{name}.png", snapshot)
    window.select_ring(2)
    snapshot = with_messages(with_confirmed(example(VerdictState.DAMAGING, detector="e4m"), "disputed"))
    _save(application, window, folder / f"{size}-selected-messages.png", snapshot)
    window.clear_or_leave()
    window.show_snapshot(with_confirmed(example()), time.monotonic() - 30)
    window.show_lost(30)
    application.processEvents()
    window.grab().save(str(folder / f"{size}-lost.png"))
    window.toggle_big_panel()
    window.resize(*(int(part) for part in size.split("x")))
    _save(application, window, folder / f"{size}-big.png", example(VerdictState.DAMAGING))
    window.toggle_big_panel()
    window.resize(*(int(part) for part in size.split("x")))
    window.toggle_pause()
    _save(application, window, folder / f"{size}-paused.png", empty())
    window.toggle_pause()


def _save(application: QApplication, window: MainWindow, path: Path, snapshot: Snapshot) -> None:
    window.show_snapshot(snapshot, time.monotonic())
    for _ in range(3):
        application.processEvents()
    window.grab().save(str(path))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
