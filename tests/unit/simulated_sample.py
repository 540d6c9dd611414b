"""A simulated beamtime with one sample on a small detector: series at several places, with several absorbers."""

from __future__ import annotations

from pathlib import Path

from backend.acquisition.recorded_series import RecordedSeries
from backend.frames import FrameBatch, SeriesEnded, SeriesStarted
from backend.series_book import SeriesBook
from backend.series_run import SeriesRun
from backend.settings import Settings
from backend.simulation.beamtime_tree import WrittenSeries, write_series
from backend.simulation.detector_model import DetectorModel
from backend.simulation.scenario import SCENARIOS
from backend.simulation.series_plan import SeriesPlan

FRAMES = 400
FRAME_TIME_S = 0.05
BEAM_UM = 30.0
# 30 x 30 um2 of water in 1e8 photons/s of 8.4 keV.
GRAY_PER_S = 127.3
DETECTOR = DetectorModel(
    name="small",
    folder="e500",
    description="part of a detector",
    shape_yx=(128, 128),
    module_yx=(128, 128),
    gap_yx=(1, 1),
    distance_m=5.0,
    beam_center_yx_px=(63.5, 63.5),
    beam_stop_radius_px=6.0,
    noisy_pixels=0,
    dead_pixels=0,
)
SETTINGS = Settings.model_validate(
    {
        "watch": {"newest_poll_s": 0.05, "full_sweep_s": 1, "settle_s": 60, "retry_for_s": 0.2},
        "rings": {"count": 6, "sectors": 4},
        "publish": {"snapshots_per_s": 25},
        "dispatch": {"recipes_at_series_end": []},
        "dose": {"flux_photons_per_s": 1e8, "beam_width_um": BEAM_UM, "beam_height_um": BEAM_UM},
    }
)


def write_sample_series(
    raw: Path,
    number: int,
    *,
    scenario: str = "stable",
    transmission: float = 1.0,
    x_mm: float = 0.0,
    frames: int = FRAMES,
    sample: str = "gel",
) -> WrittenSeries:
    """One series; the rate at full beam is the same in all."""
    plan = SeriesPlan(
        detector=DETECTOR,
        scenario=SCENARIOS[scenario],
        sample=sample,
        number=number,
        frames=frames,
        frame_time_s=FRAME_TIME_S,
        photons_per_pixel=1.0,
        transmission=transmission,
        position_mm=(x_mm, 0.0),
        diffusion_nm2_per_s=1000.0,
        speckle_size_px=1.5,
        seed=number,
    )
    return write_series(raw, plan)


def read_into(book: SeriesBook, folder: Path, settings: Settings = SETTINGS) -> SeriesRun:
    """The series in this folder, read as it would be live, each step stored in the book."""
    source = RecordedSeries([folder], settings)
    run: SeriesRun | None = None
    while not source.finished:
        for event in source.poll():
            if isinstance(event, SeriesStarted):
                run = SeriesRun(event.info, settings)
                book.store(run)
            elif run is not None and isinstance(event, FrameBatch):
                book.store_verdicts(run, run.add(event))
            elif run is not None and isinstance(event, SeriesEnded):
                book.store_verdicts(run, run.end(event))
    assert run is not None
    book.store(run)
    return run
