"""The verdict in one glance: word, why, what to do. It judges nothing and never passes an old verdict off as new."""

from __future__ import annotations

import time
from collections.abc import Callable

from PyQt5.QtCore import Qt, QTimer
from PyQt5.QtGui import QFont, QResizeEvent
from PyQt5.QtWidgets import QFrame, QLabel, QSizePolicy, QVBoxLayout, QWidget

from backend.snapshot import Snapshot, Verdict, VerdictState
from widgets.quantity_words import count_words, duration_words
from widgets.theme import Theme
from widgets.verdict_grounds import grounds_words
from widgets.verdict_headline import VerdictHeadline

SILENCE_LIMIT_S = 2.0
_MOST_ALSO_LINES = 3
_LEAST_TEXT_PX = 12
_TOOL_TIP = "The verdict on this series. F1 explains the words; A acknowledges an alarm."


class VerdictPanel(QFrame):
    """Word, reason, advice and age of the verdict.

    It keeps its own clock: when nothing has arrived for ``SILENCE_LIMIT_S`` it says NO DATA by itself, whatever
    else in the window has stopped working. ``big`` is the form for a second screen.
    """

    def __init__(
        self,
        parent: QWidget | None = None,
        *,
        big: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.setProperty("help", "verdict")
        self.setToolTip(_TOOL_TIP)
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._arrived_at: float | None = None
        self._waiting = "Waiting for the first word from the backend."
        self._big = big
        self.headline = VerdictHeadline(self, clock=clock)
        self.why = _words("verdictWhy")
        self.do = _words("verdictDo")
        self.also = _words("quiet")
        self.spot = _words("quiet")
        self.spot.setToolTip("Dose where the beam meets the sample, earlier series on the same spot counted.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setSpacing(6)
        layout.addWidget(self.headline, 1 if big else 0)
        for label in (self.why, self.do, self.also, self.spot):
            layout.addWidget(label)
        if not big:
            layout.addStretch(1)
        self._timer = QTimer(self)
        self._timer.setInterval(250)
        self._timer.timeout.connect(self.refresh)
        self._timer.start()
        self.refresh()

    @property
    def state(self) -> VerdictState:
        """The state on display."""
        return VerdictState(self.headline.word)

    def show_snapshot(self, snapshot: Snapshot, arrived_at: float) -> None:
        """Show the verdict of ``snapshot``, which arrived at ``arrived_at`` on this panel's clock."""
        self._snapshot, self._arrived_at = snapshot, arrived_at
        self.refresh()

    def set_waiting(self, sentence: str) -> None:
        """What to say while no backend has spoken yet."""
        self._waiting = sentence
        self.refresh()

    def refresh(self) -> None:
        """Bring age and state up to date with the clock."""
        if self._snapshot is None or self._arrived_at is None:
            self._show(VerdictState.NO_DATA, ("", ""), self._waiting, "", ())
            return
        silence_s = self._clock() - self._arrived_at
        verdict = self._snapshot.verdict
        if silence_s > SILENCE_LIMIT_S:
            self._show_silence(silence_s, verdict)
            self.setToolTip(_TOOL_TIP)
            return
        captions = (self._age_words(self._snapshot, silence_s), _since_words(verdict))
        spot = "" if self._snapshot.spot is None else self._snapshot.spot.words
        self._show(verdict.state, captions, verdict.why, verdict.do, verdict.also[:_MOST_ALSO_LINES], spot)
        grounds = grounds_words(verdict)
        self.setToolTip(f"{_TOOL_TIP}\n\nIn numbers:\n\n{grounds}" if grounds else _TOOL_TIP)

    def acknowledge(self) -> None:
        """Stop calling for attention; the state stays on display."""
        self.headline.stop_pulse()

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme``."""
        self.headline.set_theme(theme)

    def _show_silence(self, silence_s: float, last: Verdict) -> None:
        why = f"The backend has been silent for {duration_words(silence_s)}. Its last word was {last.state.value}."
        do = "Do not trust the pictures: they are old. The window restarts the backend and says so above."
        self._show(VerdictState.NO_DATA, (f"silent for {duration_words(silence_s)}", ""), why, do, ())

    def _show(
        self,
        state: VerdictState,
        captions: tuple[str, str],
        why: str,
        do: str,
        also: tuple[str, ...],
        spot: str = "",
    ) -> None:
        self.headline.show_state(state, captions)
        for label, text in (
            (self.why, why),
            (self.do, do),
            (self.also, "\n".join(f"also: {a}" for a in also)),
            (self.spot, spot),
        ):
            # A number and its percent sign stay on one line.
            text = text.replace(" %", "\u00a0%")
            if label.text() != text:
                label.setText(text)
            label.setVisible(bool(text))

    def _age_words(self, snapshot: Snapshot, silence_s: float) -> str:
        series = snapshot.series
        if series is None or series.last_frame_at is None:
            return ""
        age_s = snapshot.produced_at - series.last_frame_at + silence_s
        if series.status == "running":
            return f"newest frame {duration_words(age_s)} ago"
        return f"series {series.status}, {duration_words(age_s)} ago"

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Reason and advice grow with the panel: they are read from a step back, in the big form from further."""
        super().resizeEvent(event)
        size_px = self.height() // 24 if self._big else min(self.width() // 18, self.height() // 22)
        for label, share in ((self.why, 1.0), (self.do, 1.0), (self.also, 0.75), (self.spot, 0.75)):
            font = QFont(label.font())
            font.setPixelSize(max(_LEAST_TEXT_PX, int(size_px * share)))
            label.setFont(font)


def _since_words(verdict: Verdict) -> str:
    if verdict.onset_frame is not None:
        return f"since frame {count_words(verdict.onset_frame)}"
    return f"judged at frame {count_words(verdict.frame)}" if verdict.frame >= 0 else ""


def _words(name: str) -> QLabel:
    label = QLabel()
    label.setMargin(2)
    label.setObjectName(name)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    label.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Minimum)
    return label
