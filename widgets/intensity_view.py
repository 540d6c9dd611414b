"""I(q) now against the first frames, and their ratio, where a change of structure is seen first."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QVBoxLayout, QWidget

from backend.snapshot import IntensityPart, Snapshot
from widgets.elided_label import ElidedLabel
from widgets.plot_setup import CurvePlot, thin_pen
from widgets.quantity_words import count_words
from widgets.theme import Theme
from widgets.view_frame import ViewFrame

# Ratios beyond this are drawn at the edge: one empty bin must not flatten the rest.
_LARGEST_RATIO_STEP = 9.0
_SMALLEST_HALF_SPAN = 0.05
_CORMAP_HINT = (
    "The longest run of equal signs of the difference along q, as in BioSAXS. Slow speckle makes p too small; "
    "the verdict does not use it."
)


class IntensityView(ViewFrame):
    """Both curves on logarithmic axes, the ratio below on the same q axis."""

    part_name = "intensity"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("I(q)", "Scattered intensity now (solid) against the first frames (dashed).", parent)
        self.plot = CurvePlot(log_x=True, log_y=True)
        self.ratio = CurvePlot(log_x=True)
        for plot in (self.plot, self.ratio):
            plot.setToolTip("Click to follow the ring at this q. Wheel zooms, double click resets.")
        self.plot.label_axes("", "photons / px")
        self.plot.getAxis("bottom").setStyle(showValues=False)
        self.plot.getAxis("bottom").setHeight(6)
        self.ratio.label_axes("q (nm⁻¹)", "now / first")
        self.ratio.setXLink(self.plot)
        self.first = self._curve(self.plot)
        self.now = self._curve(self.plot)
        self.change = self._curve(self.ratio)
        self.one = pg.InfiniteLine(1.0, angle=0)
        self.ratio.addItem(self.one)
        self.markers = [pg.InfiniteLine(angle=90) for _ in range(2)]
        for plot, marker in zip((self.plot, self.ratio), self.markers, strict=True):
            plot.addItem(marker)
            plot.scene().sigMouseClicked.connect(lambda event, plot=plot: self._click(plot, event))
        layout = QVBoxLayout(self.content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.plot, 3)
        layout.addWidget(self.ratio, 2)
        self.cormap = ElidedLabel("", self, hint=_CORMAP_HINT)
        self.cormap.setObjectName("quiet")
        layout.addWidget(self.cormap)
        self._series = ""

    def inputs(self, snapshot: Snapshot) -> tuple[object, ...]:
        """The intensity part."""
        return (snapshot.intensity,)

    def draw(self, snapshot: Snapshot) -> None:
        """Draw both curves and their ratio."""
        part = snapshot.intensity
        assert part is not None
        name = "" if snapshot.series is None else snapshot.series.name
        if name != self._series:
            self._series = name
            self.plot.forget_ranges()
            self.ratio.forget_ranges()
        for curve, values in ((self.first, part.first), (self.now, part.now)):
            known = (part.q_inv_nm > 0) & (values > 0)
            curve.setData(np.log10(part.q_inv_nm[known]), np.log10(values[known]))
        self._draw_ratio(part)
        self.cormap.setText(_cormap_words(part.cormap_p))
        self.cormap.setVisible(part.cormap_p is not None)
        self._follow(part)
        self._mark_ring(snapshot)
        self.note.setText(f"frames {_range_words(part.now_frames)} / {_range_words(part.first_frames)}")

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme``."""
        for plot in (self.plot, self.ratio):
            plot.set_theme(theme)
        self.first.setPen(thin_pen(theme.quiet, 1.0, Qt.PenStyle.DashLine))
        self.now.setPen(thin_pen(theme.text, 1.0))
        self.change.setPen(thin_pen(theme.text, 1.0))
        self.one.setPen(thin_pen(theme.quiet, 1.0, Qt.PenStyle.DashLine))
        for marker in self.markers:
            marker.setPen(thin_pen(theme.highlight, 2.0))
        super().set_theme(theme)

    def _curve(self, plot: CurvePlot) -> pg.PlotCurveItem:
        curve = pg.PlotCurveItem(connect="finite")
        plot.addItem(curve)
        return curve

    def _draw_ratio(self, part: IntensityPart) -> None:
        known = (part.q_inv_nm > 0) & (part.first > 0) & (part.now > 0)
        ratio = np.clip(part.now[known] / part.first[known], 1 / _LARGEST_RATIO_STEP, _LARGEST_RATIO_STEP)
        self.change.setData(np.log10(part.q_inv_nm[known]), ratio)
        if ratio.size:
            low, high = np.percentile(ratio, (1, 99))
            half = max(_SMALLEST_HALF_SPAN, 1.0 - low, high - 1.0) * 1.15
            self.ratio.follow("y", 1.0 - half, 1.0 + half)

    def _follow(self, part: IntensityPart) -> None:
        known = (part.q_inv_nm > 0) & (part.now > 0)
        if known.sum() < 2:
            return
        q = np.log10(part.q_inv_nm[known])
        self.plot.follow("x", float(q.min()) - 0.03, float(q.max()) + 0.03)
        values = np.log10(np.concatenate([part.now[known], part.first[known & (part.first > 0)]]))
        self.plot.follow("y", float(values.min()) - 0.15, float(values.max()) + 0.15)

    def _mark_ring(self, snapshot: Snapshot) -> None:
        ring, image = self.selected_ring, snapshot.image
        known = ring is not None and image is not None and ring < len(image.q_inv_nm)
        for marker in self.markers:
            marker.setVisible(known)
            if known and ring is not None and image is not None:
                marker.setValue(float(np.log10(image.q_inv_nm[ring])))

    def _click(self, plot: CurvePlot, event: pg.GraphicsScene.mouseEvents.MouseClickEvent) -> None:
        image = None if self.snapshot is None else self.snapshot.image
        if (
            event.button() != Qt.MouseButton.LeftButton
            or event.double()
            or image is None
            or not len(image.q_inv_nm)
        ):
            return
        log_q = plot.getViewBox().mapSceneToView(event.scenePos()).x()
        self.ring_selected.emit(int(np.argmin(np.abs(np.log10(image.q_inv_nm) - log_q))))


def _range_words(frames: tuple[int, int]) -> str:
    return f"{count_words(frames[0])}–{count_words(frames[1])}"


def _cormap_words(p_value: float | None) -> str:
    return "" if p_value is None else f"CorMap against the first frames: p = {p_value:.1g}, display only"
