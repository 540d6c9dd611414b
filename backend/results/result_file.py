"""The result file: one series' correlation as NeXus-like HDF5 in the layout that XPCS viewers of synchrotrons read.

Below ``/xpcs`` names and shapes follow the multitau files of APS and DESY; what only this program knows stands in
``/entry/mento_gui``. Everything in a :class:`CorrelationResult` comes back from the file as it went in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np

from backend.correlation_result import CorrelationResult
from backend.errors import DispatchError
from backend.results.result_layout import ARRAYS, TEXTS, check_shapes
from backend.snapshot import RingFit

FORMAT_VERSION = 3
_OWN = "/entry/mento_gui"
_FITS = "/xpcs/multitau/fits"
_GROUP_CLASSES = {
    "/entry": "NXentry",
    "/entry/instrument": "NXinstrument",
    "/entry/instrument/detector_1": "NXdetector",
    "/entry/instrument/incident_beam": "NXbeam",
    "/entry/sample": "NXsample",
    _OWN: "NXprocess",
    f"{_OWN}/geometry": "NXcollection",
    f"{_OWN}/hot_pixels": "NXcollection",
    f"{_OWN}/job": "NXcollection",
    "/xpcs": "NXsubentry",
    "/xpcs/multitau": "NXdata",
    _FITS: "NXcollection",
    "/xpcs/qmap": "NXcollection",
    "/xpcs/temporal_mean": "NXcollection",
    "/xpcs/spatial_mean": "NXcollection",
}
_FIT_UNITS = {"gamma_per_s": "1/s", "gamma_err_per_s": "1/s"}
_GEOMETRY_UNITS = {
    "distance_m": "m",
    "wavelength_m": "m",
    "pixel_size_m": "m",
    "beam_center_y_px": "pixel",
    "beam_center_x_px": "pixel",
}
_PLANCK_TIMES_LIGHT_KEV_M = 1.239841984332e-9  # CODATA 2018, exact by definition to all digits given


def write_result(
    path: Path, result: CorrelationResult, job: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Write the result so that a file of this name is there whole or not at all, on the disk when this returns.

    ``job`` is what a job says of itself: its key, its recipe and the hash of that.

    Raises
    ------
    DispatchError
        The folder cannot be written, or arrays of the result do not fit together.
    """
    faults = check_shapes(result)
    if faults:
        raise DispatchError(f"The result of {result.series} contradicts itself: {'; '.join(faults)}.")
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        try:
            content = _file_content(result, job)
            with open(part, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        _bring_names_to_disk(path.parent)
    except OSError as error:
        raise DispatchError(
            f"The result file {path} cannot be written: {error.strerror or error}.",
            still_works="The live analysis is not affected; no incomplete file was left.",
            try_this="Check that the folder exists, may be written and has room.",
        ) from error


def read_result(path: Path) -> CorrelationResult:
    """Result as it was written.

    Raises
    ------
    DispatchError
        The file cannot be read, is damaged, or is not a result file of this program.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _result_in(file, path)
    except FileNotFoundError as error:
        raise _unusable(path, "does not exist") from error
    except (OSError, RuntimeError) as error:
        raise _unusable(path, f"cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unusable(path, f"is not a result file of this program: {error}") from error


def _file_content(result: CorrelationResult, job: Mapping[str, str]) -> bytes:
    # Built in memory: the HDF5 library cannot be trusted to survive a full disk while it writes a file itself.
    with h5py.File("result", "w", driver="core", backing_store=False) as file:
        _fill(file, result)
        for name, text in job.items():
            _put(file, f"{_OWN}/job/{name}", text)
        file.flush()
        return file.id.get_file_image()


def _fill(file: h5py.File, result: CorrelationResult) -> None:
    for name, nexus_class in _GROUP_CLASSES.items():
        file.require_group(name).attrs["NX_class"] = nexus_class
    file.attrs["default"] = "xpcs"
    file["/xpcs"].attrs["default"] = "multitau"
    file["/xpcs/multitau"].attrs.update({"signal": "normalized_g2", "axes": ["delay_list", "."]})
    for name, array in ARRAYS.items():
        values = getattr(result, name)
        # Large images and tables are packed with what every HDF5 library can unpack.
        packing: dict[str, Any] = (
            {"compression": "gzip", "compression_opts": 1, "shuffle": True} if array.packed else {}
        )
        stored = values.T if array.transposed else values
        _put(file, array.path, stored, array.units, **(packing if stored.size else {}))
    for name, place in TEXTS.items():
        _put(file, place, getattr(result, name))
    own = file[_OWN]
    own.attrs["format_version"] = FORMAT_VERSION
    _put(own, "program", "mento-gui")
    _put(own, "frames", result.frames)
    own.create_dataset(
        "notices", data=list(result.notices), shape=(len(result.notices),), dtype=h5py.string_dtype()
    )
    for name, value in result.geometry.items():
        _put(own, f"geometry/{name}", float(value), _GEOMETRY_UNITS.get(name, ""))
    _fill_instrument(file, result)
    _fill_fits(file[_FITS], result.fits)


def _fill_instrument(file: h5py.File, result: CorrelationResult) -> None:
    """What viewers of the layout look for besides the correlation itself; nothing of it is read back."""
    detector = file["/entry/instrument/detector_1"]
    geometry: Mapping[str, float] = result.geometry
    _put(detector, "frame_time", result.frame_time_s, "s")
    for name, key in {
        "distance": "distance_m",
        "x_pixel_size": "pixel_size_m",
        "y_pixel_size": "pixel_size_m",
        "beam_center_x": "beam_center_x_px",
        "beam_center_y": "beam_center_y_px",
    }.items():
        if key in geometry:
            _put(detector, name, float(geometry[key]), _GEOMETRY_UNITS[key])
    if geometry.get("wavelength_m", 0.0) > 0.0:
        wavelength_m = float(geometry["wavelength_m"])
        beam = file["/entry/instrument/incident_beam"]
        _put(beam, "incident_wavelength", wavelength_m, "m")
        _put(beam, "incident_energy", _PLANCK_TIMES_LIGHT_KEV_M / wavelength_m, "keV")
    _put(file, "/entry/definition", "NXxpcs")
    _put(file, "/xpcs/multitau/lag", result.lag_frames * result.frame_time_s, "s")
    _put(file, "/xpcs/multitau/config/avg_frame", 1)
    _put(file, "/xpcs/multitau/config/stride_frame", 1)
    _put(file, "/xpcs/qmap/mask", (result.fine_ring_map > 0).astype(np.uint8), compression="gzip")
    _put(file, "/xpcs/qmap/map_names", ["q"])
    _put(file, "/xpcs/qmap/map_units", ["1/nm"])
    for name, q_inv_nm in {"dynamic": result.q_inv_nm, "static": result.fine_q_inv_nm}.items():
        _put(file, f"/xpcs/qmap/{name}_num_pts", [len(q_inv_nm), 1])
        _put(file, f"/xpcs/qmap/{name}_index_mapping", np.arange(len(q_inv_nm)))


def _fill_fits(group: h5py.Group, fits: tuple[RingFit | None, ...]) -> None:
    group.attrs["model"] = "baseline + contrast * exp(-2 * (gamma_per_s * lag)**exponent)"
    _put(group, "fitted", np.array([fit is not None for fit in fits], dtype=bool))
    for name in RingFit.__struct_fields__:
        values = [np.nan if fit is None else getattr(fit, name) for fit in fits]
        _put(group, name, np.array(values, dtype=np.float64), _FIT_UNITS.get(name, ""))


def _put(group: h5py.Group, name: str, value: Any, units: str = "", **packing: Any) -> None:
    dataset = group.create_dataset(name, data=value, **packing)
    if units:
        dataset.attrs["units"] = units


def _result_in(file: h5py.File, path: Path) -> CorrelationResult:
    own = file[_OWN]
    version = int(own.attrs["format_version"])
    if version != FORMAT_VERSION:
        raise _unusable(path, f"has format {version}; this program knows {FORMAT_VERSION}")
    values: dict[str, Any] = {}
    for name, array in ARRAYS.items():
        stored = file[array.path][()]
        values[name] = np.ascontiguousarray(stored.T) if array.transposed else stored
        values[name].flags.writeable = False
    for name, place in TEXTS.items():
        values[name] = file[place][()].decode()
    result = CorrelationResult(
        frames=int(own["frames"][()]),
        frame_time_s=float(file["/entry/instrument/detector_1/frame_time"][()]),
        geometry={name: float(value[()]) for name, value in own["geometry"].items()},
        fits=_fits_in(file[_FITS]),
        notices=tuple(text.decode() for text in own["notices"][()]),
        **values,
    )
    faults = check_shapes(result)
    if faults:
        raise _unusable(path, f"contradicts itself: {'; '.join(faults)}")
    return result


def _fits_in(group: h5py.Group) -> tuple[RingFit | None, ...]:
    columns = {name: group[name][()] for name in RingFit.__struct_fields__}
    return tuple(
        RingFit(**{name: float(column[ring]) for name, column in columns.items()}) if fitted else None
        for ring, fitted in enumerate(group["fitted"][()])
    )


def _bring_names_to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, what: str) -> DispatchError:
    return DispatchError(
        f"The result file {path} {what}.",
        still_works="The live analysis and other results are not affected; the file is left as it is.",
        try_this="Run the recipe again on this series.",
    )
