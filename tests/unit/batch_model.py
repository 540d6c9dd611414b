"""A scheduler that keeps its jobs in memory and loses what it is told to lose; its jobs are run by the real wrapper."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from backend.dispatch.job import CLAIM_FILE, ClaimRecord, JobIntent, claim_with, read_record
from backend.dispatch.run_job import run_job
from backend.dispatch.scheduler import BatchJob, BatchRequest, BatchState, Submission
from backend.dispatch.transport import TransportError
from backend.errors import DispatchError


class BatchModel:
    """What a cluster does with our jobs.

    Attributes
    ----------
    reachable : bool
        False: no connection, nothing is taken.
    refuses : str
        Why it takes no job at all now, "" when it does.
    lost_reply : str
        What happens to the next hand-over: "" it is answered, "before" it is lost, "after" its answer is lost.
    """

    place = "the model"

    def __init__(self) -> None:
        self.reachable = True
        self.refuses = ""
        self.lost_reply = ""
        self.known: dict[str, BatchJob] = {}
        self._files: dict[str, Path] = {}
        self._next_number = 1
        self._submits = 0

    def submit(self, request: BatchRequest) -> Submission:
        if not self.reachable:
            raise TransportError("no connection")
        if self.refuses:
            return Submission(refused=True, not_now=True, message=self.refuses)
        lost, self.lost_reply = self.lost_reply, ""
        if lost == "before":
            return Submission(message="the connection broke")
        number = str(self._next_number)
        self._next_number += 1
        self._submits += 1
        (file,) = re.findall(r"run_job (\S+)$", request.script, re.MULTILINE)
        self.known[number] = BatchJob(
            number=number, key=request.key, submitted=f"t{self._submits}", state=BatchState.WAITING, held=True
        )
        self._files[number] = Path(file)
        return Submission(message="the connection broke") if lost == "after" else Submission(number)

    def jobs(self) -> tuple[BatchJob, ...]:
        if not self.reachable:
            raise DispatchError("no connection")
        return tuple(self.known.values())

    def past_jobs(self, keys: Sequence[str], since: float) -> tuple[BatchJob, ...] | None:
        return None

    def release(self, job: BatchJob) -> None:
        self._change(job.number, held=False)

    def cancel(self, job: BatchJob) -> None:
        self._change(job.number, state=BatchState.CANCELLED, held=False)

    def close(self) -> None:
        self.reachable = True

    def forget_newest(self) -> None:
        """The controller dies and comes back without its newest job, whose number it gives again."""
        if self.known:
            number = max(self.known, key=int)
            del self.known[number]
            self._next_number = int(number)

    def start_again(self) -> None:
        """The controller dies and comes back with an older picture: jobs that have begun wait for their turn again."""
        for number, job in self.known.items():
            if job.state.is_over:
                self.known[number] = replace(job, state=BatchState.WAITING, held=False)

    def delete_reservation(self) -> None:
        """What waits for the reservation will never start."""
        for number, job in self.known.items():
            if job.state is BatchState.WAITING and not job.held:
                words = "Its reservation was taken away, so it will not start."
                self.known[number] = replace(job, reason=words, never_starts=True)

    def run_all(self) -> None:
        """Run every job that was released."""
        for number, job in list(self.known.items()):
            if job.state is BatchState.WAITING and not (job.held or job.never_starts):
                mask = os.umask(0o022)
                try:
                    run_job(self._intent(number))
                finally:
                    os.umask(mask)
                self._change(number, state=BatchState.ENDED_WELL)

    def crash_all(self, state: BatchState) -> None:
        """Every job that was released begins and dies without a word."""
        for number, job in list(self.known.items()):
            if job.state is BatchState.WAITING and not job.held:
                intent = self._intent(number)
                claim = ClaimRecord(job_id=intent.job_id, identity="gone", started_at=0.0)
                claim_with(intent.folder / CLAIM_FILE, claim)
                self._change(number, state=state)

    def _intent(self, number: str) -> JobIntent:
        intent = read_record(self._files[number], JobIntent)
        assert intent is not None
        return intent

    def _change(self, number: str, **changes: object) -> None:
        if not self.reachable:
            raise DispatchError("no connection")
        if number in self.known:
            self.known[number] = replace(self.known[number], **changes)  # type: ignore[arg-type]
