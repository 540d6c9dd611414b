"""Reads one series as it is written: its start, its frames in order, its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

from backend.acquisition.completeness import SeriesEnd, SeriesStanding, judge_end
from backend.acquisition.data_cursor import DataCursor
from backend.acquisition.detector_folder import SeriesFiles, SeriesPlace, list_files
from backend.acquisition.series_opening import SeriesOpening
from backend.frames import SeriesDescribed, SeriesEnded, SeriesInfo, SeriesStarted, SourceEvent, SourceNotice
from backend.settings import WatchSettings


class SeriesReader:
    """Incremental reader of one series of one detector.

    Parameters
    ----------
    place
        Where its files are.
    settings
        Poll, retry and settle times, batch size.
    clock
        Seconds from any origin, never going back.
    recorded : bool
        The series is finished: nothing is waited for, what is not there now will not come.
    """

    def __init__(
        self,
        place: SeriesPlace,
        settings: WatchSettings,
        clock: Callable[[], float],
        *,
        recorded: bool = False,
    ) -> None:
        self.place = place
        self._settings = settings
        self._clock = clock
        self._no_more_files = recorded
        self._opening = SeriesOpening(place, settings.retry_for_s)
        self._files = SeriesFiles(None, {}, None)
        self._next_look_s = clock()
        self._changed_at_s = clock()
        self._last_state: object = None
        self._folder_lost = False
        self._info: SeriesInfo | None = None
        self._cursor: DataCursor | None = None
        self.ended = False

    @property
    def started(self) -> bool:
        """True once :class:`~backend.frames.SeriesStarted` was handed out."""
        return self._info is not None

    @property
    def frames(self) -> int:
        """Frames handed out so far."""
        return self._cursor.frames if self._cursor is not None else 0

    def expect_no_more_files(self) -> None:
        """Take the files that are there now as all: the detector already writes another series."""
        if not self._no_more_files:
            self._no_more_files = True
            self._next_look_s = self._clock()

    def poll(self) -> list[SourceEvent]:
        """Return what is new: at most one batch of frames. Never raises for a bad file."""
        if self.ended:
            return []
        now_s = self._clock()
        events: list[SourceEvent] = []
        fresh = now_s >= self._next_look_s
        if fresh:
            self._look(now_s, events)
        if self._info is None and fresh:
            self._try_start(now_s, events)
        elif self._info is not None and fresh and not self._no_more_files:
            self._describe_again(self._info, events)
        frames_before = self.frames
        if self._cursor is not None:
            self._cursor.see(self._opening.data_files(self._files), now_s)
            self._cursor.final = self._no_more_files
            events.extend(self._cursor.advance(now_s))
        if self.frames > frames_before:
            self._changed_at_s = now_s
        elif fresh or self._no_more_files:
            self._try_end(now_s, events)
        return events

    def _look(self, now_s: float, events: list[SourceEvent]) -> None:
        self._next_look_s = now_s + self._settings.newest_poll_s
        key = f"folder:{self.place.detector_folder}"
        try:
            files = list_files(self.place)
        except OSError as error:
            if not self._folder_lost:
                self._folder_lost = True
                events.append(
                    SourceNotice(
                        key,
                        "warning",
                        f"The folder {self.place.detector_folder} cannot be listed: {error.strerror or error}.",
                        "What was read from it so far is kept; it is looked for again.",
                        "Check that the file system is there and that you may read the folder.",
                    )
                )
            return
        if self._folder_lost:
            self._folder_lost = False
            events.append(SourceNotice(key, "info", ""))
        self._files = files
        state = (files.master, tuple(files.data), files.batchinfo, self._opening.state_of_newest(files))
        if state != self._last_state:
            self._last_state = state
            self._changed_at_s = now_s

    def _try_start(self, now_s: float, events: list[SourceEvent]) -> None:
        self._info = self._opening.try_to_describe(self._files, now_s, events, no_waiting=self._no_more_files)
        if self._info is None:
            return
        detector = self._info.detector
        self._cursor = DataCursor(self._info.name, detector.shape_yx, detector.dtype, self._settings)
        events.append(SeriesStarted(self._info))

    def _describe_again(self, known: SeriesInfo, events: list[SourceEvent]) -> None:
        """Hand on what side files say that came after the start; what was known then stays."""
        found = self._opening.describe_again(self._files)
        if found is None:
            return
        new = [sentence for sentence in found.notices if sentence not in known.notices]
        if new:
            key = f"side-files:{self.place.label}"
            still_works = "The analysis goes on as it began."
            events.append(
                SourceNotice(key, "warning", " ".join(new), still_works, "Check what the files state.")
            )
        self._info = replace(
            known,
            transmission=found.transmission if known.transmission is None else known.transmission,
            side_numbers=MappingProxyType({**found.side_numbers, **known.side_numbers}),
            monitor=found.monitor if known.monitor is None else known.monitor,
            notices=(*known.notices, *new),
        )
        described = (self._info.transmission, self._info.side_numbers)
        if described != (known.transmission, known.side_numbers) or self._info.monitor is not known.monitor:
            events.append(SeriesDescribed(known.name, *described, self._info.monitor))

    def _try_end(self, now_s: float, events: list[SourceEvent]) -> None:
        if self._cursor is not None and self._cursor.waiting_for_fault:
            return
        standing = SeriesStanding(
            frames=self.frames,
            position=self._cursor.position if self._cursor is not None else 0,
            expected_frames=self._info.expected_frames if self._info is not None else None,
            run_ended=self._opening.run_ended(),
            batch_there=self._files.batchinfo is not None,
            quiet_s=now_s - self._changed_at_s,
            no_more_files=self._no_more_files,
        )
        settle_s = self._settings.settle_s
        frames_per_file = self._cursor.frames_per_file if self._cursor is not None else None
        end = judge_end(standing, settle_s, self._opening.longest_wait_s(settle_s, frames_per_file))
        if end is not None:
            self._end(end, events)

    def _end(self, end: SeriesEnd, events: list[SourceEvent]) -> None:
        self.ended = True
        if self._cursor is not None:
            events.extend(self._cursor.finish())
        if self._info is None:
            events.extend(self._opening.say_never_started(self._files))
            return
        if self.frames == 0:
            events.append(
                SourceNotice(
                    f"no-frames:{self.place.label}",
                    "warning",
                    f"The series {self.place.label} has a master file but no frames that can be read.",
                    "Other series are not affected.",
                    "Check whether the detector was triggered and whether its files are transferred.",
                )
            )
        self._describe_again(self._info, events)
        events.append(SeriesEnded(self._info.name, end.complete, self.frames, end.reason))
