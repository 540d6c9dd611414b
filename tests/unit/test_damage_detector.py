"""The damage detector on ring streams of simulated speckle: silent without damage, right with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ring_streams import RingStream, StreamPlan, detector_for, judge, restless_beam, ring_stream
from scipy.stats import binom

from backend.damage.assessment import Assessment, DamageState
from backend.damage.windows import Window

FRAMES = 400
ONSET = 120
TAU_C_FRAMES = (1.5, 6.0, 60.0, 600.0)


def _ramp() -> np.ndarray:
    """0 up to the onset, then linear to 1 at the end; shape (frame,)."""
    return np.clip((np.arange(FRAMES) - ONSET) / (FRAMES - ONSET), 0, 1)


def _low_q_rise(amplitude: float) -> np.ndarray:
    structure = np.ones((FRAMES, 6))
    structure[:, :2] += amplitude * _ramp()[:, None]
    return structure


def _beam(seed: int, *, dip: bool = False) -> np.ndarray:
    return restless_beam(FRAMES, np.random.default_rng(seed), dip=dip)


def _states(assessments: list[Assessment]) -> set[DamageState]:
    return {assessment.state for assessment in assessments}


def _first(assessments: list[Assessment], state: DamageState) -> Assessment:
    return next(assessment for assessment in assessments if assessment.state is state)


def test_undamaged_series_are_left_in_peace() -> None:
    """60 series, fast to nearly static, with restless beam, drift and dips."""
    changing = 0
    for index in range(60):
        # Every other series is bright: there the speckle, not the photons, make the noise.
        plan = StreamPlan(
            frames=300,
            pixels=300,
            photons_per_pixel=(0.2, 1.5)[index // 4 % 2],
            contrast=(0.12, 0.3)[index // 4 % 2],
            tau_c_frames=TAU_C_FRAMES[index % 4],
            beam=restless_beam(300, np.random.default_rng(index), dip=index % 5 == 0),
        )
        states = _states(judge(ring_stream(plan, 1000 + index)))
        assert DamageState.DAMAGING not in states, plan
        changing += DamageState.CHANGING in states
    # WATCH begins at evidence 20, which at most one series in twenty ever reaches.
    assert changing <= binom.isf(1e-3, 60, 1 / 20)


@pytest.mark.parametrize("tau_c_frames", [1.5, 6.0, 60.0])
def test_a_low_q_rise_is_found_after_its_onset_and_named(tau_c_frames: float) -> None:
    plan = StreamPlan(tau_c_frames=tau_c_frames, beam=_beam(1), structure=_low_q_rise(0.3))
    assessments = judge(ring_stream(plan, 51))
    alarm = _first(assessments, DamageState.DAMAGING)
    assert alarm.frame > ONSET
    assert _first(assessments, DamageState.CHANGING).frame > ONSET
    assert alarm.family == "structure"
    # The rise at the alarm is far from complete, and the onset lies in the interval that is told.
    assert alarm.effect < 0.2
    assert alarm.onset_frame is not None and alarm.onset_interval is not None
    low, high = alarm.onset_interval
    assert low <= alarm.onset_frame <= high
    assert low - 30 <= ONSET <= high + 30
    # Damage does not heal: the word stays.
    after = assessments[assessments.index(alarm) :]
    assert _states(after) == {DamageState.DAMAGING}


@pytest.mark.parametrize("seed", [51, 52, 53])
def test_faster_dynamics_are_found_and_not_taken_for_lost_contrast(seed: int) -> None:
    plan = StreamPlan(tau_c_frames=6.0, beam=_beam(seed), rate=4.0 ** _ramp(), pixels=1500)
    assessments = judge(ring_stream(plan, seed))
    alarm = _first(assessments, DamageState.DAMAGING)
    assert alarm.frame > ONSET
    assert alarm.family == "dynamics"
    assert alarm.effect > 0
    assert abs(alarm.effects["structure"][0]) < 4 * alarm.effects["structure"][1]


def test_slower_dynamics_have_a_negative_effect() -> None:
    plan = StreamPlan(tau_c_frames=6.0, beam=_beam(3), rate=0.1 ** _ramp(), pixels=1500)
    alarm = _first(judge(ring_stream(plan, 54)), DamageState.DAMAGING)
    assert (alarm.family, alarm.effect < 0) == ("dynamics", True)


def test_a_step_of_all_rings_is_no_damage() -> None:
    step = np.where(np.arange(FRAMES) < 200, 1.0, 0.6)
    for seed in range(6):
        plan = StreamPlan(beam=_beam(seed) * step)
        assert DamageState.DAMAGING not in _states(judge(ring_stream(plan, 60 + seed)))


def test_lost_beam_is_told_set_aside_and_forgotten() -> None:
    beam = _beam(7)
    beam[205:265] = 0.0
    assessments = judge(ring_stream(StreamPlan(beam=beam), 70))
    words = [assessment.state for assessment in assessments]
    changes = [second for first, second in pairwise(words) if first is not second]
    assert changes == [DamageState.STEADY, DamageState.NO_BEAM, DamageState.STEADY]
    dark = [assessment for assessment in assessments if assessment.state is DamageState.NO_BEAM]
    assert [assessment.frame for assessment in dark] == [219, 229, 239, 249, 259]
    assert all(assessment.beam_fraction == 0.0 for assessment in dark)
    assert assessments[-1].windows_set_aside == 5
    assert assessments[-1].windows == FRAMES // 10 - 5


def test_a_beam_about_as_dim_as_the_limit_does_not_flicker() -> None:
    """8 % of the beam is none; 11 % after that is not yet one that is back, 14 % is."""
    beam = np.ones(FRAMES)
    beam[200:210], beam[210:220], beam[220:] = 0.08, 0.11, 0.14
    assessments = judge(ring_stream(StreamPlan(beam=beam, pixels=2000), 71))
    assert [a.frame for a in assessments if a.state is DamageState.NO_BEAM] == [209, 219]


@pytest.mark.parametrize("frames", [10, 30])
def test_a_module_glitch_is_set_aside(frames: int) -> None:
    structure = np.ones((FRAMES, 6))
    structure[200 : 200 + frames, 3:] = 1.5
    for seed in range(4):
        plan = StreamPlan(beam=_beam(seed), structure=structure)
        assessments = judge(ring_stream(plan, 50 + seed))
        assert _states(assessments) <= {DamageState.TOO_EARLY, DamageState.STEADY}
        assert assessments[-1].windows_set_aside == frames // 10


def test_a_lasting_step_of_some_rings_is_accepted_with_the_fourth_window() -> None:
    structure = np.ones((FRAMES, 6))
    structure[200:, 3:] = 1.5
    assessments = judge(ring_stream(StreamPlan(structure=structure), 80))
    # The fourth window after the step ends with frame 239.
    assert _first(assessments, DamageState.DAMAGING).frame == 239
    assert assessments[-1].windows_set_aside == 0


def _fed_in_pieces(stream: RingStream, cuts: list[int]) -> list[Assessment]:
    detector = detector_for(stream)
    dose = np.arange(1.0, len(stream.counts) + 1)
    edges = [0, *sorted(cuts), len(stream.counts)]
    for first, last in pairwise(edges):
        detector.add(stream.counts[first:last], stream.products[first:last], dose[first:last])
    return detector.assessments


_DAMAGED = ring_stream(
    StreamPlan(frames=200, pixels=400, structure=np.linspace(1, [2, 1, 1, 1, 1, 1], 200)), 9
)
_DAMAGED_AT_ONCE = judge(_DAMAGED)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 200), max_size=12))
def test_the_cut_into_calls_does_not_matter(cuts: list[int]) -> None:
    assert _fed_in_pieces(_DAMAGED, cuts) == _DAMAGED_AT_ONCE


def test_each_window_is_assessed_once_and_too_early_comes_first() -> None:
    stream = ring_stream(StreamPlan(frames=205, pixels=300), 10)
    detector = detector_for(stream)
    assessments = judge(stream, detector)
    assert [assessment.frame for assessment in assessments] == list(range(9, 205, 10))
    early = [assessment for assessment in assessments if assessment.state is DamageState.TOO_EARLY]
    assert len(early) == detector.reference_windows - 1 == 9
    assert all(assessment.windows_needed == 10 for assessment in early)


def test_few_photons_are_said_to_be_too_few() -> None:
    plan = StreamPlan(frames=300, pixels=60, photons_per_pixel=1e-3)
    words = Counter(assessment.state for assessment in judge(ring_stream(plan, 11)))
    assert DamageState.TOO_FEW_PHOTONS in words
    assert DamageState.STEADY not in words


def test_without_any_photon_there_is_no_beam() -> None:
    stream = ring_stream(replace(StreamPlan(frames=100, pixels=50), photons_per_pixel=0.0), 12)
    assert _states(judge(stream)) == {DamageState.NO_BEAM}


@pytest.mark.parametrize("expected_frames", [0, 100], ids=["length unknown", "longer than planned"])
def test_a_series_without_end_keeps_a_bounded_memory(expected_frames: int) -> None:
    """Windows of one frame: 1500 frames are six times the most windows that are kept."""
    stream = ring_stream(StreamPlan(frames=1500, rings=3, pixels=300), 13)
    detector = detector_for(stream, expected_frames, window_frames=1)
    assessments = judge(stream, detector)
    assert max(assessment.windows for assessment in assessments) <= 256
    assert all(first.frame < second.frame for first, second in pairwise(assessments))
    # 256 windows of 1 frame, then 128 each of 2, 4 and 8.
    assert assessments[-1].frame - assessments[-2].frame == 8
    assert DamageState.DAMAGING not in _states(assessments)


def test_joined_windows_say_what_windows_of_that_length_say() -> None:
    stream = ring_stream(StreamPlan(frames=400, rings=4), 19)
    joined = judge(stream, detector_for(stream, 0, window_frames=1))
    longer = {
        assessment.frame: assessment for assessment in judge(stream, detector_for(stream, 0, window_frames=2))
    }
    # 256 windows of one frame become 128 of two; from then on both speak about the same windows.
    late = [assessment for assessment in joined if assessment.frame > 255]
    assert len(late) == 72
    for assessment in late:
        other = longer[assessment.frame]
        assert (assessment.state, assessment.label) == (other.state, other.label)
        assert assessment.log10_evidence == pytest.approx(other.log10_evidence)
        for family, effect in assessment.effects.items():
            assert effect == pytest.approx(other.effects[family])


def test_damage_is_still_found_after_the_windows_were_joined() -> None:
    structure = np.ones((900, 4))
    structure[600:, 0] += np.linspace(0, 0.8, 300)
    stream = ring_stream(StreamPlan(frames=900, rings=4, structure=structure), 14)
    assessments = judge(stream, detector_for(stream, 0, window_frames=2))
    alarm = _first(assessments, DamageState.DAMAGING)
    assert 600 < alarm.frame < 899
    assert alarm.family == "structure"


def test_a_long_planned_series_gets_longer_windows_and_a_matching_alarm_level() -> None:
    stream = ring_stream(StreamPlan(frames=20, pixels=20), 15)
    detector = detector_for(stream, 10_000)
    assert detector.planned_windows == 250
    assert detector.reference_windows == 40
    # 10000 frames of 50 ms are 500 s of the 100 h that may bring one false alarm.
    assert detector.alpha == pytest.approx(500 / 360_000)
    assert detector_for(stream, 1_000_000).alpha == 0.05


def test_a_plan_of_more_than_a_day_is_not_believed() -> None:
    """A detector told to count until it is stopped plans billions of frames; windows must not wait for them."""
    stream = ring_stream(StreamPlan(frames=20, pixels=20), 15)
    endless = detector_for(stream, 2**31)
    assert endless.frames_per_window == detector_for(stream, None).frames_per_window == 10


def test_lags_longer_than_a_window_and_a_lag_of_one_window() -> None:
    lags = (1, 5, 16)
    stream = ring_stream(StreamPlan(frames=300, lags=lags), 16)
    for window_frames in (4, 5, 16):
        assessments = judge(stream, detector_for(stream, lags=np.array(lags), window_frames=window_frames))
        assert assessments[-1].state in (DamageState.STEADY, DamageState.TOO_UNCERTAIN)
        assert set(assessments[-1].effects) == {"structure", "dynamics", "contrast"}


@pytest.mark.parametrize("window_frames", [5, 10])
def test_pairs_of_photons_within_a_frame_may_be_the_first_lag(window_frames: int) -> None:
    """Or the only one: then there is no rate to speak of."""
    lags = (0, 1, 2, 4, 8)
    stream = ring_stream(StreamPlan(lags=lags, contrast=0.12 - 0.09 * _ramp()), 18)
    assessments = judge(stream, detector_for(stream, lags=np.array(lags), window_frames=window_frames))
    damaging = _first(assessments, DamageState.DAMAGING)
    assert (damaging.family, damaging.family_told) == ("contrast", True)
    alone = ring_stream(StreamPlan(lags=(0,), contrast=0.12 - 0.09 * _ramp()), 18)
    last = judge(alone, detector_for(alone, lags=np.array([0]), window_frames=window_frames))[-1]
    assert set(last.effects) <= {"structure", "contrast"}


def test_missing_frames_weigh_nothing() -> None:
    """Every seventh frame is lost: rows of zeros, and products with them are zero too."""
    stream = ring_stream(StreamPlan(), 17)
    counts, products = stream.counts.copy(), stream.products.copy()
    lost = np.arange(5, FRAMES, 7)
    counts[lost] = 0
    products[lost] = 0
    for index, lag in enumerate((1, 2, 4, 8, 16)):
        after = lost[lost + lag < FRAMES] + lag
        products[after, :, index] = 0
    assessments = judge(RingStream(counts, products, stream.pixels))
    assert DamageState.DAMAGING not in _states(assessments)
    assert assessments[-1].windows == FRAMES // 10


def test_a_dark_window_between_others_does_not_break_the_sums() -> None:
    detector = detector_for(ring_stream(StreamPlan(frames=10, pixels=10), 18))
    shape = (6, 5)
    frames = np.full(6, 10.0)
    dark = Window(9, 10, 10.0, np.zeros(6), frames, np.zeros(shape), np.zeros(shape))
    assert detector.add_window(dark).state is DamageState.NO_BEAM
    bright = Window(19, 10, 20.0, np.full(6, 500.0), frames, np.full(shape, 25.0), np.full(shape, 25.0))
    assert detector.add_window(bright).state is DamageState.TOO_EARLY
