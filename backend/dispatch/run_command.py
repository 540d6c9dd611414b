"""Runs the command of a job in its own folder, under its time limit, and leaves nothing of it running."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from types import FrameType
from typing import BinaryIO, Literal, NamedTuple

from backend.dispatch.folders import make_folder
from backend.dispatch.job import STOP_GRACE_S, JobIntent, OutputRecord, open_for_group
from backend.dispatch.job_command import SCRIPT_FILE, job_variables, output_folder, program_of, script_of

_WAIT_STEP_S = 0.05
_SAME_SIGNAL_S = 1.0
"""Longest time between the signals of one request to stop at the command and at this process."""
_NOT_FOUND = 127

_Interruption = Literal["", "stopped", "time-limit"]


class Outcome(NamedTuple):
    """How a job or a task of it ended, in its own words."""

    word: Literal["done", "failed", "stopped", "time-limit"]
    reason: str
    exit_code: int | None
    outputs: tuple[OutputRecord, ...] = ()


class StopRequest:
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


def run_command(intent: JobIntent, stop: StopRequest, log: BinaryIO | None = None) -> Outcome:
    """Run it to its end; what it says goes to ``log``, or where this program's words go."""
    program = program_of(intent)
    try:
        folder = output_folder(intent.folder)
        make_folder(folder, beneath=intent.folder)
        if intent.plan.script:
            with open(intent.folder / SCRIPT_FILE, "w", encoding="utf-8", opener=open_for_group) as script:
                script.write(script_of(intent))
    except OSError as error:
        return Outcome("failed", f"The job's folder cannot be prepared: {error.strerror}.", None)
    try:
        # Its own process group, so that a stop reaches all that the command starts but not this wrapper.
        child = subprocess.Popen(
            program,
            cwd=folder,
            env=os.environ | job_variables(intent),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        )
    except OSError as error:
        return Outcome("failed", f"{program[0]} cannot be started: {error.strerror}.", None)
    interrupted = _wait(child, time.monotonic() + intent.time_limit_s, stop)
    # What the command left running in the background could still change its result.
    _signal_group(child.pid, signal.SIGKILL)
    return _outcome_of(child.returncode, interrupted, intent.time_limit_s)


def _outcome_of(code: int, interrupted: _Interruption, time_limit_s: float) -> Outcome:
    if interrupted == "stopped":
        words = "The job was asked to stop and did: somebody cancelled it, or its scheduler ended it."
        return Outcome("stopped", words, code)
    if interrupted == "time-limit":
        return Outcome("time-limit", f"Stopped after its time limit of {time_limit_s:g} s.", code)
    if code < 0:
        return Outcome("failed", f"The command was killed by {_signal_name(-code)}.", code)
    if code == _NOT_FOUND:
        missing = "its program, or a program it calls, was not found (see its log)"
        return Outcome("failed", f"The command ended with exit code {code}: {missing}.", code)
    if code > 0:
        return Outcome("failed", f"The command ended with exit code {code}.", code)
    return Outcome("done", "The command ended well.", code)


def _wait(child: subprocess.Popen[bytes], deadline: float, stop: StopRequest) -> _Interruption:
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


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
