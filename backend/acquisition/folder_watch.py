"""Watches the folder of the beamtime for series and hands out their frames: the live source at the beamline.

The folder is polled: changes written by another machine raise no event on the network file systems in use there.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from backend.acquisition.detector_folder import SeriesPlace, list_files
from backend.acquisition.raw_folder import MOST_COUNTED, Discovered, RawFolder
from backend.acquisition.series_reader import SeriesReader
from backend.beamtime.folder import BeamtimeFolder, find_beamtime_folder
from backend.beamtime.metadata import Beamtime, read_beamtime
from backend.errors import BeamtimeError
from backend.frames import SourceEvent, SourceNotice
from backend.settings import Settings

_FOLDER_KEY = "beamtime-folder"
_RAW_KEY = "raw-folder"
_METADATA_KEY = "beamtime-metadata"
_LEFT_OUT_KEY = "series-left-out"
_MOST_MISSED = 20
"""So many series that were missed are read after a start; more would keep the live picture waiting too long."""


class FolderWatch:
    """Live source of frames below ``root``; see :class:`backend.frames.Source`.

    One series is handed out at a time, the newest first. When the detector begins to write another one, the rest of
    the older is handed out before it.

    Parameters
    ----------
    root
        Folder with ``current`` or ``commissioning``, or such a folder itself.
    settings
        How often to look, how long to wait, what to do with series that are there already.
    clock
        Seconds from any origin, never going back.
    last_alive
        When series of a beamtime folder were last taken care of, in seconds since 1970 on the clock of its file system;
        those that came later are handed out too. ``None`` when they never were.
    """

    def __init__(
        self,
        root: Path,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        last_alive: Callable[[BeamtimeFolder], float | None] = lambda _: None,
    ) -> None:
        self._root = root
        self._last_alive = last_alive
        self._settings = settings.watch
        self._clock = clock
        self._place: BeamtimeFolder | None = None
        self._beamtime: Beamtime | None = None
        self._raw: RawFolder | None = None
        self._raw_identity: tuple[int, int] | None = None
        self._raw_lost_at_s: float | None = None
        self._next_look_s = clock()
        self._next_sweep_s = clock()
        self._live: list[tuple[int, SeriesPlace]] = []
        self._history: deque[SeriesPlace] = deque()
        self._active: tuple[int, SeriesReader] | None = None
        self._discovered = 0
        self._newest_with_data: dict[str, int] = {}
        self._said: dict[str, str] = {}

    @property
    def finished(self) -> bool:
        """Never true: another series may always come."""
        return False

    @property
    def description(self) -> str:
        """What is being waited for, as a sentence for an empty window."""
        # Asked from another thread than the one that polls: each is looked at once.
        place, active = self._place, self._active
        if place is None:
            return f"Waiting for a beamtime: {self._root} has neither 'current' nor 'commissioning' yet."
        if active is not None:
            return f"Waiting for the next data file in {active[1].place.detector_folder}."
        return (
            f"Waiting for P10 run files in {place.raw}. A series appears as <sample>_<NNNNN>/<detector>/ with "
            "a master and data files."
        )

    @property
    def folder(self) -> BeamtimeFolder | None:
        """The beamtime folder that is watched, ``None`` while there is none."""
        return self._place

    @property
    def beamtime(self) -> Beamtime | None:
        """Metadata of the beamtime, ``None`` while they cannot be read."""
        return self._beamtime

    def poll(self) -> list[SourceEvent]:
        """Return all that is new, at most one batch of frames. Never raises for a bad file or folder."""
        now_s = self._clock()
        events: list[SourceEvent] = []
        if now_s >= self._next_look_s:
            self._next_look_s = now_s + self._settings.newest_poll_s
            self._look(now_s, events)
        self._choose()
        if self._active is not None and self._may_read(now_s):
            self._read(self._active, events)
        return events

    def _look(self, now_s: float, events: list[SourceEvent]) -> None:
        if not self._find_folder(now_s, events) or self._raw is None:
            return
        try:
            self._raw.scan()
        except OSError as error:
            self._lose_raw(now_s, error, events)
            return
        self._raw_lost_at_s = None
        self._clear(_RAW_KEY, events)
        if now_s >= self._next_sweep_s:
            self._next_sweep_s = now_s + self._settings.full_sweep_s
            self._raw.start_sweep()
            self._read_metadata(events)
        for discovered in self._raw.newest():
            self._discovered += 1
            self._live.append((self._discovered, discovered.place))
        busy = {place.detector_folder for _, place in self._live} | {
            place.detector_folder for place in self._history
        }
        if self._active is not None:
            busy.add(self._active[1].place.detector_folder)
        for discovered in self._raw.sweep_step(busy):
            self._queue_late(discovered, events)
        events.extend(self._raw.take_events())
        self._note_newer_data()

    def _find_folder(self, now_s: float, events: list[SourceEvent]) -> bool:
        try:
            place = find_beamtime_folder(self._root)
            status = place.raw.stat()
        except BeamtimeError as error:
            self._place = None
            self._lose_since(now_s)
            self._say(_FOLDER_KEY, error.what, error.still_works, error.try_this, events)
            return False
        except OSError as error:
            self._place = place
            self._clear(_FOLDER_KEY, events)
            self._lose_raw(now_s, error, events)
            return False
        self._clear(_FOLDER_KEY, events)
        identity = (status.st_dev, status.st_ino)
        if identity != self._raw_identity or place != self._place:
            # Asked before anybody can know of the folder, and write into it.
            last_alive = self._last_alive(place)
            self._place = place
            if identity != self._raw_identity:
                self._begin(place, identity, last_alive, events)
        return True

    def _begin(
        self,
        place: BeamtimeFolder,
        identity: tuple[int, int],
        last_alive: float | None,
        events: list[SourceEvent],
    ) -> None:
        """Start on another raw folder: what was queued belongs to the one before."""
        self._live.clear()
        self._history.clear()
        self._newest_with_data.clear()
        if self._active is not None:
            self._active[1].expect_no_more_files()
        self._raw = RawFolder(place.raw)
        try:
            self._raw.scan()
        except OSError as error:
            self._raw = None
            self._lose_raw(self._clock(), error, events)
            return
        self._raw_identity = identity
        self._read_metadata(events)
        if self._settings.history == "all":
            # The newest folder first, then from the oldest on.
            found = self._raw.take_all()
            newest = found[-1].folder if found else None
            ordered = [place for place in found[::-1] if place.folder == newest]
            ordered += [place for place in found if place.folder != newest]
        else:
            ordered, left_out = self._raw.take_newest(last_alive, _MOST_MISSED)
            newest = ordered[0].folder if ordered else None
            self._tell_left_out(left_out, last_alive, events)
        for place_before in ordered:
            if place_before.folder == newest:
                self._discovered += 1
                self._live.append((self._discovered, place_before))
            else:
                self._history.append(place_before)

    def _tell_left_out(self, number: int, last_alive: float | None, events: list[SourceEvent]) -> None:
        if number == 0:
            self._clear(_LEFT_OUT_KEY, events)
            return
        more = " or more" if number == MOST_COUNTED else ""
        series = "1 series was" if number == 1 else f"{number}{more} series were"
        when = "before the first start" if last_alive is None else "while no backend ran"
        self._said[_LEFT_OUT_KEY] = when
        events.append(
            SourceNotice(
                _LEFT_OUT_KEY,
                "info",
                f"{series} measured {when} and not analysed since, neither here nor by recipes.",
                "The newest and all that come are.",
                'To have all of them analysed and handed to the recipes: history = "all" in section [watch] of the '
                "settings; what was done for a series is not done again.",
            )
        )

    def _choose(self) -> None:
        if self._active is not None:
            return
        if self._live:
            order, place = self._live.pop()
            self._active = (order, SeriesReader(place, self._settings, self._clock))
        elif self._history:
            reader = SeriesReader(self._history.popleft(), self._settings, self._clock, recorded=True)
            self._active = (0, reader)

    def _read(self, active: tuple[int, SeriesReader], events: list[SourceEvent]) -> None:
        order, reader = active
        if order < self._newest_with_data.get(reader.place.detector_folder.name, 0):
            reader.expect_no_more_files()
        events.extend(reader.poll())
        if reader.ended:
            self._active = None
            if self._raw is not None:
                self._raw.remember(reader.place)

    def _note_newer_data(self) -> None:
        """Remember per detector which waiting series has data files: it writes one series after the other."""
        for order, place in self._live:
            detector = place.detector_folder.name
            if order <= self._newest_with_data.get(detector, 0):
                continue
            try:
                has_data = bool(list_files(place).data)
            except OSError:
                # Its own reader will say what is wrong with the folder when its turn comes.
                continue
            if has_data:
                self._newest_with_data[detector] = order

    def _queue_late(self, discovered: Discovered, events: list[SourceEvent]) -> None:
        self._history.append(discovered.place)
        if discovered.returned:
            label = discovered.place.label
            events.append(
                SourceNotice(
                    f"returned:{label}",
                    "info",
                    f"Further files came for {label} after it counted as over; it is read again from its start.",
                )
            )

    def _may_read(self, now_s: float) -> bool:
        """While the folder is away, its series is held for the settle time in the hope that it returns."""
        if self._raw_lost_at_s is None:
            return True
        if now_s - self._raw_lost_at_s < self._settings.settle_s:
            return False
        if self._active is not None:
            self._active[1].expect_no_more_files()
        return True

    def _read_metadata(self, events: list[SourceEvent]) -> None:
        try:
            self._beamtime = read_beamtime(self._root)
        except BeamtimeError as error:
            self._beamtime = None
            self._say(_METADATA_KEY, error.what, error.still_works, error.try_this, events)
        else:
            self._clear(_METADATA_KEY, events)

    def _lose_raw(self, now_s: float, error: OSError, events: list[SourceEvent]) -> None:
        self._lose_since(now_s)
        raw = self._place.raw if self._place is not None else self._root
        what = f"The folder {raw} cannot be listed: {error.strerror or error}."
        self._say(
            _RAW_KEY,
            what,
            "It is looked for again and again.",
            "Check that the beamtime runs and that you may read the folder.",
            events,
        )

    def _lose_since(self, now_s: float) -> None:
        if self._raw_lost_at_s is None:
            self._raw_lost_at_s = now_s

    def _say(self, key: str, what: str, still_works: str, try_this: str, events: list[SourceEvent]) -> None:
        if self._said.get(key) != what:
            self._said[key] = what
            events.append(SourceNotice(key, "warning", what, still_works, try_this))

    def _clear(self, key: str, events: list[SourceEvent]) -> None:
        if self._said.pop(key, None) is not None:
            events.append(SourceNotice(key, "info", ""))
