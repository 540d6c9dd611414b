"""Runs one job where it was sent: ``python -m backend.dispatch.run_job JOB.json``.

Claims the job, runs its command under a time limit, gives a complete result its final name and says in ``done.json``
how it went. Needs no ledger and outlives the program that started it.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Literal, NamedTuple

from backend.dispatch.folders import make_folder
from backend.dispatch.job import (
    CLAIM_FILE,
    DONE_FILE,
    STOP_GRACE_S,
    ClaimRecord,
    DoneRecord,
    JobIntent,
    OutputRecord,
    claim_with,
    open_for_group,
    read_record,
    write_record,
)
from backend.dispatch.job_command import SCRIPT_FILE, output_folder, program_of, script_of, value_variables
from backend.dispatch.process_identity import ProcessIdentity
from backend.dispatch.room_on_disk import when_there_is_room
from backend.errors import DispatchError

_WAIT_STEP_S = 0.05
_PATIENCE_S = 600.0
"""Longest wait for room on a full disk, for the word without which the job would count as failed."""
_SAME_SIGNAL_S = 1.0
"""Longest time between the signals of one request to stop at the command and at this process."""
_NOT_FOUND = 127

_Interruption = Literal["", "stopped", "time-limit"]


class _Outcome(NamedTuple):
    word: Literal["done", "failed", "stopped", "time-limit"]
    reason: str
    exit_code: int | None
    outputs: tuple[OutputRecord, ...] = ()


class _StopRequest:
    """Set by SIGTERM; asked between waits."""

    def __init__(self) -> None:
        self.came = False
        signal.signal(signal.SIGTERM, self._remember)

    def _remember(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True

    def comes_within(self, limit_s: float) -> bool:
        """Wait for it."""
        deadline = time.monotonic() + limit_s
        while not self.came and time.monotonic() < deadline:
            time.sleep(_WAIT_STEP_S)
        return self.came


def run_job(intent: JobIntent) -> int:
    """Exit code of the wrapper: 0 when ``done.json`` tells the rest, or when another process has the job.

    Raises
    ------
    OSError
        The job folder cannot be written, so nothing can be told.
    """
    stop = _StopRequest()
    os.nice(intent.nice)
    # Results are for the group of the beamtime, never for everybody.
    os.umask(os.umask(0o077) | 0o007)
    identity = ProcessIdentity.of(os.getpid())
    started_at = time.time()
    claim = ClaimRecord(job_id=intent.job_id, identity=str(identity), started_at=started_at)
    if not when_there_is_room(
        lambda: claim_with(intent.folder / CLAIM_FILE, claim), _PATIENCE_S, lambda: stop.came
    ):
        _say(f"duplicate: job {intent.job_id} is run by another process")
        return 0
    outcome = _run_command(intent, stop)
    if outcome.word == "done":
        outcome = _keep_files(intent, outcome)
    _say(outcome.reason)
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
        identity=str(identity),
        started_at=started_at,
        ended_at=time.time(),
        versions=_versions(),
        outputs=outcome.outputs,
    )
    when_there_is_room(
        lambda: write_record(intent.folder / DONE_FILE, record), _PATIENCE_S, lambda: stop.came
    )
    return 0


def _run_command(intent: JobIntent, stop: _StopRequest) -> _Outcome:
    program = program_of(intent)
    try:
        folder = output_folder(intent.folder)
        make_folder(folder, beneath=intent.folder)
        if intent.plan.script:
            with open(intent.folder / SCRIPT_FILE, "w", encoding="utf-8", opener=open_for_group) as script:
                script.write(script_of(intent))
    except OSError as error:
        return _Outcome("failed", f"The job's folder cannot be prepared: {error.strerror}.", None)
    try:
        # Its own process group, so that a stop reaches all that the command starts but not this wrapper.
        child = subprocess.Popen(
            program,
            cwd=folder,
            env=os.environ | value_variables(intent.plan.values),
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
    except OSError as error:
        return _Outcome("failed", f"{program[0]} cannot be started: {error.strerror}.", None)
    interrupted = _wait(child, time.monotonic() + intent.time_limit_s, stop)
    # What the command left running in the background could still change its result.
    _signal_group(child.pid, signal.SIGKILL)
    return _outcome_of(child.returncode, interrupted, intent.time_limit_s)


def _outcome_of(code: int, interrupted: _Interruption, time_limit_s: float) -> _Outcome:
    if interrupted == "stopped":
        words = "The job was asked to stop and did: somebody cancelled it, or its scheduler ended it."
        return _Outcome("stopped", words, code)
    if interrupted == "time-limit":
        return _Outcome("time-limit", f"Stopped after its time limit of {time_limit_s:g} s.", code)
    if code < 0:
        return _Outcome("failed", f"The command was killed by {_signal_name(-code)}.", code)
    if code == _NOT_FOUND:
        missing = "its program, or a program it calls, was not found (see its log)"
        return _Outcome("failed", f"The command ended with exit code {code}: {missing}.", code)
    if code > 0:
        return _Outcome("failed", f"The command ended with exit code {code}.", code)
    return _Outcome("done", "The command ended well.", code)


def _wait(child: subprocess.Popen[bytes], deadline: float, stop: _StopRequest) -> _Interruption:
    """Wait for the end; says what cut the command short, if anything did."""
    interrupted: _Interruption = ""
    kill_at: float | None = None
    while True:
        try:
            child.wait(timeout=_WAIT_STEP_S)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            if not interrupted and (stop.came or now >= deadline):
                interrupted = "stopped" if stop.came else "time-limit"
                _signal_group(child.pid, signal.SIGTERM)
                kill_at = now + STOP_GRACE_S
            elif kill_at is not None and now >= kill_at:
                _signal_group(child.pid, signal.SIGKILL)
                kill_at = None
        else:
            # A scheduler stops all processes of a job at once: this one may be the last to hear of it.
            if not interrupted and child.returncode == -signal.SIGTERM and stop.comes_within(_SAME_SIGNAL_S):
                return "stopped"
            return interrupted


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        # Nothing of it is left.
        return


def _keep_files(intent: JobIntent, outcome: _Outcome) -> _Outcome:
    # Loaded only now: the libraries that look into files take their time, and a job is to claim its work at once.
    from backend.dispatch.output_collection import CollectionError, find_files, left_over, place_files

    try:
        outputs = place_files(find_files(intent))
    except CollectionError as error:
        return _Outcome("failed", str(error), outcome.exit_code)
    except OSError as error:
        return _Outcome("failed", f"The result cannot be stored: {error.strerror}.", outcome.exit_code)
    surplus = left_over(intent)
    note = f" {surplus} further files stay in {output_folder(intent.folder)}." if surplus else ""
    return outcome._replace(reason=f"The result is complete.{note}", outputs=outputs)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    try:
        versions["mento-gui"] = metadata.version("mento-gui")
    except metadata.PackageNotFoundError:
        # Run from a source tree that was never installed.
        versions["mento-gui"] = "source tree"
    return versions


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Run the job whose file is the only argument; 2 when there is no such job."""
    if len(arguments) != 1:
        _say("usage: python -m backend.dispatch.run_job JOB.json")
        return 2
    try:
        intent = read_record(Path(arguments[0]), JobIntent)
    except DispatchError as error:
        _say(str(error))
        return 2
    if intent is None:
        _say(f"there is no job file {arguments[0]}")
        return 2
    try:
        return run_job(intent)
    except OSError as error:
        _say(f"the job folder {intent.folder} cannot be written: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
