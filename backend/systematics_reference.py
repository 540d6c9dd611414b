"""Reference series from files: slow systematics of I(q) in them, and whether their sample really was steady."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.acquisition.recorded_series import RecordedSeries
from backend.damage.assessment import DamageState
from backend.damage.damage_detector import DamageDetector
from backend.damage.systematics import ReferenceSeries, Systematics, measure_systematics
from backend.errors import SeriesError
from backend.frames import FrameBatch, SeriesEnded, SeriesStarted, SourceNotice
from backend.series_accumulators import DAMAGE_LAGS
from backend.series_analysis import SeriesAnalysis
from backend.settings import DamageSettings, Settings

_UNSTEADY = (DamageState.CHANGING, DamageState.DAMAGING)


@dataclass(frozen=True, slots=True)
class MeasuredSystematics:
    """What reference series say.

    Attributes
    ----------
    found : Systematics
    series : tuple of str
        Names of the series, and ``exposure_s`` of all together.
    unsteady : tuple of str
        Series in which more changes than these systematics.
    """

    found: Systematics
    series: tuple[str, ...]
    exposure_s: float
    unsteady: tuple[str, ...]

    @property
    def problem(self) -> str:
        """Why the numbers must not be used; empty when they may."""
        if self.unsteady:
            return (
                f"More than slow systematics changes in {', '.join(self.unsteady)}: the sample is not steady. Measure "
                "a static sample, or water."
            )
        if self.found.too_slow:
            low, high = self.found.time_bounds_s
            return (
                f"I(q) drifts nearly as slowly as the series is long ({low:.3g} to {high:.3g} s): it is too short to "
                "measure this, or the sample changes. Measure five times as long."
            )
        return ""

    def changes(self, settings: DamageSettings) -> dict[str, float]:
        """Settings of section [damage] that follow; none where the series know less than the present settings."""
        found = self.found
        if self.problem:
            return {}
        if found.seen:
            return {
                "systematic_rms_percent": _two_digits(found.rms_percent),
                "systematic_time_s": _two_digits(found.time_s),
            }
        largest = _two_digits(found.largest_percent)
        return {"systematic_rms_percent": largest} if largest < settings.systematic_rms_percent else {}


def measure_on(
    paths: list[Path], settings: Settings, notice: Callable[[SourceNotice], None]
) -> MeasuredSystematics:
    """Systematics of all series in ``paths`` together.

    Parameters
    ----------
    paths : list of Path
        Master files, series folders, or folders with many series.
    notice : callable
        Is told what is odd with the files.

    Raises
    ------
    SeriesError
        There is no series, or one cannot be used; says why.
    """
    references = _references(RecordedSeries(paths, settings), settings, notice)
    if not references:
        raise SeriesError("No series could be read.")
    found = measure_systematics(references)
    return MeasuredSystematics(
        found,
        tuple(one.name for one in references),
        sum(one.duration_s for one in references),
        tuple(one.name for one in references if _is_unsteady(one, found, settings.damage)),
    )


def _references(
    source: RecordedSeries, settings: Settings, notice: Callable[[SourceNotice], None]
) -> list[ReferenceSeries]:
    references = []
    analysis: SeriesAnalysis | None = None
    while not source.finished:
        for event in source.poll():
            if isinstance(event, SourceNotice):
                notice(event)
            elif isinstance(event, SeriesStarted):
                analysis = SeriesAnalysis(event.info, settings)
            elif analysis is not None and isinstance(event, FrameBatch):
                analysis.add(event)
            elif analysis is not None and isinstance(event, SeriesEnded):
                analysis.finish()
                references.append(_reference(analysis))
    return references


def _reference(analysis: SeriesAnalysis) -> ReferenceSeries:
    info = analysis.info
    if analysis.plan is None or analysis.rings is None or not analysis.rings.damage.windows:
        raise SeriesError(f"{info.name} has no frames in q rings.")
    if info.frame_time_s is None:
        raise SeriesError(f"{info.name}: the frame time is not known.")
    partition = analysis.rings.partition
    return ReferenceSeries(
        info.name,
        info.frame_time_s,
        analysis.rings.damage.windows,
        partition.q_inv_nm,
        partition.ring_pixels / analysis.plan.speckle_area_px,
        np.array(DAMAGE_LAGS),
    )


def _is_unsteady(series: ReferenceSeries, found: Systematics, settings: DamageSettings) -> bool:
    """Whether the verdict, told of these systematics, still says that something changes at the end of the series."""
    frames = series.windows[0].frames
    told = {
        "window_frames": min(frames, 1000),
        "systematic_rms_percent": min(found.rms_percent if found.seen else found.largest_percent, 20.0),
        "systematic_time_s": found.time_s,
    }
    rings = np.ones_like(series.q_inv_nm)
    detector = DamageDetector(
        settings.model_copy(update=told),
        series.q_inv_nm,
        rings,
        series.speckles,
        series.lags,
        series.frame_time_s,
        len(series.windows) * frames,
    )
    states = [detector.add_window(window).state for window in series.windows]
    return states[-1] in _UNSTEADY


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")
