"""Samples whose relaxation time grows with their age: told the law, the verdict leaves them in peace."""

from __future__ import annotations

import numpy as np
import pytest
from ring_streams import FRAME_TIME_S, RingStream, StreamPlan, detector_for, judge, ring_stream

from backend.damage.ageing import AgeingLaw
from backend.damage.assessment import DamageState
from backend.damage.noise_model import NoiseModel
from backend.damage.windows import Window

pytestmark = pytest.mark.timeout(300)  # seconds of one processor, which others may be using as well
FRAMES = 400
FIRST_AGE_FRAMES = 100
LAW = {"ageing_exponent": 0.6, "ageing_start_s": FIRST_AGE_FRAMES * FRAME_TIME_S}


def _ageing_stream(seed: int, faster: np.ndarray | float = 1.0) -> RingStream:
    age = 1 + np.arange(FRAMES) / FIRST_AGE_FRAMES
    return ring_stream(
        StreamPlan(frames=FRAMES, pixels=1500, tau_c_frames=4.0, rate=faster * age**-0.6), seed
    )


def test_a_sample_that_ages_is_left_in_peace_once_the_law_is_told() -> None:
    changing = changing_without = 0
    for seed in range(8):
        stream = _ageing_stream(seed)
        said = judge(stream, detector_for(stream, **LAW))
        changing += any(a.log10_evidence >= 2 for a in said)
        changing_without += any(a.log10_evidence >= 2 for a in judge(stream))
    # One in a hundred at most: two of them would be a chance of 0.3 %.
    assert changing <= 1
    # Without the law its slowing down is a change like any other.
    assert changing_without >= 4


def test_damage_on_top_of_ageing_is_found_and_named() -> None:
    onset = 160
    for seed in range(2):
        faster = 6.0 ** np.clip((np.arange(FRAMES) - onset) / (FRAMES - onset), 0, 1)
        stream = _ageing_stream(40 + seed, faster)
        said = judge(stream, detector_for(stream, **LAW))
        alarm = next(a for a in said if a.state is DamageState.DAMAGING)
        assert alarm.frame > onset
        assert (said[-1].family, said[-1].family_told) == ("dynamics", True)
        assert said[-1].effect > 0


def test_windows_are_carried_back_to_the_reference_age() -> None:
    law = AgeingLaw(0.5, first_age_frames=100.0, reference_frame=100.0)
    assert law.rate(100.0) == pytest.approx(1.0)
    assert law.rate(700.0) == pytest.approx(0.5)
    lags = np.array([1, 4])
    gamma = np.array([0.05, 0.2])
    model = NoiseModel(0.2, gamma, gamma, np.zeros(2), 1e-3, np.full(2, 1e4), 0.0, 1.0)
    expected = np.full((2, 2), 1e4)
    aged = Window(704, 10, 1.0, np.ones(2), np.ones(2), expected * (1 + model.excess(lags, 0.5)), expected)
    (undone,) = law.undone([aged], model, lags)
    assert undone.products == pytest.approx(expected * (1 + model.excess(lags)), rel=1e-3)
    assert AgeingLaw(0.0, 100.0, 100.0).undone([aged], model, lags) == [aged]
