"""Gathers what describes a series until enough is known to start it, and what its side files say later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from backend.acquisition.completeness import patience_s
from backend.acquisition.data_file import DataFile, inspect_data_file
from backend.acquisition.detector_folder import SeriesFiles, SeriesPlace, find_run_file
from backend.acquisition.eiger_master import MasterFacts, read_master
from backend.acquisition.hdf5_file import FileStamp, UnusableFileError, stamp_of
from backend.acquisition.series_description import SeriesSources, describe_series
from backend.beamtime.batchinfo import BatchInfo, read_batchinfo
from backend.beamtime.fio import FioFile, read_fio
from backend.errors import SeriesError
from backend.frames import SeriesInfo, SourceEvent, SourceNotice

# Data files tried for shape and pixel type in one go; each try opens a file.
_FILES_TRIED_AT_ONCE = 50


class SeriesOpening:
    """Reads master, batch description, run file and first data file of one series, each when it is there.

    Parameters
    ----------
    place
        Where the files are.
    retry_for_s : float
        How long a missing or unreadable master is waited for.
    """

    def __init__(self, place: SeriesPlace, retry_for_s: float) -> None:
        self._place = place
        self._retry_for_s = retry_for_s
        self._since_s: float | None = None
        self._started = False
        self._master: MasterFacts | None = None
        self._master_fault: SeriesError | None = None
        self._batch: BatchInfo | None = None
        self._batch_looked_at: FileStamp | None = None
        self._run: FioFile | None = None
        self._run_looked_at: FileStamp | None = None
        self._described_by: tuple[BatchInfo | None, FioFile | None] = (None, None)
        self._first_data: DataFile | None = None
        self._data_fault: SeriesError | None = None
        self._side_notices: dict[Path, str] = {}

    def try_to_describe(
        self, files: SeriesFiles, now_s: float, events: list[SourceEvent], *, no_waiting: bool
    ) -> SeriesInfo | None:
        """Return the series when enough is known to start it, else ``None``.

        With a readable master it starts at once, without one after the retry time from the first data file. A
        master that stays unreadable is reported once, in ``events``.
        """
        if self._since_s is None:
            self._since_s = now_s
        over = no_waiting or now_s - self._since_s >= self._retry_for_s
        self._read_master(files)
        self._read_side_files(files)
        self._first_data = self._first_usable(files)
        if self._master is None and not (over and self._first_data is not None):
            return None
        notices = list(self._side_notices.values())
        if self._master is None:
            notices.append(
                "There is no master file that can be read: geometry, plan and frame time are not known."
            )
        if self._master is None and self._master_fault is not None:
            events.append(self._say_master_fault(self._master_fault))
        info = self._describe(notices)
        self._started = info is not None
        return info

    def describe_again(self, files: SeriesFiles) -> SeriesInfo | None:
        """Return the started series once more if a side file came or grew since it was last described."""
        self._read_side_files(files)
        if (self._batch, self._run) == self._described_by:
            return None
        return self._describe(list(self._side_notices.values()))

    def data_files(self, files: SeriesFiles) -> Mapping[int, Path]:
        """Return the files with the frames by number: the master itself when the writer put them all inside it."""
        if not files.data and self._master is not None and self._master.holds_frames:
            return {1: self._master.path}
        return files.data

    def longest_wait_s(self, settle_s: float, frames_per_file: int | None) -> float:
        """Return how long the next file is waited for; a series not yet started keeps the retry time at least."""
        frame_time_s = self._master.frame_time_s if self._master is not None else None
        planned = self._master.planned_frames if self._master is not None else None
        wait_s = patience_s(settle_s, frame_time_s, frames_per_file, planned)
        if self._master is not None and self._master.frame_start_s is not None:
            wait_s += float(np.diff(self._master.frame_start_s).max())
        return wait_s if self._started else max(wait_s, self._retry_for_s)

    def run_ended(self) -> bool:
        """Return whether the run file carries its end mark by now."""
        if self._run is None or not self._run.ended:
            self._read_run_file()
        return self._run is not None and self._run.ended

    def say_never_started(self, files: SeriesFiles) -> list[SourceEvent]:
        """Return why a series ended without ever having started."""
        fault = self._master_fault if self._master is None else None
        fault = self._data_fault or fault
        if fault is None:
            what = f"{self._place.label} has no file that states the form of its frames."
            fault = SeriesError(what, try_this="Check whether its data files were transferred.")
        what = f"The series {self._place.label} could not be shown. {fault.what}"
        key = f"never-started:{self._place.label}"
        return [SourceNotice(key, "error", what, "Other series are not affected.", fault.try_this)]

    @staticmethod
    def state_of_newest(files: SeriesFiles) -> tuple[FileStamp | None, ...]:
        """Return the state of the master and of the newest data file; it tells whether anything still changes."""
        paths = [path for path in (files.master, *list(files.data.values())[-1:]) if path is not None]
        return tuple(_stamp_or_none(path) for path in paths)

    def _describe(self, notices: list[str]) -> SeriesInfo | None:
        self._described_by = self._batch, self._run
        sources = SeriesSources(self._master, self._batch, self._run, self._first_data)
        return describe_series(self._place, sources, tuple(notices))

    def _read_master(self, files: SeriesFiles) -> None:
        if self._master is not None or files.master is None:
            return
        try:
            self._master = read_master(files.master)
        except SeriesError as error:
            self._master_fault = error

    def _read_side_files(self, files: SeriesFiles) -> None:
        if files.batchinfo is not None:
            self._read_batchinfo(files.batchinfo)
        self._read_run_file()

    def _read_batchinfo(self, path: Path) -> None:
        stamp = _stamp_or_none(path)
        if stamp is None or stamp == self._batch_looked_at:
            return
        self._batch_looked_at = stamp
        try:
            self._batch = read_batchinfo(path)
        except SeriesError as error:
            self._side_notices[path] = error.what

    def _read_run_file(self) -> None:
        path = find_run_file(self._place)
        stamp = _stamp_or_none(path) if path is not None else None
        if path is None or stamp is None or stamp == self._run_looked_at:
            return
        self._run_looked_at = stamp
        try:
            self._run = read_fio(path)
        except SeriesError as error:
            self._side_notices[path] = error.what

    def _first_usable(self, files: SeriesFiles) -> DataFile | None:
        other_shape = None
        stated = self._master.shape_yx if self._master is not None else None
        for path in list(self.data_files(files).values())[:_FILES_TRIED_AT_ONCE]:
            try:
                found = inspect_data_file(path)
                if stated is None or found.shape_yx == stated:
                    return found
                other_shape = other_shape or found
            except UnusableFileError as error:
                self._data_fault = error
            except SeriesError as error:
                self._data_fault = self._data_fault or error
        # One foreign file does not overrule the master; when all files disagree with it, they are right.
        return other_shape

    def _say_master_fault(self, fault: SeriesError) -> SourceNotice:
        return SourceNotice(
            f"master:{self._place.label}",
            "warning",
            fault.what,
            "The frames are read without it; geometry from the settings is used where they have it.",
            fault.try_this,
        )


def _stamp_or_none(path: Path) -> FileStamp | None:
    try:
        return stamp_of(path)
    except SeriesError:
        # It went away or leads nowhere: that, too, is a state, and reading it will say why.
        return None
