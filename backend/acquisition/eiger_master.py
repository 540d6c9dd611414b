"""Reads the master file of a series: geometry, times, plan and pixel mask, in both layouts of the file writer.

The older layout keeps most fields in ``detectorSpecific``, the one of 2024 keeps the mask per threshold channel and
links all frames as one stack. Frames are never read through the master: the files it links to may not exist yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np

from backend.acquisition.eiger_fields import KILOELECTRONVOLTS, METRES, NO_UNIT, PIXELS, SECONDS, FieldReader
from backend.acquisition.hdf5_file import open_hdf5
from backend.beamtime.batchinfo import PHOTON_ENERGY_TIMES_WAVELENGTH_KEV_M
from backend.beamtime.dates import parse_date
from backend.frames import are_uneven

_INSTRUMENT = "entry/instrument"
_DETECTOR = f"{_INSTRUMENT}/detector"
_SPECIFIC = f"{_DETECTOR}/detectorSpecific"
# Start of each frame after the start of the series; NeXus knows both, the newer layout of the file writer has them.
_FRAME_STARTS = (f"{_DETECTOR}/start_time", "entry/data/start_time")
# Where NeXus keeps the counts of a monitor (NXmonitor), one number per frame.
_MONITOR = ("entry/control/data", "entry/monitor/data")
# One stack made of all data files, in the layout of 2024; only its form is read, never its content.
_ALL_FRAMES = "entry/data/data"
_FIRST_CHANNEL = f"{_DETECTOR}/threshold_1_channel"

# Limits of what a beamline can mean; beyond them a value is a default, a typing error or damage.
_PIXEL_SIZE_M = (1e-6, 1e-2)
DISTANCE_M = (1e-3, 100.0)
WAVELENGTH_M = (1e-12, 1e-7)
_ENERGY_KEV = (1e-2, 1e3)
_TIME_S = (1e-8, 1e6)
_MOST_FRAMES = 2_000_000_000
LONGEST_EDGE_PX = 100_000
_PIXEL_TYPES: dict[int, np.dtype] = {8: np.dtype(np.uint8), 16: np.dtype(np.uint16), 32: np.dtype(np.uint32)}


@dataclass(frozen=True, slots=True)
class MasterFacts:
    """What one master file states; ``None`` where it states nothing usable, ``notices`` say what was set aside.

    ``beam_center_yx_px`` counts from 0. ``pixel_mask`` is a read-only bool array, shape (y, x), true for bad pixels.
    ``planned_frames`` is images per trigger times triggers. ``frame_start_s`` is a read-only float64 array, shape
    (frame,), strictly ascending: when each frame began, seconds. ``monitor``, read-only float64, shape (frame,): the
    incident beam during each, any unit. ``holds_frames`` is true when the frames are inside
    the master itself and no data files will come.
    """

    path: Path
    shape_yx: tuple[int, int] | None
    dtype: np.dtype | None
    pixel_size_m: float | None
    distance_m: float | None
    wavelength_m: float | None
    beam_center_yx_px: tuple[float, float] | None
    pixel_mask: np.ndarray | None
    saturation_value: int | None
    planned_frames: int | None
    frame_time_s: float | None
    frame_start_s: np.ndarray | None
    count_time_s: float | None
    started_at: datetime | None
    transmission: float | None
    monitor: np.ndarray | None
    holds_frames: bool
    notices: tuple[str, ...]


def read_master(path: Path) -> MasterFacts:
    """Return what a master file states about detector, geometry and plan.

    Raises
    ------
    FileChangedError
        The file changed while it was read.
    SeriesError
        The file cannot be read at all.
    """
    with open_hdf5(path) as (file, _):
        fields = FieldReader(file, path.name)
        shape_yx, mask = _shape_and_mask(fields)
        frame_start_s = fields.ascending(_FRAME_STARTS, SECONDS, "s")
        return MasterFacts(
            path=path,
            shape_yx=shape_yx,
            dtype=_dtype(fields),
            pixel_size_m=_pixel_size(fields),
            distance_m=fields.quantity(
                [f"{_DETECTOR}/detector_distance", f"{_DETECTOR}/distance"], METRES, "m", *DISTANCE_M
            ),
            wavelength_m=_wavelength(fields),
            beam_center_yx_px=_beam_center(fields),
            pixel_mask=mask,
            saturation_value=fields.count(
                [f"{_DETECTOR}/saturation_value", f"{_SPECIFIC}/saturation_value"], 1, 2**32 - 1
            ),
            planned_frames=_planned_frames(fields),
            frame_time_s=_frame_time_s(fields, frame_start_s),
            frame_start_s=frame_start_s,
            count_time_s=fields.quantity([f"{_DETECTOR}/count_time"], SECONDS, "s", *_TIME_S),
            started_at=parse_date(
                fields.text(["entry/start_time", f"{_SPECIFIC}/data_collection_date"]) or ""
            ),
            transmission=fields.quantity(
                [f"{_INSTRUMENT}/attenuator/attenuator_transmission"], NO_UNIT, "", 1e-30, 1.0
            ),
            monitor=fields.positive(_MONITOR),
            holds_frames=_holds_frames(file),
            notices=tuple(fields.notices),
        )


def _shape_and_mask(fields: FieldReader) -> tuple[tuple[int, int] | None, np.ndarray | None]:
    mask = _pixel_mask(fields)
    shape_yx = _shape(fields, mask)
    if mask is not None and mask.shape != shape_yx:
        fields.notices.append(
            "The pixel mask in the master has not the shape of the detector; it is not used."
        )
        mask = None
    return shape_yx, mask


def _dtype(fields: FieldReader) -> np.dtype | None:
    bits = fields.count([f"{_DETECTOR}/bit_depth_image", f"{_SPECIFIC}/bit_depth_image"], 1, 64)
    return fields.pixel_type([_ALL_FRAMES]) if bits is None else _PIXEL_TYPES.get(bits)


def _pixel_mask(fields: FieldReader) -> np.ndarray | None:
    image = fields.image(
        [f"{_SPECIFIC}/pixel_mask", f"{_FIRST_CHANNEL}/pixel_mask", f"{_DETECTOR}/pixel_mask"]
    )
    if image is None:
        return None
    mask = image != 0
    if mask.all():
        fields.notices.append("The pixel mask calls every pixel bad; it is not used.")
        return None
    mask.flags.writeable = False
    return mask


def _shape(fields: FieldReader, mask: np.ndarray | None) -> tuple[int, int] | None:
    rows = fields.count([f"{_SPECIFIC}/y_pixels_in_detector"], 1, LONGEST_EDGE_PX)
    columns = fields.count([f"{_SPECIFIC}/x_pixels_in_detector"], 1, LONGEST_EDGE_PX)
    if rows is not None and columns is not None:
        return rows, columns
    data_size = fields.integers([f"{_DETECTOR}/module/data_size"], 2)
    if data_size is not None and all(0 < edge <= LONGEST_EDGE_PX for edge in data_size):
        return data_size[0], data_size[1]
    if mask is not None:
        return mask.shape[0], mask.shape[1]
    stack = fields.shape([_ALL_FRAMES])
    return (stack[-2], stack[-1]) if stack is not None and len(stack) in (3, 4) and 0 not in stack else None


def _pixel_size(fields: FieldReader) -> float | None:
    width = fields.quantity([f"{_DETECTOR}/x_pixel_size"], METRES, "m", *_PIXEL_SIZE_M)
    height = fields.quantity([f"{_DETECTOR}/y_pixel_size"], METRES, "m", *_PIXEL_SIZE_M)
    if width is not None and height is not None and abs(width - height) > 0.01 * width:
        fields.notices.append(
            f"The pixels are not square ({width * 1e6:g} x {height * 1e6:g} micrometres); q is computed as if they "
            "were, with the width."
        )
    return height if width is None else width


def _wavelength(fields: FieldReader) -> float | None:
    wavelength_m = fields.quantity(
        [f"{_INSTRUMENT}/beam/incident_wavelength", "entry/sample/beam/incident_wavelength"],
        METRES,
        "angstrom",
        *WAVELENGTH_M,
    )
    if wavelength_m is not None:
        return wavelength_m
    energy_kev = fields.quantity(
        [f"{_INSTRUMENT}/beam/incident_energy", f"{_SPECIFIC}/photon_energy"],
        KILOELECTRONVOLTS,
        "eV",
        *_ENERGY_KEV,
    )
    return None if energy_kev is None else PHOTON_ENERGY_TIMES_WAVELENGTH_KEV_M / energy_kev


def _beam_center(fields: FieldReader) -> tuple[float, float] | None:
    limit = float(LONGEST_EDGE_PX)
    row = fields.quantity([f"{_DETECTOR}/beam_center_y"], PIXELS, "pixel", -limit, limit)
    column = fields.quantity([f"{_DETECTOR}/beam_center_x"], PIXELS, "pixel", -limit, limit)
    if row is None or column is None:
        return None
    if row == 0 and column == 0:
        fields.notices.append(
            "The beam centre in the master is (0, 0), as if nobody had set it; it is not used."
        )
        return None
    return row, column


def _planned_frames(fields: FieldReader) -> int | None:
    per_trigger = fields.count([f"{_SPECIFIC}/nimages"], 1, _MOST_FRAMES)
    if per_trigger is not None:
        triggers = fields.count([f"{_SPECIFIC}/ntrigger"], 1, _MOST_FRAMES)
        return per_trigger * (triggers or 1)
    shape = fields.shape(["entry/data/image_id", f"{_DETECTOR}/start_time", _ALL_FRAMES])
    return shape[0] if shape is not None and shape and shape[0] > 0 else None


def _frame_time_s(fields: FieldReader, frame_start_s: np.ndarray | None) -> float | None:
    """What is stated; for bursts, where that is the time within a burst, and where nothing is, the mean distance."""
    stated = fields.quantity([f"{_DETECTOR}/frame_time"], SECONDS, "s", *_TIME_S)
    if frame_start_s is None or (stated is not None and not are_uneven(frame_start_s)):
        return stated
    return float(np.diff(frame_start_s).mean())


def _holds_frames(file: h5py.File) -> bool:
    group = file.get("entry/data")
    if not isinstance(group, h5py.Group):
        return False
    own = (name for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink))
    items = (group[name] for name in own)
    return any(
        isinstance(item, h5py.Dataset) and item.ndim in (3, 4) and not item.is_virtual for item in items
    )
