"""What a check has found: in words, and whether it is in order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a check went. A ``NOTE`` keeps no job from running; one should know it all the same."""

    GOOD = "good"
    NOTE = "note"
    FAULT = "fault"
    NOT_CHECKED = "not-checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, what that means, and what to try; the last two may be "" where all is well."""

    outcome: Outcome
    found: str
    means: str = ""
    try_this: str = ""


def good(found: str) -> Finding:
    """Finding of a check that is in order."""
    return Finding(Outcome.GOOD, found)


def note(found: str, means: str, try_this: str = "") -> Finding:
    """Finding that one should know."""
    return Finding(Outcome.NOTE, found, means, try_this)


def fault(found: str, means: str, try_this: str) -> Finding:
    """Finding that keeps jobs from running, or spoils them."""
    return Finding(Outcome.FAULT, found, means, try_this)
