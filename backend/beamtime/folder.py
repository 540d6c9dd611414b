"""Finds the folder of the beamtime: ``current``, else ``commissioning``, else the given folder itself."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backend.errors import BeamtimeError

BeamtimeKind = Literal["current", "commissioning", "other"]


@dataclass(frozen=True, slots=True)
class BeamtimeFolder:
    """Folder of one beamtime with its four parts; nothing but the folder itself is known to exist."""

    path: Path
    kind: BeamtimeKind

    @property
    def raw(self) -> Path:
        """Detector data; never written by this program."""
        return self.path / "raw"

    @property
    def processed(self) -> Path:
        """Results; archived with the raw data."""
        return self.path / "processed"

    @property
    def shared(self) -> Path:
        """Settings, recipes, keys; archived too."""
        return self.path / "shared"

    @property
    def scratch(self) -> Path:
        """Throw-away files: ``scratch_bl`` at the beamline, ``scratch_cc`` on the computing side."""
        computing_side = self.path / "scratch_cc"
        return computing_side if _is_folder(computing_side) else self.path / "scratch_bl"


def find_beamtime_folder(root: Path) -> BeamtimeFolder:
    """Return the beamtime folder below ``root``, whether or not it holds metadata.

    ``root/current`` comes before ``root/commissioning``; ``root`` may also be such a folder itself, known by a
    ``raw`` folder in it.

    Raises
    ------
    BeamtimeError
        There is none, or it may not be looked at.
    """
    try:
        if _is_folder(root / "current"):
            return BeamtimeFolder(root / "current", "current")
        if _is_folder(root / "commissioning"):
            return BeamtimeFolder(root / "commissioning", "commissioning")
        if _is_folder(root / "raw"):
            return BeamtimeFolder(root, _kind_by_name(root))
    except OSError as error:
        raise BeamtimeError(
            f"The beamtime folder below {root} cannot be looked at: {error.strerror or error}.",
            still_works="It is looked for again and again.",
            try_this="Check that the file system is mounted and that you may read it.",
        ) from error
    raise BeamtimeError(
        f"There is no beamtime in {root}: neither 'current' nor 'commissioning' nor 'raw' is there.",
        still_works="It is looked for again and again.",
        try_this="Ask the beamline staff to start the beamtime, or give another folder with --root.",
    )


def _kind_by_name(folder: Path) -> BeamtimeKind:
    # On the computing side the tag of a commissioning stands below a folder of that name, a beamtime below "data".
    if "commissioning" in (folder.name, folder.parent.name):
        return "commissioning"
    if folder.name == "current" or folder.parent.name == "data":
        return "current"
    return "other"


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
