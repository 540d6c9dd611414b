"""Discovers series below ``raw``: new ones at once, late files of old ones in a slow sweep."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from backend.acquisition.detector_folder import FoundPlaces, SeriesPlace, find_places, list_files
from backend.beamtime.series_name import is_series_name
from backend.frames import SourceEvent, SourceNotice

# Folders looked at in every poll: the newest one, and those before it whose detector folders may come late.
_NEWEST_FOLDERS = 3
MOST_COUNTED = 100
"""Series that are left out are counted up to here."""
# Folders per step of the sweep, so that no single step takes long on a slow file system.
_FOLDERS_PER_STEP = 50


@dataclass(slots=True)
class _SeriesFolder:
    """What is remembered of one folder below ``raw``; ``old`` until what was in it before the start is noted."""

    path: Path
    old: bool = False
    handed_out: set[Path] = field(default_factory=set)
    files_seen: dict[Path, int] = field(default_factory=dict)
    files_pending: dict[Path, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Discovered:
    """A series to read. ``returned`` is true when files were added to a series that counted as over."""

    place: SeriesPlace
    returned: bool = False


class RawFolder:
    """All series folders below one ``raw`` folder.

    Parameters
    ----------
    path
        The ``raw`` folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folders: dict[str, _SeriesFolder] = {}
        self._first_scan = True
        self._mtime_ns = -1
        self._changed_last_time = True
        self._unlisted: set[Path] = set()
        self._sweep: Iterator[_SeriesFolder] = iter(())
        self._sweeping = False
        self._events: list[SourceEvent] = []

    def scan(self) -> None:
        """Take note of new and vanished series folders; the first time they are put in order of their age.

        Raises
        ------
        OSError
            The folder cannot be listed.
        """
        mtime_ns = self.path.stat().st_mtime_ns
        with os.scandir(self.path) as entries:
            # Opening alone shows that the folder may be listed. Two changes within one tick of the clock look like
            # one: after a change the next look lists once more.
            if mtime_ns == self._mtime_ns and not self._changed_last_time:
                return
            self._changed_last_time = mtime_ns != self._mtime_ns
            there = {
                entry.name: entry for entry in entries if is_series_name(entry.name) and _is_folder(entry)
            }
            new = [name for name in there if name not in self._folders]
            if self._first_scan:
                new.sort(key=lambda name: (_mtime_ns(there[name]), name))
            else:
                new.sort()
        for name in [name for name in self._folders if name not in there]:
            del self._folders[name]
        for name in new:
            self._folders[name] = _SeriesFolder(self.path / name)
        self._mtime_ns = mtime_ns
        self._first_scan = False

    def newest(self) -> list[Discovered]:
        """Return series in the newest folders that were not handed out before, oldest first."""
        found: list[Discovered] = []
        for folder in list(self._folders.values())[-_NEWEST_FOLDERS:]:
            places = self._new_places(folder)
            if not folder.old:
                found.extend(Discovered(place) for place in places)
            folder.old = False
        return found

    def take_all(self) -> list[SeriesPlace]:
        """Return the series that are there already, oldest first. Call once, after the first scan."""
        return [place for folder in self._folders.values() for place in self._new_places(folder)]

    def take_newest(self, since: float | None, most: int) -> tuple[list[SeriesPlace], int]:
        """Return the series of the newest folder and those written after ``since``, newest first, and how many not.

        ``since`` in seconds since 1970 on the clock of the file system. No more than ``most`` series of older folders
        are returned; the number is that of series written after ``since``, or of all if that is ``None``, which are
        left out, and not counted beyond ``MOST_COUNTED``. These are not handed out later unless files are added to
        them. Call once, after the first scan.
        """
        found: list[SeriesPlace] = []
        newest: Path | None = None
        left_out = 0
        is_late = True
        for folder in reversed(list(self._folders.values())):
            # They are in the order of their age: before one that was there already all were.
            is_late = newest is None or (is_late and (since is None or _written_after(folder.path, since)))
            room = newest is None or (since is not None and len(found) < most)
            if is_late and room:
                places = self._new_places(folder)[::-1]
                newest = newest or (folder.path if places else None)
                found += places
                continue
            # Listing thousands of folders now would delay the first picture; the sweep notes their files.
            folder.old = True
            if is_late and left_out < MOST_COUNTED:
                left_out += len(self._find(folder).places)
        return found, min(left_out, MOST_COUNTED)

    def remember(self, place: SeriesPlace) -> None:
        """Take the files of a series that just ended as read; only further ones bring it back."""
        folder = self._folders.get(place.folder.name)
        if folder is not None:
            folder.files_seen[place.detector_folder] = self._count(place)

    def start_sweep(self) -> None:
        """Begin to look at every folder, unless the last sweep is still under way."""
        if not self._sweeping:
            self._sweeping = True
            self._sweep = iter(list(self._folders.values()))

    def sweep_step(self, busy: set[Path]) -> list[Discovered]:
        """Look at some more folders; return series that are new there or got further files.

        ``busy`` holds the detector folders that are being read or wait to be; they are left alone. A series that got
        further files comes back only when a second sweep finds no more, so that a copy under way is read once.
        """
        found: list[Discovered] = []
        for _ in range(_FOLDERS_PER_STEP):
            folder = next(self._sweep, None)
            if folder is None:
                self._sweeping = False
                break
            if folder.path.name in self._folders:
                found.extend(self._look_again(folder, busy))
        return found

    def take_events(self) -> list[SourceEvent]:
        """Return notices about folders that cannot be listed, or can be again."""
        events, self._events = self._events, []
        return events

    def _new_places(self, folder: _SeriesFolder) -> list[SeriesPlace]:
        places = [
            place for place in self._find(folder).places if place.detector_folder not in folder.handed_out
        ]
        for place in places:
            folder.handed_out.add(place.detector_folder)
            folder.files_seen[place.detector_folder] = self._count(place)
        return places

    def _look_again(self, folder: _SeriesFolder, busy: set[Path]) -> list[Discovered]:
        if folder.old:
            folder.old = False
            self._new_places(folder)
            return []
        found = []
        for place in self._find(folder).places:
            where = place.detector_folder
            if where in busy:
                continue
            if where not in folder.handed_out:
                folder.handed_out.add(where)
                found.append(Discovered(place))
            elif (count := self._count(place)) > folder.files_seen.get(where, 0):
                if folder.files_pending.get(where) == count:
                    folder.files_seen[where] = count
                    found.append(Discovered(place, returned=True))
                folder.files_pending[where] = count
        return found

    def _count(self, place: SeriesPlace) -> int:
        try:
            return len(list_files(place).data)
        except OSError as error:
            self._say_unlisted(place.detector_folder, error)
            return 0

    def _find(self, folder: _SeriesFolder) -> FoundPlaces:
        try:
            found = find_places(folder.path)
        except FileNotFoundError:
            # It went away since the scan; the next scan forgets it.
            return FoundPlaces()
        except OSError as error:
            self._say_unlisted(folder.path, error)
            return FoundPlaces()
        self._say_listed(folder.path)
        for path, reason in found.unreadable:
            self._say_unlisted(path, reason)
        for place in found.places:
            self._say_listed(place.detector_folder)
        return found

    def _say_unlisted(self, path: Path, error: OSError) -> None:
        if path not in self._unlisted:
            self._unlisted.add(path)
            self._events.append(
                SourceNotice(
                    f"folder:{path}",
                    "warning",
                    f"The folder {path} cannot be listed: {error.strerror or error}.",
                    "All other series are watched.",
                    "Check that you may read the folder.",
                )
            )

    def _say_listed(self, path: Path) -> None:
        if path in self._unlisted:
            self._unlisted.discard(path)
            self._events.append(SourceNotice(f"folder:{path}", "info", ""))


def _written_after(folder: Path, moment: float) -> bool:
    """True when something came into the folder of a series, or into one of its detectors, after the moment."""
    try:
        with os.scandir(folder) as entries:
            inside = [entry.stat().st_mtime for entry in entries if entry.is_dir()]
        return max([folder.stat().st_mtime, *inside]) > moment
    except OSError:
        # It has gone, or the sweep will say why it cannot be listed.
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link in a circle leads to no series.
        return False


def _mtime_ns(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_mtime_ns
    except OSError:
        # It went away while the list was made; its place in the order no longer matters.
        return 0
