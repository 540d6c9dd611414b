"""Draws the icon of a state; shapes differ so much that they are told apart in grey and from afar."""

from __future__ import annotations

import math

from PyQt5.QtCore import QPointF, QRectF, Qt
from PyQt5.QtGui import QBrush, QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

from backend.snapshot import VerdictState
from widgets.state_style import IconShape, state_style
from widgets.theme import Theme


def paint_state_icon(painter: QPainter, shape: IconShape, box: QRectF, ink: QColor, ground: QColor) -> None:
    """Draw ``shape`` into the square ``box``: filled parts in ``ink``, cut-outs in ``ground``."""
    painter.save()
    painter.setRenderHint(QPainter.Antialiasing)
    painter.translate(box.topLeft())
    painter.scale(box.width() / 100.0, box.height() / 100.0)
    _DRAW[shape](painter, ink, ground)
    painter.restore()


def state_icon(state: VerdictState, theme: Theme, size_px: int = 16) -> QIcon:
    """The icon of a state for table cells, in its state colour."""
    style = state_style(state)
    pixmap = QPixmap(size_px * 2, size_px * 2)
    pixmap.setDevicePixelRatio(2.0)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    ink = QColor(style.colour(theme))
    paint_state_icon(painter, style.shape, QRectF(0, 0, size_px, size_px), ink, QColor(theme.panel))
    painter.end()
    return QIcon(pixmap)


def _pen(colour: QColor, width: float, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
    return QPen(QBrush(colour), width, style, Qt.PenCapStyle.FlatCap, Qt.PenJoinStyle.MiterJoin)


def _tick_circle(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ink)
    painter.drawEllipse(QPointF(50, 50), 48, 48)
    painter.setPen(_pen(ground, 13))
    painter.drawPolyline(QPolygonF([QPointF(24, 52), QPointF(43, 71), QPointF(77, 32)]))


def _triangle(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ink)
    painter.drawPolygon(QPolygonF([QPointF(50, 3), QPointF(99, 95), QPointF(1, 95)]))
    painter.setBrush(ground)
    painter.drawRect(QRectF(44, 34, 12, 34))
    painter.drawEllipse(QPointF(50, 80), 7, 7)


def _octagon(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ink)
    corners = [math.pi / 8 + index * math.pi / 4 for index in range(8)]
    painter.drawPolygon(QPolygonF([QPointF(50 + 51 * math.cos(a), 50 + 51 * math.sin(a)) for a in corners]))
    painter.setBrush(ground)
    painter.drawRect(QRectF(22, 42, 56, 16))


def _crossed_square(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.setPen(_pen(ink, 11))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(QRectF(8, 8, 84, 84))
    painter.drawLine(QPointF(12, 12), QPointF(88, 88))
    painter.drawLine(QPointF(88, 12), QPointF(12, 88))


def _hourglass(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.setPen(_pen(ink, 9))
    painter.drawLine(QPointF(14, 7), QPointF(86, 7))
    painter.drawLine(QPointF(14, 93), QPointF(86, 93))
    glass = QPainterPath(QPointF(22, 8))
    for x, y in ((78, 8), (78, 20), (53, 50), (78, 80), (78, 92), (22, 92), (22, 80), (47, 50), (22, 20)):
        glass.lineTo(x, y)
    glass.closeSubpath()
    painter.setPen(_pen(ink, 7))
    painter.drawPath(glass)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ink)
    painter.drawPolygon(QPolygonF([QPointF(34, 28), QPointF(66, 28), QPointF(50, 48)]))
    painter.drawPolygon(QPolygonF([QPointF(26, 92), QPointF(74, 92), QPointF(50, 70)]))


def _dashed_ring(painter: QPainter, ink: QColor, ground: QColor) -> None:
    pen = _pen(ink, 11)
    pen.setDashPattern([2.0, 1.3])
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawEllipse(QPointF(50, 50), 43, 43)


def _pause_bars(painter: QPainter, ink: QColor, ground: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ink)
    painter.drawRect(QRectF(18, 8, 23, 84))
    painter.drawRect(QRectF(59, 8, 23, 84))


_DRAW = {
    IconShape.TICK_CIRCLE: _tick_circle,
    IconShape.TRIANGLE: _triangle,
    IconShape.OCTAGON: _octagon,
    IconShape.CROSSED_SQUARE: _crossed_square,
    IconShape.HOURGLASS: _hourglass,
    IconShape.DASHED_RING: _dashed_ring,
    IconShape.PAUSE_BARS: _pause_bars,
}
