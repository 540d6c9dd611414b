"""Each scenario of the simulator, as sums over rings: damage is found after its true frame, the rest is never damage.

What a faulty detector does needs sectors and pixels: ``test_damage_scenario_rates.py`` and the system tests have those.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from ring_streams import RingStream, StreamPlan, judge, ring_stream

from backend.damage.assessment import Assessment, DamageState
from backend.simulation.scenario import SCENARIOS, Scenario

FRAMES, RINGS = 400, 6
# A new pattern from one frame to the next.
_AT_ONCE = 50.0
_TAU_C_FRAMES = 8.0
DAMAGING = [name for name, scenario in SCENARIOS.items() if scenario.damaging]
HARMLESS = [
    name
    for name, scenario in SCENARIOS.items()
    if not scenario.damaging and scenario.glitch is None and scenario.flash is None
]
FAMILIES = {
    "aggregation": "structure",
    "early-aggregation": "structure",
    "acceleration": "dynamics",
    "gelation": "dynamics",
}


def scenario_stream(scenario: Scenario, seed: int) -> RingStream:
    """The laws of a scenario as ring sums."""
    frames = range(FRAMES)
    q_inv_nm = 0.02 * 1.3 ** np.arange(RINGS)
    # The rate goes with q squared; what the motion of the sample adds does not.
    relative = np.geomspace(0.5, 2.0, RINGS)
    moved_on = scenario.renewal_per_frame(FRAMES) * _TAU_C_FRAMES / relative
    rate = np.array([scenario.gamma_factor(frame, FRAMES) + moved_on for frame in frames])
    rate[[scenario.decorrelates(frame, FRAMES) for frame in frames]] = _AT_ONCE * _TAU_C_FRAMES
    return ring_stream(
        StreamPlan(
            frames=FRAMES,
            pixels=1500,
            photons_per_pixel=0.4,
            tau_c_frames=_TAU_C_FRAMES,
            beam=np.array([scenario.flux_factor(frame, FRAMES) for frame in frames]),
            structure=np.array([scenario.form_factor_change(q_inv_nm, frame, FRAMES) for frame in frames]),
            rate=rate,
        ),
        seed,
    )


@cache
def _judged(name: str, seed: int) -> tuple[Assessment, ...]:
    return tuple(judge(scenario_stream(SCENARIOS[name], seed)))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", DAMAGING)
def test_damage_is_called_after_its_true_frame_and_by_its_name(name: str, seed: int) -> None:
    said = _judged(name, seed)
    onset = SCENARIOS[name].onset_frame(FRAMES)
    alarm = next(a for a in said if a.state is DamageState.DAMAGING)
    assert onset is not None
    assert not [a for a in said if a.frame < onset and a.state is DamageState.CHANGING]
    assert onset < alarm.frame < onset + 0.7 * (FRAMES - onset)
    assert alarm.family == FAMILIES[name]
    assert said[-1].state is DamageState.DAMAGING


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", HARMLESS)
def test_what_harms_nothing_is_never_called_damage(name: str, seed: int) -> None:
    said = _judged(name, seed)
    assert DamageState.DAMAGING not in {a.state for a in said}
    assert said[-1].state is DamageState.STEADY


def test_dark_frames_are_called_so_and_nothing_else_is() -> None:
    for name in HARMLESS:
        scenario = SCENARIOS[name]
        for a in _judged(name, 1):
            frames = range(a.frame - 9, a.frame + 1)
            dark = all(scenario.flux_factor(frame, FRAMES) < 0.1 for frame in frames)
            assert (a.state is DamageState.NO_BEAM) == dark, (name, a.frame)


def test_only_the_window_in_which_a_bubble_comes_is_set_aside() -> None:
    assert _judged("bubble", 1)[-1].windows_set_aside <= 3
    assert _judged("stable", 1)[-1].windows_set_aside == 0


@pytest.mark.parametrize("name", ["stable", "absorber", "beam-loss", "late-shutter", "top-up", "aggregation"])
def test_the_dose_that_is_told_is_what_the_sample_has_taken(name: str) -> None:
    taken = sum(SCENARIOS[name].flux_factor(frame, FRAMES) for frame in range(FRAMES))
    assert _judged(name, 1)[-1].taken == pytest.approx(taken, rel=0.03)
