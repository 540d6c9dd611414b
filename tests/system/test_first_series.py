"""After the rehearsal the first series finds its memory, as later ones do; counted, not timed."""

from __future__ import annotations

import pytest
from program_answers import answer_of

from backend.rehearsal import available_memory_bytes

pytestmark = pytest.mark.system

PROGRAM = "memory_of_first_series.py"
LONGEST_S = 400.0


@pytest.mark.timeout(2 * LONGEST_S)
@pytest.mark.skipif(available_memory_bytes() < 3e9, reason="no rehearsal is held with so little memory")
def test_after_the_rehearsal_the_first_series_needs_little_new_memory() -> None:
    without = answer_of(PROGRAM, timeout_s=LONGEST_S)
    first, later = answer_of(PROGRAM, "rehearsed", timeout_s=LONGEST_S)
    assert without[0] > 100e6
    assert first < without[0] / 4
    # Measured: 30 and 20 MB. A multiple of one page would be a matter of luck.
    assert first < later + 30e6
