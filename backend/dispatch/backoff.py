"""When to try again: soon at first, then ever more rarely, never all at the same moment."""

from __future__ import annotations

import random
import time
from collections.abc import Callable


class Backoff:
    """Doubles the pause after each failure, from ``first_s`` to ``longest_s``, with half of it left to chance.

    Chance keeps many programs that lost the same host from coming back in the same second.
    """

    def __init__(
        self, first_s: float = 1.0, longest_s: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._clock = clock
        self._failures = 0
        self._due_at = 0.0

    @property
    def wait_s(self) -> float:
        """Seconds until the next try is due; 0 when it is."""
        return max(0.0, self._due_at - self._clock()) if self._failures else 0.0

    def failed(self) -> None:
        """Another try failed."""
        pause_s = min(self._longest_s, self._first_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        self._due_at = self._clock() + pause_s * random.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """The next failure is again a first one."""
        self._failures = 0
