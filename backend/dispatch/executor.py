"""What runs a job: a process of this computer, or a scheduler elsewhere. The dispatcher knows only this."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from backend.dispatch.job import JobIntent, JobRecord, JobReport
from backend.errors import DispatchError


class NotNowError(DispatchError):
    """A job was certainly not started because nothing can be now; it stays queued and is given again later."""


def cannot_prepare(job_id: str, error: OSError) -> DispatchError:
    """Why the files of a job cannot be written; a disk or a quota that is full is a matter of time."""
    words = f"The job {job_id} cannot be prepared: {error.strerror or error} ({error.filename})."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NotNowError(
            words,
            still_works="The live analysis goes on; the job waits for room.",
            try_this="Make room in the processed folder of the beamtime, or ask for more quota.",
        )
    return DispatchError(
        words,
        still_works="The live analysis is not affected.",
        try_this="Check that the processed folder exists and may be written.",
    )


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
        NotNowError
            It was certainly not started, and no other job can be now; it stays queued.
        DispatchError
            It was certainly not started and never can be.
        """
        ...

    @property
    def trouble(self) -> DispatchError | None:
        """What keeps all jobs from being started or followed now; ``None`` when nothing does."""
        ...

    def may_move(self, intent: JobIntent) -> bool:
        """True when a job that is queued here may be run elsewhere without any danger that it is run twice."""
        ...

    def poll(self, jobs: Sequence[JobRecord]) -> Iterable[JobReport]:
        """One report per job, those that need no waiting first.

        QUEUED means that it was certainly not started and is to be handed over again.

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
