"""The real program as a person runs it: processes of its own in folders of its own, all ended afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backend.publish.client import BackendClient
from backend.snapshot import Snapshot

START_S = 60.0
"""Long enough for a first start on a slow computer, when the kernels are compiled."""
_LOOK_S = 0.02
_MARK = "MENTO_GUI_SYSTEM_TEST"


def wait_until(condition: Callable[[], bool], within_s: float, what: str) -> float:
    """Seconds until ``condition`` was true; fails the test when that takes longer than ``within_s``."""
    started = time.monotonic()
    pause = threading.Event()
    while not condition():
        if time.monotonic() - started > within_s:
            pytest.fail(f"not within {within_s:g} s: {what}")
        pause.wait(_LOOK_S)
    return time.monotonic() - started


@dataclass(frozen=True)
class Started:
    """A running ``mento-gui`` process and the files that take its output."""

    process: subprocess.Popen[bytes]
    output_file: Path
    error_file: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return self.output_file.read_text()

    @property
    def error(self) -> str:
        return self.error_file.read_text()

    def wait(self, within_s: float) -> int:
        """The exit code."""
        return self.process.wait(timeout=within_s)


class Program:
    """Starts ``mento-gui`` in a place of its own and knows every process that came from it.

    The children of its children count too, also those that left the session, as the mark in their environment stays.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "gpfs"
        self.temporary = folder / "tmp"
        self.documents = folder / "documents"
        self._started: list[subprocess.Popen[bytes]] = []
        for path in (self.root, self.temporary, self.documents, folder / "out"):
            path.mkdir()
        (folder / "run").mkdir(mode=0o700)

    @property
    def variables(self) -> dict[str, str]:
        """Environment that keeps everything the program writes in this place, and its mark."""
        user_folders = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
        return {
            _MARK: str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "TMPDIR": str(self.temporary),
            "XDG_DOCUMENTS_DIR": str(self.documents),
            **{name: str(self.folder / name.lower()) for name in user_folders},
        }

    def start(self, *arguments: str, environment: dict[str, str] | None = None) -> Started:
        """Start ``mento-gui ARGUMENTS`` and return at once."""
        files = [self.folder / "out" / f"{len(self._started)}.{kind}" for kind in ("out", "err")]
        with files[0].open("wb") as out, files[1].open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "mento_gui", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
                start_new_session=True,
            )
        self._started.append(process)
        return Started(process, files[0], files[1])

    def run(self, *arguments: str, within_s: float = START_S) -> Started:
        """Run ``mento-gui ARGUMENTS`` to its end."""
        started = self.start(*arguments)
        started.wait(within_s)
        return started

    def start_backend(self, *arguments: str) -> Started:
        """Start a backend for the root and wait until it is ready for frames."""
        backend = self.start("--backend-only", "--root", str(self.root), *arguments)
        with self.listen() as listener:
            listener.until(
                lambda snapshot: (
                    snapshot.backend.phase != "preparing" and snapshot.backend.pid == backend.pid
                ),
                START_S,
                "the backend is ready",
            )
        return backend

    def status(self) -> dict[str, Any]:
        """What ``mento-gui status --json`` says."""
        asked = self.run("status", "--json", "--root", str(self.root))
        assert asked.process.returncode == 0, asked.error
        said: dict[str, Any] = json.loads(asked.output)
        return said

    @contextmanager
    def listen(self) -> Iterator[Listener]:
        """The wire of the backend for the root."""
        client = BackendClient(self.root)
        try:
            yield Listener(client)
        finally:
            client.close()

    def living(self) -> dict[int, str]:
        """Process number and command line of all processes that came from here."""
        mark = f"{_MARK}={self.folder}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                    # A process that has ended and only waits to be collected has no command line.
                    if command:
                        found[int(entry.name)] = command
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                # It has just ended, or is not ours.
                continue
        return found

    def end_all(self) -> None:
        """Kill whatever is left; children that are born meanwhile too."""

        def none_left() -> bool:
            for pid in (left := self.living()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    # It ended by itself.
                    continue
            return not left

        wait_until(none_left, 20.0, "all processes are gone")
        for process in self._started:
            process.wait(5.0)


class Listener:
    """Follows the snapshots of a backend."""

    def __init__(self, client: BackendClient) -> None:
        self.client = client
        self._newest: Snapshot | None = None

    def until(self, condition: Callable[[Snapshot], bool], within_s: float, what: str) -> Snapshot:
        """The first snapshot from now on for which ``condition`` holds."""

        def holds() -> bool:
            snapshot = self.client.latest()
            if snapshot is None:
                return False
            self._newest = snapshot
            return condition(snapshot)

        wait_until(holds, within_s, what)
        assert self._newest is not None
        return self._newest


@contextmanager
def program_in(folder: Path) -> Iterator[Program]:
    """A :class:`Program` in ``folder``; its private folders hold for the processes and for this one."""
    # The path of a socket must stay short, so the folder is not named after the test.
    with pytest.MonkeyPatch.context() as patch:
        program = Program(folder)
        for name, value in program.variables.items():
            patch.setenv(name, value)
        try:
            yield program
        finally:
            program.end_all()
