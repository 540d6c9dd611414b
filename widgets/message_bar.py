"""Banners on top of the window: what happened, what still works, what to try. They stay until seen or solved."""

from __future__ import annotations

from collections.abc import Sequence

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from backend.snapshot import Message
from widgets.qt_objects import existing

_WEIGHT = {"error": 0, "warning": 1, "info": 2}


class MessageBar(QFrame):
    """Shows the weightiest message that nobody has acknowledged; the others are counted and follow one by one.

    ``acknowledged`` carries the key of a message the person has seen.
    """

    acknowledged = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self.setProperty("help", "messages")
        self.current: Message | None = None
        self._waiting: list[Message] = []
        self.what = _line("bannerWhat")
        self.more = _line("bannerMore")
        self.details = _line("bannerDetails")
        self.details.hide()
        self.count = QLabel()
        self.count.setObjectName("quiet")
        self.show_details = _button(
            "Details", "Show the time, how often it happened, and the technical text."
        )
        self.show_details.setCheckable(True)
        self.show_details.toggled.connect(self.details.setVisible)
        self.copy = _button("Copy", "Copy the whole message, to paste it into a mail or a log book.")
        self.copy.clicked.connect(self._copy)
        self.acknowledge_button = _button(
            "Acknowledge", "I have seen it (key A). It stays in the message list."
        )
        self.acknowledge_button.clicked.connect(self.acknowledge)
        words = QVBoxLayout()
        words.setSpacing(1)
        for label in (self.what, self.more, self.details):
            words.addWidget(label)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(10, 4, 8, 4)
        layout.addLayout(words, 1)
        for widget in (self.count, self.show_details, self.copy, self.acknowledge_button):
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignVCenter)
        self.hide()

    def show_messages(self, messages: Sequence[Message]) -> None:
        """Show what is left of ``messages`` after taking out the acknowledged ones; hide when nothing is."""
        left = [message for message in messages if not message.acknowledged]
        self._waiting = sorted(left, key=lambda message: (_WEIGHT[message.level], message.at))
        first = self._waiting[0] if self._waiting else None
        if first != self.current:
            self._show(first)
        others = len(self._waiting) - 1
        self.count.setText(f"{others} more" if others > 0 else "")

    def acknowledge(self) -> None:
        """The person has seen the message on display."""
        if self.current is not None:
            self.acknowledged.emit(self.current.key)

    def _show(self, message: Message | None) -> None:
        known = self.current is not None and message is not None and self.current.key == message.key
        self.current = message
        self.setVisible(message is not None)
        if message is None:
            return
        if not known:
            self.show_details.setChecked(False)
        what, technical = split_details(message.what)
        times = f" ({message.count} times)" if message.count > 1 else ""
        self.what.setText(what + times)
        self.more.setText(" ".join(part for part in (message.still_works, message.try_this) if part))
        self.more.setVisible(bool(self.more.text()))
        self.details.setText(technical or f"Reported by {message.key}.")
        if self.property("level") != message.level:
            self.setProperty("level", message.level)
            existing(self.style()).unpolish(self)
            existing(self.style()).polish(self)

    def _copy(self) -> None:
        if self.current is not None:
            parts = (self.current.what, self.current.still_works, self.current.try_this)
            existing(QApplication.clipboard()).setText("\n".join(part for part in parts if part))


def split_details(what: str) -> tuple[str, str]:
    """The sentence for the person and the technical text, which follows after an empty line."""
    sentence, _gap, technical = what.partition("\n\n")
    return sentence, technical


def _line(name: str) -> QLabel:
    label = QLabel()
    label.setObjectName(name)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    label.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Minimum)
    return label


def _button(text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    return button
