"""All series of a sample side by side: rate and structure against dose rate and dose, and what goes with the rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from backend.damage.rate_dependence import RateDependence, lacking, rate_dependence
from backend.damage.spot_dose import SpotDose, spot_dose
from backend.series_record import SeriesRecord
from backend.snapshot import VerdictState

RateKind = Literal["gray", "transmission", "counts"]

# Of these nothing is known to have changed while they were measured.
_WITHOUT_CHANGE = (VerdictState.GOOD, VerdictState.TOO_EARLY)
_POINTS_PER_HALF = 8
_NARROWEST_Q_RATIO = 2.0
# A tenth of the dose rate changes the relaxation rate by a fifth, the low-q to high-q ratio by a twentieth.
_LEAST_POWER_OF_MOTION = 0.1
_LEAST_POWER_OF_STRUCTURE = 0.02


@dataclass(frozen=True, slots=True)
class ComparedSeries:
    """One series; ``log_rate`` and ``log_structure`` are ln of the relaxation rate (1/s) and of the low-q to high-q
    ratio with their one-sigma errors, ``dose_rate`` is in the unit of the comparison, ``is_used`` says whether the
    tests use it.
    """

    record: SeriesRecord
    dose: SpotDose | None
    dose_rate: float | None
    log_rate: tuple[float, float] | None
    log_structure: tuple[float, float] | None
    is_used: bool


@dataclass(frozen=True, slots=True)
class AcrossSeries:
    """Series of one sample on one detector, oldest first.

    Attributes
    ----------
    dose_rate_kind : str
        "gray" (Gy/s), "transmission" (share of the full beam), or "counts" (photons per second and pixel on the
        detector, where the files state no transmission).
    q_inv_nm : float or None
        Where the relaxation rates are compared.
    motion, structure : RateDependence or None
        Power of the dose rate that relaxation rate and low-q to high-q ratio go with; ``None`` where too little is
        known, ``missing`` says what for the motion.
    damaged : int
        Series that show damage.
    """

    series: tuple[ComparedSeries, ...]
    dose_rate_kind: RateKind
    q_inv_nm: float | None
    motion: RateDependence | None
    structure: RateDependence | None
    missing: str
    damaged: int

    @property
    def is_beam_driven(self) -> bool:
        """Whether the motion gets faster with the dose rate while nothing is damaged and the structure stays."""
        return (
            self.motion is not None
            and self.motion.is_shown
            and self.motion.power > 0
            and not self.damaged
            and not (self.structure is not None and self.structure.is_shown)
        )


def across_series(
    records: Sequence[SeriesRecord], sample: str, detector: str, any_sample: bool = False
) -> AcrossSeries:
    """Compare the series of a sample.

    Parameters
    ----------
    records : sequence of SeriesRecord
        All series of the beamtime, in the order in which they began.
    sample, detector : str
        Which are compared: rings of different detectors lie at different q.
    any_sample : bool
        Whether doses of other samples on the same spot count.
    """
    chosen = [record for record in records if (record.sample, record.detector) == (sample, detector)]
    unchanged = [record for record in chosen if record.verdict in _WITHOUT_CHANGE]
    steady = [record for record in unchanged if record.rate is not None]
    kind = _dose_rate_kind(steady)
    # Where all have changed they are at least shown.
    q_inv_nm = _middle_q(steady or chosen)
    q_range = _common_q_range(unchanged or chosen)
    compared = tuple(
        ComparedSeries(
            record=record,
            dose=spot_dose(record, _before(record, records), any_sample, with_onset=False),
            dose_rate=_dose_rate(record, kind),
            log_rate=None if record.rate is None or q_inv_nm is None else record.rate.log_rate_at(q_inv_nm),
            log_structure=_log_structure(record, q_range),
            is_used=any(record is one for one in steady),
        )
        for record in chosen
    )
    used = [series for series in compared if series.is_used and series.dose_rate]
    return AcrossSeries(
        series=compared,
        dose_rate_kind=kind,
        q_inv_nm=q_inv_nm,
        motion=_dependence([(one.dose_rate, one.log_rate) for one in used], _LEAST_POWER_OF_MOTION),
        structure=_dependence(
            [(one.dose_rate, one.log_structure) for one in used], _LEAST_POWER_OF_STRUCTURE
        ),
        missing=lacking(np.array([series.dose_rate for series in used], float)),
        damaged=sum(record.verdict is VerdictState.DAMAGING for record in chosen),
    )


def _before(record: SeriesRecord, records: Sequence[SeriesRecord]) -> list[SeriesRecord]:
    place = next(place for place, other in enumerate(records) if other is record)
    return list(records[:place])


def _dose_rate_kind(records: Sequence[SeriesRecord]) -> RateKind:
    if any(record.transmission is None for record in records):
        return "counts"
    return "gray" if records and all(record.gray_per_s is not None for record in records) else "transmission"


def _dose_rate(record: SeriesRecord, kind: RateKind) -> float | None:
    if kind == "counts":
        return record.counts_per_s
    if kind == "transmission":
        return record.transmission
    return None if record.gray_per_s is None else record.gray_per_s * record.exposure_rate


def _middle_q(records: Sequence[SeriesRecord]) -> float | None:
    q = [record.rate.q_inv_nm for record in records if record.rate is not None]
    return float(np.exp(np.mean(np.log(q)))) if q else None


def _common_q_range(records: Sequence[SeriesRecord]) -> tuple[float, float] | None:
    """Range of q that all these series have; ``None`` where it is too narrow to have a low and a high half."""
    ranges = [
        (record.intensities.q_inv_nm[0], record.intensities.q_inv_nm[-1])
        for record in records
        if record.intensities is not None
    ]
    if not ranges:
        return None
    low, high = max(low for low, _ in ranges), min(high for _, high in ranges)
    return (float(low), float(high)) if high >= _NARROWEST_Q_RATIO * low else None


def _log_structure(record: SeriesRecord, q_range: tuple[float, float] | None) -> tuple[float, float] | None:
    """ln of the mean scattering in the lower half of ``q_range`` over that in the upper half (halves in ln q).

    Rings of different series lie at slightly different q: ln I is interpolated in ln q, on points common to all.
    """
    intensities = record.intensities
    if intensities is None or q_range is None:
        return None
    log_q = np.log(intensities.q_inv_nm)
    if np.log(q_range[0]) < log_q[0] - 1e-9 or np.log(q_range[1]) > log_q[-1] + 1e-9:
        return None
    points = np.linspace(np.log(q_range[0]), np.log(q_range[1]), 2 * _POINTS_PER_HALF)
    # The ratio is linear in ln I of the rings: what each ring adds to it is also how its error counts.
    each_ring = np.eye(len(log_q))
    at_points = np.stack([np.interp(points, log_q, ring) for ring in each_ring])
    weights = at_points[:, :_POINTS_PER_HALF].mean(axis=1) - at_points[:, _POINTS_PER_HALF:].mean(axis=1)
    error = np.linalg.norm(weights * np.array(intensities.log_intensity_err))
    return float(weights @ np.array(intensities.log_intensity)), float(error)


def _dependence(
    points: Sequence[tuple[float | None, tuple[float, float] | None]], least_power: float
) -> RateDependence | None:
    known = [(rate, *value) for rate, value in points if rate is not None and value is not None]
    rate, value, error = np.array(known, float).reshape(-1, 3).T
    return rate_dependence(rate, value, error, least_power)


def motion_words(compared: AcrossSeries) -> str:
    """What the series of the sample say together, in sentences."""
    motion = compared.motion
    if motion is None:
        return f"Whether the motion goes with the dose rate cannot be told yet: {compared.missing}."
    power = (
        f"relaxation rate ~ dose rate^({motion.power:.2f} ± {motion.power_err:.2f}), {motion.series} series"
    )
    if not motion.is_shown and motion.is_excluded:
        return f"The motion does not go with the dose rate ({power})."
    if not motion.is_shown:
        return (
            f"It is not certain yet whether the motion goes with the dose rate ({power}): more series at other dose "
            "rates will tell."
        )
    if motion.power < 0:
        return f"The motion gets slower with the dose rate ({power}): look for damage in the first frames."
    if compared.is_beam_driven:
        return f"The motion goes with the dose rate: beam-driven, not damage ({power})."
    if compared.damaged:
        others = "1 series shows" if compared.damaged == 1 else f"{compared.damaged} series show"
        return f"The motion goes with the dose rate ({power}), but {others} damage: the two mix here."
    return (
        f"Motion and structure both go with the dose rate ({power}): this is more than beam-driven motion; damage may "
        "be there in the first frames already."
    )
