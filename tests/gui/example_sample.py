"""A sample whose motion the beam drives, and the spot of its newest series, for pictures and tests of the window."""

from __future__ import annotations

import math

import msgspec

from backend.snapshot import Snapshot
from backend.snapshot_across import PowerOfDoseRate, SamplePart, SampleSeries, SpotPart

SPOT = SpotPart(
    words="12 kGy on this spot, 8 kGy of it from 3 earlier series; onset seen at 15 kGy in latex_00038. "
    "About 240 frames left to that dose.",
    position_um=(1250.0, -340.0),
    beam_um=(30.0, 30.0),
    dose=12e3,
    dose_before=8e3,
    dose_unit="Gy",
    earlier_series=3,
    onset_dose=15e3,
    onset_series="latex_00038",
    frames_left=240,
)
UNKNOWN_SPOT = SpotPart(
    words="The dose on this spot is not known: the files of the series state no samx and no samz."
)
_POWER = PowerOfDoseRate(power=0.97, power_err=0.03, scatter=0.02, chance=2e-5, limit=8e-4, series=5)
SAMPLE = SamplePart(
    sample="latex",
    detector="e500",
    words="The motion goes with the dose rate: beam-driven, not damage (relaxation rate ~ dose rate^(0.97 ± 0.03), "
    "5 series).",
    beam_driven=True,
    dose_rate_unit="Gy/s",
    q_inv_nm=0.036,
    series=tuple(
        SampleSeries(
            series=f"latex_{42 - place:05d}",
            verdict=verdict,
            dose_rate=rate,
            dose_words=dose,
            relaxation_rate_per_s=None if gamma is None else gamma,
            relaxation_rate_err=math.nan if gamma is None else 0.02 + 0.01 * place,
            low_to_high_q=ratio,
            low_to_high_q_err=math.nan if ratio is None else 0.012,
            is_used=gamma is not None,
        )
        for place, (verdict, rate, dose, gamma, ratio) in enumerate(
            (
                ("TOO EARLY", 127.0, "12 kGy", None, None),
                ("GOOD", 38.2, "8 kGy", 0.383, 1.091),
                ("GOOD", 12.7, "5.5 kGy", 0.128, 1.083),
                ("GOOD", 127.0, "5.2 kGy", 1.252, 1.102),
                ("GOOD", 38.2, "", 0.391, 1.089),
                ("GOOD", 12.7, "250 Gy", 0.131, 1.094),
            )
        )
    ),
    motion=_POWER,
    structure=msgspec.structs.replace(_POWER, power=0.004, power_err=0.006, chance=0.5),
)


def with_sample(snapshot: Snapshot) -> Snapshot:
    """The same with its spot and all series of its sample."""
    return msgspec.structs.replace(snapshot, spot=SPOT, sample=SAMPLE)
