"""Which files a job reads, as far as its command tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath

from backend.dispatch.job import JobIntent


def needed_files(intent: JobIntent, beamtime: PurePath) -> tuple[Path, ...]:
    """Existing files of the beamtime folder that the command or script names, in the order of their names.

    With a file of the series itself, for instance the detector's master, come all that stand beside it and one folder
    above and carry the name of the series: data files, ``.batchinfo``, ``.fio``. Folders are not taken as a whole.

    Raises
    ------
    OSError
        A folder cannot be listed.
    """
    found: set[Path] = set()
    # A script may use any of its values, as placeholders or as variables.
    for argument in intent.command or tuple(intent.plan.values.values()):
        path = Path(argument.partition("=")[2] if argument.startswith("-") else argument)
        if not path.is_absolute() or ".." in path.parts or not path.is_relative_to(beamtime):
            continue
        if path.is_file():
            found.add(path)
            if _belongs(path, intent.series):
                found.update(_relatives(path, intent.series))
    return tuple(sorted(found))


def _relatives(path: Path, series: str) -> Iterator[Path]:
    for folder in (path.parent, path.parent.parent):
        yield from (entry for entry in folder.iterdir() if _belongs(entry, series) and entry.is_file())


def _belongs(path: Path, series: str) -> bool:
    return path.name.startswith((f"{series}_", f"{series}."))
