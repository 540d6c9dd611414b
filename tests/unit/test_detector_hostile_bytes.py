"""Damaged frames of files can neither read nor write outside the buffers of the decoders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hostile_bytes import GuardedBytes

HERE = Path(__file__).parent


def test_no_access_outside_with_forbidden_memory_around() -> None:
    """Sources, targets, rows and words begin or end where the memory does."""
    done = subprocess.run(
        [sys.executable, str(HERE / "hostile_bytes.py"), "1000"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=HERE.parents[1],
    )
    assert done.returncode == 0, done.stderr
    refused, taken = map(int, done.stdout.split())
    assert refused > 5000 and taken > 5000


@pytest.mark.parametrize("offset", [-1, 100])
def test_the_forbidden_memory_is_where_it_should_be(offset: int) -> None:
    """Otherwise the test above would prove nothing."""
    program = (
        "import ctypes, sys; from hostile_bytes import GuardedBytes;"
        f"array = GuardedBytes(100).array(100, at_end={offset > 0});"
        f"ctypes.string_at(array.ctypes.data + ({offset}), 1)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=HERE, check=False, capture_output=True)
    assert done.returncode < 0, done.stderr


@pytest.mark.parametrize("at_end", [True, False])
def test_the_memory_between_may_be_used(at_end: bool) -> None:
    array = GuardedBytes(100).array(100, at_end=at_end)
    array[:] = 7
    assert array.sum() == 700
