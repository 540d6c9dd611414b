"""Decides when a series is over.

No single file says so reliably: the plan stands in the master, the end mark in the run file, the batch description
comes with time series, and each of them can be missing. A series is complete when all planned frames are there and
one more thing agrees: the end mark, the batch description, or files that no longer change.
"""

from __future__ import annotations

from dataclasses import dataclass

# Waiting times of a series whose end no file states, in units of what the series itself sets.
_FRAME_TIMES = 20
_DATA_FILES = 3


@dataclass(frozen=True, slots=True)
class SeriesStanding:
    """Where a series stands.

    Attributes
    ----------
    frames : int
        Frames handed over.
    position : int
        Number of the frame that would come next; larger than ``frames`` when some could not be read.
    expected_frames : int or None
        Planned frames.
    run_ended : bool
        The run file carries its end mark.
    batch_there : bool
        The batch description is there.
    quiet_s : float
        Time since the last change of the files, seconds.
    no_more_files : bool
        Nothing can come any more: a recorded series, or the detector already writes the next one.
    """

    frames: int
    position: int
    expected_frames: int | None
    run_ended: bool
    batch_there: bool
    quiet_s: float
    no_more_files: bool


@dataclass(frozen=True, slots=True)
class SeriesEnd:
    """Whether all planned frames were seen, and why the series counts as over."""

    complete: bool
    reason: str


def patience_s(
    settle_s: float, frame_time_s: float | None, frames_per_file: int | None, expected_frames: int | None
) -> float:
    """Return how long to wait for the next file of a series whose end no file states, seconds.

    A file appears after its last frame, so a slow series is quiet for long; before the first file even the length
    of a file is unknown, and the whole series may be one file.
    """
    if frame_time_s is None:
        return settle_s
    if frames_per_file is None:
        return settle_s + (expected_frames or 0) * frame_time_s
    return max(settle_s, _FRAME_TIMES * frame_time_s, _DATA_FILES * frames_per_file * frame_time_s)


def judge_end(standing: SeriesStanding, settle_s: float, longest_wait_s: float) -> SeriesEnd | None:
    """Return how the series ended, or ``None`` while frames may still come.

    Parameters
    ----------
    standing
        Where the series stands, everything readable having been read.
    settle_s : float
        Files unchanged for this long count as finished when something else says the end.
    longest_wait_s : float
        Files unchanged for this long count as finished in any case, see :func:`patience_s`.
    """
    settled = standing.quiet_s >= settle_s
    if standing.expected_frames is not None and standing.position >= standing.expected_frames:
        if standing.run_ended or standing.batch_there or settled or standing.no_more_files:
            return _all_arrived(standing, standing.expected_frames)
        return None
    says_end = standing.run_ended or (standing.batch_there and standing.expected_frames is None)
    if not (standing.no_more_files or (says_end and settled) or standing.quiet_s >= longest_wait_s):
        return None
    if standing.expected_frames is None:
        stated = standing.frames > 0 and standing.frames == standing.position and says_end
        return SeriesEnd(stated, "No file states how many frames were planned; no more are coming.")
    why = "The acquisition was ended early" if standing.run_ended else "No more files came"
    return SeriesEnd(False, f"{why}: {standing.frames} of {standing.expected_frames} frames.")


def _all_arrived(standing: SeriesStanding, expected_frames: int) -> SeriesEnd:
    lost = standing.position - standing.frames
    if lost > 0:
        return SeriesEnd(False, f"{lost} of {standing.position} frames could not be read.")
    if standing.position > expected_frames:
        return SeriesEnd(True, f"{standing.position} frames came, more than the {expected_frames} planned.")
    return SeriesEnd(True, f"All {expected_frames} planned frames are there.")
