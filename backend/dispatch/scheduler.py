"""What a scheduler of a cluster is asked and answers; the cluster executor knows only this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Protocol

from backend.job_plan import Resources


class BatchState(StrEnum):
    """Where a batch job stands. What a newer scheduler calls by a word not known here is ``UNKNOWN``."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED_WELL = "ended-well"
    ENDED_BADLY = "ended-badly"
    CANCELLED = "cancelled"
    NODE_LOST = "node-lost"
    UNKNOWN = "unknown"

    @property
    def is_over(self) -> bool:
        """True when the scheduler has finished with the job; its process may live on when the node was lost."""
        return self not in (BatchState.WAITING, BatchState.RUNNING, BatchState.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchJob:
    """One job as the scheduler shows it.

    ``number`` alone does not identify it, as numbers are given again; ``submitted`` is the scheduler's own time stamp
    as text. ``key`` is the name we gave it. ``reason`` says in words why it waits or ended, ``starts`` when it is
    expected to start, "" when nobody knows. ``never_starts`` when what it waits for is gone for good.
    """

    number: str
    key: str
    submitted: str
    state: BatchState
    held: bool = False
    reason: str = ""
    starts: str = ""
    never_starts: bool = False

    @property
    def identity(self) -> str:
        """Form for the ledger."""
        return f"{self.number} {self.submitted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """What is to be run: a script for a POSIX shell, its log, time limit and resources; paths as the nodes see them."""

    key: str
    script: str
    log: PurePosixPath
    time_limit_s: float
    resources: Resources = Resources()


@dataclass(frozen=True, slots=True)
class Submission:
    """Answer to a submit: taken under a ``number``, certainly refused, or neither (it may have been taken).

    ``not_now`` when the refusal has nothing to do with the job: its reservation is gone, a limit of the account is
    reached.
    """

    number: str = ""
    refused: bool = False
    not_now: bool = False
    message: str = ""


class Scheduler(Protocol):
    """Takes, shows, starts and stops batch jobs. Every call may wait for a network."""

    @property
    def place(self) -> str:
        """Where it is asked, for sentences."""
        ...

    def preview(self, request: BatchRequest) -> str:
        """What a submit would say, for a person to read; nothing is asked or sent."""
        ...

    def submit(self, request: BatchRequest) -> Submission:
        """Hand over a job on hold.

        Raises
        ------
        TransportError
            It was certainly not handed over.
        """
        ...

    def jobs(self) -> tuple[BatchJob, ...]:
        """All jobs of this account that wait, run or ended lately, in one question.

        Raises
        ------
        DispatchError
            The scheduler cannot be asked now.
        """
        ...

    def past_jobs(self, keys: Sequence[str], since: float) -> tuple[BatchJob, ...] | None:
        """Ended jobs with these keys from the accounts, handed over after ``since`` (seconds since 1970).

        ``None`` when this scheduler keeps no accounts.

        Raises
        ------
        DispatchError
            The scheduler cannot be asked now.
        """
        ...

    def release(self, job: BatchJob) -> None:
        """Let a job that is held start when its turn comes; asking again does no harm.

        Raises
        ------
        DispatchError
            It cannot be told, or whether it heard is unknown.
        """
        ...

    def cancel(self, job: BatchJob) -> None:
        """Stop a job that waits or runs; asking again does no harm.

        Raises
        ------
        DispatchError
            It cannot be told, or whether it heard is unknown.
        """
        ...

    def close(self) -> None:
        """End the connection; may be called from another thread."""
        ...
