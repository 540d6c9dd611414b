"""The full correlation of one recorded series: the live analysis, run to the end, as a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from backend.acquisition.recorded_series import RecordedSeries
from backend.correlation_result import CorrelationResult
from backend.detector.geometry import Geometry
from backend.detector.mask import load_mask_file
from backend.detector.pixel_watch import OddPixels
from backend.errors import SeriesError
from backend.first_frames import SeriesPlan
from backend.frames import FrameBatch, SeriesEnded, SeriesStarted, SourceNotice
from backend.program_version import PROGRAM_VERSION
from backend.series_accumulators import RingAccumulators
from backend.series_notices import series_notices
from backend.series_run import SeriesRun
from backend.settings import Settings


def correlate_series(
    master: Path,
    settings: Settings,
    mask_file: Path | None = None,
    progress: Callable[[int, int | None], None] = lambda frames, expected: None,
) -> CorrelationResult:
    """Everything the live analysis knows after the last frame.

    Parameters
    ----------
    master : Path
        Master file, detector folder or series folder.
    mask_file : Path or None
        Replaces the mask file of the settings.
    progress : callable
        Told frames done and frames planned after each batch.

    Raises
    ------
    SeriesError
        There is nothing to correlate.
    SettingsError
        ``mask_file`` cannot be used.
    """
    if mask_file is not None:
        mask = settings.mask.model_copy(update={"file": mask_file})
        settings = settings.model_copy(update={"mask": mask})
    source = RecordedSeries([master], settings)
    run: SeriesRun | None = None
    notices: list[str] = []
    while not source.finished:
        for event in source.poll():
            if isinstance(event, SourceNotice) and event.what:
                notices.append(" ".join(part for part in (event.what, event.still_works) if part))
            elif isinstance(event, SeriesStarted):
                if mask_file is not None:
                    # A mask that was asked for by name must be used or refused.
                    load_mask_file(mask_file, event.info.detector.shape_yx)
                run = SeriesRun(event.info, settings, keep_frames=True)
            elif run is not None and isinstance(event, FrameBatch):
                run.add(event)
                progress(run.analysis.frames, run.info.expected_frames)
            elif run is not None and isinstance(event, SeriesEnded):
                run.end(event)
    if run is None or run.analysis.frames == 0:
        raise SeriesError(
            f"{master} holds no frames that could be read. {' '.join(notices)}".strip(),
            still_works="Nothing was written.",
            try_this="Check the path, and that the data files stand beside the master.",
        )
    result = result_of(run)
    return replace(result, notices=(*result.notices, *notices))


def result_of(run: SeriesRun) -> CorrelationResult:
    """Result of a series that has ended.

    Raises
    ------
    SeriesError
        It has no q rings or too few frames.
    """
    analysis = run.analysis
    result = analysis.g2()
    plan = analysis.plan
    record = analysis.record
    sums = analysis.sums
    if plan is None or sums is None or plan.geometry is None or record is None:
        raise _not_correlated(run)
    if result is None or sums.rings is None:
        raise _not_correlated(run)
    shape = run.info.detector.shape_yx
    image = sums.image
    counts = image.counts.reshape(shape) / max(image.frames, 1)
    return CorrelationResult(
        series=run.info.name,
        sample=run.info.sample,
        detector=run.info.detector.name,
        frames=analysis.frames,
        frame_time_s=run.info.frame_time_s or 1.0,
        lag_frames=result.lag_frames[1:],
        g2=result.g2[:, 1:],
        g2_err=result.g2_err[:, 1:],
        ring_counts=np.concatenate(record.ring_counts),
        frame_numbers=np.concatenate(record.numbers),
        mean_image=np.where(plan.mask.good, counts, np.nan).astype(np.float32),
        contrast=result.g2[:, 0] - 1,
        contrast_err=result.g2_err[:, 0],
        fits=analysis.fits(result),
        **_pixel_arrays(plan, analysis.odd_pixels),
        geometry=_geometry_values(plan.geometry),
        settings_json=analysis.settings.model_dump_json(),
        settings_sha256=analysis.settings.sha256,
        program_version=PROGRAM_VERSION,
        verdict=str(run.verdict.state),
        verdict_why=run.verdict.why,
        notices=_notices(run, plan),
        **_ring_arrays(sums.rings),
        **_sector_arrays(sums.rings, plan.geometry, result.lag_frames.size - 1),
    )


def _ring_arrays(rings: RingAccumulators) -> dict[str, Any]:
    partition = rings.partition
    return {
        "q_inv_nm": partition.q_inv_nm,
        "ring_map": partition.ring_map(),
        "ring_pixels": partition.ring_pixels,
        "fine_q_inv_nm": partition.fine_q_inv_nm,
        "fine_intensity": rings.radial.whole(),
        "fine_ring_map": partition.fine_ring_map(),
        "occurrences": rings.multitau.occurrences,
    }


def _sector_arrays(rings: RingAccumulators, geometry: Geometry, lags: int) -> dict[str, Any]:
    """g2 of sectors without the lag 0, and where they are; no sectors where frames are uneven."""
    partition, g2 = rings.partition, rings.sector_g2()
    if g2 is None:
        nothing = np.empty((0, partition.rings))
        return {"sector_g2": np.empty((0, partition.rings, lags)), "sector_azimuth_deg": nothing}
    inside = partition.cell_of_pixel >= 0
    cell, azimuth = partition.cell_of_pixel[inside], geometry.azimuth_rad().ravel()[inside]
    # Directions are added as arrows: 359 and 1 degree lie on both sides of 0.
    down, right = (np.bincount(cell, part(azimuth), partition.cell_pixels.size) for part in (np.sin, np.cos))
    direction = np.degrees(np.arctan2(down, right)) % 360
    return {
        "sector_g2": g2[:, :, 1:],
        "sector_azimuth_deg": direction.reshape(partition.rings, partition.sectors).T,
    }


def _pixel_arrays(plan: SeriesPlan, found: OddPixels | None) -> dict[str, Any]:
    if found is None:
        raise ValueError("the pixels are looked at when a series ends")
    good = plan.mask.good.astype(np.uint8)
    good.ravel()[found.hot] = good.ravel()[found.dead] = 0
    return {
        "good_pixels": good,
        "hot_pixels": found.hot,
        "hot_photons": found.photons,
        "hot_expected": found.expected,
        "hot_found_after": found.found_after,
        "hot_flashing": found.flashing,
        "dead_pixels": found.dead,
    }


def _not_correlated(run: SeriesRun) -> SeriesError:
    plan = run.analysis.plan
    reason, advice = "It has too few frames.", "Measure more frames."
    if plan is not None and plan.no_rings is not None:
        reason, advice = plan.no_rings.what, plan.no_rings.try_this
    return SeriesError(
        f"{run.info.name} cannot be correlated: {reason}",
        still_works="The raw data are untouched.",
        try_this=advice,
    )


def _geometry_values(geometry: Geometry) -> dict[str, float]:
    return {
        "distance_m": geometry.distance_m,
        "wavelength_m": geometry.wavelength_m,
        "pixel_size_m": geometry.pixel_size_m,
        "beam_center_y_px": geometry.beam_center_yx_px[0],
        "beam_center_x_px": geometry.beam_center_yx_px[1],
    }


def _notices(run: SeriesRun, plan: SeriesPlan) -> tuple[str, ...]:
    set_aside = run.analysis.set_aside
    said = [
        " ".join((notice.what, notice.still_works)) for notice in series_notices(run.analysis) if notice.what
    ]
    if set_aside.number:
        said.append(f"{set_aside.number} frames are set aside; the last: {set_aside.last_reason}.")
    return (*plan.notices, *said)
