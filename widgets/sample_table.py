"""All series of the sample on display side by side, and in words whether its motion goes with the dose rate."""

from __future__ import annotations

import math

from PyQt5.QtWidgets import QVBoxLayout, QWidget

from backend.snapshot import Snapshot, VerdictState
from backend.snapshot_across import SamplePart, SampleSeries
from widgets.elided_label import ElidedLabel
from widgets.quantity_words import three_digits
from widgets.row_table import Column, RowTable
from widgets.state_icon import state_icon
from widgets.state_style import state_style
from widgets.theme import DARK, Theme

_NOTHING_YET = (
    "All series of one sample are compared here: does it move faster, or look different, in a stronger beam?"
)


class SampleTable(QWidget):
    """A sentence, and below it one row per series with relaxation rate and structure against dose rate and dose."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("help", "sample")
        self._theme = DARK
        self._unit = ""
        self.words = ElidedLabel(
            _NOTHING_YET, hint="What all series of this sample say together. F1 explains it."
        )
        self.words.setMargin(4)
        self.table: RowTable[SampleSeries] = RowTable(
            self._columns(), lambda row: row.series, self, empty_words="No series of this sample yet."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.words)
        layout.addWidget(self.table, 1)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show the series of the sample on display, newest first."""
        part = snapshot.sample
        words = _NOTHING_YET if part is None else f"{part.sample}: {part.words}"
        if self.words.text() != words:
            self.words.setText(words)
        self._unit = "" if part is None else part.dose_rate_unit
        self.table.show_rows(() if part is None else part.series)
        if part is not None:
            self.table.setToolTip(_table_hint(part))

    def set_theme(self, theme: Theme) -> None:
        """Draw the state icons in the colours of ``theme``."""
        self._theme = theme
        self.table.rows.refresh_icons()

    def _columns(self) -> list[Column[SampleSeries]]:
        return [
            Column("Series", "Folder name of the series.", lambda row: row.series, 12),
            Column(
                "Verdict",
                "The last word on this series; only series without a change are compared.",
                lambda row: state_style(VerdictState(row.verdict)).word,
                12,
                icon=lambda row: state_icon(VerdictState(row.verdict), self._theme),
            ),
            Column("Dose rate", "How fast the dose came.", self._dose_rate_words, 12, right_aligned=True),
            Column(
                "Dose",
                "On its spot at the end of the series, earlier series on the same spot counted.",
                lambda row: row.dose_words or "–",
                8,
                right_aligned=True,
            ),
            Column("Γ (s⁻¹)", "Relaxation rate, at the same q for all.", _rate_words, 15, right_aligned=True),
            Column(
                "Low/high q",
                "Scattering in the lower half of the q range over that in the upper half.",
                _ratio_words,
                11,
                stretches=True,
            ),
        ]

    def _dose_rate_words(self, row: SampleSeries) -> str:
        return "–" if row.dose_rate is None else f"{three_digits(row.dose_rate)} {self._unit}"


def _rate_words(row: SampleSeries) -> str:
    return _with_error(row.relaxation_rate_per_s, row.relaxation_rate_err)


def _ratio_words(row: SampleSeries) -> str:
    return _with_error(row.low_to_high_q, row.low_to_high_q_err)


def _with_error(value: float | None, relative_error: float) -> str:
    if value is None:
        return "–"
    if not math.isfinite(relative_error):
        return three_digits(value)
    # As many digits as the first of the error.
    digits = max(0, -math.floor(math.log10(max(value * relative_error, 1e-12))))
    return f"{value:.{digits}f} ± {value * relative_error:.{digits}f}"


def _table_hint(part: SamplePart) -> str:
    lines = [f"Detector {part.detector}."]
    if part.q_inv_nm is not None:
        lines.append(f"Relaxation rates at q = {three_digits(part.q_inv_nm)} nm⁻¹.")
    if part.structure is not None:
        power = f"{part.structure.power:.3f} ± {part.structure.power_err:.3f}"
        lines.append(f"Low/high q ~ dose rate^({power}).")
    return " ".join(lines)
