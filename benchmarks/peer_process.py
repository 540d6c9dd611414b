"""The peers as a process that stays warm: JSON lines to and fro, arrays as files in a scratch folder."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from benchmarks.peers import PROJECT, peer_python


class PeerError(RuntimeError):
    """The peers' process failed; the text is what it said."""


class PeerProcess:
    """Calls functions of :mod:`benchmarks.peer_side`, one at a time. Use with ``with``.

    Parameters
    ----------
    scratch : Path
        Folder for the arrays that go over.
    dense, scikit_beam : bool
        Whether these peers are needed too.
    """

    def __init__(self, scratch: Path, *, dense: bool = False, scikit_beam: bool = False) -> None:
        self.scratch = scratch
        self._process = subprocess.Popen(
            [
                str(peer_python(dense=dense, scikit_beam=scikit_beam)),
                "-m",
                "benchmarks.peer_side.server",
            ],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> PeerProcess:
        """The process itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process: it stops when its input is closed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def call(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """What the function of this name on the other side answers.

        Raises
        ------
        PeerError
            It failed, or the process has died.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        # A process that has died closes its output; the empty line below tells.
        self._process.stdin.write(json.dumps({"name": name, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(f"the peers' process ended with {self._process.wait()} during {name}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def send(self, name: str, values: np.ndarray) -> str:
        """Path of the file that carries an array over."""
        path = self.scratch / f"{name}.npy"
        np.save(path, values)
        return str(path)
