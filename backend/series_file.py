"""A series for programs of others: all its frames as one dataset, its mask and q rings, in one small file.

Nothing is copied: the dataset is virtual and names the detector's own data files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - frames are read through the filter that it brings
import numpy as np

from backend.acquisition.data_file import DataFile, inspect_data_file
from backend.acquisition.detector_folder import list_files, place_of_detector_folder, place_of_file
from backend.acquisition.hdf5_file import UnusableFileError
from backend.acquisition.recorded_series import RecordedSeries
from backend.errors import SeriesError
from backend.first_frames import SeriesPlan
from backend.frames import FrameBatch, SeriesEnded, SeriesInfo, SeriesStarted
from backend.series_run import SeriesRun
from backend.settings import Settings

FRAMES = "/entry/data/data"
_FORM_VERSION = "1"


def write_series_file(master: Path, file: Path, settings: Settings) -> int:
    """Write the file and return the number of frames that it names.

    ``/entry/data/data``, shape (frame, y, x), as the detector stored it; ``/entry/instrument/detector_1`` has
    ``frame_time`` and ``count_time`` in seconds. ``/qmap`` has, each of shape (y, x): ``mask``, uint8, 1 = good pixel;
    ``dynamic_roi_map`` and ``static_roi_map``, uint32, the q ring and the fine ring of each pixel, from 1, 0 outside;
    and ``dynamic_v_list_dim0`` and ``static_v_list_dim0``, the q of each in 1/nm. Names as in the files of APS, which
    boost_corr reads.

    Raises
    ------
    SeriesError
        There is no such series, it has no q rings, or its data files do not fit together.
    """
    info, plan = _plan(master, settings)
    data = _data_files(info, master)
    part = file.with_name(f".part-{os.getpid()}-{file.name}")
    try:
        try:
            with h5py.File(part, "w", libver="latest") as series_file:
                _fill(series_file, info, plan, data)
            os.replace(part, file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise SeriesError(
            f"The file {file} cannot be written: {error.strerror or error}.",
            still_works="The series is untouched.",
            try_this="Check that the folder exists, may be written and has room.",
        ) from error
    return sum(entry.frames for entry in data)


def _plan(master: Path, settings: Settings) -> tuple[SeriesInfo, SeriesPlan]:
    """What the live analysis makes of the first frames, so that rings and mask are the same."""
    source = RecordedSeries([master], settings)
    run: SeriesRun | None = None
    while not source.finished and (run is None or run.analysis.plan is None):
        for event in source.poll():
            if isinstance(event, SeriesStarted):
                run = SeriesRun(event.info, settings)
            elif run is not None and isinstance(event, FrameBatch):
                run.add(event)
            elif run is not None and isinstance(event, SeriesEnded):
                run.end(event)
    if run is None or run.analysis.plan is None:
        raise SeriesError(f"{master} holds no frames that could be read.", try_this="Check the path.")
    info, plan = run.info, run.analysis.plan
    if plan.partition is None:
        reason = "" if plan.no_rings is None else f" {plan.no_rings.what}"
        advice = "" if plan.no_rings is None else plan.no_rings.try_this
        raise SeriesError(f"{info.name} has no q rings.{reason}", try_this=advice)
    return info, plan


def _data_files(info: SeriesInfo, master: Path) -> list[DataFile]:
    place = place_of_detector_folder(info.folder) if info.master is None else place_of_file(info.master)
    if place is None:
        raise SeriesError(f"The data files of {master} were not found.", try_this="Give the master file.")
    try:
        data = [inspect_data_file(path) for path in list_files(place).data.values()]
    except (OSError, UnusableFileError) as error:
        raise SeriesError(
            f"A data file of {info.name} cannot be used: {error}.",
            still_works="mento-gui correlate leaves such a file out and says so.",
        ) from error
    forms = {(entry.shape_yx, entry.dtype) for entry in data}
    if len(forms) != 1:
        raise SeriesError(f"The data files of {info.name} have {len(forms)} different forms.")
    return data


def _fill(file: h5py.File, info: SeriesInfo, plan: SeriesPlan, data: Sequence[DataFile]) -> None:
    partition = plan.partition
    assert partition is not None
    shape = data[0].shape_yx
    frames = h5py.VirtualLayout((sum(entry.frames for entry in data), *shape), data[0].dtype)
    first = 0
    for entry in data:
        stored = (entry.frames, *shape) if entry.channels is None else (entry.frames, entry.channels, *shape)
        source = h5py.VirtualSource(str(entry.path.absolute()), entry.dataset, shape=stored)
        frames[first : first + entry.frames] = source if entry.channels is None else source[:, 0]
        first += entry.frames
    file.create_virtual_dataset(FRAMES, frames)
    file["/entry/schema_version"] = _FORM_VERSION
    for name, value in (("frame_time", info.frame_time_s), ("count_time", info.count_time_s)):
        if value is not None:
            file[f"/entry/instrument/detector_1/{name}"] = value
            file[f"/entry/instrument/detector_1/{name}"].attrs["units"] = "s"
    dynamic = (partition.cell_of_pixel // partition.sectors + 1).reshape(shape).astype(np.uint32)
    static = (partition.fine_of_pixel + 1).reshape(shape).astype(np.uint32)
    maps: dict[str, np.ndarray] = {"mask": (plan.mask.good.reshape(shape) & (dynamic > 0)).astype(np.uint8)}
    for name, ring_map, q_inv_nm in (
        ("dynamic", dynamic, partition.q_inv_nm),
        ("static", static, partition.fine_q_inv_nm),
    ):
        maps[f"{name}_roi_map"] = ring_map
        file[f"/qmap/{name}_v_list_dim0"] = q_inv_nm
        file[f"/qmap/{name}_num_pts"] = [len(q_inv_nm), 1]
        file[f"/qmap/{name}_index_mapping"] = np.arange(len(q_inv_nm))
    for name, pixels in maps.items():
        file.create_dataset(f"/qmap/{name}", data=pixels, compression="gzip", compression_opts=1)
