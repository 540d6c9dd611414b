"""From the accumulators of a series to the parts of a snapshot, ready to draw."""

from __future__ import annotations

import math

import numpy as np

from backend.correlation.cormap import cormap_p_value
from backend.correlation.kww_fit import kww
from backend.correlation.multitau import MultiTauResult
from backend.damage.verdict import percent
from backend.series_accumulators import RingAccumulators, SeriesAccumulators
from backend.series_analysis import SeriesAnalysis
from backend.snapshot import AgeCuts, G2Part, IntensityPart, PixelsPart, RingFit, TrendPart, TwoTimePart

_FIT_POINTS = 60
_SHOWN_FAMILY = "structure"
_WORST_PIXELS = 20
_AGE_CUTS = 5


def g2_part(analysis: SeriesAnalysis, result: MultiTauResult) -> G2Part:
    """Live g2 with error bars and fits; lag 0 is the contrast and is not drawn."""
    frame_time_s = analysis.info.frame_time_s or 1.0
    partition = _rings_of(analysis).partition
    finished = analysis.fitted(result)
    fits = () if finished is None else finished.rings.fits
    lag_s = result.lag_frames[1:] * frame_time_s
    fit_lag_s = (
        np.geomspace(lag_s[0], max(lag_s[-1], 2 * lag_s[0]), _FIT_POINTS) if lag_s.size else np.empty(0)
    )
    return G2Part(
        lag_s=lag_s,
        g2=result.g2[:, 1:],
        g2_err=result.g2_err[:, 1:],
        q_inv_nm=partition.q_inv_nm,
        frames=analysis.frames,
        fits=fits,
        fit_lag_s=fit_lag_s,
        fit_g2=np.array([_fit_curve(fit, fit_lag_s) for fit in fits]).reshape(len(fits), fit_lag_s.size),
        fit_reasons=() if finished is None else finished.rings.reasons,
        fit_frames=0 if finished is None else finished.frames,
        rate_law=None if finished is None else finished.law,
    )


def _fit_curve(fit: RingFit | None, lag_s: np.ndarray) -> np.ndarray:
    if fit is None:
        return np.full(lag_s.shape, np.nan)
    return kww(lag_s, fit.gamma_per_s, fit.contrast, fit.baseline, fit.exponent)


def intensity_part(analysis: SeriesAnalysis, result: MultiTauResult) -> IntensityPart:
    """I(q) at the start and now, I(t), speckle contrast of single frames."""
    sums, rings = _sums_of(analysis), _rings_of(analysis)
    first, first_frames = rings.radial.first()
    now, now_frames = rings.radial.newest()
    frame, photons = sums.trace.result()
    apart = now_frames[0] > first_frames[1]
    return IntensityPart(
        q_inv_nm=rings.partition.fine_q_inv_nm,
        first=first,
        now=now,
        first_frames=first_frames,
        now_frames=now_frames,
        frame=frame,
        photons_per_pixel=photons,
        ring_contrast=result.g2[:, 0] - 1,
        ring_contrast_err=result.g2_err[:, 0],
        cormap_p=cormap_p_value(first, now, rings.partition.fine_pixels) if apart else None,
    )


def two_time_part(analysis: SeriesAnalysis, ring: int, result: MultiTauResult) -> TwoTimePart | None:
    """Two-time map of one ring, colour range from its own short-lag contrast."""
    rings = _rings_of(analysis)
    ring = min(max(ring, 0), rings.partition.rings - 1)
    gradient = float(rings.radial.gradient()[ring])
    values = rings.two_time.result(ring, gradient)
    if len(values) < 2:
        return None
    short = result.g2[ring, 1:4]
    contrast = float(np.nanmean(short)) - 1 if np.isfinite(short).any() else 0.1
    frame_time_s = analysis.info.frame_time_s or 1.0
    return TwoTimePart(
        ring=ring,
        q_inv_nm=float(rings.partition.q_inv_nm[ring]),
        values=values,
        frames_per_bin=rings.two_time.frames_per_bin,
        bin_time_s=rings.two_time.frames_per_bin * frame_time_s,
        low=1.0,
        high=1.0 + max(1.2 * contrast, 0.02),
        pixel_fraction=float(rings.two_time.pixel_fraction[ring]),
        ages=_age_cuts(rings, ring, gradient, frame_time_s),
    )


