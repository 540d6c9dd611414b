"""What runs a job: a process of this computer, or a scheduler elsewhere. The dispatcher knows only this."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from backend.dispatch.job import JobIntent, JobRecord, JobReport


class Executor(Protocol):
    """Starts, watches and stops jobs.

    ``find``, ``submit`` and ``poll`` are called from one thread and may wait for a network.
    """

    @property
    def name(self) -> str:
        """Word for the job table, for instance ``local``."""
        ...

    @property
    def parallel_jobs(self) -> int:
        """Jobs that may be handed over at once; the rest waits in the dispatcher, newest first."""
        ...

    @property
    def python(self) -> str:
        """Interpreter that has this program where the jobs run."""
        ...

    @property
    def settings_file(self) -> Path | None:
        """Settings of the live analysis as jobs are to read them, for ``{settings}``; a path as known here."""
        ...

    def find(self, intents: Sequence[JobIntent]) -> list[JobReport]:
        """Reports of those intents that were handed over before, by their key; the others are left out.

        Asked after a restart, when the ledger cannot tell whether a start got through. A job whose fate cannot be
        told now is reported as UNKNOWN; leaving it out means that it was certainly not started.
        """
        ...

    def submit(self, intent: JobIntent) -> JobReport:
        """Hand over a job whose intent stands in the ledger; its state may be UNKNOWN when no answer came.

        A report of QUEUED means that it was refused and is to be handed over again, one of PARKED that a person must
        decide.

        Raises
        ------
        TransportError
            It was certainly not started, and no other job can be now; it stays queued.
        DispatchError
            It was certainly not started and never can be.
        """
        ...

    def poll(self, jobs: Sequence[JobRecord]) -> list[JobReport]:
        """One report per job, in order; QUEUED means that it was certainly not started and is to be handed over again.

        Also carries out what was asked of a job in its status (``cancel_asked``).
        """
        ...

    def cancel(self, job: JobRecord) -> None:
        """Ask a job to stop; returns at once, ``poll`` tells when it has. Asking again does no harm.

        This and the following may be called from another thread.
        """
        ...

    def forget_refusals(self, job_id: str) -> None:
        """A person wants a parked job tried again."""
        ...

    def close(self) -> None:
        """Let go of all jobs; they run on. Cuts short whatever waits for a network."""
        ...
