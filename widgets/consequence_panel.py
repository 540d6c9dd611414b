"""Asks for a trial of the settings in a form, shows how far it is and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

from PyQt5.QtCore import pyqtSignal
from PyQt5.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from backend.tuning_lines import AnyTuningLine, FalseAlarmsLine, ProgressLine, SeriesLine, SumLine
from widgets.consequence_table import ConsequenceTable, sum_words
from widgets.theme import Theme

_LOOK = "See what these settings would have said before you save them."
_NOTHING_STORED = "There is no stored series of this beamtime to try settings on."
_STALE = "These numbers belong to other values than those of the form now. Try again."


@dataclass(frozen=True, slots=True)
class Trial:
    """What shall be tried: newest series, undamaged ones per series, and pixels per ring of these (0: all)."""

    series: int
    undamaged: int
    pixels_per_ring: int


class ConsequencePanel(QFrame):
    """``trial_wanted`` carries a :class:`Trial`; ``cancel_wanted`` ends the one that runs."""

    trial_wanted = pyqtSignal(object)
    cancel_wanted = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.series = _spin(1, 50, 3, "How many series of this beamtime are replayed, the newest first.")
        self.undamaged = _spin(
            0, 10_000, 100, "Undamaged series simulated like each of them; 0 leaves the false alarms out."
        )
        self.pixels = _spin(
            0, 10_000_000, 2000,
            "Pixels simulated per ring: fewer is faster, but noisier than the series was. All: as measured.",
        )  # fmt: skip
        self.pixels.setSpecialValueText("all")
        self.pixels.setSingleStep(1000)
        self.start = QPushButton("&Try")
        self.start.setToolTip(
            "Replay the newest series with these settings, in the background (Ctrl+Return)."
        )
        self.start.setShortcut("Ctrl+Return")
        self.cancel = QPushButton("Ca&ncel the trial")
        self.cancel.setToolTip("End the trial that runs; nothing is changed.")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(8)
        self.progress.setToolTip("How far the trial is.")
        self.words = QLabel(_LOOK)
        self.words.setWordWrap(True)
        self.notes = QLabel()
        self.notes.setObjectName("quiet")
        self.notes.setWordWrap(True)
        self.table = ConsequenceTable()
        self.start.clicked.connect(self._ask)
        self.cancel.clicked.connect(self.cancel_wanted)
        self._lay_out()
        self.set_running(False)

    @property
    def is_running(self) -> bool:
        """Whether a trial is on its way."""
        return self.cancel.isEnabled()

    def set_possible(self, possible: bool) -> None:
        """Say that there is nothing to try on, as long as that is so."""
        if not possible or self.words.text() == _NOTHING_STORED:
            self.words.setText(_LOOK if possible else _NOTHING_STORED)

    def set_running(self, running: bool) -> None:
        """Show that a trial runs, or that it is over."""
        self.cancel.setEnabled(running)
        self.progress.setValue(0)
        if running:
            self.table.clear()
            self.notes.setText("")
            self.words.setText("Starting.")

    def show_line(self, line: AnyTuningLine) -> None:
        """Show what the trial says."""
        if isinstance(line, ProgressLine):
            self.progress.setValue(round(1000 * line.share))
            self.words.setText(f"{line.doing}.")
        elif isinstance(line, SeriesLine):
            self.table.add_series(line)
        elif isinstance(line, FalseAlarmsLine):
            self.table.add_false_alarms(line)
        elif isinstance(line, SumLine):
            self.words.setText(sum_words(line))

    def show_words(self, words: str) -> None:
        """Say how the trial has ended."""
        self.words.setText(words)

    def show_notes(self, notes: str) -> None:
        """Say what was odd with the series."""
        self.notes.setText(notes)

    def set_stale(self) -> None:
        """The form has changed since the trial: its numbers are not those of the form any more."""
        if self.table.consequences:
            self.words.setText(_STALE)

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme``."""
        self.table.set_theme(theme)

    def _ask(self) -> None:
        self.trial_wanted.emit(Trial(self.series.value(), self.undamaged.value(), self.pixels.value()))

    def _lay_out(self) -> None:
        title = QLabel("What it would change")
        title.setObjectName("viewTitle")
        asked = QGridLayout()
        for row, (before, spin, after) in enumerate(
            (
                ("&Replay the newest", self.series, "series of this beamtime"),
                ("S&imulate", self.undamaged, "undamaged series like each, to count false alarms"),
                ("with at most", self.pixels, "pixels per ring"),
            )
        ):
            label = QLabel(before)
            label.setBuddy(spin)
            asked.addWidget(label, row, 0)
            asked.addWidget(spin, row, 1)
            asked.addWidget(QLabel(after), row, 2)
        asked.setColumnStretch(2, 1)
        buttons = QHBoxLayout()
        buttons.addWidget(self.start)
        buttons.addWidget(self.cancel)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.addWidget(title)
        column.addLayout(asked)
        column.addLayout(buttons)
        column.addWidget(self.progress)
        column.addWidget(self.words)
        column.addWidget(self.table, 1)
        column.addWidget(self.notes)


def _spin(low: int, high: int, value: int, tooltip: str) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(low, high)
    spin.setValue(value)
    spin.setButtonSymbols(QSpinBox.NoButtons)
    spin.setToolTip(tooltip)
    return spin
