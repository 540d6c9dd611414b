"""Staff tune the damage verdict and the dose here: tried on stored series before they are saved."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QKeySequence
from PyQt5.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QShortcut,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from backend.errors import FeedbackError
from backend.settings import Settings, load_settings
from backend.settings_changes import write_into_file
from backend.settings_form import changes_between, texts_of
from mento_gui.tuning_process import TuningProcess, TuningTask
from widgets.consequence_panel import ConsequencePanel, Trial
from widgets.settings_form import SettingsForm
from widgets.theme import Theme

_TABS = {"damage": "Damage &verdict", "dose": "D&ose"}
_SIZE = (1180, 640)


@dataclass(frozen=True, slots=True)
class SettingsPlace:
    """Where settings and stored series are.

    Attributes
    ----------
    file : Path or None
        The settings file in use.
    new_file : Path or None
        Where a first one would go.
    series : tuple of Path
        Folders of the stored series, newest first.
    """

    file: Path | None
    new_file: Path | None
    series: tuple[Path, ...]


class SettingsDialog(QDialog):
    """Blocks nothing. ``saved`` carries file and author; ``help_wanted`` the name of a help page."""

    saved = pyqtSignal(object, str)
    help_wanted = pyqtSignal(str)

    def __init__(
        self, place: SettingsPlace, parent: QWidget | None = None, *, tuning: TuningProcess | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Settings · mento-gui")
        self.setModal(False)
        self.setProperty("help", "settings")
        self._place = place
        self._settings = Settings()
        self._tuning = tuning or TuningProcess(self)
        self._tried: tuple[str, ...] | None = None
        self.forms = {name: SettingsForm(getattr(self._settings, name)) for name in _TABS}
        self.consequences = ConsequencePanel()
        self.file = QLineEdit(str(place.file or place.new_file or ""))
        self.author = QLineEdit(getpass.getuser())
        self.status = QLabel()
        self.choose, self.revert, self.save, self.leave = self._buttons()
        self._lay_out()
        self._connect()
        self._load(place.file)
        self.resize(*_SIZE)

    @property
    def changes(self) -> tuple[str, ...]:
        """What the form would change, as KEY=VALUE; faulty fields are left out."""
        found = []
        for section, form in self.forms.items():
            after = form.read().section
            if after is not None:
                texts = texts_of(after)
                for name, value in changes_between(form.section, after).items():
                    # A rate has its own words in the form; on the command line it is the number of the file.
                    text = repr(value) if isinstance(value, float) else texts[name]
                    found.append(f"{section}.{name}={_listed(value) if isinstance(value, tuple) else text}")
        return tuple(found)

    @property
    def faults(self) -> dict[str, str]:
        """Sentences by section and name."""
        return {
            f"{section}.{name}": sentence
            for section, form in self.forms.items()
            for name, sentence in form.read().faults.items()
        }

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme``."""
        self.consequences.set_theme(theme)

    def set_series(self, series: tuple[Path, ...]) -> None:
        """Other series are stored now."""
        if series != self._place.series:
            self._place = replace(self._place, series=series)
            self._look()

    def try_out(self, trial: Trial) -> None:
        """Replay stored series with what stands in the form, in the background."""
        self._tried = self.changes
        task = TuningTask(
            self._place.series[: trial.series],
            self._place.file,
            self._tried,
            trial.undamaged,
            trial.pixels_per_ring,
        )
        self.consequences.set_running(True)
        self.consequences.show_notes(f"The same on the command line: {task.command_line}")
        self._tuning.start(task)
        self._look()

    def write(self) -> None:
        """Write the changed fields into the file, and tell who listens."""
        file = Path(self.file.text()).expanduser().absolute()
        author = self.author.text().strip()
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        changed = {
            section: changes_between(form.section, after)
            for section, form in self.forms.items()
            if (after := form.read().section) is not None
        }
        try:
            write_into_file(file, changed, f"set by {author}, {now}")
        except FeedbackError as error:
            self.status.setText(str(error))
            return
        another = file != self._place.file
        self._place = replace(self._place, file=file)
        self._load(file)
        start = f" Start the program with --settings {file} the next time." if another else ""
        self.status.setText(f"Saved to {file}. It holds from the next series on.{start}")
        self.saved.emit(file, author)

    def back_to_file(self) -> None:
        """Forget what was typed."""
        self._load(self._place.file)

    def reject(self) -> None:
        """Close, by whichever way; a trial ends with the dialog."""
        self._cancel()
        super().reject()

    def _load(self, file: Path | None) -> None:
        try:
            self._settings = load_settings(file)
            self.status.setText("" if file else "No settings file is in use: these are the defaults.")
            usable = True
        except FeedbackError as error:
            self.status.setText(str(error))
            usable = False
        for name, form in self.forms.items():
            form.setEnabled(usable)
            form.show_section(getattr(self._settings, name))
        self._look()

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Settings file", self.file.text(), "TOML (*.toml)", options=QFileDialog.DontConfirmOverwrite
        )
        if path:
            self.file.setText(path)

    def _cancel(self) -> None:
        if self._tuning.is_running:
            self._tuning.cancel()
            self.consequences.set_running(False)
            self.consequences.show_words("The trial was cancelled; nothing was changed.")
            self._tried = None
        self._look()

    def _ended(self, notes: str, failure: str) -> None:
        self.consequences.set_running(False)
        if failure:
            self._tried = None
            self.consequences.show_words(failure)
        elif notes:
            self.consequences.show_notes(notes)
        self._look()

    def _look(self) -> None:
        """Offer what is possible now."""
        faults, changes = self.faults, self.changes
        running = self._tuning.is_running
        if self._tried is not None and self._tried != changes and not running:
            self.consequences.set_stale()
        possible = bool(changes) and not faults
        tried = self._tried == changes and not running
        self.save.setText("&Save" if tried else "&Save without a trial")
        self.save.setEnabled(possible and bool(self.file.text().strip()) and bool(self.author.text().strip()))
        self.revert.setEnabled(bool(changes or faults))
        self.consequences.start.setEnabled(not faults and bool(self._place.series) and not running)
        self.consequences.set_possible(bool(self._place.series))
        for place, section in enumerate(_TABS):
            bad = sum(key.startswith(f"{section}.") for key in faults)
            self.tabs.setTabText(place, f"{_TABS[section]} ▲ {bad}" if bad else _TABS[section])

    def _buttons(self) -> tuple[QPushButton, QPushButton, QPushButton, QPushButton]:
        found = []
        for text, tooltip in (
            ("&Choose…", "Choose another settings file to write to."),
            ("&Back to the file", "Forget what was typed: the values of the settings file again."),
            ("&Save", "Write the changed fields into the file; the backend takes them with the next series."),
            ("C&lose", "Close without saving (Esc)."),
        ):
            button = QPushButton(text)
            button.setToolTip(tooltip)
            button.setAutoDefault(False)
            found.append(button)
        return found[0], found[1], found[2], found[3]

    def _connect(self) -> None:
        for form in self.forms.values():
            form.edited.connect(self._look)
        for line in (self.file, self.author):
            line.textChanged.connect(self._look)
        self.choose.clicked.connect(self._choose_file)
        self.revert.clicked.connect(self.back_to_file)
        self.save.clicked.connect(self.write)
        self.leave.clicked.connect(self.reject)
        self.consequences.trial_wanted.connect(self.try_out)
        self.consequences.cancel_wanted.connect(self._cancel)
        self._tuning.said.connect(self.consequences.show_line)
        self._tuning.ended.connect(self._ended)
        QShortcut(QKeySequence("F1"), self, lambda: self.help_wanted.emit("settings"))

    def _lay_out(self) -> None:
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        for name, title in _TABS.items():
            self.tabs.addTab(self.forms[name], title)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(self.tabs)
        split.addWidget(self.consequences)
        split.setSizes([_SIZE[0] * 2 // 5, _SIZE[0] * 3 // 5])
        self.status.setWordWrap(True)
        self.file.setToolTip("The settings file that is written. Everything else in it stays as it is.")
        self.author.setToolTip("Who changes the settings; it is kept in the file and in the ledger.")
        self.author.setFixedWidth(16 * self.fontMetrics().averageCharWidth())
        below = QHBoxLayout()
        for text, line in (("Settings &file", self.file), ("Changed b&y", self.author)):
            label = QLabel(text)
            label.setBuddy(line)
            below.addWidget(label)
            below.addWidget(line, 1 if line is self.file else 0)
            if line is self.file:
                below.addWidget(self.choose)
        for button in (self.revert, self.save, self.leave):
            below.addWidget(button)
        column = QVBoxLayout(self)
        column.addWidget(split, 1)
        column.addWidget(self.status)
        column.addLayout(below)


def _listed(values: Sequence[str]) -> str:
    """A list as in the settings file."""
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"
