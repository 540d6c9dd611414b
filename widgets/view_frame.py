"""The frame every picture sits in: title, note, empty state, and the veil over pictures that are too old."""

from __future__ import annotations

from abc import abstractmethod

from PyQt5.QtCore import QRect, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QFont, QPainter, QPaintEvent, QResizeEvent, QShowEvent
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QStackedLayout, QVBoxLayout, QWidget

from backend.snapshot import Snapshot
from widgets.elided_label import ElidedLabel
from widgets.part_equality import same_content
from widgets.theme import DARK, Theme


class ViewFrame(QFrame):
    """Base of the views. A view draws only while it can be seen and only when its part has changed.

    Subclasses give ``part_name``, build their picture, and implement ``inputs`` and ``draw``.
    """

    ring_selected = pyqtSignal(int)
    part_name = ""

    def __init__(self, title: str, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("view")
        self.setProperty("help", self.part_name)
        self.theme = DARK
        self.selected_ring: int | None = None
        self.snapshot: Snapshot | None = None
        self._drawn: tuple[object, ...] | None = None
        self.title = QLabel(title, self)
        self.title.setObjectName("viewTitle")
        self.title.setToolTip(f"{tooltip} F1 explains how to read it.")
        self.note = ElidedLabel("", self, side=Qt.AlignmentFlag.AlignRight)
        self.note.setObjectName("viewNote")
        self.header = QHBoxLayout()
        self.header.setSpacing(8)
        self.header.addWidget(self.title)
        self.header.addWidget(self.note, 1)
        self.empty = QLabel("Nothing has arrived yet.")
        self.promise = QLabel(tooltip)
        self._empty_page = self._build_empty_page()
        self.content = QWidget()
        self.stack = QStackedLayout()
        self.stack.addWidget(self._empty_page)
        self.stack.addWidget(self.content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(2)
        layout.addLayout(self.header)
        layout.addLayout(self.stack, 1)
        self._veil = _Veil(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(180, 120)

    def _build_empty_page(self) -> QWidget:
        page = QWidget()
        sentences = QVBoxLayout(page)
        sentences.setSpacing(0)
        for label, side in (
            (self.empty, Qt.AlignmentFlag.AlignBottom),
            (self.promise, Qt.AlignmentFlag.AlignTop),
        ):
            label.setObjectName("emptyState")
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter | side)  # type: ignore[arg-type]
            label.setWordWrap(True)
            sentences.addWidget(label)
        return page

    @abstractmethod
    def inputs(self, snapshot: Snapshot) -> tuple[object, ...]:
        """What the picture is drawn from; the first is the part itself and may be ``None``."""

    @abstractmethod
    def draw(self, snapshot: Snapshot) -> None:
        """Draw the part, which is there."""

    @property
    def is_empty(self) -> bool:
        """True while a sentence stands in place of the picture."""
        return self.stack.currentWidget() is self._empty_page

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show this view's part of ``snapshot``, at once if the view can be seen, else when it is shown."""
        self.snapshot = snapshot
        if self.isVisible():
            self._draw_if_changed()

    def show_empty(self, sentence: str) -> None:
        """Say what is awaited in place of the picture."""
        self.empty.setText(sentence)
        self.note.setText("")
        self._drawn = None
        self.stack.setCurrentWidget(self._empty_page)

    def select_ring(self, ring: int | None) -> None:
        """Highlight this ring, or none."""
        if ring != self.selected_ring:
            self.selected_ring = ring
            self.redraw()

    def sizeHint(self) -> QSize:
        """The same for every view, so that they share the room evenly whatever they hold."""
        return QSize(360, 300)

    def hasHeightForWidth(self) -> bool:
        """No: a long sentence in one view must not push the others aside."""
        return False

    def set_stale(self, words: str) -> None:
        """Dim the picture and say why across it; an empty text lifts the veil."""
        self._veil.set_words(words)

    @property
    def stale_words(self) -> str:
        """What the veil says; empty without a veil."""
        return self._veil.words

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme``."""
        self.theme = theme
        self.redraw()

    def redraw(self) -> None:
        """Draw again although the data are the same (theme or selection changed)."""
        self._drawn = None
        if self.isVisible():
            self._draw_if_changed()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Catch up with what arrived while hidden."""
        super().showEvent(event)
        self._draw_if_changed()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Keep the veil over the whole picture."""
        super().resizeEvent(event)
        self._veil.setGeometry(self.rect())

    def _draw_if_changed(self) -> None:
        if self.snapshot is None:
            return
        inputs = self.inputs(self.snapshot)
        if inputs[0] is None:
            sentence = self.snapshot.missing.get(self.part_name) or self.snapshot.backend.waiting_for
            if not self.is_empty or self.empty.text() != sentence:
                self.show_empty(sentence)
            return
        if self._drawn is not None and same_content(self._drawn, inputs):
            return
        self.draw(self.snapshot)
        self._drawn = inputs
        self.stack.setCurrentWidget(self.content)


class _Veil(QWidget):
    """Dims what lies under it and lets the mouse through."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.words = ""
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def set_words(self, words: str) -> None:
        """Show the veil with these words, or hide it for none."""
        if words == self.words:
            return
        self.words = words
        self.setVisible(bool(words))
        self.raise_()
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Darken the picture and write the words on a plain band."""
        painter = QPainter(self)
        ground = self.palette().color(self.backgroundRole())
        dim = QColor(ground)
        dim.setAlpha(190)
        painter.fillRect(self.rect(), dim)
        font = QFont(self.font())
        font.setBold(True)
        painter.setFont(font)
        band = QRect(0, self.height() // 2 - 16, self.width(), 32)
        painter.fillRect(band, ground)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(band, int(Qt.AlignmentFlag.AlignCenter), self.words)
        painter.end()
