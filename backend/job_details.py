"""Everything that is known of one job, for the person who asks about it."""

from __future__ import annotations

import msgspec


class JobStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step in the life of a job; ``at`` in seconds since 1970."""

    state: str
    reason: str
    at: float


class JobDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What was run by which recipe and versions, what became of it step by step, and the last lines of its log.

    ``versions`` are known when the job has ended; ``problem`` says why something about it cannot be read.
    """

    job_id: str
    series: str
    recipe: str
    recipe_sha256: str
    attempt: int
    executor: str
    state: str
    reason: str
    try_this: str
    identity: str
    command: tuple[str, ...]
    folder: str
    submitted_at: float
    started_at: float | None
    ended_at: float | None
    versions: dict[str, str]
    steps: tuple[JobStep, ...]
    log: tuple[str, ...]
    problem: str = ""
