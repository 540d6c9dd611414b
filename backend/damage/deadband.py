"""Words that cannot flicker: said at a limit, taken back only clearly below it and for a while."""

from __future__ import annotations


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
