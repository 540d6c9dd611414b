"""Save what I see: the window as a picture and the numbers behind it as an HDF5 file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from PyQt5.QtGui import QPixmap

from backend.errors import FeedbackError
from backend.snapshot import RingFit, Snapshot

if TYPE_CHECKING:
    import h5py

_PARTS = ("image", "g2", "confirmed_g2", "intensity", "trend", "two_time", "pixels", "spot", "sample")


class SaveError(FeedbackError):
    """The picture or the numbers could not be written."""


def save_view(picture: QPixmap, snapshot: Snapshot, folder: Path) -> tuple[Path, Path]:
    """Write ``<beamtime>_<series>_<time>.png`` and ``.h5`` into ``folder`` and return both paths.

    Raises
    ------
    SaveError
        The folder cannot be written.
    """
    stem = folder / _name_of(snapshot)
    picture_file, numbers_file = Path(f"{stem}.png"), Path(f"{stem}.h5")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_numbers(numbers_file, snapshot)
    except OSError as error:
        raise _refusal(folder, str(error.strerror or error)) from error
    if not picture.save(str(picture_file), "PNG"):
        raise _refusal(folder, "the picture could not be written")
    return picture_file, numbers_file


def _refusal(folder: Path, reason: str) -> SaveError:
    return SaveError(
        f"What you see could not be saved to {folder}: {reason}.",
        still_works="Nothing else is affected.",
        try_this="Make room there or make the folder writable, then save again.",
    )


def _name_of(snapshot: Snapshot) -> str:
    series = "no-series" if snapshot.series is None else snapshot.series.name
    moment = time.strftime("%Y%m%d-%H%M%S", time.localtime(snapshot.produced_at))
    return "_".join(part for part in (snapshot.backend.beamtime_id, series, moment) if part)


def _write_numbers(path: Path, snapshot: Snapshot) -> None:
    # Imported here because the window must be on the screen before a file library is needed.
    import h5py

    with h5py.File(path, "w") as file:
        for part in ("backend", "verdict", "series"):
            value = getattr(snapshot, part)
            if value is not None:
                _write_struct(file.create_group(part), value)
        for part in _PARTS:
            value = getattr(snapshot, part)
            if value is not None:
                _write_struct(file.create_group(part), value)
            else:
                file.attrs[f"missing_{part}"] = snapshot.missing.get(part, "")
        file.attrs["produced_at_unix_s"] = snapshot.produced_at
        file.attrs["sequence"] = snapshot.sequence


def _write_struct(group: h5py.Group, struct: msgspec.Struct) -> None:
    for name in struct.__struct_fields__:
        _write_value(group, name, getattr(struct, name))


def _write_value(group: h5py.Group, name: str, value: Any) -> None:
    if isinstance(value, np.ndarray):
        group.create_dataset(name, data=value)
    elif isinstance(value, msgspec.Struct):
        _write_struct(group.create_group(name), value)
    elif isinstance(value, dict) and all(isinstance(item, np.ndarray) for item in value.values()):
        inner = group.create_group(name)
        for key, item in value.items():
            inner.create_dataset(key, data=item)
    elif name == "fits":
        inner = group.create_group(name)
        for field in RingFit.__struct_fields__:
            inner.create_dataset(
                field, data=[np.nan if fit is None else getattr(fit, field) for fit in value]
            )
    elif isinstance(value, str):
        # Words of an enumeration are stored as plain text.
        group.attrs[name] = str(value)
    elif isinstance(value, (int, float)):
        group.attrs[name] = value
    elif value is not None:
        group.attrs[name] = msgspec.json.encode(value).decode()
