"""How often an undamaged series like a measured one is called damaged: simulated, and counted with exact bounds."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from backend.damage.assessment import DamageState
from backend.damage.damage_detector import DamageDetector
from backend.errors import SeriesError
from backend.series_accumulators import DAMAGE_LAGS, RingAccumulators, exposure_of
from backend.series_run import SeriesRun
from backend.settings import DamageSettings
from backend.simulation.ring_speckle import RingSpecklePlan, simulate_ring_speckle
from backend.snapshot import RingFit
from backend.worker_pool import worker_pool

_EXPOSURE_PER_100_H_S = 360_000.0
_TOLD = (DamageState.STEADY, DamageState.CHANGING, DamageState.DAMAGING)


@dataclass(frozen=True, slots=True)
class UndamagedSeries:
    """A series as it would be if the sample did not change.

    Attributes
    ----------
    name : str
        Of the series that it is like; another name gives other random numbers.
    frame_time_s : float
        Seconds from frame to frame.
    expected_frames : int or None
        Planned length, as the detector stated it.
    q_inv_nm : ndarray, shape (ring,), float64
    speckle : RingSpecklePlan
        Photons per pixel of each ring and the incident beam of each frame as measured; relaxation rate and contrast of
        each ring as fitted to g2, and the same in all frames.
    pixels_used : float
        Share of the pixels of a ring that is simulated.
    """

    name: str
    frame_time_s: float
    expected_frames: int | None
    q_inv_nm: np.ndarray
    speckle: RingSpecklePlan
    pixels_used: float

    @property
    def exposure_s(self) -> float:
        """Length of the series."""
        return len(self.speckle.photons) * self.frame_time_s


@dataclass(frozen=True, slots=True)
class UndamagedOutcome:
    """What was said about one undamaged series: whether ever anything, WATCH, or DAMAGING."""

    told: bool
    watched: bool
    alarmed: bool


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """Undamaged series of one kind together.

    Attributes
    ----------
    series, told, watched, alarms : int
        All of them, those with a verdict at all, those with WATCH, and with DAMAGING at some frame.
    share, share_bounds : float and tuple of float
        Alarms per series; bounds of 95 % (Clopper-Pearson).
    per_100_h, per_100_h_bounds : float and tuple of float
        The same per 100 hours of exposure.
    exposure_s : float
        Of one series.
    pixels_used : float
        Share of the pixels of a ring that was simulated.
    """

    series: int
    told: int
    watched: int
    alarms: int
    share: float
    share_bounds: tuple[float, float]
    per_100_h: float
    per_100_h_bounds: tuple[float, float]
    exposure_s: float
    pixels_used: float


def undamaged_like(run: SeriesRun, most_pixels_per_ring: int | None = None) -> UndamagedSeries:
    """The undamaged series that is like one that was analysed to its end with ``keep_frames``.

    Rings without a fit of g2 get rate and contrast from those next to them; a stretched relaxation becomes a simple one
    of the same rate. The beam carries the counting noise of the measured frames on top of its own; in what the
    verdict looks at it cancels.

    Parameters
    ----------
    most_pixels_per_ring : int or None
        Rings with more pixels than this on average are simulated in part: that is faster, but noisier than the measured
        series, so that less is told. ``None`` simulates all pixels, at about 10 ns for each pixel and frame.

    Raises
    ------
    SeriesError
        There is not enough to go by; says what is missing.
    """
    analysis, rings = run.analysis, run.analysis.rings
    result = analysis.g2()
    if rings is None or analysis.plan is None or analysis.record is None or result is None:
        raise SeriesError(f"{run.info.name}: without q rings and frames no series can be simulated.")
    if rings.irregular is not None:
        raise SeriesError(f"{run.info.name}: series with uneven frames are not simulated.")
    if run.info.frame_time_s is None:
        raise SeriesError(f"{run.info.name}: the frame time is not known, so no series is simulated.")
    rate_per_s, contrast = _fitted(run.info.name, rings.partition.q_inv_nm, analysis.fits(result))
    numbers = np.concatenate(analysis.record.numbers)
    counts = np.zeros((int(numbers[-1]) + 1, rings.partition.rings))
    counts[numbers] = np.concatenate(analysis.record.ring_counts)
    most = most_pixels_per_ring or np.inf
    share = min(1.0, most / float(rings.partition.ring_pixels.mean()))
    pixels = np.maximum(np.rint(share * rings.partition.ring_pixels), 1).astype(np.int64)
    speckles = np.maximum(np.rint(pixels / analysis.plan.speckle_area_px), 1).astype(np.int64)
    plan = RingSpecklePlan(
        _photons(counts, rings),
        np.broadcast_to(rate_per_s * run.info.frame_time_s, counts.shape),
        np.broadcast_to(contrast, counts.shape),
        pixels,
        np.minimum(speckles, pixels),
        exposure=exposure_of(run.info),
    )
    return UndamagedSeries(
        run.info.name,
        run.info.frame_time_s,
        run.info.expected_frames,
        rings.partition.q_inv_nm,
        plan,
        share,
    )


def _photons(counts: np.ndarray, rings: RingAccumulators) -> np.ndarray:
    """Mean per pixel, shape (frame, ring): the beam of each frame times I(q) of the whole series."""
    of_frame = counts.sum(axis=1)
    if not of_frame.any():
        raise SeriesError("A series without photons cannot be simulated.")
    return np.outer(of_frame / of_frame.sum(), counts.sum(axis=0) / rings.partition.ring_pixels)


def _fitted(
    name: str, q_inv_nm: np.ndarray, fits: tuple[RingFit | None, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Relaxation rate (1/s) and contrast of each ring, shape (ring,)."""
    found = [(q, fit) for q, fit in zip(q_inv_nm, fits, strict=False) if fit is not None and fit.contrast > 0]
    if not found:
        raise SeriesError(f"{name}: g2 of no ring could be fitted, so no series like it can be simulated.")
    log_q = np.log([q for q, _ in found])
    log_rate = np.log([fit.gamma_per_s for _, fit in found])
    contrast = np.clip([fit.contrast for _, fit in found], 0.0, 1.0)
    return (
        np.exp(np.interp(np.log(q_inv_nm), log_q, log_rate)),
        np.interp(np.log(q_inv_nm), log_q, contrast),
    )


