"""Runs a scheduler's commands on this computer, where its programs are installed here too."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from backend.dispatch.transport import CommandResult, TransportError


class LocalTransport:
    """Transport without a network."""

    place = "this computer"

    def run(self, command: Sequence[str], *, stdin: str = "", timeout_s: float = 30.0) -> CommandResult:
        """Run a command; one that does not end in time is killed and its fate is unknown."""
        try:
            ended = subprocess.run(
                list(command),
                input=stdin.encode(),
                capture_output=True,
                timeout=timeout_s,
                env=os.environ | {"LC_ALL": "C"},
                check=False,
            )
        except subprocess.TimeoutExpired:
            return CommandResult(None, "", f"{command[0]} did not answer within {timeout_s:g} s")
        except OSError as error:
            raise TransportError(
                f"{command[0]} cannot be started on this computer: {error.strerror or error}.",
                still_works="Live pictures, the verdict and local jobs go on.",
                try_this="Check slurm_folder in section [cluster] of the settings.",
            ) from error
        # Killed by a signal: what it had asked for before may have been done.
        code = None if ended.returncode < 0 else ended.returncode
        return CommandResult(
            code, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")
        )

    def close(self) -> None:
        """Nothing is kept open between two commands."""
