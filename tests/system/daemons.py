"""Starts and kills real servers of the system, each with a pid file and a log in one folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from program import wait_until

SYSTEM_FOLDERS = "/usr/sbin:/sbin:/usr/bin:/bin"


def missing_programs(names: tuple[str, ...]) -> list[str]:
    """Which of the programs are not installed."""
    return [name for name in names if shutil.which(name, path=SYSTEM_FOLDERS) is None]


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_answers(port: int) -> bool:
    """True when something listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start_daemon(folder: Path, environment: Mapping[str, str], program: str, *arguments: str) -> None:
    """Start a server that goes into the background by itself; what it says goes to ``log/PROGRAM.out``."""
    path = shutil.which(program, path=SYSTEM_FOLDERS)
    assert path is not None, f"{program} is not installed"
    with (folder / "log" / f"{program}.out").open("ab") as output:
        subprocess.run(
            [path, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True,
            timeout=30,
        )  # fmt: skip


def kill_daemon(folder: Path, name: str) -> None:
    """End a server as a power failure would, if it runs, and wait until it is gone."""
    try:
        pid = int((folder / "pids" / f"{name}.pid").read_text(encoding="ascii"))
        os.kill(pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        # It was never started or has been killed by a test.
        return
    wait_until(lambda: has_ended(pid), 30.0, f"{name} has ended")


def children_of(pid: int) -> list[int]:
    """Living processes that ``pid`` has started."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def kill_process(pid: int) -> bool:
    """End a process without a word; false when it had ended by itself."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def has_ended(pid: int) -> bool:
    """True when the process is gone, or only waits to be collected by whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True
