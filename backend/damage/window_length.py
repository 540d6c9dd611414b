"""How many frames a decision window has."""

from __future__ import annotations

import math

MOST_WINDOWS = 256
_SHORTEST_WINDOW_S = 0.1
_WINDOWS_OF_FAST_SERIES = 100
_ROUNDING = 1e-6
_LONGEST_BELIEVED_PLAN_S = 86_400.0


def frames_of_window(wanted: int, frame_time_s: float, expected_frames: int | None) -> int:
    """Frames of a window: as many as wanted, more when the series is so long or so fast that it makes too many.

    Nobody reads more than some verdicts a second, and each costs milliseconds that a fast detector does not leave.
    """
    frames = wanted * math.ceil(_SHORTEST_WINDOW_S / (wanted * frame_time_s) - _ROUNDING)
    if expected_frames:
        frames = min(frames, max(wanted, expected_frames // _WINDOWS_OF_FAST_SERIES))
        # One window less than the most: the last one would double them all.
        frames = max(frames, expected_frames // MOST_WINDOWS + 1)
    return max(frames, wanted)


def windows_spanning(frames: int, frames_per_window: int, fewest: int = 1) -> int:
    """Windows in a row that have at least so many frames together, and never fewer than ``fewest``."""
    return max(fewest, math.ceil(frames / frames_per_window))


def believed_plan(expected_frames: int | None, frame_time_s: float) -> int | None:
    """Planned length: a detector told to count until it is stopped plans billions of frames, which says nothing."""
    if expected_frames is None or expected_frames * frame_time_s > _LONGEST_BELIEVED_PLAN_S:
        return None
    return expected_frames
