"""Records of series as the ledger keeps them, for tests that need no frames."""

from __future__ import annotations

from dataclasses import replace

from backend.series_record import RelaxationRate, RingIntensities, SeriesRecord, Spot
from backend.snapshot import VerdictState

RECORD = SeriesRecord(
    series="gel_00001",
    detector="e4m",
    folder="gel_00001",
    sample="gel",
    started_at=1000.0,
    frames=100,
    spot=Spot(0.0, 0.0, 30.0, 20.0),
    spot_unknown="",
    exposure_s=10.0,
    onset_exposure_s=None,
    gray_per_s=100.0,
    transmission=1.0,
    counts_per_s=2.0,
    verdict=VerdictState.GOOD,
    rate=RelaxationRate(0.05, 2.0, 0.03, 2.0, 0.1),
    intensities=RingIntensities((0.02, 0.04, 0.08), (0.0, -1.0, -2.0), (0.01, 0.01, 0.01)),
    settings_sha256="ab" * 32,
)


def record(number: int, **changes: object) -> SeriesRecord:
    """The record of series ``number`` of the sample, begun ``number`` seconds after the first."""
    name = f"{changes.get('sample', 'gel')}_{number:05d}"
    given = {"series": name, "folder": name, "started_at": 1000.0 + number} | changes
    return replace(RECORD, **given)  # type: ignore[arg-type]