def _age_cuts(rings: RingAccumulators, ring: int, gradient: float, frame_time_s: float) -> AgeCuts | None:
    cuts = () if rings.ages is None else rings.ages.cuts(ring, _AGE_CUTS, gradient)
    if len(cuts) < 2:
        return None
    # The last band reaches the longest lags.
    lags = cuts[-1].lag_frames
    g2, g2_err = np.full((2, len(cuts), lags.size), np.nan)
    for row, cut in enumerate(cuts):
        g2[row, : cut.g2.size], g2_err[row, : cut.g2.size] = cut.g2, cut.g2_err
    return AgeCuts(
        first_s=np.array([cut.first_frame for cut in cuts]) * frame_time_s,
        last_s=np.array([cut.last_frame for cut in cuts]) * frame_time_s,
        lag_s=lags * frame_time_s,
        g2=g2,
        g2_err=g2_err,
    )


def trend_part(analysis: SeriesAnalysis) -> TrendPart | None:
    """The damage indicator window by window, or ``None`` before the first verdict."""
    rings = _rings_of(analysis)
    said = [assessment for assessment in rings.damage.assessments if assessment.effects]
    if not said:
        return None
    newest = said[-1]
    # Below the level of WATCH the leading channel changes by chance; the picture should not.
    leads = newest.onset_frame is not None and newest.family in newest.effects
    family = newest.family if leads else _SHOWN_FAMILY
    settings = analysis.settings.damage
    tolerances = {
        "structure": settings.structure_tolerance_percent,
        "dynamics": settings.dynamics_tolerance_percent,
        "contrast": settings.contrast_tolerance_percent,
    }
    families = {
        name: np.array([percent(a.effects[name][0]) if name in a.effects else math.nan for a in said])
        for name in newest.effects
    }
    dose, dose_unit = rings.dose.shown(np.array([a.taken for a in said]))
    errors = [percent(a.effects[family][1]) if family in a.effects else math.nan for a in said]
    return TrendPart(
        label=family,
        frame=np.array([a.frame for a in said]),
        dose=dose,
        dose_unit=dose_unit,
        effect_percent=families[family],
        effect_err_percent=np.array(errors),
        tolerance_percent=tolerances[family],
        log10_evidence=np.array([a.log10_evidence for a in said]),
        log10_alarm=newest.log10_alarm,
        onset_frame=newest.onset_frame,
        onset_interval=newest.onset_interval,
        families=families,
        tolerances_percent={name: tolerances[name] for name in families},
    )


def pixels_part(analysis: SeriesAnalysis) -> PixelsPart | None:
    """Hot and dead pixels as of the newest look, or ``None`` before the first."""
    found = analysis.odd_pixels
    if found is None:
        return None
    worst = slice(0, _WORST_PIXELS)
    return PixelsPart(
        frames=found.frames,
        hot=found.hot.size,
        flashing=int(np.count_nonzero(found.flashing)),
        dead=found.dead.size,
        worst_yx=np.stack(np.divmod(found.hot[worst], analysis.info.detector.shape_yx[1]), axis=1),
        worst_photons=found.photons[worst],
        worst_expected=found.expected[worst],
        ring_share=found.ring_share,
    )


def _rings_of(analysis: SeriesAnalysis) -> RingAccumulators:
    if analysis.rings is None:
        raise ValueError("the series has no q rings")
    return analysis.rings


def _sums_of(analysis: SeriesAnalysis) -> SeriesAccumulators:
    if analysis.sums is None:
        raise ValueError("the series has no frames yet")
    return analysis.sums
