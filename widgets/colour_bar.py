"""A painted colour bar: real values on its ticks, named swatches for colours that mean something else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PyQt5.QtCore import QRectF, QSize, Qt
from PyQt5.QtGui import QColor, QFont, QImage, QPainter, QPaintEvent
from PyQt5.QtWidgets import QSizePolicy, QWidget

from widgets.theme import DARK, Theme

_BAR_WIDTH_PX = 12
_SWATCH_PX = 11


class ColourBar(QWidget):
    """Vertical bar, lowest value at the bottom. ``swatches`` are (name, colour) shown under it."""

    def __init__(self, unit: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._unit = unit
        self._theme = DARK
        self._colours = np.zeros((2, 3), dtype=np.uint8)
        self._ticks: tuple[tuple[float, str], ...] = ()
        self._swatches: tuple[tuple[str, str], ...] = ()
        self.setSizePolicy(QSizePolicy.Fixed, QSizePolicy.Expanding)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Place from 0 (bottom) to 1 (top) and label of each tick."""
        return self._ticks

    def set_colours(self, colours: np.ndarray) -> None:
        """Show these colours, shape (step, 3), uint8, lowest value first."""
        self._colours = np.ascontiguousarray(colours[:, :3])
        self.update()

    def set_ticks(self, ticks: Sequence[tuple[float, str]]) -> None:
        """Label these places (0 = bottom, 1 = top)."""
        self._ticks = tuple(ticks)
        self.update()

    def set_swatches(self, swatches: Sequence[tuple[str, str]]) -> None:
        """Show these named colours below the bar."""
        self._swatches = tuple(swatches)
        self.update()

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme``."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:
        """As wide as the longest label."""
        metrics = self.fontMetrics()
        names = [name for name, _ in self._swatches] + [self._unit, "0.00001"]
        widest = max(metrics.horizontalAdvance(name) for name in names)
        return QSize(widest + _BAR_WIDTH_PX + 4, 120)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint unit, bar, ticks and swatches from top to bottom."""
        painter = QPainter(self)
        font = QFont(self.font())
        font.setPointSizeF(max(6.5, font.pointSizeF() * 0.85))
        painter.setFont(font)
        line = painter.fontMetrics().height()
        painter.setPen(QColor(self._theme.quiet))
        painter.drawText(
            QRectF(0, 0, self.width(), line),
            int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter),
            self._unit,
        )
        foot = len(self._swatches) * (line + 1)
        bar = QRectF(0, line + line / 2, _BAR_WIDTH_PX, self.height() - 2 * line - foot - 4)
        if bar.height() > 10:
            self._paint_bar(painter, bar, line)
        self._paint_swatches(painter, self.height() - foot, line)
        painter.end()

    def _paint_bar(self, painter: QPainter, bar: QRectF, line: int) -> None:
        upside_down = np.ascontiguousarray(self._colours[::-1].reshape(-1, 1, 3))
        image = QImage(upside_down.tobytes(), 1, len(upside_down), 3, QImage.Format_RGB888)
        painter.drawImage(bar, image)
        painter.setPen(QColor(self._theme.text))
        free_above = bar.bottom() + line
        for place, words in self._ticks:
            y = bar.bottom() - place * bar.height()
            painter.drawLine(int(bar.right() + 1), int(y), int(bar.right() + 4), int(y))
            if y <= free_above - line * 0.5:
                box = QRectF(bar.right() + 6, y - line / 2, self.width() - bar.right() - 6, line)
                painter.drawText(box, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), words)
                free_above = y - line / 2

    def _paint_swatches(self, painter: QPainter, top: float, line: int) -> None:
        for row, (name, colour) in enumerate(self._swatches):
            y = top + row * (line + 1)
            painter.fillRect(QRectF(0, y + (line - _SWATCH_PX) / 2, _SWATCH_PX, _SWATCH_PX), QColor(colour))
            painter.setPen(QColor(self._theme.quiet))
            box = QRectF(_SWATCH_PX + 5, y, self.width() - _SWATCH_PX - 5, line)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), name)
