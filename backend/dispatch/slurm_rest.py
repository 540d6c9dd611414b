"""Slurm through slurmrestd, for staff who have a token; a beamtime account has only a key for SSH."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from backend.dispatch.rest_client import RestAddress, RestAnswer, RestClient
from backend.dispatch.scheduler import BatchJob, BatchRequest, Submission
from backend.dispatch.slurm import SlurmOptions, array_of, literal, minutes_of
from backend.dispatch.slurm_arrays import arrays_as_one
from backend.dispatch.slurm_text import UNCERTAIN, is_not_now, never_starts, state_of, words_for
from backend.errors import DispatchError
from backend.job_plan import Resources

# As sbatch --export=NONE: the node gives the job the environment of a log-in.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "SLURM_GET_USER_ENV": "1"}
_FIRST_WITH_TYPED_NUMBERS = (0, 0, 40)


class SlurmRestScheduler:
    """Scheduler on slurmrestd. Its accounts (slurmdbd) are not asked."""

    def __init__(self, address: RestAddress, options: SlurmOptions) -> None:
        self._client = RestClient(address)
        self._user = address.user
        self._options = options
        self._typed_numbers = _numbers_of(address.version) >= _FIRST_WITH_TYPED_NUMBERS

    @property
    def place(self) -> str:
        """Where it is asked."""
        return self._client.place

    def preview(self, request: BatchRequest) -> str:
        """The properties and the script that a submit would send."""
        properties = json.dumps(self._properties(request), indent=1)
        return f"POST {self.place}/job/submit\n{properties}\n{request.script}"

    def submit(self, request: BatchRequest) -> Submission:
        """Hand over a job on hold; a number counts whatever else was said."""
        answer = self._client.ask(
            "POST", "/job/submit", {"script": request.script, "job": self._properties(request)}
        )
        number = number_in(answer.document.get("job_id"))
        if answer.status == 200 and number:
            return Submission(number=str(number))
        certain = answer.status is not None and not UNCERTAIN.search(answer.message)
        not_now = certain and is_not_now(answer.message)
        return Submission(refused=certain, not_now=not_now, message=answer.message)

    def jobs(self) -> tuple[BatchJob, ...]:
        """All jobs of this account; the interface gives those of everybody."""
        answer = self._asked("GET", "/jobs")
        return parse_jobs(answer.document, self._user)

    def past_jobs(self, keys: Sequence[str], since: float) -> tuple[BatchJob, ...] | None:
        """No accounts are asked here."""
        return None

    def release(self, job: BatchJob) -> None:
        """End the hold, if the number still is this job's."""
        if self._is_still(job):
            self._asked("POST", f"/job/{int(job.number)}", {"hold": False})

    def cancel(self, job: BatchJob) -> None:
        """Stop it, if the number still is this job's."""
        if self._is_still(job):
            self._asked("DELETE", f"/job/{int(job.number)}")

    def close(self) -> None:
        """No connection is kept."""

    def _properties(self, request: BatchRequest) -> dict[str, Any]:
        minutes = minutes_of(request)
        properties: dict[str, Any] = {
            "name": request.key,
            "comment": request.key,
            "current_working_directory": str(request.log.parent),
            "standard_output": literal(request.log),
            "open_mode": "append",
            "hold": True,
            "time_limit": {"set": True, "number": minutes} if self._typed_numbers else minutes,
            "environment": [f"{name}={value}" for name, value in _ENVIRONMENT.items()]
            if self._typed_numbers
            else _ENVIRONMENT,
        }
        # Up to v0.0.38 the other name is heard only.
        properties |= {"requeue": False} if self._typed_numbers else {"no_requeue": True}
        return properties | self._resources(request.resources)

    def _resources(self, resources: Resources) -> dict[str, Any]:
        if resources.sbatch_options:
            raise DispatchError(
                f"The recipe asks for {' '.join(resources.sbatch_options)}, which Slurm's REST interface is not told.",
                still_works="Live pictures, the verdict and other recipes go on.",
                try_this="Write it as resources (partition, nodes, cpus ...), or use Slurm's programs over SSH.",
            )

        def number(value: int) -> Any:
            return {"set": True, "number": value} if self._typed_numbers else value

        asked: dict[str, Any] = {
            "partition": resources.partition or self._options.partition or None,
            "reservation": resources.reservation or self._options.reservation or None,
            "nodes": None if resources.nodes is None else str(resources.nodes),
            "cpus_per_task": resources.cpus,
            "tres_per_node" if self._typed_numbers else "gres": None
            if resources.gpus is None
            else f"{'gres/' if self._typed_numbers else ''}gpu:{resources.gpus}",
            "memory_per_node": None
            if resources.memory_gb is None
            else number(math.ceil(1024 * resources.memory_gb)),
            "array": array_of(resources),
        }
        return {name: value for name, value in asked.items() if value is not None}

    def _is_still(self, job: BatchJob) -> bool:
        """False when the job is gone or its number was given to another one."""
        return any(found.number == job.number and found.key == job.key for found in self.jobs())

    def _asked(self, method: str, path: str, document: dict[str, Any] | None = None) -> RestAnswer:
        answer = self._client.ask(method, path, document)
        if answer.status != 200:
            raise DispatchError(
                f"Slurm's REST interface gave no answer to {self.place}: {answer.message}.",
                still_works="Jobs on the cluster go on; live pictures, the verdict and local jobs too.",
                try_this="It is asked again; if this lasts, renew the token or ask the cluster's operators.",
            )
        return answer


def parse_jobs(document: dict[str, Any], user: str) -> tuple[BatchJob, ...]:
    """Jobs of one account from the answer to ``/jobs``, an array as one; entries of another form are passed over.

    Newer versions give states as lists and numbers as ``{"set", "infinite", "number"}``.
    """
    rows = document.get("jobs")
    found = []
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict) or row.get("user_name") != user:
            continue
        number, submitted = number_in(row.get("job_id")), number_in(row.get("submit_time"))
        states = row.get("job_state")
        word = str(states[0] if isinstance(states, list) and states else states)
        reason = str(row.get("state_reason") or "None")
        if number:
            found.append(
                BatchJob(
                    number=_task_number(row) or str(number),
                    key=str(row.get("name") or ""),
                    submitted=str(submitted),
                    state=state_of(word),
                    held=word == "PENDING" and reason == "JobHeldUser",
                    reason=words_for(word, reason),
                    starts=_clock_time(number_in(row.get("start_time"))) if word == "PENDING" else "",
                    never_starts=never_starts(word, reason),
                )
            )
    return arrays_as_one(found)


def _task_number(row: dict[str, Any]) -> str:
    """Number of a task of an array as squeue writes it; "" for a single job."""
    array = number_in(row.get("array_job_id"))
    task = row.get("array_task_id")
    # Tasks that still wait together are one row with a list of their numbers.
    label = row.get("array_task_string") or (task.get("number") if isinstance(task, dict) else task)
    return f"{array}_{label}" if array else ""


def number_in(value: object) -> int:
    """A number however the version writes it; 0 when there is none."""
    if isinstance(value, dict):
        value = value.get("number") if value.get("set", True) and not value.get("infinite") else 0
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _numbers_of(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _clock_time(seconds: int) -> str:
    # Beyond the year 9999 nobody means a time.
    return f"{datetime.fromtimestamp(seconds):%H:%M on %Y-%m-%d}" if 0 < seconds < 2**37 else ""
