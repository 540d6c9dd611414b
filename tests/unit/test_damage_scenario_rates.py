"""Faults of the detector as sums over rings: never called damage, also where the sample is as slow as damage is."""

from __future__ import annotations

import numpy as np
import pytest

from backend.damage.assessment import DamageState
from benchmarks.damage_scenarios import LOST_FRAMES, TAU_C_FRAMES, judge, rows, scenario_sums

FAULTS = ("module-glitch", "flashing-pixel", "hot-pixel", LOST_FRAMES)


@pytest.mark.parametrize("tau_c_frames", TAU_C_FRAMES)
@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_detector_is_never_called_damage(name: str, tau_c_frames: float) -> None:
    for seed in (11, 12, 13):
        said = judge(scenario_sums(name, tau_c_frames, seed))
        assert DamageState.DAMAGING not in {a.state for a in said}, seed
        assert said[-1].state is DamageState.STEADY, seed


def test_lost_frames_have_no_photons_no_pixels_and_no_pairs() -> None:
    sums = scenario_sums(LOST_FRAMES, 6.0, 1)
    came = sums.valid_pixels.any(axis=(1, 2))
    assert 50 <= np.count_nonzero(~came) <= 90
    assert not sums.counts[~came].any() and not sums.products[~came].any()
    # Pairs with a frame that never came: lag 1 stands second, after lag 0.
    after = np.flatnonzero(~came[:-1]) + 1
    assert not sums.products[after, ..., 1].any()
    assert sums.products[came, ..., 0].any()


def test_the_rates_are_counted() -> None:
    (fast, slow) = rows(2, 5, 1, ("early-aggregation",))
    assert (fast["tau_c_frames"], slow["tau_c_frames"]) == TAU_C_FRAMES
    for row in (fast, slow):
        assert (row["damaging"], row["series"], row["alarms"]) == (True, 2, 2)
        assert row["families"] == {"structure": 2}
        assert row["alarm_bounds"][0] > 0.1
