"""Memory that was freed goes back to the system."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import ctypes, pathlib, re
from backend.freed_memory import give_back_freed_memory

def resident_mb():
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\\s+(\\d+)", status).group(1)) // 1024

library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.free.argtypes = [ctypes.c_void_p]
blocks = [library.malloc(100_000) for _ in range(2000)]
for block in blocks:
    ctypes.memset(block, 1, 100_000)
last = library.malloc(100_000)
for block in blocks:
    library.free(block)
before = resident_mb()
give_back_freed_memory()
print(before - resident_mb())
"""


@pytest.mark.skipif(
    not hasattr(__import__("ctypes").CDLL(None), "malloc_trim"), reason="only glibc can do it"
)
def test_what_is_free_below_a_used_block_is_given_back() -> None:
    """200 MB of small blocks, and one in use above them: the library does not give them back by itself."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    assert re.fullmatch(r"\d+", done.stdout.strip())
    assert int(done.stdout) > 150
