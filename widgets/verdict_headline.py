"""The part of the verdict that is read from across the room: icon, word and age, painted to a physical size."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from PyQt5.QtCore import QRectF, QSize, Qt, QTimer
from PyQt5.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPainterPath, QPaintEvent, QPen, QTransform
from PyQt5.QtWidgets import QSizePolicy, QWidget

from backend.snapshot import VerdictState
from widgets.state_icon import paint_state_icon
from widgets.state_style import StateStyle, state_style
from widgets.theme import DARK, Theme

CAP_HEIGHT_MM = 12.0
PULSE_LASTS_S = 10.0
PULSE_PERIOD_S = 1.0
_MM_PER_INCH = 25.4
# Screens report nonsense sizes now and then (projectors, virtual screens); outside this range it is not believed.
_BELIEVABLE_DOTS_PER_INCH = (70.0, 220.0)
# A word is squeezed sideways down to this ratio before it gets lower.
_NARROWEST = 0.6
_MARGIN_PX = 14.0


class VerdictHeadline(QWidget):
    """Paints one state. ``word``, ``shape`` and ``colour`` say what is painted right now."""

    def __init__(self, parent: QWidget | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(parent)
        self._clock = clock
        self._theme = DARK
        self._style: StateStyle = state_style(VerdictState.NO_DATA)
        self._captions: tuple[str, str] = ("", "")
        self._pulse_began: float | None = None
        self._pulse_timer = QTimer(self)
        self._pulse_timer.setInterval(50)
        self._pulse_timer.timeout.connect(self._advance_pulse)
        self.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Preferred)
        self.setAccessibleName("Verdict")

    @property
    def word(self) -> str:
        """The word on display."""
        return self._style.word

    @property
    def shape(self) -> str:
        """The icon on display, in words."""
        return self._style.shape.value

    @property
    def colour(self) -> str:
        """The state colour on display, ``#RRGGBB``."""
        return self._style.colour(self._theme)

    @property
    def is_pulsing(self) -> bool:
        """True while the border calls for attention."""
        return self._pulse_began is not None

    def show_state(self, state: VerdictState, captions: tuple[str, str]) -> None:
        """Paint ``state`` with two short lines beside the icon; a new alarm pulses for at most ten seconds."""
        style = state_style(state)
        if style != self._style:
            self.stop_pulse()
            if style.alarm:
                self._pulse_began = self._clock()
                self._pulse_timer.start()
        if (style, captions) != (self._style, self._captions):
            self._style, self._captions = style, captions
            self.setAccessibleDescription(f"{style.word}. {'. '.join(captions)}")
            self.update()

    def stop_pulse(self) -> None:
        """The person has seen it: the border is still, the colour stays."""
        self._pulse_timer.stop()
        self._pulse_began = None
        self.update()

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme``."""
        self._theme = theme
        self.update()

    def cap_height_px(self) -> float:
        """Height of a capital letter on this screen: twelve millimetres, or more when there is room."""
        return max(self._least_cap_px(), (self.height() - 3 * _MARGIN_PX) * 0.5)

    def sizeHint(self) -> QSize:
        """Room for icon and word of twelve millimetres each."""
        return QSize(240, self.minimumSizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """The word must always be readable from three metres."""
        return QSize(200, int(math.ceil(2 * self._least_cap_px() + 3 * _MARGIN_PX)))

    def _least_cap_px(self) -> float:
        screen = self.screen()
        dots = screen.physicalDotsPerInch() if screen is not None else 96.0
        low, high = _BELIEVABLE_DOTS_PER_INCH
        if not low <= dots <= high and screen is not None:
            dots = screen.logicalDotsPerInch()
        return CAP_HEIGHT_MM / _MM_PER_INCH * max(low, min(high, dots))

    def _advance_pulse(self) -> None:
        if self._pulse_began is None or self._clock() - self._pulse_began >= PULSE_LASTS_S:
            self.stop_pulse()
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint block or outline, icon, captions and word."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        colour, panel = QColor(self.colour), QColor(self._theme.panel)
        ink, ground = (QColor(self._theme.on_state), colour) if self._style.solid else (colour, panel)
        self._paint_ground(painter, colour, ground)
        cap = self.cap_height_px()
        icon = QRectF(_MARGIN_PX, _MARGIN_PX, cap, cap)
        paint_state_icon(painter, self._style.shape, icon, ink, ground)
        words = ink if self._style.solid else QColor(self._theme.text)
        self._paint_captions(painter, words, QRectF(icon.right() + _MARGIN_PX, icon.top(), 0, cap))
        self._paint_word(painter, ink, icon.bottom() + _MARGIN_PX, cap)
        self._paint_pulse(painter)
        painter.end()

    def _paint_ground(self, painter: QPainter, colour: QColor, ground: QColor) -> None:
        box = QRectF(self.rect()).adjusted(1.5, 1.5, -1.5, -1.5)
        pen = QPen(colour, 3)
        if self._style.colour_role == "unknown":
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(ground)
        painter.drawRoundedRect(box, 4, 4)

    def _paint_captions(self, painter: QPainter, ink: QColor, box: QRectF) -> None:
        box.setRight(self.width() - _MARGIN_PX / 2)
        font = QFont(self.font())
        font.setPixelSize(max(11, int(box.height() * 0.27)))
        widest = max(QFontMetricsF(font).horizontalAdvance(line) for line in self._captions)
        if widest > box.width():
            font.setPixelSize(max(11, int(font.pixelSize() * box.width() / widest)))
        painter.setFont(font)
        painter.setPen(ink)
        metrics = QFontMetricsF(font)
        lines = [
            metrics.elidedText(line, Qt.TextElideMode.ElideRight, box.width())
            for line in self._captions
            if line
        ]
        painter.drawText(
            box, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), "\n".join(lines)
        )

    def _paint_word(self, painter: QPainter, ink: QColor, top: float, cap: float) -> None:
        font = QFont(self.font())
        font.setBold(True)
        font.setPixelSize(200)
        metrics = QFontMetricsF(font)
        path = QPainterPath()
        path.addText(0.0, 0.0, font, self._style.word)
        bounds = path.boundingRect()
        available = self.width() - 2 * _MARGIN_PX
        upright = cap / metrics.capHeight()
        sideways = min(upright, available / bounds.width())
        upright = min(upright, sideways / _NARROWEST)
        place = QTransform().translate(_MARGIN_PX, top + cap).scale(sideways, upright)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ink)
        painter.drawPath(place.map(path.translated(-bounds.left(), 0.0)))

    def _paint_pulse(self, painter: QPainter) -> None:
        if self._pulse_began is None:
            return
        phase = (self._clock() - self._pulse_began) / PULSE_PERIOD_S
        border = QColor(self._theme.highlight)
        border.setAlphaF(0.5 - 0.5 * math.cos(2 * math.pi * phase))
        painter.setPen(QPen(border, 8))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(4, 4, -4, -4), 4, 4)
