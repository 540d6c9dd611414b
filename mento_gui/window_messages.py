"""Messages of the window itself, kept beside those of the backend."""

from __future__ import annotations

import msgspec

from backend.snapshot import Message


class WindowMessages:
    """One entry per key; the same trouble again raises the count and asks for attention again."""

    def __init__(self) -> None:
        self._messages: dict[str, Message] = {}
        self._seen: set[str] = set()

    def add(self, message: Message) -> None:
        """Take up a message, or count it when its key is known."""
        known = self._messages.get(message.key)
        count = 1 if known is None else known.count + 1
        self._messages[message.key] = msgspec.structs.replace(message, count=count)

    def solve(self, key: str) -> None:
        """The trouble with this key is over."""
        self._messages.pop(key, None)

    def acknowledge(self, key: str) -> bool:
        """Mark a message of the window as seen; false when the key belongs to the backend."""
        message = self._messages.get(key)
        if message is None:
            self._seen.add(key)
            return False
        self._messages[key] = msgspec.structs.replace(message, acknowledged=True)
        return True

    def joined_with(self, backend_messages: tuple[Message, ...]) -> list[Message]:
        """All messages; those of the backend count as seen as soon as the person has said so here."""
        self._seen &= {message.key for message in backend_messages}
        return [
            *self._messages.values(),
            *(
                msgspec.structs.replace(message, acknowledged=True) if message.key in self._seen else message
                for message in backend_messages
            ),
        ]
