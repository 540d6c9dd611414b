"""Every message that is known, seen or not, so that nothing that was acknowledged is lost."""

from __future__ import annotations

from collections.abc import Sequence

import qtawesome
from PyQt5.QtGui import QIcon
from PyQt5.QtWidgets import QWidget

from backend.snapshot import Message
from widgets.message_bar import split_details
from widgets.quantity_words import clock_words
from widgets.row_table import Column, RowTable
from widgets.theme import DARK, Theme

_ICONS = {"error": "mdi6.alert-octagon", "warning": "mdi6.alert", "info": "mdi6.information-outline"}


class MessageTable(RowTable[Message]):
    """One row per message, newest first."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._theme = DARK
        super().__init__(self._columns(), lambda message: message.key, parent, empty_words="No messages.")
        self.setToolTip("All messages, those that were acknowledged too.")
        self.setProperty("help", "messages")

    def show_messages(self, messages: Sequence[Message]) -> None:
        """Show these messages, newest first."""
        self.show_rows(sorted(messages, key=lambda message: message.at, reverse=True))

    def set_theme(self, theme: Theme) -> None:
        """Draw the icons in the colours of ``theme``."""
        self._theme = theme
        self.rows.refresh_icons()

    def _columns(self) -> list[Column[Message]]:
        return [
            Column("Time", "When it was said last.", lambda message: clock_words(message.at or None), 8),
            Column("Kind", "How weighty it is.", lambda message: message.level, 9, icon=self._icon),
            Column("Message", "What happened.", _what_words, 30, stretches=True, hint=_all_words),
        ]

    def _icon(self, message: Message) -> QIcon:
        roles = {"error": self._theme.alarm, "warning": self._theme.watch}
        return qtawesome.icon(_ICONS[message.level], color=roles.get(message.level, self._theme.quiet))


def _what_words(message: Message) -> str:
    times = f" ({message.count} times)" if message.count > 1 else ""
    return split_details(message.what)[0] + times


def _all_words(message: Message) -> str:
    return "\n".join(part for part in (message.what, message.still_works, message.try_this) if part)
