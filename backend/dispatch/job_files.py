"""What an executor asks of the files of its jobs: whether the nodes have them, and whether theirs are here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from backend.dispatch.job import JobIntent
from backend.errors import DispatchError


class JobFiles(Protocol):
    """The files of jobs on two sides. Only :meth:`hand_in` may wait for a network."""

    @property
    def shares_claims(self) -> bool:
        """True when a claim that is made here counts for the nodes, and theirs here."""
        ...

    @property
    def trouble(self) -> DispatchError | None:
        """Why the nodes get no files at all now; ``None`` when they do."""
        ...

    def bring(self, intent: JobIntent) -> str:
        """How far the nodes are from having what the job reads; "" when they have it. To be asked again until then.

        Raises
        ------
        DispatchError
            They never can have it.
        """
        ...

    def hand_in(self, intent: JobIntent) -> None:
        """Let the nodes have the job's own file, which is written last.

        Raises
        ------
        TransportError
            They certainly do not have it now.
        """
        ...

    def watch(self, intents: Sequence[JobIntent]) -> None:
        """From now on, what these jobs leave on the nodes is wanted here."""
        ...

    def is_settled(self, intent: JobIntent, since: float) -> bool:
        """True when all that the job had left at the moment ``since`` (of the executor's clock) is here."""
        ...

    def close(self) -> None:
        """Stop; may be called from another thread."""
        ...


class SharedFiles:
    """The nodes see the same files, under whatever name: nothing is to be done."""

    shares_claims = True
    trouble = None

    def bring(self, intent: JobIntent) -> str:
        """Nothing is waited for."""
        return ""

    def hand_in(self, intent: JobIntent) -> None:
        """It is there as soon as it is written."""

    def watch(self, intents: Sequence[JobIntent]) -> None:
        """They write into the same folder."""

    def is_settled(self, intent: JobIntent, since: float) -> bool:
        """The file system's own delay is not known here."""
        return True

    def close(self) -> None:
        """Nothing is open."""
