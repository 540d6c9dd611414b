"""After the warm-up no series makes the program compile anything, and a second start compiles nothing at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
FIRST_START_S = 400.0


def _started() -> dict[str, Any]:
    folders = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "unit")])
    told = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("kernels_after_warm_up.py"))],
        env={**os.environ, "PYTHONPATH": folders},
        capture_output=True,
        text=True,
        check=False,
        timeout=FIRST_START_S,
    )
    assert told.returncode == 0, told.stderr
    answer: dict[str, Any] = json.loads(told.stdout)
    return answer


@pytest.mark.timeout(2 * FIRST_START_S)
def test_nothing_is_compiled_after_the_warm_up_and_nothing_twice() -> None:
    # The kernels may be on the disk already; that changes nothing of what this process asks for.
    first = _started()
    assert first["kernels"] > 30
    assert first["new"] == []
    second = _started()
    assert second["misses"] == []
    assert second["new"] == []
