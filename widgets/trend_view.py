"""The damage indicator over the series: the change with its error against the tolerance, and the evidence for it."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QToolButton, QVBoxLayout, QWidget

from backend.snapshot import Snapshot, TrendPart
from widgets.plot_setup import CurvePlot, nice_range, thin_pen
from widgets.quantity_words import count_words
from widgets.theme import Theme
from widgets.view_frame import ViewFrame

# Evidence beyond this many times the alarm level says nothing more; showing it would press the rest flat.
_EVIDENCE_SHOWN = 4.0


class TrendView(ViewFrame):
    """Effect in percent above, evidence below, both over frames or dose; the onset is marked with its interval."""

    part_name = "trend"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "Change since the start", "How much the sample has changed, against what is tolerated.", parent
        )
        self.over_dose = QToolButton(self)
        self.over_dose.setText("over dose")
        self.over_dose.setCheckable(True)
        self.over_dose.setToolTip("Plot over dose instead of frame number.")
        self.over_dose.toggled.connect(self._change_axis)
        self.header.addWidget(self.over_dose)
        self.effect = CurvePlot()
        self.evidence = CurvePlot()
        self.effect.setToolTip(
            "Change with one-sigma band; dotted lines are the tolerance. Double click resets zoom."
        )
        self.evidence.setToolTip("Evidence for a change, log10; the alarm is raised above the dotted line.")
        self.effect.getAxis("bottom").setStyle(showValues=False)
        self.effect.getAxis("bottom").setHeight(6)
        self.evidence.setXLink(self.effect)
        self.band_top, self.band_bottom = pg.PlotCurveItem(), pg.PlotCurveItem()
        self.error_band = pg.FillBetweenItem(self.band_top, self.band_bottom)
        self.line = pg.PlotCurveItem()
        self.evidence_line = pg.PlotCurveItem()
        self.tolerance = [pg.InfiniteLine(angle=0), pg.InfiniteLine(angle=0)]
        self.alarm_level = pg.InfiniteLine(angle=0)
        self.onset = [pg.InfiniteLine(angle=90), pg.InfiniteLine(angle=90)]
        self.onset_interval = pg.LinearRegionItem(movable=False)
        self.onset_interval.setZValue(-20)
        for item in (self.onset_interval, self.error_band, self.line, *self.tolerance, self.onset[0]):
            self.effect.addItem(item)
        for item in (self.evidence_line, self.alarm_level, self.onset[1]):
            self.evidence.addItem(item)
        layout = QVBoxLayout(self.content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.effect, 3)
        layout.addWidget(self.evidence, 2)
        self._series = ""

    def inputs(self, snapshot: Snapshot) -> tuple[object, ...]:
        """The trend part."""
        return (snapshot.trend,)

    def draw(self, snapshot: Snapshot) -> None:
        """Draw effect, evidence and onset."""
        part = snapshot.trend
        assert part is not None
        name = "" if snapshot.series is None else snapshot.series.name
        if name != self._series:
            self._series = name
            self._forget_ranges()
        x = part.dose if self.over_dose.isChecked() else part.frame.astype(float)
        known = np.isfinite(part.effect_percent) & np.isfinite(part.effect_err_percent)
        effect, error = part.effect_percent[known], part.effect_err_percent[known]
        self.line.setData(x[known], effect)
        self.band_top.setData(x[known], effect + error)
        self.band_bottom.setData(x[known], effect - error)
        self.evidence_line.setData(x, part.log10_evidence, connect="finite")
        self.over_dose.show()
        self._draw_limits(part)
        self._draw_onset(part, x)
        self._follow(part, x, snapshot)
        axis = f"dose ({part.dose_unit})" if self.over_dose.isChecked() else "frame"
        self.effect.label_axes("", "change (%)")
        self.evidence.label_axes(axis, "evidence")
        self.note.setText(_family_words(part))

    def show_empty(self, sentence: str) -> None:
        """Without a curve there is no axis to choose."""
        super().show_empty(sentence)
        self.over_dose.hide()

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme``."""
        for plot in (self.effect, self.evidence):
            plot.set_theme(theme)
        band = pg.mkColor(theme.text)
        band.setAlpha(50)
        self.error_band.setBrush(band)
        for curve in (self.band_top, self.band_bottom):
            curve.setPen(None)
        for curve in (self.line, self.evidence_line):
            curve.setPen(thin_pen(theme.text, 1.0))
        for limit in (*self.tolerance, self.alarm_level):
            limit.setPen(thin_pen(theme.alarm, 1.0, Qt.PenStyle.DotLine))
        for mark in self.onset:
            mark.setPen(thin_pen(theme.alarm, 2.0))
        interval = pg.mkColor(theme.alarm)
        interval.setAlpha(45)
        self.onset_interval.setBrush(interval)
        for edge in self.onset_interval.lines:
            edge.setPen(thin_pen(interval))
        super().set_theme(theme)

    def _change_axis(self, _over_dose: bool) -> None:
        self._forget_ranges()
        self.redraw()

    def _forget_ranges(self) -> None:
        for plot in (self.effect, self.evidence):
            plot.forget_ranges()

    def _draw_limits(self, part: TrendPart) -> None:
        for line, sign in zip(self.tolerance, (1.0, -1.0), strict=True):
            line.setValue(sign * part.tolerance_percent)
        self.alarm_level.setValue(part.log10_alarm)

    def _draw_onset(self, part: TrendPart, x: np.ndarray) -> None:
        for mark in self.onset:
            mark.setVisible(part.onset_frame is not None)
            if part.onset_frame is not None:
                mark.setValue(_place(part, x, part.onset_frame))
        self.onset_interval.setVisible(part.onset_interval is not None)
        if part.onset_interval is not None:
            self.onset_interval.setRegion(tuple(_place(part, x, frame) for frame in part.onset_interval))

    def _follow(self, part: TrendPart, x: np.ndarray, snapshot: Snapshot) -> None:
        if not x.size:
            return
        end = float(x[-1])
        expected = None if snapshot.series is None else snapshot.series.expected_frames
        if expected and not self.over_dose.isChecked():
            end = max(end, float(expected))
        self.effect.follow("x", 0.0, max(end, 1e-12))
        reach = np.abs(part.effect_percent) + part.effect_err_percent
        top = max(1.3 * part.tolerance_percent, float(np.max(reach[np.isfinite(reach)], initial=0.0)))
        low, high = nice_range(-top, top)
        self.effect.follow("y", low, high)
        evidence = part.log10_evidence[np.isfinite(part.log10_evidence)]
        low = max(float(np.min(evidence, initial=0.0)), -_EVIDENCE_SHOWN * part.log10_alarm)
        high = min(float(np.max(evidence, initial=0.0)), _EVIDENCE_SHOWN * part.log10_alarm)
        self.evidence.follow("y", low - 0.2 * part.log10_alarm, max(high, 1.4 * part.log10_alarm))


def _place(part: TrendPart, x: np.ndarray, frame: int) -> float:
    return float(np.interp(frame, part.frame, x)) if x.size else float(frame)


def _family_words(part: TrendPart) -> str:
    words = []
    for name, effect in part.families.items():
        known = effect[np.isfinite(effect)]
        if known.size:
            limit = part.tolerances_percent.get(name)
            of = "" if limit is None else f" of {limit:g} %"
            words.append(f"{name} {known[-1]:+.1f}{of}")
    if not words and part.effect_percent.size:
        words.append(f"{part.label} {part.effect_percent[-1]:+.1f} of {part.tolerance_percent:g} %")
    if part.onset_frame is not None:
        words.append(f"onset at frame {count_words(part.onset_frame)}")
    return " · ".join(words)
