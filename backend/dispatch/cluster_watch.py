"""The newest picture of the cluster's queue, asked for now and then in one question for all jobs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from backend.dispatch.job import JobRecord
from backend.dispatch.job_script import batch_name
from backend.dispatch.scheduler import BatchJob, BatchState, Scheduler
from backend.errors import DispatchError

_SLOWER = 1.5


class ClusterWatch:
    """What the scheduler shows of our jobs; asked for ever more rarely while that stays the same and none runs.

    Parameters
    ----------
    scheduler : Scheduler
        Is asked.
    poll_s, idle_poll_s : float
        Seconds between two questions: right after a change, and at most.

    Attributes
    ----------
    problem : DispatchError or None
        Why the last question got no answer.
    looks : int
        Number of answered questions so far; two looks with the same number are the same picture.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        poll_s: float,
        idle_poll_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scheduler = scheduler
        self._poll_s = poll_s
        self._idle_poll_s = max(poll_s, idle_poll_s)
        self._pause_s = poll_s
        self._clock = clock
        self._hurry = threading.Event()
        self._due_at = 0.0
        self._by_key: dict[str, list[BatchJob]] = {}
        self.problem: DispatchError | None = None
        self.looks = 0

    def hurry(self) -> None:
        """Let the next :meth:`look` ask at once; may be called from another thread."""
        self._hurry.set()

    def look(self, jobs: Sequence[JobRecord]) -> bool:
        """Ask the scheduler if that is due; True when there is a new picture."""
        if not self._hurry.is_set() and self._clock() < self._due_at:
            return False
        if self._hurry.is_set():
            self._pause_s = self._poll_s
        self._hurry.clear()
        try:
            shown = list(self._scheduler.jobs())
            shown += self._from_accounts(jobs, {job.key for job in shown})
        except DispatchError as problem:
            self.problem = problem
            return False
        finally:
            self._due_at = self._clock() + self._pause_s
        self.problem = None
        self.looks += 1
        before, self._by_key = self._by_key, {}
        for job in shown:
            self._by_key.setdefault(job.key, []).append(job)
        # A job that runs may die without a word of its own: then only this tells.
        idle = self._by_key == before and not any(job.state is BatchState.RUNNING for job in shown)
        self._pause_s = min(self._idle_poll_s, _SLOWER * self._pause_s) if idle else self._poll_s
        return True

    def of(self, job: JobRecord) -> tuple[BatchJob | None, tuple[BatchJob, ...]]:
        """The batch job of one of our jobs, and surplus ones under the same key that wait on hold.

        One that runs comes before one that waits, that before one that has ended; among equals the one we know.
        """
        shown = self._by_key.get(batch_name(job.intent), [])
        if not shown:
            return None, ()
        known = job.status.identity
        chosen = min(
            shown,
            key=lambda batch: (batch.state.is_over, batch.held, not is_known(batch, known), batch.submitted),
        )
        return chosen, tuple(batch for batch in shown if batch is not chosen and batch.held)

    def _from_accounts(self, jobs: Sequence[JobRecord], shown: set[str]) -> tuple[BatchJob, ...]:
        absent = {batch_name(job.intent): job.intent for job in jobs if batch_name(job.intent) not in shown}
        if not absent:
            return ()
        since = min(intent.submitted_at for intent in absent.values())
        return self._scheduler.past_jobs(list(absent), since) or ()


def is_known(batch: BatchJob, identity: str) -> bool:
    """True when this is the job that was written down; right after the hand-over only its number is."""
    return identity in (batch.identity, f"{batch.number} ")
