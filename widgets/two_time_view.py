"""The two-time map of the followed ring: ageing and sudden changes show as departures from the diagonal stripes."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import QPointF
from PyQt5.QtGui import QTransform
from PyQt5.QtWidgets import QHBoxLayout, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from backend.snapshot import Snapshot, TwoTimePart
from widgets.age_plot import AgePlot
from widgets.colour_bar import ColourBar
from widgets.plot_setup import CurvePlot
from widgets.quantity_words import three_digits
from widgets.theme import Theme
from widgets.view_frame import ViewFrame

_MAP = "CET-L8"
_STEPS = 256


class TwoTimeView(ViewFrame):
    """Map over both times, or over age and lag, in seconds; colours run from baseline to baseline plus contrast.

    Instead of the map, g2 at a few ages can be shown.
    """

    part_name = "two_time"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Two-time", "Correlation of every moment with every other, for one ring.", parent)
        colours = pg.colormap.get(_MAP).getLookupTable(0.0, 1.0, _STEPS)[:, :3]
        self.by_age = QToolButton(self)
        self.by_age.setText("age")
        self.by_age.setCheckable(True)
        self.by_age.setToolTip("Show age (t₁ + t₂)/2 against lag t₂ - t₁ instead of both times.")
        self.by_age.toggled.connect(self._turn)
        self.cuts = QToolButton(self)
        self.cuts.setText("g2(age)")
        self.cuts.setCheckable(True)
        self.cuts.setToolTip("Show g2 against the lag at a few ages instead of the map.")
        self.cuts.toggled.connect(lambda _on: self.redraw())
        for button in (self.by_age, self.cuts):
            self.header.addWidget(button)
        self.plot = CurvePlot()
        self.plot.setToolTip("Move the mouse to read values. Wheel zooms, double click resets.")
        self._label_axes()
        self.plot.setAspectLocked(True)
        self.image = pg.ImageItem()
        self.image.setLookupTable(colours)
        self.plot.addItem(self.image)
        self.bar = ColourBar("g2")
        self.bar.setToolTip("Colour range: baseline to baseline plus contrast.")
        self.bar.set_colours(colours)
        self.ages = AgePlot()
        self.pages = QStackedWidget()
        self._set_up_pages()
        self._part: TwoTimePart | None = None
        self._cursor: QPointF | None = None
        self._side_s = 0.0
        self.plot.scene().sigMouseMoved.connect(self._move)
        self.plot.mouse_left.connect(lambda: self._move(None))

    def _set_up_pages(self) -> None:
        map_page, ages_page = QWidget(), QWidget()
        beside, above = QHBoxLayout(map_page), QVBoxLayout(ages_page)
        for layout, widgets in ((beside, (self.plot, self.bar)), (above, (self.ages.legend, self.ages))):
            layout.setContentsMargins(0, 0, 0, 0)
            for widget in widgets:
                layout.addWidget(widget, 1 if isinstance(widget, CurvePlot) else 0)
        for page in (map_page, ages_page):
            self.pages.addWidget(page)
        layout = QVBoxLayout(self.content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.pages)

    def inputs(self, snapshot: Snapshot) -> tuple[object, ...]:
        """The two-time part."""
        return (snapshot.two_time,)

    def draw(self, snapshot: Snapshot) -> None:
        """Draw the map in seconds, or g2 at a few ages."""
        part = snapshot.two_time
        assert part is not None
        self._part = part
        self.cuts.setHidden(part.ages is None)
        by_cuts = part.ages is not None and self.cuts.isChecked()
        self.by_age.setHidden(by_cuts)
        self.pages.setCurrentIndex(int(by_cuts))
        if part.ages is not None and by_cuts:
            self.ages.draw(part.ages, self.theme)
            self._write_note()
        else:
            self._draw_map(part)

    def _draw_map(self, part: TwoTimePart) -> None:
        side_s = part.bin_time_s * len(part.values)
        self.image.setImage(part.values, autoLevels=False, levels=(part.low, part.high))
        self.image.setTransform(_to_seconds(part.bin_time_s, self.by_age.isChecked()))
        if side_s != self._side_s:
            self._side_s = side_s
            self.plot.forget_ranges()
            for side in ("left", "bottom"):
                self.plot.getAxis(side).bounds = (0.0, side_s)
            self.plot.follow("x", 0.0, side_s)
            self.plot.follow("y", 0.0, side_s)
        middle = 0.5 * (part.low + part.high)
        self.bar.set_ticks(
            [(place, f"{v:.3f}") for place, v in ((0, part.low), (0.5, middle), (1, part.high))]
        )
        self._write_note()

    def show_empty(self, sentence: str) -> None:
        """Without a map there is nothing to turn or to cut."""
        super().show_empty(sentence)
        self.by_age.hide()
        self.cuts.hide()

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme`` around the map."""
        self.plot.set_theme(theme)
        self.plot.setBackground(theme.panel)
        self.bar.set_theme(theme)
        self.ages.set_theme(theme)
        self._label_axes()
        super().set_theme(theme)

    def _turn(self) -> None:
        self._label_axes()
        self.plot.forget_ranges()
        self._side_s = 0.0
        self.redraw()

    def _label_axes(self) -> None:
        names = ("age (s)", "lag (s)") if self.by_age.isChecked() else ("t₁ (s)", "t₂ (s)")
        self.plot.label_axes(*names)

    def reading_at(self, x_s: float, y_s: float) -> str:
        """Both times, or age and lag, and g2 at this point, in words; empty outside the map and on its diagonal."""
        part = self._part
        if part is None:
            return ""
        by_age = self.by_age.isChecked()
        t1_s, t2_s = (x_s - 0.5 * y_s, x_s + 0.5 * y_s) if by_age else (x_s, y_s)
        column, row = math.floor(t1_s / part.bin_time_s), math.floor(t2_s / part.bin_time_s)
        side = len(part.values)
        if not (0 <= row < side and 0 <= column < side and np.isfinite(part.values[row, column])):
            return ""
        first, second = ("age", "lag") if by_age else ("t₁", "t₂")
        value = part.values[row, column]
        return f"{first} {three_digits(x_s)} s · {second} {three_digits(y_s)} s · g2 {value:.4f}"

    def _move(self, scene_position: QPointF | None) -> None:
        self._cursor = scene_position
        self._write_note()

    def _write_note(self) -> None:
        if self._part is None:
            return
        if self.pages.currentIndex():
            self.note.setText(f"q {three_digits(self._part.q_inv_nm)} nm⁻¹")
            return
        reading = ""
        # What is under the mouse stays on display while new frames come in.
        if self._cursor is not None:
            point = self.plot.getViewBox().mapSceneToView(self._cursor)
            reading = self.reading_at(point.x(), point.y())
        self.note.setText(reading or _summary(self._part))


def _to_seconds(bin_time_s: float, by_age: bool) -> QTransform:
    """From bins of t1 and t2 to seconds of both, or to seconds of age and lag."""
    if by_age:
        return QTransform(0.5 * bin_time_s, -bin_time_s, 0.5 * bin_time_s, bin_time_s, 0.0, 0.0)
    return QTransform.fromScale(bin_time_s, bin_time_s)


def _summary(part: TwoTimePart) -> str:
    words = [f"q {three_digits(part.q_inv_nm)} nm⁻¹"]
    if part.frames_per_bin > 1:
        words.append(f"{part.frames_per_bin} frames/bin")
    if part.pixel_fraction < 0.995:
        words.append(f"{100 * part.pixel_fraction:.0f} % of its pixels")
    return " · ".join(words)
