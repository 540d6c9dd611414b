"""What a job or a task of it says at its end, and how it is seen to that this gets written."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from pathlib import Path

from backend.dispatch.job import ClaimRecord, DoneRecord, JobIntent, claim_with, write_record
from backend.dispatch.process_identity import ProcessIdentity
from backend.dispatch.room_on_disk import when_there_is_room
from backend.dispatch.run_command import Outcome, StopRequest

_PATIENCE_S = 600.0
"""Longest wait for room on a full disk, for the word without which the job would count as failed."""


def claim(path: Path, intent: JobIntent, stop: StopRequest, array: str = "") -> ClaimRecord | None:
    """The claim, if this process is the first of all that try; ``array`` is the number that Slurm gave an array.

    Raises
    ------
    OSError
        It cannot be written.
    """
    record = ClaimRecord(job_id=intent.job_id, identity=_identity(), started_at=time.time(), array=array)
    first = when_there_is_room(lambda: claim_with(path, record), _PATIENCE_S, lambda: stop.came)
    return record if first else None


def write_last_word(
    path: Path, intent: JobIntent, outcome: Outcome, started_at: float, stop: StopRequest
) -> None:
    """Say how it ended.

    Raises
    ------
    OSError
        It cannot be written.
    """
    result = outcome.outputs[0] if outcome.outputs and intent.plan.writes_result else None
    record = DoneRecord(
        job_id=intent.job_id,
        series=intent.series,
        recipe=intent.recipe,
        recipe_sha256=intent.recipe_sha256,
        attempt=intent.attempt,
        outcome=outcome.word,
        reason=outcome.reason,
        exit_code=outcome.exit_code,
        command=intent.command,
        result_path=intent.result_path,
        size_bytes=None if result is None else result.size_bytes,
        sha256="" if result is None else result.sha256,
        identity=_identity(),
        started_at=started_at,
        ended_at=time.time(),
        versions=_versions(),
        outputs=outcome.outputs,
    )
    when_there_is_room(lambda: write_record(path, record), _PATIENCE_S, lambda: stop.came)


def _identity() -> str:
    return str(ProcessIdentity.of(os.getpid()))


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    try:
        versions["mento-gui"] = metadata.version("mento-gui")
    except metadata.PackageNotFoundError:
        # Run from a source tree that was never installed.
        versions["mento-gui"] = "source tree"
    return versions
