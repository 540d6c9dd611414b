"""What a spot has taken: dose of this series and of all earlier ones there, and the dose that damaged this sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.damage.dose import DoseScale
from backend.series_record import SeriesRecord
from backend.snapshot import VerdictState


@dataclass(frozen=True, slots=True)
class SpotDose:
    """Dose on the spot of a series in exposure or in gray.

    Attributes
    ----------
    in_gray : bool
        Whether doses are in gray; else in seconds of full beam.
    before : float
        Of all earlier series whose beam overlapped with this one: an upper bound for places at its edge.
    own : float
        Of this series so far.
    earlier_series : int
        Earlier series on this spot.
    without_exposure : int
        Those of them whose exposure is not known; they are not in ``before``.
    onset : float or None
        Smallest dose on the spot at which a series of this sample began to show damage.
    onset_series : str
        Which one.
    """

    in_gray: bool
    before: float
    own: float
    earlier_series: int
    without_exposure: int
    onset: float | None
    onset_series: str

    @property
    def total(self) -> float:
        """Dose on the spot so far."""
        return self.before + self.own


def spot_dose(
    current: SeriesRecord,
    earlier: Sequence[SeriesRecord],
    any_sample: bool = False,
    *,
    with_onset: bool = True,
) -> SpotDose | None:
    """Dose on the spot of ``current``; ``None`` where spot or exposure is not known.

    Parameters
    ----------
    current : SeriesRecord
    earlier : sequence of SeriesRecord
        Series that began before it, in the order in which they began.
    any_sample : bool
        Whether series of other samples on the same place count.
    with_onset : bool
        Whether the onset is looked for, which looks at the spots of all damaged series.
    """
    if current.spot is None or current.exposure_s is None:
        return None
    exposures = _one_per_exposure([record for record in earlier if record.folder != current.folder])
    here = _on_same_spot(current, exposures, any_sample)
    onsets = _onsets([*exposures, current], any_sample) if with_onset else []
    involved = [current, *here, *(record for series in onsets for record in (series.record, *series.before))]
    # In gray only where every series is: doses and exposures do not add up.
    in_gray = all(record.gray_per_s is not None for record in involved if record.exposure_s is not None)
    first = min(onsets, key=lambda onset: onset.dose(in_gray), default=None)
    return SpotDose(
        in_gray=in_gray,
        before=sum(_dose(record, record.exposure_s, in_gray) for record in here),
        own=_dose(current, current.exposure_s, in_gray),
        earlier_series=len(here),
        without_exposure=sum(record.exposure_s is None for record in here),
        onset=None if first is None else first.dose(in_gray),
        onset_series="" if first is None else first.record.series,
    )


@dataclass(frozen=True, slots=True)
class _Onset:
    """A damaged series and those before it on its spot."""

    record: SeriesRecord
    before: list[SeriesRecord]

    def dose(self, in_gray: bool) -> float:
        before = sum(_dose(record, record.exposure_s, in_gray) for record in self.before)
        return before + _dose(self.record, self.record.onset_exposure_s, in_gray)


def _onsets(exposures: list[SeriesRecord], any_sample: bool) -> list[_Onset]:
    """Damaged series of the sample of the last record, with what each spot had taken before."""
    sample = exposures[-1].sample
    return [
        _Onset(record, _on_same_spot(record, exposures[:place], any_sample))
        for place, record in enumerate(exposures)
        if record.sample == sample
        and record.verdict is VerdictState.DAMAGING
        and record.onset_exposure_s is not None
        and record.spot is not None
    ]


def _on_same_spot(
    record: SeriesRecord, exposures: Sequence[SeriesRecord], any_sample: bool
) -> list[SeriesRecord]:
    spot = record.spot
    return [
        other
        for other in exposures
        if spot is not None
        and other.spot is not None
        and spot.overlaps(other.spot)
        and (any_sample or other.sample == record.sample)
    ]


def _one_per_exposure(records: Sequence[SeriesRecord]) -> list[SeriesRecord]:
    """Detectors that looked at the same exposure count once, by the one that saw most of it, or its damage."""
    kept: dict[str, SeriesRecord] = {}
    for record in records:
        known = kept.get(record.folder)
        if known is None or _telling(record) > _telling(known):
            kept[record.folder] = record
    return list(kept.values())


def _telling(record: SeriesRecord) -> tuple[bool, float]:
    return record.onset_exposure_s is not None, record.exposure_s or 0.0


def _dose(record: SeriesRecord, exposure_s: float | None, in_gray: bool) -> float:
    if exposure_s is None:
        return 0.0
    return exposure_s * record.gray_per_s if in_gray and record.gray_per_s is not None else exposure_s


def spot_words(dose: SpotDose) -> str:
    """The meter in words, as in "12 kGy on this spot, 8 kGy of it from 3 earlier series"."""
    words = f"{amount_words(dose.total, dose.in_gray)} on this spot"
    if dose.earlier_series:
        number = "1 earlier series" if dose.earlier_series == 1 else f"{dose.earlier_series} earlier series"
        words += f", {amount_words(dose.before, dose.in_gray)} of it from {number}"
    else:
        words += ", a fresh one"
    if dose.without_exposure:
        words += f" ({dose.without_exposure} of unknown exposure not counted)"
    if dose.onset is not None:
        words += f"; onset seen at {amount_words(dose.onset, dose.in_gray)} in {dose.onset_series}"
    return words + "."


def amount_words(amount: float, in_gray: bool) -> str:
    """A dose in gray with a prefix, or an exposure in seconds of full beam; two digits."""
    scale = DoseScale(gray_per_s=1.0) if in_gray else DoseScale()
    shown, unit = scale.shown(np.array([amount]))
    digits = float(f"{shown[0]:.2g}") if math.isfinite(shown[0]) else math.inf
    return f"{digits:g} {unit}"
