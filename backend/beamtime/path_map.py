"""The same beamtime folder under its names: at the beamline, on reserved nodes, on the core file system.

The beamline's file system is mounted on the nodes that are reserved for a beamtime; the core file system gets its copy
some minutes later. A job for a series that has just ended must therefore read the beamline's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath

from backend.errors import BeamtimeError


@dataclass(frozen=True, slots=True)
class PathMap:
    """Translates paths below one folder that has another name elsewhere; both are absolute."""

    here: PurePosixPath
    there: PurePosixPath

    def to_there(self, path: PurePath) -> PurePosixPath:
        """Name elsewhere of a path known here.

        Raises
        ------
        BeamtimeError
            It does not lie below the folder, so it cannot be seen from there.
        """
        return _moved(PurePosixPath(path), self.here, self.there)

    def to_here(self, path: PurePath) -> PurePosixPath:
        """Name here of a path known elsewhere.

        Raises
        ------
        BeamtimeError
            It does not lie below the folder, so it cannot be seen from here.
        """
        return _moved(PurePosixPath(path), self.there, self.here)

    def argument_to_there(self, argument: str) -> str:
        """Argument of a command with the path in it, if there is one, as it is called there.

        The path is the whole argument or what follows ``=`` in it; everything else stays as it is.
        """
        option, sign, value = argument.partition("=")
        if sign and option.startswith("-"):
            return f"{option}={self.argument_to_there(value)}"
        path = PurePosixPath(argument)
        return str(self.to_there(path)) if path.is_relative_to(self.here) else argument


def node_mount(beamline: str) -> PurePosixPath:
    """Where a reserved node has the beamline's file system; ``current`` and ``commissioning`` stand below it."""
    return PurePosixPath("/beamline") / beamline.lower()


def map_to_node(folder: PurePath, beamline: str) -> PathMap:
    """From a beamtime folder at the beamline (``/gpfs/current``) to its name on a reserved node."""
    return PathMap(PurePosixPath(folder), node_mount(beamline) / folder.name)


def map_to_core(folder: PurePath, core_path: PurePath) -> PathMap:
    """From a beamtime folder at the beamline to the core file system, whose copy comes some minutes later."""
    return PathMap(PurePosixPath(folder), PurePosixPath(core_path))


def _moved(path: PurePosixPath, source: PurePosixPath, target: PurePosixPath) -> PurePosixPath:
    if ".." in path.parts or not path.is_relative_to(source):
        raise BeamtimeError(
            f"{path} does not lie in {source}, so it cannot be seen from where {target} is.",
            still_works="Everything in the beamtime folder can be used.",
            try_this="Put the file into the folder shared of the beamtime.",
        )
    return target / path.relative_to(source)
