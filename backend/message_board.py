"""The messages that are shown until they are solved or seen: one per key, counted, not repeated."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from backend.errors import FeedbackError
from backend.frames import SourceNotice
from backend.snapshot import Message

_MOST_MESSAGES = 50
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Posted:
    message: Message
    order: int


class MessageBoard:
    """Keeps the newest messages; each also goes to the log once."""

    def __init__(self) -> None:
        self._posted: dict[str, _Posted] = {}
        self._order = 0

    def post(
        self,
        key: str,
        level: Literal["info", "warning", "error"],
        what: str,
        still_works: str = "",
        try_this: str = "",
        *,
        at: float,
    ) -> None:
        """Show a message, or count it once more when the same one stands there already."""
        known = self._posted.get(key)
        if known is not None and known.message.what == what:
            again = msgspec.structs.replace(
                known.message,
                still_works=still_works,
                try_this=try_this,
                at=at,
                count=known.message.count + 1,
            )
            self._posted[key] = replace(known, message=again)
            return
        _log.log(_LEVELS[level], "%s", " ".join(part for part in (what, still_works, try_this) if part))
        self._order += 1
        self._posted[key] = _Posted(
            Message(key=key, level=level, what=what, still_works=still_works, try_this=try_this, at=at),
            self._order,
        )
        if len(self._posted) > _MOST_MESSAGES:
            oldest = min(self._posted, key=lambda known_key: self._posted[known_key].order)
            del self._posted[oldest]

    def post_error(
        self, key: str, error: FeedbackError, *, at: float, level: Literal["warning", "error"]
    ) -> None:
        """Show an error with its three sentences."""
        self.post(key, level, error.what, error.still_works, error.try_this, at=at)

    def post_notice(self, notice: SourceNotice, *, at: float) -> None:
        """Show a notice of the acquisition; an empty one takes its message away."""
        if notice.what:
            self.post(notice.key, notice.level, notice.what, notice.still_works, notice.try_this, at=at)
        else:
            self.solve(notice.key)

    def solve(self, key: str) -> None:
        """Take a message away: its cause is gone."""
        self._posted.pop(key, None)

    def acknowledge(self, key: str) -> bool:
        """Mark a message as seen; false when there is none with this key."""
        known = self._posted.get(key)
        if known is None:
            return False
        self._posted[key] = replace(known, message=msgspec.structs.replace(known.message, acknowledged=True))
        return True

    def messages(self) -> tuple[Message, ...]:
        """All messages, newest first."""
        newest_first = sorted(self._posted.values(), key=lambda posted: -posted.order)
        return tuple(posted.message for posted in newest_first)
