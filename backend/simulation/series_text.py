"""The text files beside a series at P10: ``.fio`` and ``.batchinfo``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from backend.simulation.series_plan import SeriesPlan

_CLOCK_FORMAT = "%a %b %d %H:%M:%S %Y"


def write_fio(path: Path, plan: SeriesPlan, started_at: datetime) -> None:
    """Write the start of a ``.fio`` of a time series: the command line is empty and there are no data rows."""
    parameters = {
        "_simulated": plan.scenario.name,
        "abs1z": 0.0,
        "abs2z": 0.0,
        "det_distance": plan.detector.distance_m * 1e3,
        "fmbenergy": plan.detector.photon_energy_kev * 1e3,
        "samx": plan.position_mm[0],
        "samz": plan.position_mm[1],
    }
    lines = [
        "!\n! Comments\n!\n%c\n",
        "\n",
        f"user p10user Acquisition started at {started_at.strftime(_CLOCK_FORMAT)}\n",
        "!\n! Parameter\n!\n%p\n",
        *(f"{name} = {value}\n" for name, value in parameters.items()),
        "!\n! Data\n!\n%d\n",
    ]
    path.write_text("".join(lines), encoding="utf-8")


def append_fio_end(path: Path, ended_at: datetime) -> None:
    """State in the ``.fio`` that the acquisition has ended, which is how a reader knows it is complete."""
    with path.open("a", encoding="utf-8") as file:
        file.write(f"! Acquisition ended at {ended_at.strftime(_CLOCK_FORMAT)}\n")


def write_batchinfo(path: Path, plan: SeriesPlan, started_at: datetime) -> None:
    """Write a ``.batchinfo``: ``key: value`` lines with Python literals; ``x0``, ``y0`` count pixels from 1."""
    row, column = plan.detector.beam_center_yx_px
    rows, columns = plan.detector.shape_yx
    entries = {
        "start_time": started_at.strftime(_CLOCK_FORMAT),
        "detector": repr(plan.detector.folder),
        "preset": plan.count_time_s,
        "rr": plan.detector.distance_m * 1e3,
        "geometry": 0,
        "energy": plan.detector.photon_energy_kev,
        "x0": column + 1.0,
        "y0": row + 1.0,
        "rows": rows,
        "cols": columns,
        "samx": plan.position_mm[0],
        "samz": plan.position_mm[1],
        "ndata0": [1],
        "ndataend": [plan.frames],
    }
    path.write_text("".join(f"{key}: {value}\n" for key, value in entries.items()), encoding="utf-8")
