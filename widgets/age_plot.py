"""g2 of one ring at a few ages, with errors, against the lag: how its dynamics change while it is measured."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import Qt
from PyQt5.QtGui import QColor
from PyQt5.QtWidgets import QLabel, QSizePolicy, QWidget

from backend.snapshot import AgeCuts
from widgets.plot_setup import CurvePlot, nice_range, ring_colours, thin_pen
from widgets.quantity_words import three_digits
from widgets.theme import Theme

_POINT_SIZE_PX = 5
# In decades, on each side of the points.
_MARGIN = 0.1
# Points with a larger share of the height of the curves as error are not drawn: they would hide the others.
_LARGEST_ERROR = 0.5


class AgePlot(CurvePlot):
    """A curve per band of ages on a logarithmic lag axis, the youngest in the darkest colour (the brightest on white).

    ``legend`` says where each band ends; it is a label of its own, to be placed above.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, log_x=True)
        self.setToolTip("g2 of the pairs of frames whose later one lies in each band of ages. Wheel zooms.")
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Preferred)
        self.baseline = pg.InfiniteLine(1.0, angle=0)
        self.addItem(self.baseline)
        self.curves: list[pg.PlotDataItem] = []
        self.errors: list[pg.ErrorBarItem] = []

    def draw(self, cuts: AgeCuts, theme: Theme) -> None:
        """Show these bands and nothing else."""
        # Not before the axes have their theme: the labels take its colour.
        self.label_axes("lag (s)", "g2")
        self.baseline.setPen(thin_pen(theme.quiet, style=Qt.PenStyle.DashLine))
        self._have_curves(len(cuts.g2))
        colours = ring_colours(len(cuts.g2), theme)
        known = _worth_drawing(cuts)
        log_lag = np.log10(cuts.lag_s)
        for row, (curve, error, colour) in enumerate(zip(self.curves, self.errors, colours, strict=False)):
            x, y = log_lag[known[row]], cuts.g2[row][known[row]]
            curve.setData(x, y, pen=thin_pen(colour), symbolBrush=colour)
            error.setData(x=x, y=y, height=2 * cuts.g2_err[row][known[row]], pen=thin_pen(colour))
        self.legend.setText(_legend(cuts, colours, theme))
        shown = cuts.g2[known]
        if shown.size:
            lags = np.broadcast_to(log_lag, known.shape)[known]
            self.follow("x", float(lags.min()) - _MARGIN, float(lags.max()) + _MARGIN)
            self.follow("y", *nice_range(min(1.0, float(shown.min())), max(1.02, float(shown.max()))))

    def _have_curves(self, number: int) -> None:
        while len(self.curves) < number:
            curve = pg.PlotDataItem(symbol="o", symbolSize=_POINT_SIZE_PX, symbolPen=None)
            self.curves.append(curve)
            self.errors.append(pg.ErrorBarItem(x=np.empty(0), y=np.empty(0), height=np.empty(0)))
            self.addItem(self.errors[-1])
            self.addItem(curve)
        for row, items in enumerate(zip(self.curves, self.errors, strict=True)):
            for item in items:
                item.setVisible(row < number)


def _worth_drawing(cuts: AgeCuts) -> np.ndarray:
    """Points whose error is small against the highest of those that are known best; shape (band, lag), bool."""
    known = np.isfinite(cuts.g2) & np.isfinite(cuts.g2_err)
    if not known.any():
        return known
    limit = np.median(cuts.g2_err[known])
    height = float(np.max(cuts.g2[known & (cuts.g2_err <= limit)])) - 1.0
    return known & (cuts.g2_err <= _LARGEST_ERROR * max(height, 0.02))


def _legend(cuts: AgeCuts, colours: list[QColor], theme: Theme) -> str:
    words = [f'<span style="color:{theme.quiet}">age until (s)</span>']
    for last_s, colour in zip(cuts.last_s, colours, strict=True):
        words.append(f'<span style="color:{colour.name()}">●&nbsp;{three_digits(float(last_s))}</span>')
    return " &nbsp;".join(words)
