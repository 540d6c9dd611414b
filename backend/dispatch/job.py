"""What goes in and out of an executor, and what a job leaves in its folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from backend.errors import DispatchError
from backend.job_plan import OutputKind
from backend.ledger_rows import JobIntent, JobRecord, JobState, JobStatus

__all__ = ["ClaimRecord", "DoneRecord", "JobIntent", "JobRecord", "JobReport", "JobState", "JobStatus"]

INTENT_FILE = "job.json"
CLAIM_FILE = "claim.json"
DONE_FILE = "done.json"
LOG_FILE = "log.txt"

STOP_GRACE_S = 3.0
"""Seconds a process gets between the request to stop and being killed."""

_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """What an executor knows of one job now; ``progress`` runs from 0 to 1."""

    job_id: str
    state: JobState
    reason: str = ""
    try_this: str = ""
    identity: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    progress: float | None = None
    last_line: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRecord:
    """Who runs the job: written once, by the first of all that try; ``array`` is Slurm's number if that was a task."""

    job_id: str
    identity: str
    started_at: float
    array: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRecord:
    """A file that a job, or its ``task``, left under its final name; else as in :class:`backend.job_plan.Output`."""

    path: Path
    kind: OutputKind
    title: str
    x: str
    y: tuple[str, ...]
    size_bytes: int
    sha256: str
    task: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneRecord:
    """How the job ended, in its own words; the only proof that a result is complete.

    ``outcome``: "done", "failed", "stopped" (a signal asked for it) or "time-limit". ``size_bytes`` and ``sha256``
    describe the result file when the outcome is "done" and the job was to write one; ``outputs`` are all files it left,
    that one first.
    """

    job_id: str
    series: str
    recipe: str
    recipe_sha256: str
    attempt: int
    outcome: Literal["done", "failed", "stopped", "time-limit"]
    reason: str
    exit_code: int | None
    command: tuple[str, ...]
    result_path: Path
    size_bytes: int | None
    sha256: str
    identity: str
    started_at: float
    ended_at: float
    versions: dict[str, str]
    outputs: tuple[OutputRecord, ...] = ()


def output_records(intent: JobIntent, done: DoneRecord) -> tuple[OutputRecord, ...]:
    """What a job says it left; one run by an earlier version of this program names its one result only."""
    if done.outputs or not intent.plan.writes_result:
        return done.outputs
    return (
        OutputRecord(
            path=done.result_path, kind="mento-result", title="Result", x="", y=(),
            size_bytes=done.size_bytes or 0, sha256=done.sha256,
        ),
    )  # fmt: skip


def encode_record(record: Any) -> bytes:
    """Record as JSON text."""
    return msgspec.json.format(msgspec.json.encode(record, enc_hook=str), indent=1) + b"\n"


def decode_record(content: bytes, kind: type[_Record]) -> _Record:
    """Record from JSON text.

    Raises
    ------
    msgspec.DecodeError
        It is not such a record.
    """
    return msgspec.json.decode(content, type=kind, dec_hook=_to_path)


def read_record(path: Path, kind: type[_Record]) -> _Record | None:
    """Record from a file of the job folder; ``None`` when the file does not exist.

    Raises
    ------
    DispatchError
        The file cannot be read or is not such a record.
    """
    try:
        return decode_record(path.read_bytes(), kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise DispatchError(
            f"The job's file {path} cannot be used: {error}.",
            still_works="The result, if there is one, is kept but not shown.",
            try_this="Run the recipe again on this series.",
        ) from error


def write_record(path: Path, record: Any) -> None:
    """Write a record so that the file is there whole or not at all, and on the disk when this returns.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    part = _part_beside(path)
    try:
        _write_to_disk(part, record)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def claim_with(path: Path, record: Any) -> bool:
    """Create a file that does not exist yet, content and all, in one step; False when somebody was first.

    A hard link is made or refused as a whole, on shared file systems too, so nobody ever sees a claim half written.

    Raises
    ------
    OSError
        The file cannot be written, or the file system knows no hard links.
    """
    part = _part_beside(path)
    try:
        _write_to_disk(part, record)
        os.link(part, path)
    except FileExistsError:
        return False
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def place_result(part: Path, result: Path) -> None:
    """Give a complete file its final name, never replacing another file.

    Raises
    ------
    FileExistsError
        There is a file of that name.
    OSError
        The file system refuses.
    """
    with open(part, "rb") as file:
        os.fsync(file.fileno())
    os.link(part, result)
    part.unlink()
    sync_folder(result.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _part_beside(path: Path) -> Path:
    # No two living processes share it, on a shared file system neither.
    return path.with_name(f".part-{os.uname().nodename}-{os.getpid()}-{path.name}")


def _write_to_disk(path: Path, record: Any) -> None:
    with open(path, "wb", opener=open_for_group) as file:
        file.write(encode_record(record))
        file.flush()
        os.fsync(file.fileno())


def open_for_group(path: str, flags: int) -> int:
    """Opener that makes files for owner and group only, whatever the umask allows."""
    return os.open(path, flags, 0o660)


def _to_path(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(f"{kind.__name__} cannot stand in a job's file")
