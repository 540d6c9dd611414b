"""Opens the settings dialog with what the newest snapshot knows: the file in use and the stored series."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PyQt5.QtCore import QObject, pyqtSignal
from PyQt5.QtWidgets import QWidget

from backend.snapshot import Snapshot
from mento_gui.settings_dialog import SettingsDialog, SettingsPlace
from widgets.theme import DARK, Theme

_NAME = "mento-gui.toml"


class SettingsWindow(QObject):
    """At most one dialog at a time. ``saved`` carries the settings file and who has changed it."""

    saved = pyqtSignal(object, str)

    def __init__(self, parent: QWidget, file: Path | None, show_help: Callable[[str], None]) -> None:
        super().__init__(parent)
        self._parent = parent
        self._file = file
        self._show_help = show_help
        self._theme = DARK
        self.dialog: SettingsDialog | None = None

    def open(self, newest: Snapshot | None) -> None:
        """Show the dialog; one that is open comes to the front with what was typed."""
        if self.dialog is None or not self.dialog.isVisible():
            if self.dialog is not None:
                self.dialog.deleteLater()
            self.dialog = SettingsDialog(self._place(newest), self._parent)
            self.dialog.set_theme(self._theme)
            self.dialog.saved.connect(self._remember)
            self.dialog.help_wanted.connect(self._show_help)
        self.dialog.show()
        self.dialog.raise_()
        self.dialog.activateWindow()

    def follow(self, snapshot: Snapshot) -> None:
        """Series that have ended since the dialog was opened can be tried on as well."""
        if self.dialog is not None and self.dialog.isVisible():
            self.dialog.set_series(_stored(snapshot))

    def close(self) -> None:
        """Close the dialog, and end a trial that runs."""
        if self.dialog is not None:
            self.dialog.close()

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme``."""
        self._theme = theme
        if self.dialog is not None:
            self.dialog.set_theme(theme)

    def _remember(self, file: Path, author: str) -> None:
        self._file = file
        self.saved.emit(file, author)

    def _place(self, newest: Snapshot | None) -> SettingsPlace:
        if newest is None:
            return SettingsPlace(self._file, None, ())
        # The backend may run with another file than this window was started with: the verdicts are its own.
        file = Path(newest.backend.settings_file) if newest.backend.settings_file else self._file
        new_file = Path(newest.backend.watching).parent / "shared" / _NAME
        return SettingsPlace(file, new_file, _stored(newest))


def _stored(snapshot: Snapshot) -> tuple[Path, ...]:
    """Folders of the series that have ended, newest first."""
    rows = sorted(snapshot.runs, key=lambda row: row.started_at or 0.0, reverse=True)
    ended = dict.fromkeys(row.series for row in rows if row.status != "running")
    return tuple(Path(snapshot.backend.watching) / name for name in ended)
