"""A simulated beamtime folder and the series written into it, laid out as at P10."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from backend.simulation.eiger_writer import DataFileWriter, EigerSeries, write_master
from backend.simulation.pace import DeadlineClock, StopRequest
from backend.simulation.series_plan import SeriesPlan, SimulationError
from backend.simulation.series_text import append_fio_end, write_batchinfo, write_fio
from backend.simulation.speckle import SpeckleMovie
from backend.simulation.truth import write_truth

BEAMTIME_ID = "11000000"
_FOLDERS = ("raw", "processed", "shared", "scratch_bl")


@dataclass(frozen=True, slots=True)
class SeriesProgress:
    """One step of the writing of a series; ``file`` is the data file that has just appeared."""

    step: Literal["started", "file", "ended"]
    series: str
    folder: Path
    frames_written: int
    frames: int
    elapsed_s: float
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class WrittenSeries:
    """Where a series was written; ``complete`` is False when it was stopped early."""

    name: str
    folder: Path
    master: Path
    frames: int
    complete: bool


def write_beamtime_skeleton(root: Path) -> Path:
    """Path of ``root/current`` with its four folders and its beamtime metadata; existing ones are kept.

    Raises
    ------
    SimulationError
        The folders cannot be made.
    """
    current = root / "current"
    try:
        for name in _FOLDERS:
            (current / name).mkdir(parents=True, exist_ok=True)
        if not any(current.glob("*metadata*.json")):
            text = json.dumps(_beamtime_metadata(datetime.now(UTC)), indent=4) + "\n"
            (current / f"beamtime-metadata-{BEAMTIME_ID}.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(current, error) from error
    return current


def _beamtime_metadata(now: datetime) -> dict[str, Any]:
    """Metadata in the form PETRA III writes; nobody is named, and no cluster is reserved for a simulation."""
    person = {"email": "", "institute": "", "lastname": "Simulated", "userId": "0", "username": "simulated"}
    clock = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "applicant": person,
        "beamline": "p10",
        "beamlineAlias": "p10",
        "beamtimeId": BEAMTIME_ID,
        "contact": "None",
        "corePath": f"/asap3/petra3/gpfs/p10/{now.year}/data/{BEAMTIME_ID}",
        "eventEnd": clock,
        "eventStart": clock,
        "facility": "PETRA III",
        "generated": clock,
        "leader": person,
        "pi": person,
        "proposalId": "0",
        "proposalType": "I",
        "title": "Simulated XPCS beamtime",
        "unixId": "None",
        "users": {"doorDb": [], "special": [], "unknown": []},
    }


def next_series_number(parent: Path) -> int:
    """Smallest number above that of every series folder in ``parent``; 1 if there is none."""
    numbers = [
        int(match.group(1))
        for entry in (parent.iterdir() if parent.is_dir() else ())
        if (match := re.fullmatch(r".+_(\d{5})", entry.name))
    ]
    return max(numbers, default=0) + 1


def write_series(
    parent: Path,
    plan: SeriesPlan,
    *,
    pace: float | None = None,
    stop: StopRequest | None = None,
    progress: Callable[[SeriesProgress], None] | None = None,
) -> WrittenSeries:
    """The series ``parent/<sample>_<NNNNN>``, written frame by frame in the order a beamline writes it.

    Text files, truth and master come first, data files appear whole one after the other, and only a complete
    series gets its ``! Acquisition ended``.

    Parameters
    ----------
    pace : float or None
        How many times faster than real; ``None`` writes as fast as possible. The frames do not depend on it.
    stop : StopRequest, optional
        Ends the series early; the frames so far are published.
    progress : callable, optional
        Called at the start, after each data file and at the end.

    Raises
    ------
    SimulationError
        The series exists already, or a file cannot be written.
    """
    if pace is not None and not pace > 0:
        raise SimulationError(f"A pace of {pace} cannot be kept.", try_this="Use a number above 0.")
    folder = parent / plan.name
    movie = SpeckleMovie(plan)
    # The first frame is made before the clock starts: compiling the loops is no part of the acquisition.
    first_frame = movie.next_frame()
    if stop is None:
        with StopRequest() as never:
            return _write(folder, plan, movie, first_frame, pace, never, progress)
    return _write(folder, plan, movie, first_frame, pace, stop, progress)


def _write(
    folder: Path,
    plan: SeriesPlan,
    movie: SpeckleMovie,
    first_frame: np.ndarray,
    pace: float | None,
    stop: StopRequest,
    progress: Callable[[SeriesProgress], None] | None,
) -> WrittenSeries:
    try:
        series = _begin_series(folder, plan, movie)
        clock = DeadlineClock(plan.frame_time_s, pace, stop)

        def tell(step: Literal["started", "file", "ended"], written: int, file: Path | None = None) -> None:
            if progress is not None:
                progress(SeriesProgress(step, plan.name, folder, written, plan.frames, clock.elapsed_s, file))

        tell("started", 0)
        written = _write_frames(movie, series, first_frame, clock, tell)
        if written == plan.frames:
            append_fio_end(folder / f"{plan.name}.fio", datetime.now())
        tell("ended", written)
    except FileExistsError as error:
        raise SimulationError(
            f"The series folder {folder} exists already.",
            still_works="It was not touched.",
            try_this="Choose another series number or sample name.",
        ) from error
    except BrokenPipeError:
        # Not the disk: whoever listened to the progress is gone.
        raise
    except OSError as error:
        raise _unwritable(folder, error) from error
    return WrittenSeries(plan.name, folder, series.master, written, written == plan.frames)


def _begin_series(folder: Path, plan: SeriesPlan, movie: SpeckleMovie) -> EigerSeries:
    """Make the folders, the text files, the truth and the master."""
    started_at = datetime.now()
    detector_folder = folder / plan.detector.folder
    folder.mkdir(parents=True)
    detector_folder.mkdir()
    write_fio(folder / f"{plan.name}.fio", plan, started_at)
    write_truth(folder / "truth.json", plan)
    write_batchinfo(detector_folder / f"{plan.name}.batchinfo", plan, started_at)
    series = EigerSeries(
        folder=detector_folder,
        stem=plan.name,
        detector=plan.detector,
        pixel_mask=movie.pixel_mask,
        dtype=np.dtype(plan.dtype),
        frames=plan.frames,
        frames_per_file=plan.file_frames,
        frame_time_s=plan.frame_time_s,
        count_time_s=plan.count_time_s,
        started_at=started_at,
        transmission=plan.transmission,
    )
    write_master(series)
    return series


def _write_frames(
    movie: SpeckleMovie,
    series: EigerSeries,
    first_frame: np.ndarray,
    clock: DeadlineClock,
    tell: Callable[..., None],
) -> int:
    """Frames written until the series was complete or stopped."""
    writer = DataFileWriter(series)
    frame = first_frame
    for index in range(series.frames):
        if index > 0:
            frame = movie.next_frame(frame)
        if not clock.wait_for_end_of_frame(index):
            break
        if (file := writer.append(frame)) is not None:
            tell("file", writer.frames, file)
    if (file := writer.finish_file()) is not None:
        tell("file", writer.frames, file)
    return writer.frames


def _unwritable(path: Path, error: OSError) -> SimulationError:
    return SimulationError(
        f"{path} cannot be written: {error.strerror or error}.",
        still_works="Files that are complete stay.",
        try_this="Check that the folder exists, that you may write there and that the disk is not full.",
    )
