"""Finds the files of a series: the detector folders below its folder, masters, data files and run files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backend.beamtime.series_name import is_series_name, parse_series_name

_DATA_FILE = re.compile(r"(?P<prefix>[^.].*)_data_(?P<index>[0-9]{1,9})\.h5")
_MASTER = re.compile(r"(?P<prefix>[^.].*)_master\.h5")


@dataclass(frozen=True, slots=True)
class SeriesPlace:
    """Where the files of one series of one detector are.

    Attributes
    ----------
    label : str
        Name of the series; a second detector in the same series folder adds its own name.
    folder : Path
        Folder of the series.
    detector_folder : Path
        Folder with its master and data files.
    prefix : str
        What master and data files begin with.
    """

    label: str
    folder: Path
    detector_folder: Path
    prefix: str


@dataclass(frozen=True, slots=True)
class SeriesFiles:
    """Master, data files by their number, ascending, and batch description that are there now."""

    master: Path | None
    data: Mapping[int, Path]
    batchinfo: Path | None


@dataclass(frozen=True, slots=True)
class FoundPlaces:
    """Detectors of one series folder, and its folders that cannot be listed with the reason for each."""

    places: tuple[SeriesPlace, ...] = ()
    unreadable: tuple[tuple[Path, OSError], ...] = ()


def find_places(series_folder: Path) -> FoundPlaces:
    """Return every detector of a series that has a master or a data file, first folder name first.

    Raises
    ------
    OSError
        The series folder itself cannot be listed.
    """
    with os.scandir(series_folder) as entries:
        folders = sorted(Path(entry.path) for entry in entries if _is_folder(entry))
    places: list[SeriesPlace] = []
    unreadable: list[tuple[Path, OSError]] = []
    for folder in folders:
        try:
            prefixes = _prefixes(folder)
        except FileNotFoundError:
            # It went away between the two looks.
            continue
        except OSError as error:
            unreadable.append((folder, error))
            continue
        prefix = _prefix_of(series_folder.name, prefixes)
        if prefix is not None:
            label = f"{series_folder.name}_{folder.name}" if places else series_folder.name
            places.append(SeriesPlace(label, series_folder, folder, prefix))
    return FoundPlaces(tuple(places), tuple(unreadable))


def list_files(place: SeriesPlace) -> SeriesFiles:
    """Return the files of a series that are there now; other files in the folder are passed over.

    Raises
    ------
    OSError
        The folder cannot be listed.
    """
    master = None
    batchinfo = None
    data: dict[int, Path] = {}
    with os.scandir(place.detector_folder) as entries:
        for entry in entries:
            data_file = _DATA_FILE.fullmatch(entry.name)
            if data_file is not None and data_file["prefix"] == place.prefix:
                data[int(data_file["index"])] = Path(entry.path)
            elif entry.name == f"{place.prefix}_master.h5":
                master = Path(entry.path)
            elif entry.name == f"{place.prefix}.batchinfo":
                batchinfo = Path(entry.path)
    return SeriesFiles(master, dict(sorted(data.items())), batchinfo)


def find_run_file(place: SeriesPlace) -> Path | None:
    """Return the ``.fio`` file of a series, in its own folder or in the one of the sample, if there is one."""
    candidates = [place.folder / f"{place.folder.name}.fio", place.folder / f"{place.prefix}.fio"]
    if is_series_name(place.folder.name):
        sample = parse_series_name(place.folder.name).sample
        candidates.append(place.folder.parent / sample / f"{place.folder.name}.fio")
    return next((path for path in candidates if os.path.isfile(path)), None)


def place_of_file(path: Path) -> SeriesPlace | None:
    """Return the series a master or data file belongs to, or ``None`` for a file named otherwise."""
    match = _MASTER.fullmatch(path.name) or _DATA_FILE.fullmatch(path.name)
    return None if match is None else _place_in(path.parent, match["prefix"])


def place_of_detector_folder(folder: Path) -> SeriesPlace | None:
    """Return the series whose files stand directly in ``folder``, or ``None`` when there are none.

    Raises
    ------
    OSError
        The folder cannot be listed.
    """
    prefix = _prefix_of(folder.parent.name, _prefixes(folder))
    return None if prefix is None else _place_in(folder, prefix)


def _place_in(detector_folder: Path, prefix: str) -> SeriesPlace:
    series_folder = detector_folder.parent
    if series_folder.name == prefix or is_series_name(series_folder.name):
        return SeriesPlace(series_folder.name, series_folder, detector_folder, prefix)
    return SeriesPlace(prefix, detector_folder, detector_folder, prefix)


def _prefixes(folder: Path) -> set[str]:
    with os.scandir(folder) as entries:
        matches = [_DATA_FILE.fullmatch(entry.name) or _MASTER.fullmatch(entry.name) for entry in entries]
    return {match["prefix"] for match in matches if match is not None}


def _prefix_of(series: str, prefixes: set[str]) -> str | None:
    return series if series in prefixes else min(prefixes, default=None)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return not entry.name.startswith(".") and entry.is_dir()
    except OSError:
        # A link in a circle, or a folder that may not be looked at, holds no frames for us.
        return False
