"""Where the series stands: name, sample, frames, elapsed and remaining time, and the beam over the frames."""

from __future__ import annotations

import numpy as np
from PyQt5.QtCore import QPointF, QRectF, QSize, Qt
from PyQt5.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PyQt5.QtWidgets import QFrame, QGridLayout, QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from backend.snapshot import IntensityPart, SeriesPart, Snapshot
from widgets.elided_label import ElidedLabel
from widgets.quantity_words import count_words, duration_words, three_digits
from widgets.theme import DARK, Theme

_FACTS = (
    ("Sample", "Name of the sample, from the folder."),
    ("Detector", "Which detector wrote the series."),
    ("Frames", "Frames analysed of frames planned; set aside means unreadable, missing means never written."),
    ("Time", "Measured so far, and what is left at the frame time of the series."),
    (
        "Rate",
        "Frames per second that arrive, photons per pixel and frame, and the incident beam against that of the start: "
        "by a monitor, or where absorbers or beam loss have changed it.",
    ),
    ("Backlog", "Frames that wait, and the share of frames that is used when the analysis cannot keep up."),
    ("Beamtime", "Which beamtime is watched, by which backend."),
)


class FactsPanel(QFrame):
    """Facts of the series on display and a line of the mean intensity over its frames."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.setProperty("help", "facts")
        self.setToolTip("The series on display.")
        self._series: SeriesPart | None = None
        self._stale = False
        self.name = ElidedLabel("No series yet", hint="The series on display and where it stands.")
        self.name.setObjectName("viewTitle")
        self.name.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Preferred)
        self.progress = QProgressBar()
        self.progress.setToolTip("Share of the planned frames that was analysed.")
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(5)
        self.values: dict[str, QLabel] = {}
        grid = QGridLayout()
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 1)
        for row, (name, tooltip) in enumerate(_FACTS):
            key, value = QLabel(name), ElidedLabel(hint=tooltip)
            key.setObjectName("quiet")
            value.setObjectName("factValue")
            value.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Preferred)
            key.setToolTip(tooltip)
            self.values[name] = value
            grid.addWidget(key, row, 0)
            grid.addWidget(value, row, 1)
        self.beam = BeamLine()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 10, 6)
        layout.setSpacing(4)
        layout.addWidget(self.name)
        layout.addWidget(self.progress)
        layout.addLayout(grid)
        layout.addWidget(self.beam, 1)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show the facts of ``snapshot``."""
        series = snapshot.series
        facts = {} if series is None else _series_facts(series)
        backend = snapshot.backend
        facts["Backlog"] = _backlog_words(backend.backlog_frames, backend.fraction_of_frames_used)
        facts["Beamtime"] = " ".join(part for part in (backend.beamtime_id, backend.beamtime_title) if part)
        for name, label in self.values.items():
            words = facts.get(name, "–")
            if label.text() != words:
                label.setText(words)
        self._series = series
        self._name_series()
        expected = None if series is None else series.expected_frames
        self.progress.setVisible(bool(expected))
        if series is not None and expected:
            # In thousandths: a plan of "as many as come" does not fit into the bar's 32 bits.
            self.progress.setRange(0, 1000)
            self.progress.setValue(1000 * min(series.frames, expected) // expected)
        self.beam.show_intensity(snapshot.intensity, expected)

    def set_stale(self, stale: bool) -> None:
        """While nothing arrives nobody knows whether the series still runs, and the panel says so."""
        self._stale = stale
        self._name_series()

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme``."""
        self.beam.set_theme(theme)

    def _name_series(self) -> None:
        if self._series is None:
            self.name.setText("No series yet")
            return
        status = f"{self._series.status} when last heard of" if self._stale else self._series.status
        self.name.setText(f"{self._series.name} · {status}")


class BeamLine(QWidget):
    """Mean intensity over the frames as one line from zero up: beam losses and steps are seen at once."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = DARK
        self._frame = np.empty(0)
        self._value = np.empty(0)
        self._end = 1.0
        self.setToolTip("Mean intensity of the detector over the frames, from zero up; dips are beam losses.")
        self.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Expanding)

    def show_intensity(self, part: IntensityPart | None, expected_frames: int | None) -> None:
        """Draw I(t) over the planned length of the series."""
        self._frame = np.empty(0) if part is None else part.frame
        self._value = np.empty(0) if part is None else part.photons_per_pixel
        last = float(self._frame[-1]) if self._frame.size else 1.0
        self._end = max(last, float(expected_frames or 0), 1.0)
        self.update()

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme``."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:
        """Low and wide."""
        return QSize(200, 60)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint title, base line and curve."""
        line = self.fontMetrics().height()
        if self.height() < 2 * line:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.setPen(QColor(self._theme.quiet))
        known = np.isfinite(self._value)
        title = QRectF(0, 0, self.width(), line)
        words = (
            f"newest {three_digits(float(self._value[known][-1]))} ph/px" if known.any() else "nothing yet"
        )
        painter.drawText(title, int(Qt.AlignmentFlag.AlignLeft), "Intensity over frames")
        painter.drawText(title, int(Qt.AlignmentFlag.AlignRight), words)
        box = QRectF(0, line + 3, self.width(), self.height() - line - 5)
        painter.setPen(QPen(QColor(self._theme.grid), 1))
        painter.drawLine(box.bottomLeft(), box.bottomRight())
        if known.any():
            top = float(self._value[known].max()) or 1.0
            x = box.left() + self._frame[known] / self._end * box.width()
            y = box.bottom() - self._value[known] / top * (box.height() - 2)
            painter.setPen(QPen(QColor(self._theme.text), 1))
            painter.drawPolyline(QPolygonF([QPointF(a, b) for a, b in zip(x, y, strict=True)]))
        painter.end()


def _series_facts(series: SeriesPart) -> dict[str, str]:
    planned = "" if series.expected_frames is None else f" of {count_words(series.expected_frames)}"
    frames = f"{count_words(series.frames)}{planned}"
    for count, word in ((series.frames_set_aside, "set aside"), (series.frames_missing, "missing")):
        frames += f", {count_words(count)} {word}" if count else ""
    rate = [] if series.frames_per_s is None else [f"{three_digits(series.frames_per_s)} frames/s"]
    if series.photons_per_pixel is not None:
        rate.append(f"{three_digits(series.photons_per_pixel)} ph/px")
    if series.beam is not None and (series.beam_by_monitor or series.beam != 1):
        rate.append(f"beam {100 * series.beam:.0f} %{' (monitor)' if series.beam_by_monitor else ''}")
    return {
        "Sample": series.sample or "–",
        "Detector": series.detector,
        "Frames": frames,
        "Time": _time_words(series),
        "Rate": ", ".join(rate) or "–",
    }


def _time_words(series: SeriesPart) -> str:
    if series.frame_time_s is None:
        return "frame time not known"
    words = duration_words(series.frames * series.frame_time_s)
    if series.status == "running" and series.expected_frames is not None:
        left_s = max(0, series.expected_frames - series.frames) * series.frame_time_s
        words += f", {duration_words(left_s)} left"
    return words


def _backlog_words(backlog: int, share_used: float) -> str:
    words = "none" if backlog == 0 else f"{count_words(backlog)} frames"
    return words if share_used >= 0.9995 else f"{words}, {100 * share_used:.0f} % of frames used"
