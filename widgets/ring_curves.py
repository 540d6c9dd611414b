"""The curves of the g2 plot: points, fits, errors and job results of several rings, reused from draw to draw."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import QObject, pyqtSignal
from PyQt5.QtGui import QColor

from backend.snapshot import ConfirmedG2Part, G2Part
from widgets.plot_setup import CurvePlot, thin_pen
from widgets.theme import Theme

_POINT_SIZE_PX = 5


class RingCurves(QObject):
    """Owns the plot items; lags are plotted as log10 because error bars know no logarithmic axis."""

    ring_clicked = pyqtSignal(int)

    def __init__(self, plot: CurvePlot) -> None:
        super().__init__(plot)
        self._plot = plot
        self._points: dict[int, pg.ScatterPlotItem] = {}
        self._fits: dict[int, pg.PlotCurveItem] = {}
        self._confirmed: dict[int, pg.ScatterPlotItem] = {}
        self._errors = pg.ErrorBarItem(x=np.empty(0), y=np.empty(0), height=np.empty(0))
        self._errors.setZValue(-5)
        plot.addItem(self._errors)

    def draw(
        self,
        live: G2Part,
        confirmed: ConfirmedG2Part | None,
        rings: list[int],
        colours: list[QColor],
        selected: int | None,
        theme: Theme,
    ) -> None:
        """Show these rings and nothing else."""
        for items in (self._points, self._fits, self._confirmed):
            for ring, item in items.items():
                item.setVisible(ring in rings)
        for ring in rings:
            colour = QColor(theme.highlight) if ring == selected else QColor(colours[ring])
            self._draw_points(live, ring, colour, ring == selected)
            self._draw_fit(live, ring, colour, ring == selected)
            self._draw_confirmed(confirmed, ring, colour)
        self._draw_errors(live, rings, theme)

    def shown_rings(self) -> list[int]:
        """Rings whose points are on the plot."""
        return sorted(ring for ring, item in self._points.items() if item.isVisible())

    def _draw_points(self, live: G2Part, ring: int, colour: QColor, selected: bool) -> None:
        item = self._points.get(ring)
        if item is None:
            item = self._points[ring] = pg.ScatterPlotItem(pxMode=True, pen=None)
            item.sigClicked.connect(lambda _item, _points, _event, ring=ring: self.ring_clicked.emit(ring))
            self._plot.addItem(item)
        known = np.isfinite(live.g2[ring]) & (live.lag_s > 0)
        size = _POINT_SIZE_PX + 2 if selected else _POINT_SIZE_PX
        item.setZValue(5 if selected else 0)
        item.setData(np.log10(live.lag_s[known]), live.g2[ring][known], brush=colour, size=size)

    def _draw_fit(self, live: G2Part, ring: int, colour: QColor, selected: bool) -> None:
        item = self._fits.get(ring)
        if item is None:
            item = self._fits[ring] = pg.PlotCurveItem(connect="finite")
            self._plot.addItem(item)
        item.setPen(thin_pen(colour, 2.0 if selected else 1.0))
        if ring < len(live.fit_g2) and live.fit_lag_s.size:
            item.setData(np.log10(live.fit_lag_s), live.fit_g2[ring])
        else:
            item.setData(np.empty(0), np.empty(0))

    def _draw_confirmed(self, confirmed: ConfirmedG2Part | None, ring: int, colour: QColor) -> None:
        item = self._confirmed.get(ring)
        if confirmed is None or ring >= len(confirmed.g2):
            if item is not None:
                item.setData([], [])
            return
        if item is None:
            item = self._confirmed[ring] = pg.ScatterPlotItem(pxMode=True, symbol="s", size=8, brush=None)
            item.setZValue(-2)
            self._plot.addItem(item)
        known = np.isfinite(confirmed.g2[ring]) & (confirmed.lag_s > 0)
        item.setData(np.log10(confirmed.lag_s[known]), confirmed.g2[ring][known], pen=thin_pen(colour))

    def _draw_errors(self, live: G2Part, rings: list[int], theme: Theme) -> None:
        lag = np.broadcast_to(live.lag_s, live.g2.shape)[rings].ravel()
        value, error = live.g2[rings].ravel(), live.g2_err[rings].ravel()
        known = np.isfinite(value) & np.isfinite(error) & (lag > 0)
        self._errors.setData(
            x=np.log10(lag[known]), y=value[known], height=2 * error[known], pen=thin_pen(theme.quiet)
        )
