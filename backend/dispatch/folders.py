"""Where results and job files of a series go, and how their folders are made."""

from __future__ import annotations

from pathlib import Path

from backend.frames import SeriesInfo

RESULT_ENDING = "_results.h5"
"""End of the name of a result file; what comes before it is shared by all files of the job."""

_FOLDER_MODE = 0o770


def make_folder(folder: Path) -> None:
    """Make a folder and what is missing above it, never open to the world whatever the umask.

    Raises
    ------
    OSError
        It cannot be made.
    """
    for missing in [level for level in (folder, *folder.parents) if not level.exists()][::-1]:
        missing.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def result_folder(raw: Path, processed: Path, info: SeriesInfo) -> Path:
    """Folder for the results of a series: the same path below ``processed/onlineanalysis`` as below ``raw``.

    A series that does not lie below ``raw`` (one that is replayed from elsewhere) gets a folder of its own name.
    """
    source = info.folder if info.master is None else info.master.parent
    below = source.relative_to(raw) if source.is_relative_to(raw) else Path(info.name)
    return processed / "onlineanalysis" / below


def command_folder(beamtime: Path, name: str) -> Path:
    """Folder for the files of a command that belongs to no series."""
    return beamtime / "processed" / "onlineanalysis" / name


def job_folder(results: Path, job_id: str) -> Path:
    """Folder for the job's own files: intent, claim, log, done."""
    return results / ".jobs" / job_id


def folder_identity(folder: Path) -> tuple[int, int] | None:
    """Device and inode, by which a folder is told from a later one of the same name; ``None`` when there is none."""
    try:
        status = folder.stat()
    except OSError:
        # Whatever the reason: what lies in it cannot be seen now.
        return None
    return status.st_dev, status.st_ino
