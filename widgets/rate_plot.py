"""Relaxation rate of the fitted rings against q, with the line of diffusion and the fitted power of q."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QColor
from PyQt5.QtWidgets import QWidget

from backend.snapshot import G2Part, RateLaw
from widgets.plot_setup import CurvePlot, thin_pen
from widgets.quantity_words import three_digits
from widgets.theme import Theme

_POINT_SIZE_PX = 7
_LINE_POINTS = 40
# In decades, on each side of the points.
_MARGIN = 0.08


class RatePlot(CurvePlot):
    """Points with error bars on logarithmic axes; solid: D q squared, dashed: the free power of q."""

    ring_clicked = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, log_x=True, log_y=True)
        self.setToolTip(
            "Rate of each fitted ring. Solid: diffusion, Γ = D q². Dashed: free power of q. "
            "Click a point to follow its ring."
        )
        self.errors = pg.ErrorBarItem()
        self.points = pg.ScatterPlotItem(pxMode=True, pen=None)
        self.points.sigClicked.connect(self._tell_ring)
        self.diffusion_line = pg.PlotCurveItem()
        self.power_line = pg.PlotCurveItem()
        for item in (self.diffusion_line, self.power_line, self.errors, self.points):
            self.addItem(item)

    def draw(self, part: G2Part, colours: list[QColor], selected: int | None, theme: Theme) -> None:
        """Draw all rings that have a fit; ``colours`` has one entry per ring."""
        # Not before the axes have their theme: the labels take its colour.
        self.label_axes("q (nm⁻¹)", "Γ (s⁻¹)")
        fitted = [(ring, fit) for ring, fit in enumerate(part.fits) if fit is not None]
        log_q = np.log10(part.q_inv_nm[[ring for ring, _ in fitted]])
        rate = np.array([fit.gamma_per_s for _, fit in fitted])
        error = np.array([fit.gamma_err_per_s for _, fit in fitted])
        log_rate = np.log10(rate)
        self.points.setData(
            x=log_q,
            y=log_rate,
            data=[ring for ring, _ in fitted],
            brush=[colours[ring] for ring, _ in fitted],
            size=[_POINT_SIZE_PX + (3 if ring == selected else 0) for ring, _ in fitted],
        )
        # One sigma of the logarithm: equally long up and down, and never below zero.
        height = 2 * error / rate / math.log(10)
        self.errors.setData(x=log_q, y=log_rate, height=height, pen=thin_pen(theme.quiet))
        self._draw_lines(part.rate_law, log_q, theme)
        if fitted:
            self.follow("x", float(log_q.min()) - _MARGIN, float(log_q.max()) + _MARGIN)
            low, high = log_rate - height / 2, log_rate + height / 2
            self.follow("y", float(low.min()) - _MARGIN, float(high.max()) + _MARGIN)

    def _draw_lines(self, law: RateLaw | None, log_q: np.ndarray, theme: Theme) -> None:
        for line in (self.diffusion_line, self.power_line):
            line.setVisible(law is not None)
        if law is None:
            return
        x = np.linspace(log_q.min() - _MARGIN, log_q.max() + _MARGIN, _LINE_POINTS)
        self.diffusion_line.setData(x, math.log10(law.diffusion_nm2_per_s) + 2 * x)
        self.diffusion_line.setPen(thin_pen(theme.text))
        from_pivot = x - math.log10(law.pivot_q_inv_nm)
        self.power_line.setData(x, math.log10(law.pivot_rate_per_s) + law.q_power * from_pivot)
        self.power_line.setPen(thin_pen(theme.quiet, style=Qt.PenStyle.DashLine))

    def _tell_ring(self, _item: object, points: list[pg.SpotItem]) -> None:
        self.ring_clicked.emit(int(points[0].data()))


def law_words(part: G2Part) -> str:
    """Diffusion coefficient and power n of q with their errors, or why there is none."""
    law = part.rate_law
    if law is None:
        return "at least three rings with a fit are needed"
    return (
        f"D = {three_digits(law.diffusion_nm2_per_s)} ± {three_digits(law.diffusion_err_nm2_per_s)} nm² s⁻¹, "
        f"n = {law.q_power:.2f} ± {law.q_power_err:.2f} · χ² {law.diffusion_reduced_chi2:.1f}, {law.rings} rings"
    )
