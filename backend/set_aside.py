"""Frames of a series that could not be used: how many, and why the last one."""

from __future__ import annotations


class SetAside:
    """Counts frames; of a million broken ones only the first and the last reason are kept."""

    def __init__(self) -> None:
        self.number = 0
        self.first_reason = self.last_reason = ""

    def add(self, reason: str) -> None:
        """One more frame, with a sentence that names file and frame."""
        self.number += 1
        self.first_reason = self.first_reason or reason
        self.last_reason = reason
