"""Memory that was freed goes back to the system, or is kept."""

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


_KEEPING = """
import pathlib, re, sys, threading
import numpy as np
from backend.freed_memory import give_back_freed_memory, keep_freed_memory

def resident_mb():
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\\s+(\\d+)", status).group(1)) // 1024

def fill_and_free():
    maps = [np.ones(20 << 20, np.uint8) for _ in range(5)]

keep_freed_memory()
told = [resident_mb()]
for _ in range(2):
    thread = threading.Thread(target=fill_and_free)
    thread.start()
    thread.join()
    told.append(resident_mb())
give_back_freed_memory()
print(*told, resident_mb())
"""


@pytest.mark.skipif(not hasattr(__import__("ctypes").CDLL(None), "mallopt"), reason="only glibc can do it")
def test_what_one_thread_freed_is_kept_for_another_until_it_is_to_go_back() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _KEEPING], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    before, once, twice, given_back = (int(word) for word in done.stdout.split())
    assert once - before > 90
    assert twice - once < 15
    assert given_back - before < 15