def judge_undamaged(series: UndamagedSeries, settings: DamageSettings, index: int) -> UndamagedOutcome:
    """Simulate the series once and judge it as the program would; another ``index`` gives another series."""
    lags = np.array(DAMAGE_LAGS)
    sums = simulate_ring_speckle(series.speckle, lags, (zlib.crc32(series.name.encode()), index))
    detector = DamageDetector(
        settings,
        series.q_inv_nm,
        series.speckle.pixels,
        series.speckle.speckles.astype(float),
        lags,
        series.frame_time_s,
        series.expected_frames,
        exposure=series.speckle.exposure,
    )
    dose_s = series.frame_time_s * np.arange(1, len(sums.counts) + 1)
    states = {assessment.state for assessment in detector.add(sums.counts, sums.products, dose_s)}
    return UndamagedOutcome(
        told=not states.isdisjoint(_TOLD),
        watched=DamageState.CHANGING in states,
        alarmed=DamageState.DAMAGING in states,
    )


def judge_many_undamaged(
    series: UndamagedSeries, settings: DamageSettings, number: int
) -> Iterator[UndamagedOutcome]:
    """``number`` different series one after the other, as they are ready; all processors take part."""
    yield from worker_pool().map(functools.partial(judge_undamaged, series, settings), range(number))


def false_alarms(series: UndamagedSeries, outcomes: list[UndamagedOutcome]) -> FalseAlarms:
    """Count the outcomes, at least one, of ``series``."""
    alarms = sum(outcome.alarmed for outcome in outcomes)
    counted = binomtest(alarms, len(outcomes))
    interval = counted.proportion_ci(0.95, "exact")
    low, high = float(interval.low), float(interval.high)
    share = alarms / len(outcomes)
    series_per_100_h = _EXPOSURE_PER_100_H_S / series.exposure_s
    return FalseAlarms(
        series=len(outcomes),
        told=sum(outcome.told for outcome in outcomes),
        watched=sum(outcome.watched for outcome in outcomes),
        alarms=alarms,
        share=share,
        share_bounds=(low, high),
        per_100_h=share * series_per_100_h,
        per_100_h_bounds=(low * series_per_100_h, high * series_per_100_h),
        exposure_s=series.exposure_s,
        pixels_used=series.pixels_used,
    )
