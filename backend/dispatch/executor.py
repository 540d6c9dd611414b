"""What runs a job: a process of this computer, or a scheduler elsewhere. The dispatcher knows only this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from backend.dispatch.job import JobIntent, JobRecord, JobReport


class Executor(Protocol):
    """Starts, watches and stops jobs. Called from one thread at a time; a call may wait for a network."""

    @property
    def name(self) -> str:
        """Word for the job table, for instance ``local``."""
        ...

    @property
    def parallel_jobs(self) -> int:
        """Jobs that may be handed over at once; the rest waits in the dispatcher, newest first."""
        ...

    def find(self, intents: Sequence[JobIntent]) -> list[JobReport]:
        """Reports of those intents that were handed over before, by their key; the others are left out.

        Asked after a restart, when the ledger cannot tell whether a start got through. A job whose fate cannot be
        told now is reported as UNKNOWN; leaving it out means that it was certainly not started.

        Raises
        ------
        DispatchError
            Nobody can be asked now; nothing is handed over until this call succeeds.
        """
        ...

    def submit(self, intent: JobIntent) -> JobReport:
        """Hand over a job whose intent stands in the ledger; its state may be UNKNOWN when no answer came.

        Raises
        ------
        DispatchError
            It was certainly not started.
        """
        ...

    def poll(self, jobs: Sequence[JobRecord]) -> list[JobReport]:
        """One report per job, in order."""
        ...

    def cancel(self, job: JobRecord) -> None:
        """Ask a job to stop; returns at once, ``poll`` tells when it has. Asking again does no harm."""
        ...

    def close(self) -> None:
        """Let go of all jobs; they run on."""
        ...
