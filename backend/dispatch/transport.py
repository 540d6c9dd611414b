"""Where the commands of a scheduler are run: on this computer or over SSH. Schedulers know only this."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from backend.dispatch.executor import NotNowError


class TransportError(NotNowError):
    """The command was certainly not started; it can be given again later."""


class CommandResult(NamedTuple):
    """What a command said. ``exit_code`` is ``None`` when its fate is unknown: it may have run or not."""

    exit_code: int | None
    output: str
    error: str


class Transport(Protocol):
    """Runs one command after the other on a computer that has the scheduler's programs."""

    @property
    def place(self) -> str:
        """Where the commands run, for sentences: ``this computer`` or ``user@host``."""
        ...

    def run(self, command: Sequence[str], *, stdin: str = "", timeout_s: float = 30.0) -> CommandResult:
        """Run a program given by its absolute path, with the messages of the C locale, and wait for its end.

        Raises
        ------
        TransportError
            It was certainly not started.
        """
        ...

    def close(self) -> None:
        """End a command that is under way and the connection; may be called from another thread."""
        ...


def shell_line(command: Sequence[str]) -> str:
    """The command as one line for a POSIX shell, each argument quoted, in the C locale."""
    return "LC_ALL=C exec " + shlex.join(command)
