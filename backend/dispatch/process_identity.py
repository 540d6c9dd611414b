"""Which process is meant, so that a later program can tell it from another one with the same number."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

JOB_MARK = "MENTO_GUI_JOB"
"""Environment variable with the job's key."""
FOLDER_MARK = "MENTO_GUI_JOB_FOLDER"
"""Environment variable with its folder: another beamtime may have a job of the same key at the same time."""
"""Environment variable that carries the job's key to all its processes."""

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process on one host, between one boot and the next; ``start_ticks`` is its start in clock ticks since boot."""

    host: str
    boot: str
    pid: int
    start_ticks: int

    def __str__(self) -> str:
        """Form for the ledger and the claim file, read back by :meth:`parse`."""
        return f"{self.host} {self.boot} {self.pid} {self.start_ticks}"

    @classmethod
    def parse(cls, text: str) -> ProcessIdentity | None:
        """Identity from its text; ``None`` when the text is not one."""
        parts = text.split(" ")
        if len(parts) != 4 or not (parts[2].isdigit() and parts[3].isdigit()):
            return None
        return cls(parts[0], parts[1], int(parts[2]), int(parts[3]))

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """Identity of a living process of this host; ``None`` when there is none with this number."""
        stat = _stat(pid)
        return None if stat is None else cls(socket.gethostname(), _boot_id(), pid, int(stat[19]))

    @property
    def is_on_this_host(self) -> bool:
        """True when this host is the one the process was started on."""
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """True while the process runs on this host; a process that has ended but was not collected is not alive."""
        if not self.is_on_this_host or self.boot != _boot_id():
            return False
        stat = _stat(self.pid)
        return stat is not None and int(stat[19]) == self.start_ticks and stat[0] not in ("Z", "X")


def processes_marked(name: str, value: str) -> list[int]:
    """Numbers of all living processes of this host and user with this variable in their environment, in no order."""
    mark = f"{name}={value}".encode()
    found = []
    for entry in os.listdir(_PROC):
        if not entry.isdigit():
            continue
        try:
            environment = (_PROC / entry / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            # It ended meanwhile, or belongs to somebody else.
            continue
        if mark in environment.split(b"\0"):
            found.append(int(entry))
    return found


def _stat(pid: int) -> list[str] | None:
    """Fields of ``/proc/<pid>/stat`` after the command name: state first (proc(5) field 3)."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name stands in brackets and may itself hold brackets and spaces.
    return text.rpartition(") ")[2].split()


def _boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
