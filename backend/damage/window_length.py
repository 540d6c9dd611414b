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
        frames = max(frames, math.ceil(expected_frames / MOST_WINDOWS))
    return max(frames, wanted)


def believed_plan(expected_frames: int | None, frame_time_s: float) -> int | None:
    """Planned length: a detector told to count until it is stopped plans billions of frames, which says nothing."""
    if expected_frames is None or expected_frames * frame_time_s > _LONGEST_BELIEVED_PLAN_S:
        return None
    return expected_frames
