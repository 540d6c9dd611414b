"""Goes through the data files of one series in order and hands out their frames with their series positions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from backend.acquisition.data_file import DataFile, FrameSlice, inspect_data_file, read_frames
from backend.acquisition.hdf5_file import FileChangedError, FileStamp, UnusableFileError, stamp_of
from backend.errors import SeriesError
from backend.frames import FrameBatch, SourceEvent, SourceNotice
from backend.settings import WatchSettings

# Frames handed over in one call never hold more memory than this, however large a frame is; a dozen may be waiting.
_LARGEST_BATCH_BYTES = 64 * 1024 * 1024


class DataCursor:
    """Position in the data files of one series.

    File ``k`` starts where the frames of the files before it end. A file that cannot be read is tried again for the
    set time since it last changed; then it is reported and passed over, and the frame numbers jump by the length the
    other files have.

    Parameters
    ----------
    series
        Name for the batches.
    shape_yx, dtype
        Every file must have frames of this form.
    settings
        Batch size, retry time and how often a failing file is looked at.
    """

    def __init__(
        self, series: str, shape_yx: tuple[int, int], dtype: np.dtype, settings: WatchSettings
    ) -> None:
        self._series = series
        self._form = (shape_yx, dtype)
        self._settings = settings
        self._files: Mapping[int, Path] = {}
        self._first_seen_s: dict[int, float] = {}
        self._number: int | None = None
        self._file: DataFile | None = None
        self._next_in_file = 0
        self._file_start = 0
        self._length_unknown = 0
        self._fault_since_s: float | None = None
        self._fault_stamp: FileStamp | None = None
        self._next_try_s = 0.0
        self._reported: set[int] = set()
        self._damaged: list[tuple[str, int, str]] = []
        self.final = False
        self.frames = 0
        self.frames_per_file: int | None = None

    @property
    def position(self) -> int:
        """Number of the frame that comes next."""
        return self._file_start + self._length_unknown * (self.frames_per_file or 0) + self._next_in_file

    @property
    def waiting_for_fault(self) -> bool:
        """True while a file that is there cannot be read but may still become readable."""
        return self._fault_since_s is not None and self._number not in self._reported

    def see(self, files: Mapping[int, Path], now_s: float) -> None:
        """Take note of the data files that are there now."""
        self._files = files
        for number in files:
            self._first_seen_s.setdefault(number, now_s)
        if files and self._number is None:
            # Files count from 1; some writers count from 0.
            self._number = min(1, min(files))

    def advance(self, now_s: float) -> list[SourceEvent]:
        """Return the next frames, at most one batch of the set size in sum, and what went wrong on the way."""
        events: list[SourceEvent] = []
        if self._fault_since_s is not None and now_s < self._next_try_s and not self.final:
            return events
        wanted = self._settings.frames_per_batch
        room_bytes = _LARGEST_BATCH_BYTES
        while self._number is not None and wanted > 0 and room_bytes > 0:
            try:
                part = self._next_slice(wanted, room_bytes, events)
            except SeriesError as error:
                if not self._pass_over(error, now_s, events):
                    break
                continue
            if part is None:
                break
            self._recover(events)
            batches = self._batches(part)
            events.extend(batches)
            wanted -= sum(len(batch.chunks) for batch in batches) + len(part.damaged)
            room_bytes -= sum(len(chunk) for batch in batches for chunk in batch.chunks)
        return events

    def _next_slice(self, wanted: int, room_bytes: int, events: list[SourceEvent]) -> FrameSlice | None:
        """Return the next frames; ``None`` when there are none now. Moves on over finished files."""
        while True:
            if self._file is None and not self._open(events):
                return None
            assert self._file is not None
            if self._next_in_file < self._file.frames:
                try:
                    return read_frames(self._file, self._next_in_file, wanted, room_bytes)
                except FileChangedError:
                    self._file = None
                    raise
            if self._later_file() is not None:
                self._leave_file(events)
                continue
            stamp = _stamp_or_none(self._file.path)
            if stamp is None or stamp == self._file.stamp:
                return None
            # The last file was written to again: it may have grown.
            self._file = None

    def _open(self, events: list[SourceEvent]) -> bool:
        assert self._number is not None
        path = self._files.get(self._number)
        if path is None:
            if self._later_file() is None:
                return False
            raise self._missing()
        found = inspect_data_file(path)
        if (found.shape_yx, found.dtype) != self._form:
            raise self._other_form(found)
        if self._next_in_file > 0:
            events.append(self._say_replaced(path))
        self._file = found
        self.frames_per_file = max(self.frames_per_file or 0, found.frames)
        self._file_start += self._length_unknown * self.frames_per_file
        self._length_unknown = 0
        return True

    def _pass_over(self, error: SeriesError, now_s: float, events: list[SourceEvent]) -> bool:
        """Report a file after its time is over; return whether there is another file to go on with."""
        assert self._number is not None
        path = self._files.get(self._number)
        stamp = _stamp_or_none(path)
        if self._fault_since_s is None:
            self._fault_since_s = self._first_seen_s.get(self._number, self._later_seen_s(now_s))
            self._fault_stamp = stamp
        elif stamp != self._fault_stamp:
            self._fault_since_s, self._fault_stamp = now_s, stamp
        self._next_try_s = now_s + self._settings.newest_poll_s
        # A file that is being replaced right now is worth another look even when no further files will come.
        over = isinstance(error, UnusableFileError) or (
            self.final and not isinstance(error, FileChangedError)
        )
        if not over and now_s - self._fault_since_s < self._settings.retry_for_s:
            return False
        if self._number not in self._reported:
            self._reported.add(self._number)
            key = self._key(self._number)
            events.append(SourceNotice(key, "error", error.what, error.still_works, error.try_this))
        if self._later_file() is None:
            return False
        self._leave_file(events)
        return True

    def _leave_file(self, events: list[SourceEvent]) -> None:
        assert self._number is not None
        events.extend(self.finish())
        following = self._number + 1
        if self._number not in self._files:
            following = self._later_file() or following
        if self._file is not None:
            self._file_start += self._file.frames
        else:
            self._length_unknown += following - self._number
        self._number = following
        self._file = None
        self._next_in_file = 0
        self._fault_since_s = None
        self._fault_stamp = None

    def _recover(self, events: list[SourceEvent]) -> None:
        self._fault_since_s = None
        if self._number is not None and self._number in self._reported:
            self._reported.discard(self._number)
            events.append(SourceNotice(self._key(self._number), "info", ""))

    def _batches(self, part: FrameSlice) -> list[FrameBatch]:
        assert self._file is not None
        batches = []
        for run in part.runs:
            start = self._file_start + run.first
            numbers = np.arange(start, start + len(run.chunks), dtype=np.int64)
            numbers.flags.writeable = False
            shape_yx, dtype = self._form
            batches.append(
                FrameBatch(
                    self._series, numbers, run.chunks, run.codec, dtype, shape_yx, self._file.path.name
                )
            )
            self.frames += len(run.chunks)
        name = self._file.path.name
        self._damaged.extend((name, frame, part.reason) for frame in part.damaged)
        self._next_in_file = part.next_frame
        return batches

    def finish(self) -> list[SourceEvent]:
        """Return what is left to say about the last file."""
        events: list[SourceEvent] = []
        if self._damaged:
            events.append(self._say_damaged())
            self._damaged = []
        return events

    def _later_file(self) -> int | None:
        assert self._number is not None
        return min((number for number in self._files if number > self._number), default=None)

    def _later_seen_s(self, now_s: float) -> float:
        later = self._later_file()
        return now_s if later is None else self._first_seen_s[later]

    def _key(self, number: int) -> str:
        return f"data-file:{self._series}:{number}"

    def _missing(self) -> SeriesError:
        assert self._number is not None
        last = (self._later_file() or self._number) - 1
        which = f"file {self._number} is" if last <= self._number else f"files {self._number} to {last} are"
        return SeriesError(
            f"Of {self._series} the data {which} missing, though later ones are there.",
            still_works="The series goes on with the next file.",
            try_this="Look for it on the detector; the series can be replayed when it is back.",
        )

    def _other_form(self, found: DataFile) -> UnusableFileError:
        (rows, columns), dtype = self._form
        return UnusableFileError(
            f"{found.path.name} holds frames of {found.shape_yx[0]} x {found.shape_yx[1]} pixels, {found.dtype}, but "
            f"the series has {rows} x {columns}, {dtype}.",
            still_works="The series goes on with the next file.",
            try_this="Check whether this file belongs to the series.",
        )

    def _say_replaced(self, path: Path) -> SourceNotice:
        return SourceNotice(
            f"replaced:{self._series}:{self._number}",
            "warning",
            f"{path.name} was replaced or written to while it was being read; from frame {self.position} on the new "
            "content is used.",
            "The frames before that came from the old content and are kept.",
            "Replay the series when it is finished if the two might differ.",
        )

    def _say_damaged(self) -> SourceNotice:
        name, frame, reason = self._damaged[0]
        return SourceNotice(
            f"damaged-frames:{self._series}:{self._number}",
            "error",
            f"{len(self._damaged)} frames of {name} cannot be read, the first is frame {frame} of the file: "
            f"{reason}.",
            "The other frames of the file were read.",
            "Look for an intact copy of the file on the detector.",
        )


def _stamp_or_none(path: Path | None) -> FileStamp | None:
    if path is None:
        return None
    try:
        return stamp_of(path)
    except SeriesError:
        # A file that cannot even be looked at has no state; the caller reports the fault it already holds.
        return None
