"""What all plots share: log axes that can be read, ranges that move seldom, the colours of the q rings."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import QEvent, QObject, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QFont
from PyQt5.QtWidgets import QWidget

from widgets.quantity_words import log_tick_words
from widgets.theme import Theme

_RING_MAP = "viridis"
# A range that could be this much tighter is tightened; below that it stays, so that the eye keeps its scale.
_LOOSEST_FILL = 0.45


def configure_plots() -> None:
    """Set the options of the plot library that must be set before the first plot exists."""
    pg.setConfigOptions(imageAxisOrder="row-major", antialias=True, useNumba=False, useOpenGL=False)


class LogAxis(pg.AxisItem):
    """An axis over log10 values with labels such as 0.01, 0.1, 1; 2 and 5 are labelled too when there is room."""

    def __init__(self, orientation: str) -> None:
        super().__init__(orientation)
        # A prefix would be that of the logarithm.
        self.enableAutoSIPrefix(False)

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:
        """Decades as large ticks, the factors two to nine as small ones, thinned out over many decades."""
        decades = maxVal - minVal
        step = max(1, math.ceil(decades * 42 / max(size, 1)))
        first = math.floor(minVal)
        large = [
            float(d) for d in range(first, math.ceil(maxVal) + 1) if d % step == 0 and minVal <= d <= maxVal
        ]
        small = [d + math.log10(f) for d in range(first, math.ceil(maxVal) + 1) for f in range(2, 10)]
        return [(1.0, large), (0.1, [v for v in small if minVal <= v <= maxVal] if step == 1 else [])]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """The labels of ``tickValues``."""
        if spacing >= 1.0:
            return [log_tick_words(round(value)) for value in values]
        low, high = self.range
        wanted = (2, 5) if high - low < 1.6 else ()
        words = []
        for value in values:
            exponent = math.floor(value + 1e-9)
            factor = round(10 ** (value - exponent))
            words.append(log_tick_words(exponent, factor) if factor in wanted else "")
        return words


class BoundedAxis(pg.AxisItem):
    """An axis that labels nothing outside ``bounds``: there is no picture there."""

    bounds: tuple[float, float] = (-math.inf, math.inf)

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:
        """The usual ticks, without those outside the bounds."""
        low, high = self.bounds
        levels = super().tickValues(minVal, maxVal, size)
        return [(spacing, [value for value in values if low <= value <= high]) for spacing, values in levels]


class CurvePlot(pg.PlotWidget):
    """A plot whose ranges follow the data slowly until the person zooms; a double click gives them back.

    ``mouse_left`` says that nothing is under the mouse any more.
    """

    mouse_left = pyqtSignal()

    def __init__(self, parent: QWidget | None = None, *, log_x: bool = False, log_y: bool = False) -> None:
        axes = {
            side: LogAxis(side) if is_log else BoundedAxis(side)
            for side, is_log in (("bottom", log_x), ("left", log_y))
        }
        super().__init__(parent, axisItems=axes)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setFrameShape(self.NoFrame)
        self.setMinimumSize(60, 40)
        self._follows_data = True
        self._ranges: dict[str, tuple[float, float]] = {}
        self.getViewBox().sigRangeChangedManually.connect(self._stop_following)
        self.getViewBox().disableAutoRange()
        for side in ("left", "bottom"):
            self.getAxis(side).setStyle(tickFont=self.small_font(), tickLength=-4, autoExpandTextSpace=False)
        self.getAxis("left").setWidth(46)
        # Room for the labels of ticks that lie on the edge.
        self.getPlotItem().layout.setContentsMargins(0, 7, 12, 0)
        self._label_colour = ""
        self.viewport().installEventFilter(self)

    def small_font(self) -> QFont:
        """The font of tick labels."""
        font = QFont(self.font())
        font.setPointSizeF(max(6.5, font.pointSizeF() * 0.88))
        return font

    def label_axes(self, bottom: str, left: str) -> None:
        """Name both axes, unit included."""
        for side, text in (("bottom", bottom), ("left", left)):
            style = {"font-size": f"{self.small_font().pointSizeF():.1f}pt", "color": self._label_colour}
            self.getAxis(side).setLabel(text, **style)

    def follow(self, axis: str, low: float, high: float) -> None:
        """Show ``low`` to ``high`` on axis "x" or "y" unless the person has zoomed; small changes are ignored."""
        if not (math.isfinite(low) and math.isfinite(high)):
            return
        if high <= low:
            high = low + (abs(low) or 1.0) * 0.1
        shown = self._ranges.get(axis)
        if shown is not None:
            inside = shown[0] <= low and high <= shown[1]
            if inside and (high - low) >= _LOOSEST_FILL * (shown[1] - shown[0]):
                return
        self._ranges[axis] = (low, high)
        if self._follows_data:
            self._apply_ranges()

    def forget_ranges(self) -> None:
        """Start afresh, for a new series."""
        self._ranges.clear()
        self._follows_data = True

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme``."""
        self.setBackground(theme.plot)
        self._label_colour = theme.quiet
        for side in ("left", "bottom"):
            axis = self.getAxis(side)
            axis.setPen(pg.mkPen(theme.border))
            axis.setTextPen(pg.mkPen(theme.quiet))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """A double click anywhere in the plot gives the ranges back to the data."""
        if event is not None and event.type() == QEvent.Type.Leave:
            self.mouse_left.emit()
        if event is not None and event.type() == QEvent.Type.MouseButtonDblClick:
            self._follows_data = True
            self._apply_ranges()
            return True
        return super().eventFilter(watched, event)

    def _apply_ranges(self) -> None:
        # Both at once: with a locked aspect one after the other would cut off what the first has shown.
        self.getViewBox().setRange(xRange=self._ranges.get("x"), yRange=self._ranges.get("y"), padding=0)

    def _stop_following(self) -> None:
        self._follows_data = False


def ring_colours(count: int, theme: Theme) -> list[QColor]:
    """One colour per ring, dark for small q and bright for large q (the other way round on white)."""
    shares = np.linspace(theme.curve_low, theme.curve_high, max(count, 1))
    return list(pg.colormap.get(_RING_MAP).map(shares, mode="qcolor"))


def thin_pen(
    colour: str | QColor, width: float = 1.0, style: Qt.PenStyle = Qt.PenStyle.SolidLine
) -> pg.QtGui.QPen:
    """A pen of constant width on the screen."""
    return pg.mkPen(colour, width=width, style=style)


def nice_range(low: float, high: float, share: float = 0.08) -> tuple[float, float]:
    """``low`` to ``high`` widened by ``share`` and rounded outwards to a step the eye likes."""
    span = high - low
    if span <= 0:
        span = abs(low) * 0.1 or 1.0
    low, high = low - share * span, high + share * span
    step = 10.0 ** math.floor(math.log10(span)) / 2
    return math.floor(low / step) * step, math.ceil(high / step) * step
