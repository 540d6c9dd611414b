"""From the records of the series to the parts of a snapshot about the spot and the sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from backend.damage.across_series import ComparedSeries, across_series, motion_words
from backend.damage.assessment import Assessment
from backend.damage.rate_dependence import RateDependence
from backend.damage.spot_dose import SpotDose, amount_words, spot_dose, spot_words
from backend.series_numbers import record_of
from backend.series_record import SeriesRecord
from backend.series_run import SeriesRun
from backend.snapshot import Verdict, VerdictState
from backend.snapshot_across import PowerOfDoseRate, SamplePart, SampleSeries, SpotPart

_MOST_SERIES = 100
# The panel is small; the power with its error stands in the table of the sample.
_BEAM_DRIVEN = "The motion goes with the dose rate: beam-driven, not damage."
_DOSE_RATE_UNITS = {"gray": "Gy/s", "transmission": "of full beam", "counts": "ph/px/s"}


def spot_part(run: SeriesRun, earlier: Sequence[SeriesRecord] | None) -> SpotPart:
    """Dose on the spot of the series so far.

    Parameters
    ----------
    run : SeriesRun
    earlier : sequence of SeriesRecord or None
        Series that began before it, oldest first; ``None`` while there is no ledger.
    """
    record = record_of(run, dose_only=True)
    why = record.spot_unknown
    if not why and record.exposure_s is None:
        why = "no file states the frame time"
    if not why and earlier is None:
        why = "there is no ledger of earlier series"
    dose = spot_dose(record, earlier or (), run.analysis.settings.dose.spots_of_any_sample)
    if why or dose is None or record.spot is None:
        return SpotPart(words=f"The dose on this spot is not known: {why}.")
    newest = None if run.analysis.rings is None else run.analysis.rings.damage.result()
    left, left_words = _frames_left(record, dose, newest)
    return SpotPart(
        words=spot_words(dose) + left_words,
        position_um=(record.spot.horizontal_um, record.spot.vertical_um),
        beam_um=(record.spot.beam_width_um, record.spot.beam_height_um),
        dose=dose.total,
        dose_before=dose.before,
        dose_unit=_dose_unit(dose),
        earlier_series=dose.earlier_series,
        onset_dose=dose.onset,
        onset_series=dose.onset_series,
        frames_left=left,
    )


def _frames_left(record: SeriesRecord, dose: SpotDose, newest: Assessment | None) -> tuple[int | None, str]:
    """Frames until the change reaches its limit, else until the dose is that of the smallest onset; in words too."""
    if newest is not None and newest.limit_frame is not None:
        left = max(newest.limit_frame - newest.frame, 0)
        return left, f" About {left} frames left until the change is at its limit."
    if dose.onset is None or not dose.own or dose.onset_series == record.series:
        return None, ""
    if dose.total >= dose.onset:
        return 0, " The dose of that onset is reached: move to a fresh spot."
    left = math.floor((dose.onset - dose.total) / (dose.own / record.frames))
    return left, f" About {left} frames left to that dose."


def _dose_unit(dose: SpotDose) -> str:
    return "Gy" if dose.in_gray else "s of full beam"


def sample_part(records: Sequence[SeriesRecord], sample: str, detector: str, any_sample: bool) -> SamplePart:
    """All series of a sample on one detector; ``records`` as for :func:`across_series`."""
    compared = across_series(records, sample, detector, any_sample)
    return SamplePart(
        sample=sample,
        detector=detector,
        words=motion_words(compared),
        beam_driven=compared.is_beam_driven,
        dose_rate_unit=_DOSE_RATE_UNITS[compared.dose_rate_kind],
        q_inv_nm=compared.q_inv_nm,
        series=tuple(_row(series) for series in compared.series[: -_MOST_SERIES - 1 : -1]),
        motion=_power(compared.motion),
        structure=_power(compared.structure),
    )


def with_motion(verdict: Verdict, sample: SamplePart | None) -> Verdict:
    """The verdict on a series, with what all series of its sample say about the motion where the beam drives it.

    What is stored of a series stays as its own frames have it.
    """
    if sample is None or not sample.beam_driven:
        return verdict
    if verdict.state is VerdictState.GOOD:
        return msgspec.structs.replace(
            verdict,
            why=f"{_BEAM_DRIVEN} {verdict.why}",
            do="Compare at lower flux.",
        )
    if verdict.state in (VerdictState.TOO_EARLY, VerdictState.WATCH):
        return msgspec.structs.replace(verdict, also=(_BEAM_DRIVEN, *verdict.also))
    return verdict


def _row(series: ComparedSeries) -> SampleSeries:
    log_rate, log_rate_err = series.log_rate or (None, math.nan)
    log_structure, log_structure_err = series.log_structure or (None, math.nan)
    dose = series.dose
    return SampleSeries(
        series=series.record.series,
        verdict=str(series.record.verdict),
        dose_rate=series.dose_rate,
        dose_words="" if dose is None else amount_words(dose.total, dose.in_gray),
        relaxation_rate_per_s=None if log_rate is None else math.exp(log_rate),
        relaxation_rate_err=log_rate_err,
        low_to_high_q=None if log_structure is None else math.exp(log_structure),
        low_to_high_q_err=log_structure_err,
        is_used=series.is_used,
    )


def _power(found: RateDependence | None) -> PowerOfDoseRate | None:
    if found is None:
        return None
    return PowerOfDoseRate(
        power=found.power,
        power_err=found.power_err,
        scatter=found.scatter,
        chance=found.chance,
        limit=found.limit,
        series=found.series,
    )
