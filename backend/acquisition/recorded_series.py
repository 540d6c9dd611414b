"""Recorded series as a source: every frame of each, in one pass, nothing waited for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from backend.acquisition.detector_folder import (
    SeriesPlace,
    find_places,
    place_of_detector_folder,
    place_of_file,
)
from backend.acquisition.series_reader import SeriesReader
from backend.errors import SeriesError
from backend.frames import SourceEvent
from backend.settings import Settings


class RecordedSeries:
    """Source of finished series, for replay and for the full correlation.

    Parameters
    ----------
    paths
        Each a master file, a detector folder, a series folder, or a folder with many series (read in order of name).
    settings
        Batch size.

    Raises
    ------
    SeriesError
        A path does not exist, cannot be listed or holds no series.

    Attributes
    ----------
    series : int
        How many there are.
    """

    def __init__(self, paths: Sequence[Path], settings: Settings) -> None:
        self._settings = settings.watch
        self._paths = tuple(paths)
        self._places = deque(place for path in paths for place in _places_of(path))
        self.series = len(self._places)
        self._reader: SeriesReader | None = None

    def poll(self) -> list[SourceEvent]:
        """Return the next events, at most one batch of frames."""
        if self._reader is None or self._reader.ended:
            if not self._places:
                return []
            self._reader = SeriesReader(self._places.popleft(), self._settings, time.monotonic, recorded=True)
        return self._reader.poll()

    @property
    def finished(self) -> bool:
        """True when every series was read to its end."""
        return not self._places and (self._reader is None or self._reader.ended)

    @property
    def description(self) -> str:
        """What is read, as a sentence."""
        return f"Reading recorded series from {', '.join(str(path) for path in self._paths)}."


def _places_of(path: Path) -> list[SeriesPlace]:
    path = path.absolute()
    try:
        places = _places_in(path) if path.is_dir() else _place_at(path)
    except OSError as error:
        raise SeriesError(
            f"{path} cannot be looked at: {error.strerror or error}.",
            try_this="Check the path and that you may read it.",
        ) from error
    if not places:
        raise SeriesError(
            f"{path} holds no series: no master and no data files were found.",
            try_this="Give a master file, a detector folder, the folder of a series, or a raw folder.",
        )
    return places


def _place_at(path: Path) -> list[SeriesPlace]:
    path.stat()
    place = place_of_file(path)
    return [] if place is None else [place]


def _places_in(folder: Path) -> list[SeriesPlace]:
    place = place_of_detector_folder(folder)
    if place is not None:
        return [place]
    places = list(find_places(folder).places)
    if places:
        return places
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [place for series_folder in below for place in find_places(series_folder).places]
