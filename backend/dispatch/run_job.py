"""Runs one job where it was sent: ``python -m backend.dispatch.run_job JOB.json [ARRAY TASK]``.

Claims the job, runs its command under a time limit, gives a complete result its final name and says in ``done.json``
how it went. Needs no ledger and outlives the program that started it. A job of several tasks is run task after task, or
only one of its tasks, if its number and that of the array which it belongs to are given.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

from backend.dispatch.job import CLAIM_FILE, DONE_FILE, ClaimRecord, JobIntent, read_record
from backend.dispatch.job_tasks import tasks_of
from backend.dispatch.last_word import claim, write_last_word
from backend.dispatch.run_command import Outcome, StopRequest, run_command
from backend.dispatch.run_tasks import run_tasks
from backend.errors import DispatchError


class ArrayTask(NamedTuple):
    """One task of an array, and the number that the scheduler gave the array."""

    array: str
    task: int


def run_job(intent: JobIntent, part: ArrayTask | None = None) -> int:
    """Exit code of the wrapper: 0 when ``done.json`` tells the rest, or when another process has the job.

    Raises
    ------
    OSError
        The job folder cannot be written, so nothing can be told.
    DispatchError
        What another process has written there cannot be read.
    """
    stop = StopRequest()
    os.nice(intent.nice)
    # Results are for the group of the beamtime, never for everybody.
    os.umask(os.umask(0o077) | 0o007)
    began = claim(intent.folder / CLAIM_FILE, intent, stop, array="" if part is None else part.array)
    began = began or _claim_of_same_array(intent, part)
    if began is None:
        _say(f"duplicate: job {intent.job_id} is run by another process")
        return 0
    outcome: Outcome | None
    if tasks := tasks_of(intent):
        outcome = run_tasks(intent, tasks if part is None else [part.task], stop)
    else:
        outcome = run_command(intent, stop)
    if outcome is None:
        return 0
    if outcome.word == "done":
        outcome = _keep_files(intent, outcome)
    _say(outcome.reason)
    write_last_word(intent.folder / DONE_FILE, intent, outcome, began.started_at, stop)
    return 0


def _claim_of_same_array(intent: JobIntent, part: ArrayTask | None) -> ClaimRecord | None:
    """The claim that a task of the same array made; of two arrays for one job only the first works."""
    if part is None:
        return None
    first = read_record(intent.folder / CLAIM_FILE, ClaimRecord)
    return first if first is not None and first.array == part.array else None


def _keep_files(intent: JobIntent, outcome: Outcome) -> Outcome:
    # Loaded only now: the libraries that look into files take their time, and a job is to claim its work at once.
    from backend.dispatch.output_collection import CollectionError, find_files, left_over, place_files

    try:
        outputs = place_files(find_files(intent))
    except CollectionError as error:
        return Outcome("failed", str(error), outcome.exit_code)
    except OSError as error:
        return Outcome("failed", f"The result cannot be stored: {error.strerror}.", outcome.exit_code)
    surplus = left_over(intent)
    note = f" {surplus} further files stay in {intent.folder}." if surplus else ""
    return outcome._replace(reason=f"The result is complete.{note}", outputs=outputs)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Run the job whose file is the first argument, or one task of it; 2 when there is no such job."""
    if len(arguments) not in (1, 3) or not all(word.isdigit() for word in arguments[1:]):
        _say("usage: python -m backend.dispatch.run_job JOB.json [ARRAY TASK]")
        return 2
    part = ArrayTask(arguments[1], int(arguments[2])) if len(arguments) == 3 else None
    try:
        intent = read_record(Path(arguments[0]), JobIntent)
        if intent is None:
            _say(f"there is no job file {arguments[0]}")
            return 2
        return run_job(intent, part)
    except DispatchError as error:
        _say(str(error))
        return 2
    except OSError as error:
        _say(f"the job folder of {arguments[0]} cannot be written: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
