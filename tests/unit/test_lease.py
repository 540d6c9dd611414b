"""One backend per folder: the lock dies with its process, and the refusal says who holds it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.lease import Lease, LeaseError

_HOLD = """
import sys, pathlib
from backend.lease import Lease
lease = Lease(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "backend.lock"


@pytest.fixture
def holder(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_backend_is_refused_in_words(lock: Path, holder: subprocess.Popen[str]) -> None:
    for _ in range(2):
        with pytest.raises(LeaseError) as caught:
            Lease(lock)
        assert f"process {holder.pid} on {socket.gethostname()}" in caught.value.what
        assert str(lock) in caught.value.what
        assert caught.value.still_works and caught.value.try_this


def test_killing_the_holder_frees_the_lease(lock: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    lease = Lease(lock)
    assert json.loads(lock.read_text())["pid"] == os.getpid()
    lease.release()


def test_released_means_free(lock: Path) -> None:
    first = Lease(lock)
    with pytest.raises(LeaseError):
        Lease(lock)
    first.release()
    Lease(lock).release()
    assert lock.read_text() == ""


def test_a_child_process_does_not_keep_the_lease(lock: Path) -> None:
    lease = Lease(lock)
    command = [sys.executable, "-c", "print('here', flush=True); input()"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, close_fds=False
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "here\n"
        lease.release()
        Lease(lock).release()
        child.communicate("\n")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[1, 2]",
        b'"text"',
        b'{"host": "elsewhere", "heartbeat": "noon"}',
        b'{"host": "elsewhere", "heartbeat": null}',
        b'{"host": "elsewhere", "heartbeat": 1e300}',
        b'{"host": {}, "pid": []}',
        b" " * 5000,
    ],
)
def test_a_lock_file_of_any_content_is_taken(lock: Path, content: bytes) -> None:
    lock.write_bytes(content)
    lease = Lease(lock)
    assert json.loads(lock.read_text())["pid"] == os.getpid()
    lease.release()


@pytest.mark.parametrize(("age_s", "free"), [(5.0, False), (-5.0, False), (3600.0, True)])
def test_the_heartbeat_of_another_host_is_respected_while_it_is_fresh(
    lock: Path, age_s: float, free: bool
) -> None:
    """File systems that do not carry locks between hosts leave only this."""
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 7, "heartbeat": time.time() - age_s}))
    if free:
        Lease(lock).release()
        return
    with pytest.raises(LeaseError, match="process 7 on elsewhere"):
        Lease(lock)


def test_the_heartbeat_is_renewed_when_it_is_due(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = Lease(lock)
    first = json.loads(lock.read_text())["heartbeat"]
    lease.keep()
    assert json.loads(lock.read_text())["heartbeat"] == first
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 11.0)
    lease.keep()
    assert json.loads(lock.read_text())["heartbeat"] > first
    lease.release()


def test_a_folder_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(LeaseError, match="cannot be made: No such file or directory"):
        Lease(tmp_path / "gone" / "backend.lock")
