"""File systems that carry no locks, or fail: the heartbeat tells, and trouble is told in words."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path

import pytest

from backend.lease import Lease, LeaseError


def _flock_fails(patch: pytest.MonkeyPatch, number: int) -> None:
    def flock(_file: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    patch.setattr(fcntl, "flock", flock)


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_the_heartbeat_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    _flock_fails(monkeypatch, number)
    lock = tmp_path / "backend.lock"
    lease = Lease(lock)
    assert json.loads(lock.read_text())["pid"] == os.getpid()
    lease.release()
    other = {"host": socket.gethostname(), "pid": os.getpid() + 1, "heartbeat": time.time()}
    lock.write_text(json.dumps(other))
    with pytest.raises(LeaseError, match=f"process {os.getpid() + 1}"):
        Lease(lock)
    lock.write_text(json.dumps(other | {"heartbeat": time.time() - 3600}))
    Lease(lock).release()


def test_a_file_system_that_fails_is_told_in_words_and_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _flock_fails(monkeypatch, errno.EIO)
    before = _open_files()
    with pytest.raises(LeaseError, match="backend.lock cannot be used: Input/output error") as caught:
        Lease(tmp_path / "backend.lock")
    assert caught.value.still_works and caught.value.try_this
    assert _open_files() == before
