"""What keeps an executor from its work: what it is, since when, what happens next, in words for the message bar."""

from __future__ import annotations

import time
from dataclasses import dataclass

from backend.errors import DispatchError
from backend.frames import SourceNotice


@dataclass(frozen=True, slots=True)
class Outage:
    """Trouble of an executor; ``since`` in seconds since 1970."""

    problem: DispatchError
    since: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """Jobs that an outage concerns: those that wait, those of which nothing is known, those that run here instead."""

    waiting: int
    out_of_sight: int
    here_instead: int


def notice_of(executor: str, outage: Outage | None, backlog: Backlog) -> SourceNotice:
    """Banner for an outage; an empty one, which takes the banner away, when it concerns no job."""
    key = f"outage-{executor}"
    if outage is None or not (backlog.waiting or backlog.out_of_sight or backlog.here_instead):
        return SourceNotice(key, "warning", "")
    place = "The cluster" if executor != "local" else "This computer"
    since = time.strftime("%H:%M on %d %B", time.localtime(outage.since))
    return SourceNotice(
        key,
        "warning",
        f"{place} takes no jobs, or does not tell how they are, since {since}. {outage.problem.what}",
        f"{_next_words(backlog)} {outage.problem.still_works}".strip(),
        outage.problem.try_this,
    )


def _next_words(backlog: Backlog) -> str:
    words = []
    if backlog.waiting:
        words.append(f"{_jobs(backlog.waiting, 'waits', 'wait')} and will be handed over, the newest first.")
    if backlog.out_of_sight:
        words.append(f"{_jobs(backlog.out_of_sight, 'is', 'are')} there, and will be followed again.")
    if backlog.here_instead:
        words.append(f"{_jobs(backlog.here_instead, 'runs', 'run')} on this computer instead.")
    return " ".join(words)


def _jobs(number: int, one: str, many: str) -> str:
    return f"1 job {one}" if number == 1 else f"{number} jobs {many}"
