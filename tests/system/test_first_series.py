"""After the rehearsal the first series finds its memory, as later ones do; counted, not timed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.rehearsal import available_memory_bytes

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
LONGEST_S = 400.0


def _growth_bytes(*arguments: str) -> list[int]:
    folders = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "unit")])
    told = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("memory_of_first_series.py")), *arguments],
        env={**os.environ, "PYTHONPATH": folders},
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )
    assert told.returncode == 0, told.stderr
    growth: list[int] = json.loads(told.stdout)
    return growth


@pytest.mark.timeout(2 * LONGEST_S)
@pytest.mark.skipif(available_memory_bytes() < 3e9, reason="no rehearsal is held with so little memory")
def test_after_the_rehearsal_the_first_series_needs_little_new_memory() -> None:
    without = _growth_bytes()
    first, later = _growth_bytes("rehearsed")
    assert without[0] > 100e6
    assert first < without[0] / 4
    # Measured: 30 and 20 MB. A multiple of one page would be a matter of luck.
    assert first < later + 30e6
