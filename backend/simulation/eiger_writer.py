"""Writes one series the way the EIGER file writer does: a master first, then data files that appear whole."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from backend.simulation.detector_model import DetectorModel

_DATASET = "/entry/data/data"


@dataclass(frozen=True, slots=True)
class EigerSeries:
    """What the files state about a series.

    ``pixel_mask``: shape (y, x), uint32, 0 = good. ``stem`` is the file name before ``_master.h5``.
    """

    folder: Path
    stem: str
    detector: DetectorModel
    pixel_mask: np.ndarray
    dtype: np.dtype
    frames: int
    frames_per_file: int
    frame_time_s: float
    count_time_s: float
    started_at: datetime
    transmission: float = 1.0

    @property
    def master(self) -> Path:
        """Path of the master file."""
        return self.folder / f"{self.stem}_master.h5"

    @property
    def files(self) -> int:
        """Number of data files when the series is complete."""
        return -(-self.frames // self.frames_per_file)

    def data_file(self, number: int) -> Path:
        """Path of a data file, counted from 1."""
        return self.folder / f"{self.stem}_data_{number:06d}.h5"


def write_master(series: EigerSeries) -> None:
    """Write the master file; its links dangle until the data files appear.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["default"] = "entry"
        entry = _group(file, "entry", "NXentry", default="data")
        data = _group(entry, "data", "NXdata", signal="data_000001")
        for number in range(1, series.files + 1):
            data[f"data_{number:06d}"] = h5py.ExternalLink(series.data_file(number).name, _DATASET)
        instrument = _group(entry, "instrument", "NXinstrument")
        detector = _group(instrument, "detector", "NXdetector")
        _write_detector(detector, series)
        _write_detector_specific(_group(detector, "detectorSpecific", "NXcollection"), series)
        beam = _group(instrument, "beam", "NXbeam")
        _value(beam, "incident_wavelength", np.float32(series.detector.wavelength_m * 1e10), "angstrom")
        attenuator = _group(instrument, "attenuator", "NXattenuator")
        _value(attenuator, "attenuator_transmission", np.float64(series.transmission))
        _value(_group(entry, "sample", "NXsample"), "name", series.stem)
    _publish(content, series.master)


def _write_detector(group: h5py.Group, series: EigerSeries) -> None:
    model = series.detector
    row, column = model.beam_center_yx_px
    _value(group, "description", model.description)
    _value(group, "detector_number", f"simulated {model.folder}")
    for name, seconds in (
        ("frame_time", series.frame_time_s),
        ("count_time", series.count_time_s),
        ("detector_readout_time", model.readout_time_s),
    ):
        _value(group, name, np.float32(seconds), "s")
    for name, metres in (
        ("x_pixel_size", model.pixel_size_m),
        ("y_pixel_size", model.pixel_size_m),
        ("detector_distance", model.distance_m),
        ("sensor_thickness", model.sensor_thickness_m),
    ):
        _value(group, name, np.float32(metres), "m")
    _value(group, "sensor_material", "Si")
    _value(group, "beam_center_x", np.float32(column), "pixel")
    _value(group, "beam_center_y", np.float32(row), "pixel")
    _value(group, "bit_depth_readout", np.int32(12))
    _value(group, "bit_depth_image", np.int32(series.dtype.itemsize * 8))
    _value(group, "saturation_value", series.dtype.type(np.iinfo(series.dtype).max - 1))
    for name in (
        "countrate_correction_applied",
        "flatfield_correction_applied",
        "virtual_pixel_correction_applied",
    ):
        _value(group, name, np.int32(0))
    _value(group, "pixel_mask_applied", np.int32(1))


def _write_detector_specific(group: h5py.Group, series: EigerSeries) -> None:
    model = series.detector
    compressed = hdf5plugin.Bitshuffle(cname="lz4")
    mask = group.create_dataset("pixel_mask", data=series.pixel_mask, chunks=model.shape_yx, **compressed)
    mask.attrs["interpretation"] = "image"
    _value(group, "nimages", np.int64(series.frames))
    _value(group, "ntrigger", np.int64(1))
    _value(group, "x_pixels_in_detector", np.int64(model.shape_yx[1]))
    _value(group, "y_pixels_in_detector", np.int64(model.shape_yx[0]))
    _value(group, "number_of_excluded_pixels", np.int64(np.count_nonzero(series.pixel_mask)))
    _value(group, "photon_energy", np.float32(model.photon_energy_kev * 1e3), "eV")
    _value(group, "threshold_energy", np.float32(model.photon_energy_kev * 0.5e3), "eV")
    _value(group, "trigger_mode", "ints")
    _value(group, "compression", "bslz4")
    _value(group, "data_collection_date", series.started_at.isoformat(timespec="milliseconds"))


class DataFileWriter:
    """Appends frames to data files; each appears under its final name when its last frame is in.

    The file at hand is built in memory, as in the detector's own computer, and holds at most the compressed frames
    of one file. So a full disk meets a plain write, never the HDF5 library in the middle of one.
    """

    def __init__(self, series: EigerSeries) -> None:
        self._series = series
        self._content = io.BytesIO()
        self._file: h5py.File | None = None
        self._in_file = 0
        self.frames = 0

    def append(self, frame: np.ndarray) -> Path | None:
        """Write one frame, shape (y, x); the path of the data file if this frame completed it.

        Raises
        ------
        OSError
            The folder cannot be written (full, vanished, read-only).
        """
        if self._file is None:
            self._file = self._new_file()
        dataset = self._file[_DATASET]
        dataset[self._in_file] = frame
        self._in_file += 1
        self.frames += 1
        return self.finish_file() if self._in_file == len(dataset) else None

    def finish_file(self) -> Path | None:
        """Publish the file at hand with the frames it has, as after an abort; ``None`` if there is none.

        Raises
        ------
        OSError
            As :meth:`append`.
        """
        if self._file is None:
            return None
        dataset = self._file[_DATASET]
        dataset.resize(self._in_file, axis=0)
        dataset.attrs["image_nr_low"] = np.int64(self.frames - self._in_file + 1)
        dataset.attrs["image_nr_high"] = np.int64(self.frames)
        self._file.close()
        self._file = None
        path = self._series.data_file(-(-self.frames // self._series.frames_per_file))
        _publish(self._content, path)
        return path

    def _new_file(self) -> h5py.File:
        series = self._series
        self._content = io.BytesIO()
        self._in_file = 0
        file = h5py.File(self._content, "w")
        file.attrs["default"] = "entry"
        data = _group(_group(file, "entry", "NXentry", default="data"), "data", "NXdata", signal="data")
        rows, columns = series.detector.shape_yx
        data.create_dataset(
            "data",
            shape=(min(series.frames_per_file, series.frames - self.frames), rows, columns),
            maxshape=(None, rows, columns),
            chunks=(1, rows, columns),
            dtype=series.dtype,
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )
        return file


def _publish(content: io.BytesIO, path: Path) -> None:
    """Write a whole file under a hidden temporary name in the same folder, then give it its name."""
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_bytes(content.getbuffer())
        partial.rename(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _group(parent: h5py.Group, name: str, nx_class: str, **attributes: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    for key, text in attributes.items():
        group.attrs[key] = text
    return group


def _value(group: h5py.Group, name: str, value: Any, units: str = "") -> None:
    dataset = group.create_dataset(name, data=value)
    if units:
        dataset.attrs["units"] = units
