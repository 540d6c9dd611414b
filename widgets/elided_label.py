"""A one-line label that gives way: what does not fit is cut with an ellipsis, and the tooltip has all of it."""

from __future__ import annotations

from PyQt5.QtCore import Qt
from PyQt5.QtGui import QPainter, QPaintEvent
from PyQt5.QtWidgets import QLabel, QSizePolicy, QWidget


class ElidedLabel(QLabel):
    """Never asks for width. ``hint`` is said in the tooltip after the full text."""

    def __init__(
        self,
        text: str = "",
        parent: QWidget | None = None,
        *,
        hint: str = "",
        side: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft,
    ) -> None:
        super().__init__(parent)
        self._hint = hint
        self._side = side
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setText(text)

    def setText(self, text: str | None) -> None:
        """Show ``text``; the tooltip repeats it in full."""
        super().setText(text)
        self.setToolTip("\n".join(part for part in (text, self._hint) if part))

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint the text, elided."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), int(self._side | Qt.AlignmentFlag.AlignVCenter), text)
        painter.end()
