"""The q rings drawn over the speckle image."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import QPointF, QRectF, Qt
from PyQt5.QtGui import QColor, QPainter, QPainterPath, QPen
from PyQt5.QtWidgets import QStyleOptionGraphicsItem, QWidget


class RingOverlay(pg.GraphicsObject):
    """Thin circles at the ring edges; the selected ring has strong edges and a light fill."""

    def __init__(self) -> None:
        super().__init__()
        self._center = QPointF()
        self._radii = np.empty((0, 2))
        self._bounds = QRectF()
        self._selected: int | None = None
        self._edge = QColor("#FFFFFF")
        self.setZValue(10)

    def set_rings(self, center_yx: tuple[float, float], radii: np.ndarray, bounds: QRectF) -> None:
        """Draw rings with these (inner, outer) radii in image pixels; nothing outside ``bounds``."""
        self.prepareGeometryChange()
        # Pixel centres are at whole numbers in the data and at half numbers in the picture.
        self._center = QPointF(center_yx[1] + 0.5, center_yx[0] + 0.5)
        self._radii = np.asarray(radii, dtype=float)
        self._bounds = bounds
        self.update()

    def set_selected(self, ring: int | None) -> None:
        """Emphasise this ring, or none."""
        self._selected = ring
        self.update()

    def ring_at(self, x: float, y: float) -> int | None:
        """Index of the ring that holds this point of the picture, or ``None``."""
        inside = np.flatnonzero((self._radii[:, 0] <= (r := self.radius_at(x, y))) & (r < self._radii[:, 1]))
        return int(inside[0]) if inside.size else None

    def radius_at(self, x: float, y: float) -> float:
        """Distance of this point of the picture from the direct beam, in image pixels."""
        return float(np.hypot(x - self._center.x(), y - self._center.y()))

    def boundingRect(self) -> QRectF:
        """The image's own rectangle, so that the rings never widen the view."""
        return self._bounds

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem | None, widget: QWidget | None = None
    ) -> None:
        """Draw the circles, cut off at the edge of the image."""
        painter.setClipRect(self._bounds)
        painter.setRenderHint(QPainter.Antialiasing)
        faint = QColor(self._edge)
        faint.setAlpha(70)
        pen = QPen(faint, 1)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for inner, outer in self._radii:
            painter.drawEllipse(self._center, inner, inner)
            painter.drawEllipse(self._center, outer, outer)
        if self._selected is not None and self._selected < len(self._radii):
            self._paint_selected(painter, *self._radii[self._selected])

    def _paint_selected(self, painter: QPainter, inner: float, outer: float) -> None:
        ring = QPainterPath()
        ring.addEllipse(self._center, outer, outer)
        ring.addEllipse(self._center, inner, inner)
        fill = QColor(self._edge)
        fill.setAlpha(45)
        pen = QPen(self._edge, 2)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.setBrush(fill)
        painter.drawPath(ring)
