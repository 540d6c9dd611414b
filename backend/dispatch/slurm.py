"""Slurm through its command-line programs, whichever way these are reached."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from backend.dispatch.scheduler import BatchJob, BatchRequest, Submission
from backend.dispatch.slurm_text import (
    SACCT_FORMAT,
    SQUEUE_FORMAT,
    UNCERTAIN,
    is_not_now,
    parse_sacct,
    parse_sbatch,
    parse_squeue,
)
from backend.dispatch.transport import CommandResult, Transport
from backend.errors import DispatchError
from backend.job_plan import Resources

_SUBMIT_S = 60.0
_ASK_S = 30.0
_NO_ACCOUNTS = re.compile(r"accounting storage is disabled|accounting_storage/none", re.IGNORECASE)
_CLOCK_DIFFERENCE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SlurmOptions:
    """Where Slurm's programs are and what every job asks for; "" leaves the choice to the cluster."""

    programs: PurePosixPath = PurePosixPath("/usr/bin")
    partition: str = ""
    reservation: str = ""
    further: tuple[str, ...] = ()


class SlurmScheduler:
    """Scheduler on ``sbatch``, ``squeue``, ``sacct``, ``scontrol`` and ``scancel``."""

    def __init__(self, transport: Transport, options: SlurmOptions) -> None:
        self._transport = transport
        self._options = options
        self._has_accounts = True

    @property
    def place(self) -> str:
        """Where the programs run."""
        return self._transport.place

    def preview(self, request: BatchRequest) -> str:
        """``sbatch`` with all its options, and the script that it gets."""
        return f"{shlex.join(self._sbatch(request))} <<'EOF'\n{request.script}EOF\n"

    def submit(self, request: BatchRequest) -> Submission:
        """Hand over a job on hold, its script on the standard input of ``sbatch``.

        A number counts whatever else was said, as warnings also come with an accepted job.
        """
        answer = self._transport.run(self._sbatch(request), stdin=request.script, timeout_s=_SUBMIT_S)
        number = parse_sbatch(answer.output)
        if number and answer.exit_code == 0:
            return Submission(number=number)
        message = _words(answer)
        certain = answer.exit_code not in (None, 0) and not UNCERTAIN.search(message)
        return Submission(refused=certain, not_now=certain and is_not_now(message), message=message)

    def jobs(self) -> tuple[BatchJob, ...]:
        """All jobs of this account, in one question."""
        answer = self._ask("squeue", "--me", "--noheader", "--states=all", f"--format={SQUEUE_FORMAT}")
        return parse_squeue(answer.output)

    def past_jobs(self, keys: Sequence[str], since: float) -> tuple[BatchJob, ...] | None:
        """Jobs from the accounts; a cluster without accounts is asked once only."""
        if not self._has_accounts or not keys:
            return () if self._has_accounts else None
        # The cluster's clock and time zone may be others.
        start = (datetime.fromtimestamp(since) - _CLOCK_DIFFERENCE).strftime("%Y-%m-%dT%H:%M:%S")
        answer = self._run(
            "sacct", "--allocations", "--noheader", "--parsable2", f"--starttime={start}",
            f"--name={','.join(keys)}", f"--format={SACCT_FORMAT}",
        )  # fmt: skip
        if answer.exit_code == 0:
            return parse_sacct(answer.output)
        if _NO_ACCOUNTS.search(answer.error) or answer.exit_code == 127:
            self._has_accounts = False
            return None
        raise self._no_answer("sacct", answer)

    def release(self, job: BatchJob) -> None:
        """``scontrol release``; a job that is not held any more is left as it is."""
        self._ask("scontrol", "release", job.number)

    def cancel(self, job: BatchJob) -> None:
        """``scancel`` by number and name together, so that a number that was given again is never hit."""
        self._ask("scancel", f"--name={job.key}", job.number)

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def _sbatch(self, request: BatchRequest) -> list[str]:
        options = self._options
        partition = request.resources.partition or options.partition
        reservation = request.resources.reservation or options.reservation
        return [
            str(options.programs / "sbatch"),
            "--parsable",
            "--hold",
            "--no-requeue",
            "--export=NONE",
            f"--job-name={request.key}",
            f"--comment={request.key}",
            f"--time={minutes_of(request)}",
            f"--chdir={request.log.parent}",
            f"--output={literal(request.log)}",
            "--open-mode=append",
            *([f"--partition={partition}"] if partition else []),
            *([f"--reservation={reservation}"] if reservation else []),
            *options.further,
            # Of two equal options the last one holds: a recipe knows better than the settings for all.
            *_resource_options(request.resources),
        ]

    def _run(self, program: str, *arguments: str) -> CommandResult:
        return self._transport.run([str(self._options.programs / program), *arguments], timeout_s=_ASK_S)

    def _ask(self, program: str, *arguments: str) -> CommandResult:
        answer = self._run(program, *arguments)
        if answer.exit_code != 0:
            raise self._no_answer(program, answer)
        return answer

    def _no_answer(self, program: str, answer: CommandResult) -> DispatchError:
        return DispatchError(
            f"Slurm's {program} on {self.place} gave no answer: {_words(answer)}.",
            still_works="Jobs on the cluster go on; live pictures, the verdict and local jobs too.",
            try_this="It is asked again; if this lasts, ask the cluster's operators whether Slurm is up.",
        )


def _resource_options(resources: Resources) -> list[str]:
    asked = {
        "--nodes": resources.nodes,
        "--cpus-per-task": resources.cpus,
        "--gres": None if resources.gpus is None else f"gpu:{resources.gpus}",
        "--mem": None if resources.memory_gb is None else f"{math.ceil(resources.memory_gb * 1024)}M",
        "--array": array_of(resources),
    }
    options = [f"{option}={value}" for option, value in asked.items() if value is not None]
    return options + list(resources.sbatch_options)


def _words(answer: CommandResult) -> str:
    lines = [line.strip() for line in f"{answer.error}\n{answer.output}".splitlines() if line.strip()]
    text = "; ".join(line.removeprefix("sbatch: ").removeprefix("error: ") for line in lines)
    return text[:500].rstrip(".") or f"exit code {answer.exit_code}"


def minutes_of(request: BatchRequest) -> int:
    """Time limit of a job in Slurm's unit; the job's own wrapper keeps it to the second and says so."""
    return math.ceil(request.time_limit_s / 60) + 1


def array_of(resources: Resources) -> str | None:
    """Numbers of the tasks in Slurm's form; ``None`` for a single job."""
    return None if resources.array is None else f"0-{resources.array - 1}"


def literal(path: PurePosixPath) -> str:
    """Name of a log as Slurm is to be given it, so that it is taken as it is."""
    # A percent sign and what follows would be replaced, and a backslash would keep all of them.
    return str(path).replace("%", "%%")
