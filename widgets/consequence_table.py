"""What changed settings would have said about stored series, and how often about undamaged ones like them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PyQt5.QtWidgets import QWidget

from backend.tuning_lines import FalseAlarmCount, FalseAlarmsLine, FirstFrames, SeriesLine, SumLine
from widgets.quantity_words import count_words, duration_words, three_digits
from widgets.row_table import Column, RowTable
from widgets.state_icon import state_icon
from widgets.state_style import state_style
from widgets.theme import DARK, Theme


@dataclass(frozen=True, slots=True)
class Consequence:
    """One line: a series with both settings, and the false alarms on undamaged ones like it once they are counted."""

    series: SeriesLine
    false_alarms: FalseAlarmCount | None = None


class ConsequenceTable(RowTable[Consequence]):
    """One row per stored series."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._theme = DARK
        self._consequences: tuple[Consequence, ...] = ()
        super().__init__(
            self._columns(),
            lambda row: row.series.before.series,
            parent,
            empty_words="Nothing tried yet.",
        )
        self.setToolTip("Verdicts on stored series with the settings of the file and with those of the form.")

    @property
    def consequences(self) -> tuple[Consequence, ...]:
        """What is shown."""
        return self._consequences

    def clear(self) -> None:
        """Show nothing."""
        self._show(())

    def add_series(self, line: SeriesLine) -> None:
        """Add a row."""
        self._show((*self._consequences, Consequence(line)))

    def add_false_alarms(self, line: FalseAlarmsLine) -> None:
        """Complete the row of this series."""
        self._show(
            tuple(
                replace(row, false_alarms=line.false_alarms)
                if row.series.before.series == line.series
                else row
                for row in self._consequences
            )
        )

    def set_theme(self, theme: Theme) -> None:
        """Draw the state icons in the colours of ``theme``."""
        self._theme = theme
        self.rows.refresh_icons()

    def _show(self, consequences: tuple[Consequence, ...]) -> None:
        self._consequences = consequences
        self.show_rows(consequences)

    def _columns(self) -> list[Column[Consequence]]:
        return [
            Column("Series", "Replayed from its files.", lambda row: row.series.before.series, 20),
            Column(
                "Now",
                "The last word with the settings of the file.",
                lambda row: state_style(row.series.before.state).word,
                14,
                icon=lambda row: state_icon(row.series.before.state, self._theme),
                hint=lambda row: row.series.before.why,
            ),
            Column(
                "Then",
                "The last word with the settings of the form.",
                lambda row: state_style(row.series.after.state).word,
                14,
                icon=lambda row: state_icon(row.series.after.state, self._theme),
                hint=lambda row: row.series.after.why,
            ),
            Column("Alarm", "First DAMAGING: gained, lost, earlier or later.", _alarm_words, 22, hint=_hint),
            Column(
                "False alarms, simulated",
                "Undamaged series like this one that are called DAMAGING, per 100 h of exposure; bounds of 95 %.",
                lambda row: rate_words(row.false_alarms),
                24,
                stretches=True,
                hint=_count_words,
            ),
        ]


def sum_words(line: SumLine) -> str:
    """All series together in a sentence."""
    found = line.sum
    return (
        f"{found.series} series: verdict changed in {found.verdicts_changed}; alarms gained {found.alarms_gained}, "
        f"lost {found.alarms_lost}, earlier {found.alarms_earlier}, later {found.alarms_later}."
    )


def rate_words(found: FalseAlarmCount | None) -> str:
    """False alarms per 100 h with their bounds."""
    if found is None:
        return ""
    low, high = map(three_digits, found.per_100_h_bounds)
    return f"{three_digits(found.per_100_h)} per 100 h ({low} to {high})"


def _count_words(row: Consequence) -> str:
    found = row.false_alarms
    if found is None:
        return "Not simulated."
    low, high = (100 * bound for bound in found.share_bounds)
    part = "" if found.pixels_used == 1 else f" with {100 * found.pixels_used:.2g} % of the pixels"
    return (
        f"{found.alarms} of {found.series} called DAMAGING ({low:.2g} to {high:.2g} %), {found.watched} once WATCH, "
        f"{found.told} with a verdict; {duration_words(found.series * found.exposure_s)} of exposure simulated{part}."
    )


def _alarm_words(row: Consequence) -> str:
    line = row.series
    if line.alarm_gained:
        return f"gained, frame {count_words(line.damaging.after_frame or 0)}"
    if line.alarm_lost:
        return f"lost, was frame {count_words(line.damaging.before_frame or 0)}"
    if line.damaging.after_frame is None:
        return "none"
    frame = f"frame {count_words(line.damaging.after_frame)}"
    return f"{frame}, {_delay_words(line.damaging)}" if line.damaging.frames else frame


def _delay_words(shift: FirstFrames) -> str:
    frames = shift.frames or 0
    much = f"{abs(frames)} frames" if shift.seconds is None else f"{abs(shift.seconds):.3g} s"
    return f"{much} {'later' if frames > 0 else 'earlier'}"


def _hint(row: Consequence) -> str:
    return "\n".join(
        f"First {name}: {_frame_words(shift.before_frame)} now, {_frame_words(shift.after_frame)} then."
        for name, shift in (("WATCH or worse", row.series.watch), ("DAMAGING", row.series.damaging))
    )


def _frame_words(frame: int | None) -> str:
    return "never" if frame is None else f"frame {count_words(frame)}"
