"""A word is said at its limit and taken back only clearly below it, for a while."""

from __future__ import annotations

import math

import pytest

from backend.damage.deadband import Deadband, deadbands_of_verdict
from backend.settings import DamageSettings


@pytest.mark.parametrize(
    ("values", "held"),
    [
        ([0.0, 0.99, 1.0], [False, False, True]),
        # Below the limit but within the band nothing is taken back.
        ([1.0, 0.9, 0.9, 0.9, 0.9], [True, True, True, True, True]),
        # Clearly below it for three values in a row.
        ([1.0, 0.7, 0.7, 0.7, 0.9], [True, True, True, False, False]),
        # One within the band in between: the count begins anew.
        ([1.0, 0.7, 0.7, 0.9, 0.7, 0.7, 0.7], [True, True, True, True, True, True, False]),
        ([1.0, 0.7, 0.7, 0.7, 1.5, 0.7], [True, True, True, False, True, True]),
    ],
)
def test_it_holds_until_it_was_clearly_below_for_a_while(values: list[float], held: list[bool]) -> None:
    deadband = Deadband(limit=1.0, clear_limit=0.8, quiet=3)
    assert [deadband.holds(value) for value in values] == held


def test_the_words_of_the_verdict_follow_the_settings() -> None:
    bands = deadbands_of_verdict(DamageSettings(watch_evidence=100, clear_share_percent=50, quiet_windows=2))
    said = [bands.watching.holds(math.log10(evidence)) for evidence in (99, 100, 51, 49, 49, 99)]
    assert said == [False, True, True, True, False, False]
    dark = [bands.dark.holds(-share) for share in (0.11, 0.1, 0.19, 0.21)]
    assert dark == [False, True, True, False]
