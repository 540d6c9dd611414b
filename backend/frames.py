"""What flows from an acquisition into the engine: a series starts, brings frames, ends. All frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

import numpy as np

Codec = Literal["bslz4", "raw"]

UNEVEN_RMS = 0.02
"""Frames are uneven when their distances scatter around the mean by more than this share of it (rms)."""


@dataclass(frozen=True, slots=True)
class DetectorInfo:
    """Fixed facts of one detector in one series, as its files state them; ``None`` where they do not.

    Attributes
    ----------
    name : str
        Folder name at the beamline, for instance ``e4m`` or ``e500``.
    shape_yx : tuple of int
        Rows and columns.
    dtype : numpy dtype
        Unsigned integer type of a pixel; its maximum marks a gap, a bad or a saturated pixel.
    pixel_size_m, distance_m, wavelength_m : float or None
        Metres.
    beam_center_yx_px : tuple of float or None
        Zero-based (row, column) of the direct beam, pixel centres at whole numbers.
    pixel_mask : ndarray or None, shape (y, x), bool
        True where the detector calls the pixel bad.
    saturation_value : int or None
        Largest trustworthy count.
    """

    name: str
    shape_yx: tuple[int, int]
    dtype: np.dtype
    pixel_size_m: float | None = None
    distance_m: float | None = None
    wavelength_m: float | None = None
    beam_center_yx_px: tuple[float, float] | None = None
    pixel_mask: np.ndarray | None = None
    saturation_value: int | None = None


def are_uneven(frame_start_s: np.ndarray) -> bool:
    """Whether frames that begin at these times (seconds, ascending) need lags in seconds instead of frames.

    A single late frame among thousands moves no lag that matters; a pause or bursts do.
    """
    if frame_start_s.size < 3:
        return False
    distance_s = np.diff(frame_start_s)
    return bool(np.std(distance_s) > UNEVEN_RMS * distance_s.mean())


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """Identity and plan of one series ``<sample>_<NNNNN>``.

    ``expected_frames`` and ``frame_time_s`` are ``None`` when no file states them. ``notices`` are sentences for
    the user about what was odd while the description was read (for instance beam centres that disagree).
    ``frame_start_s``, shape (frame,), float64, strictly ascending: when each frame began, seconds from any moment on;
    ``None`` when only the frame time is known. Where these times are uneven, ``frame_time_s`` is their mean distance.
    ``monitor``, shape (frame,), float64: incident beam during each frame, any unit; ``None`` without a monitor.
    ``side_numbers`` is every number that the run file and the batch description state by name, motors among them.
    """

    name: str
    sample: str
    number: int
    folder: Path
    detector: DetectorInfo
    master: Path | None = None
    expected_frames: int | None = None
    frame_time_s: float | None = None
    frame_start_s: np.ndarray | None = None
    count_time_s: float | None = None
    started_at: datetime | None = None
    transmission: float | None = None
    monitor: np.ndarray | None = None
    side_numbers: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    notices: tuple[str, ...] = ()

    @property
    def has_uneven_frames(self) -> bool:
        """Whether lags have to be taken from the times of the frames."""
        return self.frame_start_s is not None and are_uneven(self.frame_start_s)

    @property
    def longest_pause_s(self) -> float:
        """Longest planned distance of two frames; 0 where no times are known."""
        return 0.0 if self.frame_start_s is None else float(np.diff(self.frame_start_s).max(initial=0.0))


@dataclass(frozen=True, slots=True)
class SeriesStarted:
    """A series was found (or found again after a restart); frames follow, counted from 0."""

    info: SeriesInfo


@dataclass(frozen=True, slots=True)
class SeriesDescribed:
    """Run file or batch description came, or grew, after the start of a series; between its start and its end.

    ``transmission``, ``side_numbers`` and ``monitor`` as in :class:`SeriesInfo`.
    """

    series: str
    transmission: float | None
    side_numbers: Mapping[str, float]
    monitor: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Consecutive or nearly consecutive frames of one series.

    Attributes
    ----------
    series : str
        Name of the series.
    frame_numbers : ndarray, shape (frame,), int64
        Position of each frame in the series, from 0, ascending; a jump means frames are missing.
    chunks : tuple of bytes
        One compressed chunk (``codec == "bslz4"``: HDF5 bitshuffle-LZ4 chunk with its 12-byte header) or one
        plain frame in native byte order, row-major (``codec == "raw"``) each.
    dtype, shape_yx
        Type and shape of a decoded frame.
    source : str
        File name, for messages.
    """

    series: str
    frame_numbers: np.ndarray
    chunks: tuple[bytes, ...]
    codec: Codec
    dtype: np.dtype
    shape_yx: tuple[int, int]
    source: str = ""


@dataclass(frozen=True, slots=True)
class SeriesEnded:
    """No more frames will come; ``complete`` says whether all planned frames were seen, ``reason`` says why."""

    series: str
    complete: bool
    frames: int
    reason: str


@dataclass(frozen=True, slots=True)
class SourceNotice:
    """Something a person should know: one broken file, a folder that vanished. The watch goes on.

    ``key`` identifies the trouble so that repeating it does not repeat the message; an empty ``what`` with a known
    key means the trouble is over.
    """

    key: str
    level: Literal["info", "warning", "error"]
    what: str
    still_works: str = ""
    try_this: str = ""


SourceEvent = SeriesStarted | SeriesDescribed | FrameBatch | SeriesEnded | SourceNotice


class Source(Protocol):
    """Where frames come from. Polled from one thread; never raises for a bad file (it yields a notice instead)."""

    def poll(self) -> list[SourceEvent]:
        """All that is new since the last call, at most a bounded number of frames; empty when nothing is."""
        ...

    @property
    def finished(self) -> bool:
        """True when no more events can ever come (a recorded series was read to its end)."""
        ...

    @property
    def description(self) -> str:
        """What is being waited for, as a sentence for an empty window."""
        ...
