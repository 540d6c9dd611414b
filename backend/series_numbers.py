"""The record of a series as it is now: what is stored of it to be compared with other series."""

from __future__ import annotations

import numpy as np

from backend.correlation.multitau import MultiTauResult
from backend.damage.dose import dose_scale_of
from backend.damage.spot import spot_of
from backend.detector.geometry import wavelength_m_of
from backend.series_accumulators import RingAccumulators
from backend.series_analysis import SeriesAnalysis
from backend.series_record import RelaxationRate, RingIntensities, SeriesRecord
from backend.series_run import SeriesRun
from backend.snapshot import RateLaw, RingFit, VerdictState


def record_of(run: SeriesRun, *, dose_only: bool = False) -> SeriesRecord:
    """Position, dose and, once the series has ended, relaxation rate and scattering of a series.

    ``dose_only`` leaves out the latter two, which cost time.
    """
    info, analysis, settings = run.info, run.analysis, run.analysis.settings
    spot, spot_unknown = spot_of(settings.dose, info)
    # Known before the first frame: a series that has just begun must not make the doses of others unknown.
    dose = dose_scale_of(settings.dose, info, wavelength_m_of(info.detector, settings.geometry))
    frames = analysis.frames_waiting if analysis.sums is None else analysis.sums.frames
    damaged = run.verdict.state is VerdictState.DAMAGING and run.verdict.onset_frame is not None
    onset_frames = (run.verdict.onset_frame or 0) + 1 if damaged else None
    result = None if dose_only or run.status == "running" else analysis.g2()
    rings = analysis.rings
    return SeriesRecord(
        series=info.name,
        detector=info.detector.name,
        folder=info.folder.name,
        sample=info.sample,
        started_at=None if info.started_at is None else info.started_at.timestamp(),
        frames=frames,
        spot=spot,
        spot_unknown=spot_unknown,
        exposure_s=_taken(run, frames),
        onset_exposure_s=_taken(run, onset_frames),
        gray_per_s=dose.gray_per_s,
        transmission=info.transmission,
        counts_per_s=None if rings is None else _counts_per_s(rings, info.frame_time_s),
        verdict=run.verdict.state,
        rate=None if result is None else _rate(analysis, result),
        intensities=None if result is None or rings is None else _intensities(analysis, rings, result),
        settings_sha256=settings.sha256,
    )


def _taken(run: SeriesRun, frames: int | None) -> float | None:
    """Exposure in seconds of full beam after so many frames, with the beam as it was; steady before that is known."""
    frame_time_s, rings = run.info.frame_time_s, run.analysis.rings
    if frame_time_s is None or frames is None:
        return None
    transmission = 1.0 if run.info.transmission is None else run.info.transmission
    if rings is None or not rings.damage.assessments:
        return transmission * frame_time_s * frames
    return transmission * rings.damage.taken.at(frames - 1)


def _counts_per_s(rings: RingAccumulators, frame_time_s: float | None) -> float | None:
    if frame_time_s is None or rings.radial.frames == 0:
        return None
    photons = float(rings.radial.total.sum())
    return photons / float(rings.partition.fine_pixels.sum()) / rings.radial.frames / frame_time_s


def _rate(analysis: SeriesAnalysis, result: MultiTauResult) -> RelaxationRate | None:
    fitted = analysis.fitted(result)
    law: RateLaw | None = None if fitted is None else fitted.law
    if law is None or analysis.info.frame_time_s is None:
        return None
    if not np.isfinite([law.pivot_rate_err_per_s, law.q_power_err]).all() or law.pivot_rate_err_per_s <= 0:
        # Without an error it cannot be compared.
        return None
    return RelaxationRate(
        q_inv_nm=law.pivot_q_inv_nm,
        rate_per_s=law.pivot_rate_per_s,
        log_rate_err=law.pivot_rate_err_per_s / law.pivot_rate_per_s,
        q_power=law.q_power,
        q_power_err=law.q_power_err,
    )


def _intensities(
    analysis: SeriesAnalysis, rings: RingAccumulators, result: MultiTauResult
) -> RingIntensities | None:
    """Scattering per ring of the whole series; ``None`` while a ring has no photons."""
    partition, frames = rings.partition, rings.radial.frames
    photons = np.bincount(partition.ring_of_fine, rings.radial.total, partition.rings)
    if frames == 0 or np.any(photons == 0) or analysis.plan is None:
        return None
    duration_s = frames * (analysis.info.frame_time_s or 1.0)
    fits = analysis.fits(result) or (None,) * partition.rings
    share = np.array([_speckle_left(fit, duration_s) for fit in fits])
    contrast = np.clip(np.nan_to_num(result.g2[:, 0] - 1), 0.0, 1.0)
    speckles = partition.ring_pixels / analysis.plan.speckle_area_px
    return RingIntensities(
        q_inv_nm=tuple(partition.q_inv_nm.tolist()),
        log_intensity=tuple(np.log(photons / partition.ring_pixels / frames).tolist()),
        log_intensity_err=tuple(np.sqrt(1 / photons + share * contrast / speckles).tolist()),
    )


def _speckle_left(fit: RingFit | None, duration_s: float) -> float:
    """Share of the speckle variance that is left in a mean over ``duration_s``.

    The mean of exp(-2 gamma |s|) over all pairs of moments of it, 2 (a - 1 + exp(-a)) / a^2 with a = 2 gamma duration;
    all of it where the rate is not known.
    """
    a = 0.0 if fit is None else 2 * fit.gamma_per_s * duration_s
    return 1.0 if a < 1e-4 else min(2 * (a + float(np.expm1(-a))) / a**2, 1.0)
