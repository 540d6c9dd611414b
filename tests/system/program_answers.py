"""What a program of these tests says: run in a process of its own, it prints JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def answer_of(program: str, *arguments: str, timeout_s: float) -> Any:
    """The answer of a file of this folder; it sees the project and what helps the unit tests."""
    told = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(program)), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "unit")])},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)
