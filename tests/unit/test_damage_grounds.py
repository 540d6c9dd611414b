"""What a verdict rests on: channel, statistic, threshold, size, rings and frames, as numbers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from ring_streams import StreamPlan, judge, ring_stream

from backend.damage.assessment import Assessment, DamageState
from backend.damage.dose import DoseScale
from backend.damage.verdict import percent, verdict_of

FRAMES, ONSET, RINGS = 400, 200, 6


def _judged(**laws: np.ndarray) -> list[Assessment]:
    return judge(ring_stream(StreamPlan(frames=FRAMES, photons_per_pixel=0.4, **laws), seed=5))


@pytest.fixture(scope="module")
def structure() -> list[Assessment]:
    ramp = np.clip((np.arange(FRAMES) - ONSET) / (FRAMES - ONSET), 0, 1)
    law = np.ones((FRAMES, RINGS))
    law[:, :2] += 0.5 * ramp[:, None]
    return _judged(structure=law)


def test_the_grounds_of_damage_are_those_of_the_sentence(structure: list[Assessment]) -> None:
    first = next(a for a in structure if a.state is DamageState.DAMAGING)
    leading, *others = first.grounds
    assert (leading.family, leading.channel) == (first.family, first.label) == ("structure", first.label)
    assert leading.log10_evidence >= leading.log10_alarm == first.log10_alarm
    assert leading.effect_percent == percent(first.effect) > leading.tolerance_percent
    assert leading.tolerance_percent == pytest.approx(5.0)
    assert set(leading.rings) <= {1, 2, 3}
    assert max(ground.log10_evidence for ground in first.grounds) == first.log10_evidence
    assert all(ground.log10_evidence >= 1.0 for ground in others)
    assert all(one.log10_evidence >= two.log10_evidence for one, two in pairwise(others))
    assert len(first.grounds) <= 6


def test_the_frames_are_those_that_were_compared(structure: list[Assessment]) -> None:
    for assessment in structure:
        for ground in assessment.grounds:
            first, last = ground.frames
            assert last - first == 49
            # A window that is far from what was expected is kept back, for three windows at most.
            assert assessment.frame - last in (0, 10, 20, 30)
            start, end = ground.reference_frames
            assert (end + 1) % 10 == 0
            # The longest lag reaches back before the first frame from all of the first window.
            assert start == (0 if ground.family == "structure" else 10)


def test_the_rings_of_a_channel_are_those_it_looks_at(structure: list[Assessment]) -> None:
    rings = {ground.channel: ground.rings for a in structure for ground in a.grounds}
    assert rings["lowest q against the rest"] == (1,)
    assert rings["two lowest q against the rest"] == (1, 2)
    assert rings["low q against high q"] == (1, 2, 3)
    assert rings["lowest against highest q"] == (1, 2, 3, 4, 5, 6)


def test_faster_dynamics_rest_on_the_relaxation_rate() -> None:
    law = np.where(np.arange(FRAMES) < ONSET, 1.0, 4.0)
    last = _judged(rate=law)[-1]
    assert last.state is DamageState.DAMAGING
    assert last.grounds[0].family == "dynamics"
    assert {ground.family for ground in last.grounds} <= {"dynamics", "contrast"}


def test_a_steady_series_names_its_strongest_channel_alone() -> None:
    last = _judged()[-1]
    assert last.state is DamageState.STEADY
    (only,) = last.grounds
    assert only.log10_evidence == last.log10_evidence < 1.0
    assert verdict_of(last, "gel_00001", 10, DoseScale()).grounds == last.grounds


def test_nothing_is_claimed_before_there_is_a_verdict(structure: list[Assessment]) -> None:
    early = [a for a in structure if a.state is DamageState.TOO_EARLY]
    assert early and not any(a.grounds for a in early)
