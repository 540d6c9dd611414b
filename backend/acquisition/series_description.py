"""Puts together what master, batch description, run file and first data file say about a series."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import numpy as np

from backend.absorbers import WHEELS, stated_transmission
from backend.acquisition.data_file import DataFile
from backend.acquisition.detector_folder import SeriesPlace
from backend.acquisition.eiger_master import DISTANCE_M, LONGEST_EDGE_PX, WAVELENGTH_M, MasterFacts
from backend.beamtime.batchinfo import PHOTON_ENERGY_TIMES_WAVELENGTH_KEV_M, BatchInfo
from backend.beamtime.fio import FioFile
from backend.beamtime.literal import as_number
from backend.beamtime.series_name import is_series_name, parse_series_name
from backend.frames import DetectorInfo, SeriesInfo

_CENTER_TOLERANCE_PX = 2.0
# Current of the storage ring, as scans at P10 name it: the newer name first.
_MONITOR_COLUMNS = ("curpetra", "ipetra")
_RELATIVE_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class SeriesSources:
    """The files of one series that could be read; ``None`` for each that is not there."""

    master: MasterFacts | None = None
    batch: BatchInfo | None = None
    run: FioFile | None = None
    first_data: DataFile | None = None


def describe_series(
    place: SeriesPlace, sources: SeriesSources, notices: tuple[str, ...] = ()
) -> SeriesInfo | None:
    """Return identity, plan and detector of a series, or ``None`` while no file states shape and pixel type.

    The master wins over the batch description, which fills in what the master leaves out; where the two disagree
    the result says so in its notices. The data file wins over both for shape and type of a frame.
    """
    shape_yx, dtype = _frame_form(sources)
    if shape_yx is None or dtype is None:
        return None
    master, batch = sources.master, sources.batch or BatchInfo()
    said = list(notices) + list(master.notices if master else ()) + disagreements(sources)
    sample, number = _identity(place, said)
    planned = master.planned_frames if master else None
    expected_frames = planned if planned is not None else batch.frames
    # An exposure is no frame time: the detector may wait between frames. It stands in only for the count time.
    count_time_s = master.count_time_s if master else None
    detector = _detector(place, sources, shape_yx, dtype, said)
    return SeriesInfo(
        name=place.label,
        sample=sample,
        number=number,
        folder=place.folder,
        detector=detector,
        master=master.path if master else None,
        expected_frames=expected_frames,
        frame_time_s=master.frame_time_s if master else None,
        frame_start_s=master.frame_start_s if master else None,
        count_time_s=count_time_s if count_time_s is not None else batch.exposure_s,
        started_at=_started_at(sources),
        transmission=_transmission(sources, detector.wavelength_m, said),
        monitor=_monitor(sources, expected_frames),
        side_numbers=side_numbers(sources),
        notices=tuple(said),
    )


def disagreements(sources: SeriesSources) -> list[str]:
    """Return a sentence for each quantity that master and batch description state differently."""
    master, batch = sources.master, sources.batch
    if master is None or batch is None:
        return []
    said = []
    ours, theirs = master.beam_center_yx_px, batch.beam_center_yx_px
    if ours is not None and theirs is not None and math.dist(ours, theirs) > _CENTER_TOLERANCE_PX:
        said.append(
            f"The beam centre is row {ours[0]:.1f}, column {ours[1]:.1f} in the master but row {theirs[0]:.1f}, "
            f"column {theirs[1]:.1f} in the batch description (counted from 0); the master is used."
        )
    for name, unit, scale, first, second in (
        ("The distance", "m", 1.0, master.distance_m, batch.distance_m),
        ("The wavelength", "nm", 1e9, master.wavelength_m, batch.wavelength_m),
    ):
        if first is not None and second is not None and abs(first - second) > _RELATIVE_TOLERANCE * first:
            said.append(
                f"{name} is {first * scale:.4g} {unit} in the master but {second * scale:.4g} {unit} in the batch "
                "description; the master is used."
            )
    return said


def side_numbers(sources: SeriesSources) -> Mapping[str, float]:
    """Return every number that batch description and run file state by name; the run file wins."""
    stated = {
        **(sources.batch.values if sources.batch else {}),
        **(sources.run.parameters if sources.run else {}),
    }
    numbers = {name: as_number(value) for name, value in stated.items()}
    return MappingProxyType({name: number for name, number in numbers.items() if number is not None})


def _frame_form(sources: SeriesSources) -> tuple[tuple[int, int] | None, np.dtype | None]:
    if sources.first_data is not None:
        return sources.first_data.shape_yx, sources.first_data.dtype
    if sources.master is not None:
        return sources.master.shape_yx, sources.master.dtype
    return None, None


def _identity(place: SeriesPlace, said: list[str]) -> tuple[str, int]:
    for text in (place.folder.name, place.prefix):
        if is_series_name(text):
            name = parse_series_name(text)
            return name.sample, name.number
    said.append(
        f"{place.prefix} is not named <sample>_<NNNNN>; it is taken as number 0 of a sample of that name."
    )
    return place.prefix, 0


def _detector(
    place: SeriesPlace, sources: SeriesSources, shape_yx: tuple[int, int], dtype: np.dtype, said: list[str]
) -> DetectorInfo:
    master = sources.master
    mask = master.pixel_mask if master else None
    if master is not None and master.shape_yx is not None and master.shape_yx != shape_yx:
        said.append(
            f"The master speaks of {master.shape_yx[0]} x {master.shape_yx[1]} pixels but the frames have "
            f"{shape_yx[0]} x {shape_yx[1]}; its pixel mask is not used."
        )
        mask = None
    distance_m, wavelength_m, center = _geometry(sources, said)
    return DetectorInfo(
        name=place.detector_folder.name,
        shape_yx=shape_yx,
        dtype=dtype,
        pixel_size_m=master.pixel_size_m if master else None,
        distance_m=distance_m,
        wavelength_m=wavelength_m,
        beam_center_yx_px=center,
        pixel_mask=mask,
        saturation_value=master.saturation_value if master else None,
    )


def _geometry(
    sources: SeriesSources, said: list[str]
) -> tuple[float | None, float | None, tuple[float, float] | None]:
    master, batch = sources.master, sources.batch or BatchInfo()
    distance_m = master.distance_m if master else None
    wavelength_m = master.wavelength_m if master else None
    center = master.beam_center_yx_px if master else None
    if distance_m is None:
        distance_m = _within(batch.distance_m, DISTANCE_M, "rr (distance) in the batch description", said)
    if wavelength_m is None:
        wavelength_m = _within(batch.wavelength_m, WAVELENGTH_M, "energy in the batch description", said)
    if wavelength_m is None and sources.run is not None:
        wavelength_m = _within(
            _run_wavelength_m(sources.run), WAVELENGTH_M, "fmbenergy in the run file", said
        )
    if center is None and batch.beam_center_yx_px is not None:
        limits = (-float(LONGEST_EDGE_PX), float(LONGEST_EDGE_PX))
        row = _within(batch.beam_center_yx_px[0], limits, "y0 in the batch description", said)
        column = _within(batch.beam_center_yx_px[1], limits, "x0 in the batch description", said)
        center = None if row is None or column is None else (row, column)
    return distance_m, wavelength_m, center


def _transmission(sources: SeriesSources, wavelength_m: float | None, said: list[str]) -> float | None:
    """What the absorbers let through: as the master has it, else by their positions in the run file."""
    if sources.master is not None and sources.master.transmission is not None:
        return sources.master.transmission
    numbers, started_at = side_numbers(sources), _started_at(sources)
    if any(name not in numbers for name in WHEELS):
        return None
    energy_kev = None if wavelength_m is None else PHOTON_ENERGY_TIMES_WAVELENGTH_KEV_M / wavelength_m
    stated = stated_transmission(numbers, energy_kev, None if started_at is None else started_at.date())
    if stated is None:
        places = ", ".join(f"{name} = {numbers[name]:g}" for name in WHEELS)
        said.append(
            f"What the absorbers let through is not known ({places}); the dose is told as if there were none. Set "
            "transmission in section [dose] of the settings."
        )
    return stated


def _monitor(sources: SeriesSources, frames: int | None) -> np.ndarray | None:
    """Incident beam of each frame: as the master has it, else a column of the run file with one row per frame."""
    if sources.master is not None and sources.master.monitor is not None:
        return sources.master.monitor
    run = sources.run
    if run is None or frames is None or len(run.rows) != frames:
        return None
    column = next((name for name in _MONITOR_COLUMNS if name in run.columns), None)
    if column is None:
        return None
    numbers = [as_number(row[run.columns.index(column)]) for row in run.rows]
    monitor = np.array([math.nan if number is None else number for number in numbers])
    monitor[~(monitor >= 0)] = math.nan
    monitor.flags.writeable = False
    return monitor if np.isfinite(monitor).any() else None


def _within(value: float | None, limits: tuple[float, float], field: str, said: list[str]) -> float | None:
    if value is not None and not limits[0] <= value <= limits[1]:
        said.append(f"{field} has a value that cannot be; it is not used.")
        return None
    return value


def _run_wavelength_m(run: FioFile) -> float | None:
    energy_ev = run.number("fmbenergy")
    if energy_ev is None or energy_ev <= 0:
        return None
    return PHOTON_ENERGY_TIMES_WAVELENGTH_KEV_M / (energy_ev * 1e-3)


def _started_at(sources: SeriesSources) -> datetime | None:
    if sources.master is not None and sources.master.started_at is not None:
        return sources.master.started_at
    if sources.batch is not None and sources.batch.started_at is not None:
        return sources.batch.started_at
    return sources.run.started_at if sources.run is not None else None
