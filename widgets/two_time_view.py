"""The two-time map of the followed ring: ageing and sudden changes show as departures from the diagonal stripes."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import QPointF, QRectF
from PyQt5.QtWidgets import QHBoxLayout, QWidget

from backend.snapshot import Snapshot, TwoTimePart
from widgets.colour_bar import ColourBar
from widgets.plot_setup import CurvePlot
from widgets.quantity_words import three_digits
from widgets.theme import Theme
from widgets.view_frame import ViewFrame

_MAP = "CET-L8"
_STEPS = 256


class TwoTimeView(ViewFrame):
    """Map over both times in seconds; colours run from baseline to baseline plus contrast."""

    part_name = "two_time"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Two-time", "Correlation of every moment with every other, for one ring.", parent)
        colours = pg.colormap.get(_MAP).getLookupTable(0.0, 1.0, _STEPS)[:, :3]
        self.plot = CurvePlot()
        self.plot.setToolTip("Move the mouse to read values. Wheel zooms, double click resets.")
        self.plot.label_axes("t₁ (s)", "t₂ (s)")
        self.plot.setAspectLocked(True)
        self.image = pg.ImageItem()
        self.image.setLookupTable(colours)
        self.plot.addItem(self.image)
        self.bar = ColourBar("g2")
        self.bar.setToolTip("Colour range: baseline to baseline plus contrast.")
        self.bar.set_colours(colours)
        layout = QHBoxLayout(self.content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.bar)
        self._part: TwoTimePart | None = None
        self._cursor: QPointF | None = None
        self._side_s = 0.0
        self.plot.scene().sigMouseMoved.connect(self._move)
        self.plot.mouse_left.connect(lambda: self._move(None))

    def inputs(self, snapshot: Snapshot) -> tuple[object, ...]:
        """The two-time part."""
        return (snapshot.two_time,)

    def draw(self, snapshot: Snapshot) -> None:
        """Draw the map in seconds."""
        part = snapshot.two_time
        assert part is not None
        self._part = part
        side_s = part.bin_time_s * len(part.values)
        self.image.setImage(part.values, autoLevels=False, levels=(part.low, part.high))
        self.image.setRect(QRectF(0.0, 0.0, side_s, side_s))
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

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme`` around the map."""
        self.plot.set_theme(theme)
        self.plot.setBackground(theme.panel)
        self.bar.set_theme(theme)
        super().set_theme(theme)

    def reading_at(self, t1_s: float, t2_s: float) -> str:
        """Both times and g2 at this point of the map, in words; empty outside the map and on its diagonal."""
        part = self._part
        if part is None:
            return ""
        column, row = math.floor(t1_s / part.bin_time_s), math.floor(t2_s / part.bin_time_s)
        side = len(part.values)
        if not (0 <= row < side and 0 <= column < side and np.isfinite(part.values[row, column])):
            return ""
        return f"t₁ {three_digits(t1_s)} s · t₂ {three_digits(t2_s)} s · g2 {part.values[row, column]:.4f}"

    def _move(self, scene_position: QPointF | None) -> None:
        self._cursor = scene_position
        self._write_note()

    def _write_note(self) -> None:
        if self._part is None:
            return
        reading = ""
        # What is under the mouse stays on display while new frames come in.
        if self._cursor is not None:
            point = self.plot.getViewBox().mapSceneToView(self._cursor)
            reading = self.reading_at(point.x(), point.y())
        self.note.setText(reading or _summary(self._part))


def _summary(part: TwoTimePart) -> str:
    words = [f"q {three_digits(part.q_inv_nm)} nm⁻¹"]
    if part.frames_per_bin > 1:
        words.append(f"{part.frames_per_bin} frames/bin")
    if part.pixel_fraction < 0.995:
        words.append(f"{100 * part.pixel_fraction:.0f} % of its pixels")
    return " · ".join(words)
