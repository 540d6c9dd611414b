"""How each verdict looks: one word, one icon shape, one colour, and whether it calls for attention as a solid block."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from backend.snapshot import VerdictState
from widgets.theme import Theme


class IconShape(Enum):
    """Shapes that are told apart without colour."""

    TICK_CIRCLE = "circle with a tick"
    TRIANGLE = "triangle with a mark"
    OCTAGON = "octagon with a bar"
    CROSSED_SQUARE = "crossed square"
    HOURGLASS = "hourglass"
    DASHED_RING = "dashed ring"
    PAUSE_BARS = "pause bars"


@dataclass(frozen=True, slots=True)
class StateStyle:
    """Look of one state. ``colour_role`` names a colour of the theme; ``solid`` states are filled blocks."""

    word: str
    shape: IconShape
    colour_role: str
    solid: bool
    alarm: bool = False

    def colour(self, theme: Theme) -> str:
        """The state's colour in that theme, ``#RRGGBB``."""
        return str(getattr(theme, self.colour_role))


_STYLES = {
    VerdictState.GOOD: StateStyle("GOOD", IconShape.TICK_CIRCLE, "good", solid=False),
    VerdictState.WATCH: StateStyle("WATCH", IconShape.TRIANGLE, "watch", solid=True),
    VerdictState.DAMAGING: StateStyle("DAMAGING", IconShape.OCTAGON, "alarm", solid=True, alarm=True),
    VerdictState.BAD_DATA: StateStyle("BAD DATA", IconShape.CROSSED_SQUARE, "alarm", solid=True, alarm=True),
    VerdictState.TOO_EARLY: StateStyle("TOO EARLY", IconShape.HOURGLASS, "unknown", solid=False),
    VerdictState.NO_DATA: StateStyle("NO DATA", IconShape.DASHED_RING, "unknown", solid=False),
    VerdictState.IDLE: StateStyle("IDLE", IconShape.PAUSE_BARS, "unknown", solid=False),
}


def state_style(state: VerdictState) -> StateStyle:
    """The look of a state; every state has one."""
    return _STYLES[state]
