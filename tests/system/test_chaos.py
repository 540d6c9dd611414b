"""A short run of the chaos bench: things are killed, cut, filled and truncated, and no job may come to harm."""

from __future__ import annotations

import os

import pytest
from daemons import missing_programs
from slurm_over_ssh import PROGRAMS

from benchmarks.chaos import run, table

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


def test_nothing_is_lost_doubled_wrong_or_unexplained() -> None:
    missing = missing_programs(PROGRAMS)
    if missing and not os.environ.get("CI"):
        pytest.skip(f"NO CHAOS WAS TESTED, not installed: {', '.join(missing)}")
    verdict, faults = run(12, seed=4, pause_s=4.0, work_s=1.0, series_every_s=2.0)
    words = table(verdict, faults)
    assert verdict.is_good, words
    assert faults, words
    assert verdict.counts["jobs wished for"] == 12
