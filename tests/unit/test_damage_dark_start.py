"""A shutter that opens late must not make the detector blind: dark windows are no part of the planned dose."""

from __future__ import annotations

import numpy as np
import pytest
from ring_streams import StreamPlan, judge, ring_stream

from backend.damage.assessment import DamageState

LIT_FRAMES = 400
ONSET = 200


def _alarm_after_opening(dark_frames: int) -> int | None:
    frames = dark_frames + LIT_FRAMES
    beam = np.ones(frames)
    beam[:dark_frames] = 0.0
    ramp = np.clip((np.arange(frames) - dark_frames - ONSET) / (LIT_FRAMES - ONSET), 0, 1)
    structure = np.ones((frames, 6))
    structure[:, :2] += 0.12 * ramp[:, None]
    plan = StreamPlan(frames=frames, beam=beam, structure=structure, photons_per_pixel=0.4)
    said = judge(ring_stream(plan, seed=3))
    assert all(a.state is DamageState.NO_BEAM for a in said if a.frame < dark_frames)
    return next((a.frame - dark_frames for a in said if a.state is DamageState.DAMAGING), None)


@pytest.mark.parametrize("dark_frames", [200, 600])
def test_the_alarm_comes_as_early_as_with_a_shutter_open_from_the_start(dark_frames: int) -> None:
    usual = _alarm_after_opening(0)
    late = _alarm_after_opening(dark_frames)
    assert usual is not None and late is not None
    assert ONSET < late <= usual + 40
