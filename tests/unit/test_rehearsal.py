"""The rehearsal of a series: when it is held and when not. What it is good for is in the system tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backend import rehearsal
from backend.rehearsal import Rehearsal, available_memory_bytes
from backend.settings import Settings

_PROGRAM = """
from backend.rehearsal import Rehearsal
from backend.settings import Settings

rehearsal = Rehearsal(Settings())
print(rehearsal.is_over)
rehearsal.step()
print(rehearsal.is_over)
rehearsal.stop()
print(rehearsal.is_over)
rehearsal.step()
print(rehearsal.is_over)
"""


def test_there_is_none_where_little_memory_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "available_memory_bytes", lambda: 1_900_000_000)
    one = Rehearsal(Settings())
    assert one.is_over
    one.step()
    assert one.is_over


def test_it_ends_when_it_is_stopped() -> None:
    """In a process of its own: it tells the C library to keep what is freed."""
    if available_memory_bytes() < 2_000_000_000:
        pytest.skip("too little memory is available")
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["False", "False", "True", "True"]


def test_available_memory_is_less_than_all() -> None:
    total = Path("/proc/meminfo").read_text(encoding="ascii").split()[1]
    assert 0 < available_memory_bytes() <= 1024 * int(total)
