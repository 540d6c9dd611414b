"""One simulated series through the damage detector and its rivals: when each raised the alarm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.damage.assessment import Assessment, DamageState
from backend.damage.damage_detector import DamageDetector
from backend.series_accumulators import DAMAGE_LAGS
from backend.settings import DamageSettings
from benchmarks.damage_cells import FIRST_AGE_FRAMES, SYSTEMATIC_FRAMES, Cell
from benchmarks.damage_rivals import RIVALS
from benchmarks.damage_series import EXPOSURE, FRAME_TIME_S, RingSeries, simulate

ALPHA = 0.01
LEVELS = (ALPHA, 0.1, 0.001)
_SECONDS_PER_100_H = 360_000.0


@dataclass(frozen=True, slots=True)
class Watch:
    """How the program watches: ``lags`` of the products and frames of a window; as installed unless told otherwise."""

    lags: tuple[int, ...] = DAMAGE_LAGS
    window_frames: int = DamageSettings().window_frames


@dataclass(frozen=True, slots=True)
class Alarm:
    """What the detector said when the evidence reached a level; ``told``: whether it was sure of the family."""

    frame: int
    family: str
    told: bool
    onset_interval: tuple[int, int] | None
    limit_interval: tuple[int, int | None] | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One series.

    Attributes
    ----------
    alarms : tuple of Alarm or None
        At each of ``LEVELS``.
    damaging_frame : int or None
        First frame of the verdict "damaging": evidence at 1 %, and the change surely beyond the tolerance.
    last_onset : tuple or None
        90 % interval of the onset at the end of the series.
    first_told : Alarm or None
        The first with evidence at 1 % and a sure family.
    last_family, last_told : str, bool
        Leading family at the end of the series, and whether it is sure.
    paths : tuple of ndarray, shape (window,)
        Statistic of each rival, increasing: its largest value so far.
    """

    cell: Cell
    alarms: tuple[Alarm | None, ...]
    damaging_frame: int | None
    last_onset: tuple[int, int] | None
    first_told: Alarm | None
    last_family: str
    last_told: bool
    paths: tuple[np.ndarray, ...]


def judge(series: RingSeries, watch: Watch, cell: Cell) -> list[Assessment]:
    """All assessments by the detector of the program, told to cry wolf in ``ALPHA`` of the series.

    The dose is the exposure. Slow drift of the shape of I(q) is allowed for where it is simulated, and so is ageing.
    """
    frames = len(series.counts)
    settings = DamageSettings(
        window_frames=watch.window_frames,
        systematic_rms_percent=cell.systematic_rms_percent,
        systematic_time_s=SYSTEMATIC_FRAMES * FRAME_TIME_S,
        false_alarms_per_100_h=ALPHA * _SECONDS_PER_100_H / (frames * FRAME_TIME_S),
        ageing_exponent=cell.ageing_exponent,
        ageing_start_s=FIRST_AGE_FRAMES * FRAME_TIME_S,
    )
    speckles = series.sector_pixels.sum(axis=1).astype(float)
    detector = DamageDetector(
        settings, series.plan.q_inv_nm, series.sector_pixels, speckles, series.lags, FRAME_TIME_S, frames,
        exposure=EXPOSURE,
    )  # fmt: skip
    dose_s = FRAME_TIME_S * np.arange(1, frames + 1)
    return detector.add(series.sector_counts, series.sector_products, dose_s)


def run(cell: Cell, seed: int, watch: Watch) -> Outcome:
    """Simulate and judge one series."""
    series = simulate(cell.plan(seed), np.array(watch.lags), seed)
    paths = tuple(np.maximum.accumulate(rival.statistic(series)) for rival in RIVALS)
    return outcome_of(cell, judge(series, watch, cell), paths)


def outcome_of(cell: Cell, said: list[Assessment], paths: tuple[np.ndarray, ...]) -> Outcome:
    """What is kept of all that was said about a series."""
    return Outcome(
        cell,
        tuple(_first_alarm(said, level) for level in LEVELS),
        next((a.frame for a in said if a.state is DamageState.DAMAGING), None),
        said[-1].onset_interval,
        _first_alarm([a for a in said if a.family_told], ALPHA),
        said[-1].family,
        said[-1].family_told,
        paths,
    )


def _first_alarm(said: list[Assessment], level: float) -> Alarm | None:
    for a in said:
        if a.log10_evidence >= -np.log10(level):
            return Alarm(a.frame, a.family, a.family_told, a.onset_interval, a.limit_interval)
    return None
