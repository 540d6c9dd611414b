"""After the warm-up no series makes the program compile anything, and a second start compiles nothing at all."""

from __future__ import annotations

import pytest
from program_answers import answer_of

pytestmark = pytest.mark.system

FIRST_START_S = 400.0


@pytest.mark.timeout(2 * FIRST_START_S)
def test_nothing_is_compiled_after_the_warm_up_and_nothing_twice() -> None:
    # The kernels may be on the disk already; that changes nothing of what this process asks for.
    first = answer_of("kernels_after_warm_up.py", timeout_s=FIRST_START_S)
    assert first["kernels"] > 30
    assert first["new"] == []
    second = answer_of("kernels_after_warm_up.py", timeout_s=FIRST_START_S)
    assert second["misses"] == []
    assert second["new"] == []
