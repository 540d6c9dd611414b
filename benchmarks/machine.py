"""On what the numbers were measured."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers import PROJECT

_PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "h5py", "hdf5plugin")


def machine_facts() -> dict[str, object]:
    """Processor, cores, load, versions and commit; what a reader needs to repeat the run."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _first(Path("/proc/cpuinfo"), r"^model name\s*:\s*(.+)$"),
        "cores": os.cpu_count(),
        "memory_gb": round(int(_first(Path("/proc/meminfo"), r"^MemTotal:\s*(\d+) kB$")) / 1e6, 1),
        "load_before": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in _PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def keep_to_processors(number: int) -> None:
    """Keep this thread, and all threads and processes that it starts from now on, to this many processors.

    Both sides then have the same, and so has the program, which takes all that it may use.

    Raises
    ------
    ValueError
        There are fewer.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if number > len(allowed):
        raise ValueError(f"{number} threads need as many processors, and this process may use {len(allowed)}")
    os.sched_setaffinity(0, allowed[:number])


def _first(file: Path, pattern: str) -> str:
    found = re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{file} does not state what was looked for")
    return found.group(1)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()
