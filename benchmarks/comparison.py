"""Two sides in turns, A B A B, so that other load on the machine hits both; and the row of the table that follows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

_PAUSE_S = 0.5
"""Threads of linear algebra and of OpenMP wait at full speed for more work, and take a while before they sleep."""


@dataclass(frozen=True, slots=True)
class Turns:
    """Seconds of each side in each round."""

    ours_s: tuple[float, ...]
    other_s: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """How many times faster ours was, round by round."""
        return [other / ours for ours, other in zip(self.ours_s, self.other_s, strict=True)]


def interleave(ours: Callable[[], float], other: Callable[[], float], rounds: int) -> Turns:
    """Each side, ``rounds`` times in turns, after one run that only warms up; both return their own seconds."""

    def after_a_pause(side: Callable[[], float]) -> float:
        time.sleep(_PAUSE_S)
        return side()

    other()
    ours()
    pairs = [(after_a_pause(other), after_a_pause(ours)) for _ in range(rounds)]
    return Turns(tuple(own for _, own in pairs), tuple(theirs for theirs, _ in pairs))


@dataclass(frozen=True, slots=True)
class Goal:
    """The number to reach."""

    value: float
    sense: Literal["at least", "at most"]

    @classmethod
    def at_most(cls, value: float | None) -> Goal | None:
        """The goal to stay at or below a value, if there is one."""
        return None if value is None else cls(value, "at most")

    def reached(self, value: float) -> bool:
        """Whether this value reaches it."""
        return value >= self.value if self.sense == "at least" else value <= self.value


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a median with its range over the rounds.

    ``ours`` and ``other`` say what each side did per second or took, in words; ``note`` is what a reader must know.
    """

    name: str
    case: str
    quantity: str
    median: float
    low: float
    high: float
    goal: Goal | None = None
    ours: str = ""
    other: str = ""
    threads: int = 1
    rounds: int = 1
    note: str = ""


def times_faster(
    turns: Turns,
    *,
    name: str,
    case: str,
    against: str,
    frames: int,
    goal: float | None,
    threads: int,
    note: str = "",
) -> Row:
    """Row of a comparison in which more is better; speeds are given in frames per second."""
    speeds = [
        f"{frames / statistics.median(seconds):,.0f} frames/s" for seconds in (turns.ours_s, turns.other_s)
    ]
    ratios = turns.ratios
    return Row(
        name=name,
        case=case,
        quantity=f"times faster than {against}",
        median=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        goal=None if goal is None else Goal(goal, "at least"),
        ours=speeds[0],
        other=speeds[1],
        threads=threads,
        rounds=len(ratios),
        note=note,
    )
