"""Times of the frames from a list of the user's, where the master has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from backend.errors import SettingsError
from backend.frames import SeriesInfo, are_uneven
from backend.settings import Settings


def with_given_times(info: SeriesInfo, settings: Settings) -> SeriesInfo:
    """The series with the times of the settings; trouble with them becomes a notice, never an exception."""
    path = settings.correlation.frame_times
    if path is None or info.frame_start_s is not None:
        return info
    try:
        start_s = load_frame_times_s(path)
    except SettingsError as error:
        return replace(info, notices=(*info.notices, f"{error.what} {error.still_works}"))
    frame_time_s = info.frame_time_s
    if frame_time_s is None or are_uneven(start_s):
        frame_time_s = float(np.diff(start_s).mean())
    return replace(info, frame_start_s=start_s, frame_time_s=frame_time_s)


def load_frame_times_s(path: Path) -> np.ndarray:
    """Start of each frame in seconds, float64, shape (frame,), strictly ascending; ``.npy``, or text with one per line.

    Raises
    ------
    SettingsError
        The file cannot be read, or its numbers are no times.
    """
    try:
        numbers = np.load(path, allow_pickle=False) if path.suffix == ".npy" else path.read_text().split()
        start_s = np.asarray(numbers, np.float64)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise _unusable(path, f"cannot be read: {error}") from error
    if start_s.ndim != 1 or start_s.size < 2:
        raise _unusable(path, f"is no list of times (shape {start_s.shape})")
    if not np.isfinite(start_s).all() or not (np.diff(start_s) > 0).all():
        raise _unusable(path, "does not ascend from frame to frame")
    return start_s


def _unusable(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"The list of frame times {path} {why}.",
        still_works="The frames are taken as evenly spaced.",
        try_this="Write the start of each frame in seconds, one per line, and give the path in the settings, section "
        "[correlation].",
    )
