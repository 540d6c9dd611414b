"""Clocks that go differently: times of jobs on the clock of this computer, and what has to be said when they differ."""

from __future__ import annotations

import time
from typing import NamedTuple

from backend.frames import SourceNotice

_WORTH_TELLING_S = 5.0


class TimesHere(NamedTuple):
    """Begin and end of a job in seconds since 1970 of this computer's clock; ``ahead_s`` is that of the job's clock.

    ``ahead_s`` is the least that explains what the job says: 0 when nothing speaks against its clock.
    """

    started_at: float | None
    ended_at: float | None
    ahead_s: float


def times_here(started_at: float | None, ended_at: float | None, earliest: float, now: float) -> TimesHere:
    """Times that a job says of itself, moved as little as needed: not before ``earliest``, not after ``now``.

    A job has begun after it was asked for, and what is known of it has happened by now, whatever its clock says. How
    long it took is kept.
    """
    first = ended_at if started_at is None else started_at
    last = started_at if ended_at is None else ended_at
    if first is None or last is None:
        return TimesHere(None, None, 0.0)
    ahead_s = last - now if last > now else min(0.0, first - earliest)
    return TimesHere(
        None if started_at is None else max(earliest, started_at - ahead_s),
        None if ended_at is None else ended_at - ahead_s,
        ahead_s,
    )


class ClockWatch:
    """Remembers by how much the clock of each executor is off, as its newest job showed. Not for several threads."""

    def __init__(self) -> None:
        self._notices: dict[str, SourceNotice] = {}

    @property
    def notices(self) -> tuple[SourceNotice, ...]:
        """One per executor whose jobs told a time; an empty one when its clock seems right."""
        return tuple(self._notices.values())

    def note(self, executor: str, job_id: str, said_at: float, ahead_s: float) -> None:
        """A job has said a time for the first time: ``said_at`` on its own clock, which was so far ahead."""
        key = f"clock-{executor}"
        if abs(ahead_s) < _WORTH_TELLING_S:
            self._notices[key] = SourceNotice(key, "warning", "")
            return
        way, bound = ("ahead of", "latest") if ahead_s > 0 else ("behind", "earliest")
        self._notices[key] = SourceNotice(
            key,
            "warning",
            f"The clock where jobs run is at least {_duration(abs(ahead_s))} {way} this computer's: it was "
            f"{_moment(said_at)} for the job {job_id} and {_moment(said_at - ahead_s)} here at the {bound}.",
            "Jobs run and are followed all the same; the job table shows times of this computer's clock.",
            "Ask the people who run the computer with the wrong clock for time synchronisation (NTP).",
        )


def _moment(at: float) -> str:
    return time.strftime("%H:%M:%S on %d %B", time.localtime(at))


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
