"""Words that cannot flicker: said at a limit, taken back only clearly below it and for a while."""

from __future__ import annotations

import math
from dataclasses import dataclass

from backend.settings import DamageSettings


class Deadband:
    """Whether something holds.

    Parameters
    ----------
    limit, clear_limit : float
        Holds from ``limit`` on, until it was below ``clear_limit`` for ``quiet`` values in a row.
    """

    def __init__(self, limit: float, clear_limit: float, quiet: int) -> None:
        self._limit = limit
        self._clear_limit = clear_limit
        self._quiet = quiet
        self._below = quiet

    def holds(self, value: float) -> bool:
        """Take the next value; whether it holds now."""
        if value >= self._limit:
            self._below = 0
        elif self._below < self._quiet:
            self._below = self._below + 1 if value < self._clear_limit else 0
        return self._below < self._quiet


@dataclass(frozen=True, slots=True)
class VerdictDeadbands:
    """Of the words of the damage verdict.

    Attributes
    ----------
    watching : Deadband
        Something may be changing; takes log10 of the evidence.
    telling : Deadband
        A change as large as the tolerance would stand out; takes the tolerance over the scatter.
    dark : Deadband
        There is no beam; takes minus the share of the usual counts.
    """

    watching: Deadband
    telling: Deadband
    dark: Deadband


def deadbands_of_verdict(settings: DamageSettings) -> VerdictDeadbands:
    """With nothing said so far."""
    watch, share, quiet = settings.watch_evidence, settings.clear_share_percent / 100, settings.quiet_windows
    dark = settings.min_beam_fraction
    return VerdictDeadbands(
        Deadband(math.log10(watch), math.log10(share * watch), quiet),
        Deadband(1.0, share, quiet),
        # Dark windows are left out at once, and those until the beam is surely back.
        Deadband(-dark, -dark / share, 1),
    )
