"""The words of each state: a number, its limit and the unit."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from backend.damage.assessment import Assessment, DamageState
from backend.damage.dose import DoseScale
from backend.damage.verdict import percent, verdict_of
from backend.snapshot import VerdictState

ASSESSMENT = Assessment(
    frame=299,
    dose=15.0,
    state=DamageState.STEADY,
    log10_evidence=0.4,
    log10_alarm=4.0,
    family="structure",
    label="low q against high q",
    effect=math.log(1.083),
    effect_err=0.004,
    effects={"structure": (0.012, 0.004), "dynamics": (-0.05, 0.03), "contrast": (0.0, math.inf)},
    tolerance=math.log1p(0.05),
    onset_frame=None,
    onset_interval=None,
    windows=30,
    windows_needed=10,
    windows_set_aside=0,
    beam_fraction=1.0,
)
CHANGED = {"onset_frame": 154, "onset_interval": (120, 189)}


@pytest.mark.parametrize(
    ("changes", "state", "why"),
    [
        (
            {"state": DamageState.TOO_EARLY, "windows": 4},
            VerdictState.TOO_EARLY,
            "Too early to tell (40 of 100 frames).",
        ),
        (
            {"state": DamageState.TOO_FEW_PHOTONS},
            VerdictState.TOO_EARLY,
            "Too few photons per ring in 10 frames to tell a change from noise.",
        ),
        (
            {"state": DamageState.NO_BEAM, "beam_fraction": 0.0123},
            VerdictState.BAD_DATA,
            "No beam: the detector counts 1.2 % of what it did before.",
        ),
        (
            {"state": DamageState.NO_FRAMES, "beam_fraction": 0.0},
            VerdictState.BAD_DATA,
            "No frames: none of frames 290 to 299 came, or could be used.",
        ),
        (
            {"state": DamageState.NO_BEAM, "beam_fraction": 0.0, "windows": 0},
            VerdictState.BAD_DATA,
            "No beam: the detector counts nothing yet.",
        ),
        (
            {},
            VerdictState.GOOD,
            "Steady over 300 frames: low-q to high-q ratio +1.2 ± 0.4 %.",
        ),
        (
            {"state": DamageState.CHANGING, **CHANGED},
            VerdictState.WATCH,
            "Ratio of low-q to high-q scattering (low q against high q) +8.3 ± 0.4 %, limit 5 %, "
            "since about frame 154 (120 to 189).",
        ),
        (
            {"state": DamageState.CHANGING, **CHANGED, "limit_frame": 400, "limit_interval": (350, 520)},
            VerdictState.WATCH,
            "Ratio of low-q to high-q scattering (low q against high q) +8.3 ± 0.4 %, limit 5 %, "
            "since about frame 154 (120 to 189); at the limit by about frame 400 (350 to 520).",
        ),
        (
            {"state": DamageState.CHANGING, **CHANGED, "limit_frame": 400, "limit_interval": (350, None)},
            VerdictState.WATCH,
            "Ratio of low-q to high-q scattering (low q against high q) +8.3 ± 0.4 %, limit 5 %, "
            "since about frame 154 (120 to 189); at the limit by about frame 400 (350 to later).",
        ),
        (
            {"state": DamageState.DAMAGING, "label": "lowest against highest q", **CHANGED},
            VerdictState.DAMAGING,
            "Ratio of low-q to high-q scattering (line in ln q) +8.3 ± 0.4 %, limit 5 %, "
            "since about frame 154 (120 to 189).",
        ),
        (
            {
                "state": DamageState.DAMAGING,
                "family": "dynamics",
                "label": "relaxation rate",
                "effect": -0.7,
                "effect_err": 0.1,
                "tolerance": math.log1p(0.2),
                **CHANGED,
            },
            VerdictState.DAMAGING,
            "Relaxation rate -50.3 ± 10.5 %, limit 20 %, since about frame 154 (120 to 189).",
        ),
        (
            {
                "state": DamageState.CHANGING,
                "family": "contrast",
                "family_told": False,
                "label": "speckle contrast",
                "effect": -0.3,
                "effect_err": 0.05,
                "tolerance": math.log1p(0.1),
                **CHANGED,
            },
            VerdictState.WATCH,
            "Speckle contrast or relaxation rate, cannot tell which yet: if the former, -25.9 ± 5.1 %, limit 10 %, "
            "since about frame 154 (120 to 189).",
        ),
    ],
)
def test_each_state_has_its_number_limit_and_unit(
    changes: dict[str, object], state: VerdictState, why: str
) -> None:
    verdict = verdict_of(replace(ASSESSMENT, **changes), "silica_00007", 10, DoseScale())
    assert (verdict.state, verdict.why) == (state, why)
    assert verdict.do.endswith(".")
    assert (verdict.series, verdict.frame) == ("silica_00007", 299)
    if state is not VerdictState.TOO_EARLY:
        assert re.search(r"\d", verdict.why) or "nothing" in verdict.why


def test_other_families_are_told_beside_the_leading_one() -> None:
    verdict = verdict_of(ASSESSMENT, "silica_00007", 10, DoseScale())
    # The contrast has no error yet, so it is not a number to tell.
    assert verdict.also == ("Relaxation rate: -4.9 ± 3.0 %",)


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({}, "Steady over 300 frames and 23 kGy: low-q to high-q ratio +1.2 ± 0.4 %."),
        ({"state": DamageState.DAMAGING, **CHANGED}, "since about frame 154 (120 to 189) at 12 kGy."),
        (
            {"state": DamageState.CHANGING, **CHANGED, "limit_frame": 400, "limit_interval": (350, 520)},
            "at 12 kGy; at the limit by about frame 400 (350 to 520) at 30 kGy.",
        ),
    ],
)
def test_frames_are_told_with_their_dose_where_it_is_known(changes: dict[str, object], end: str) -> None:
    # 15 s in 300 frames, 1.51 kGy/s: 22.7 kGy; 155 frames 11.7, 401 frames 30.3 kGy.
    doses = {"taken": 15.0, "onset_taken": 155 / 20, "limit_taken": 401 / 20}
    verdict = verdict_of(replace(ASSESSMENT, **doses, **changes), "silica_00007", 10, DoseScale(1510.0))
    assert verdict.why.endswith(end)


def test_percent_of_an_absurd_ratio_stays_a_number() -> None:
    assert percent(0.0) == 0.0
    assert percent(math.log(2)) == pytest.approx(100.0)
    assert math.isfinite(percent(1e6))
