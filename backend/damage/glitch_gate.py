"""Keeps windows back that are far from what was expected, until it is clear whether they are a glitch or a change."""

from __future__ import annotations

from backend.damage.window_length import windows_spanning
from backend.damage.windows import Window

_LONGEST_GLITCH_WINDOWS = 3
_LONGEST_GLITCH_FRAMES = 30


class GlitchGate:
    """One gate for all channels: what moves one of them by a lot moves others by less, but just as wrongly.

    A glitch is over after at most 30 frames, or three windows if these are longer, and is then set aside; a lasting
    change is let through with the next window, and from then on nothing is kept back.
    """

    def __init__(self, frames_per_window: int) -> None:
        self._longest = windows_spanning(_LONGEST_GLITCH_FRAMES, frames_per_window, _LONGEST_GLITCH_WINDOWS)
        self._waiting: list[tuple[Window, float]] = []
        self._changed = False
        self.set_aside = 0

    def let_through(self, window: Window, dose: float, far: bool) -> list[tuple[Window, float]]:
        """Windows, with their doses, that are to be used now; ``far``: this one is far from its prediction."""
        if not far:
            self.set_aside += len(self._waiting)
            self._waiting = []
        elif not self._changed and len(self._waiting) < self._longest:
            self._waiting.append((window, dose))
            return []
        passed = [*self._waiting, (window, dose)]
        self._changed = self._changed or far
        self._waiting = []
        return passed
