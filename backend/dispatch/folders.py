"""Where results and job files of a series go, and how their folders are made."""

from __future__ import annotations

from pathlib import Path

from backend.frames import SeriesInfo
from backend.ledger_rows import JobIntent

RESULT_ENDING = "_results.h5"
"""End of the name of a result file; what comes before it is shared by all files of the job."""

_FOLDER_MODE = 0o770


def make_folder(folder: Path, beneath: Path | None = None) -> None:
    """Make a folder and what is missing above it, never open to the world whatever the umask.

    ``beneath`` and what is above it are never made: a beamtime folder that was just taken away would seem to be back.

    Raises
    ------
    OSError
        It cannot be made, or ``beneath`` is not there.
    """
    kept = () if beneath is None else (beneath, *beneath.parents)
    levels = [level for level in (folder, *folder.parents) if level not in kept]
    for missing in [level for level in levels if not level.exists()][::-1]:
        missing.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def make_job_folders(intent: JobIntent) -> None:
    """Make the folders of a job and of its result, as long as the beamtime is there.

    Raises
    ------
    OSError
        They cannot be made.
    """
    beamtime = intent.plan.values.get("beamtime")
    for folder in (intent.result_path.parent, intent.folder):
        make_folder(folder, beneath=None if beamtime is None else Path(beamtime))


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
