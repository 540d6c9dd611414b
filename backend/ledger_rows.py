"""What the ledger stores and gives back: jobs with their intent and their state, verdict and settings changes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from backend.job_plan import JobPlan
from backend.snapshot import JobOutput, Verdict


class JobState(StrEnum):
    """Where a job stands. ``UNKNOWN`` is said when nobody can tell right now; it is never read as failed.

    ``SUBMITTED``: handed over to a cluster, where it waits for its turn. ``PARKED``: refused too often; nothing happens
    until a person resumes it.
    """

    QUEUED = "queued"
    SUBMITTED = "submitted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    PARKED = "parked"

    @property
    def is_final(self) -> bool:
        """True when the job can change no more."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIntent:
    """What is to be run, fixed before anything is started; written to the ledger first, then to ``job.json``.

    Attributes
    ----------
    job_id : str
        Key made from series, detector, recipe hash and attempt: the same wish gives the same key.
    retries_left : int
        New attempts that may follow if this one fails.
    command : tuple of str
        Program and arguments, placeholders filled; never goes through a shell. Empty when the plan has a script.
    folder : Path
        Job folder: ``job.json``, ``claim.json``, ``log.txt``, ``done.json``, and the folder ``output``.
    part_path, result_path : Path
        Where the command writes, and the name a complete result gets.
    time_limit_s, nice
        Wall time after which the job is stopped, and how far it steps back.
    submitted_at : float
        Seconds since 1970.
    plan : JobPlan
        Environment, resources, outputs, script.
    """

    job_id: str
    series: str
    detector: str
    recipe: str
    recipe_sha256: str
    attempt: int
    retries_left: int
    executor: str
    command: tuple[str, ...]
    folder: Path
    part_path: Path
    result_path: Path
    time_limit_s: float
    nice: int
    submitted_at: float
    plan: JobPlan = JobPlan()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """What is known of a job; ``identity`` names its process (or cluster job) so that it can be found again.

    ``outputs`` are the files it left, once they are checked.
    """

    state: JobState
    reason: str = ""
    try_this: str = ""
    identity: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    last_line: str = ""
    cancel_asked: bool = False
    outputs: tuple[JobOutput, ...] = ()


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as the ledger knows it."""

    intent: JobIntent
    status: JobStatus


@dataclass(frozen=True, slots=True)
class JobStateChange:
    """One step in the life of a job."""

    state: JobState
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """A verdict of a series from the moment it changed; ``at`` in seconds since 1970."""

    verdict: Verdict
    settings_sha256: str
    at: float


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """Who changed which setting when."""

    author: str
    at: float
    what: str
