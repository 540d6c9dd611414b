"""Writes small files laid out like those of the detector, for the tests of the acquisition."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

ROWS, COLUMNS = 33, 47


def frames_of(
    first: int, count: int, dtype: type = np.uint16, shape: tuple[int, int] = (ROWS, COLUMNS)
) -> np.ndarray:
    """Frames that can be told apart: pixel (0, 0) holds the frame number."""
    rng = np.random.default_rng(first)
    images = rng.poisson(0.1, size=(count, *shape)).astype(dtype)
    images[:, 0, 0] = np.arange(first, first + count)
    return images


def write_data_file(path: Path, images: np.ndarray, how: str = "bslz4") -> Path:
    """One data file, whole by rename; ``how`` names compression and layout."""
    options: dict[str, dict] = {
        "bslz4": dict(hdf5plugin.Bitshuffle(cname="lz4")),
        "bszstd": dict(hdf5plugin.Bitshuffle(cname="zstd")),
        "lz4": dict(hdf5plugin.LZ4()),
        "gzip": {"compression": "gzip"},
        "plain": {},
        "several-per-chunk": dict(hdf5plugin.Bitshuffle(cname="lz4")),
        "contiguous": {},
        "four-d": dict(hdf5plugin.Bitshuffle(cname="lz4")),
    }
    chunks: object = (1, *images.shape[1:])
    if how == "several-per-chunk":
        chunks = (min(3, len(images)), *images.shape[1:])
    if how == "contiguous":
        chunks = None
    if how == "four-d":
        images = np.stack([images, images + 1], axis=1)
        chunks = (1, 1, *images.shape[2:])
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with h5py.File(part, "w") as file:
        file.create_dataset("entry/data/data", data=images, chunks=chunks, **options[how])
    part.rename(path)
    return path


def write_master(path: Path, *, layout: str = "legacy", links: int = 0, **changes: object) -> Path:
    """A master; ``changes`` set fields by name to another value, ``None`` leaves one out, a tuple adds a unit."""
    fields: dict[str, object] = {
        "nimages": 10,
        "ntrigger": 1,
        "frame_time": (0.01, "s"),
        "count_time": (0.009, "s"),
        "x_pixel_size": (75e-6, "m"),
        "y_pixel_size": (75e-6, "m"),
        "distance": (5.0, "m"),
        "wavelength": (1.54, "angstrom"),
        "beam_center_x": (20.5, "pixel"),
        "beam_center_y": (16.25, "pixel"),
        "bit_depth_image": 16,
        "saturation_value": 60000,
        "pixel_mask": _mask(),
    } | changes
    detector = "entry/instrument/detector"
    specific = f"{detector}/detectorSpecific"
    legacy = layout == "legacy"
    places = {
        "nimages": f"{specific}/nimages" if legacy else None,
        "ntrigger": f"{specific}/ntrigger" if legacy else None,
        "distance": f"{detector}/detector_distance" if legacy else f"{detector}/distance",
        "wavelength": "entry/instrument/beam/incident_wavelength",
        "energy": "entry/instrument/beam/incident_energy",
        "pixel_mask": f"{specific}/pixel_mask" if legacy else f"{detector}/threshold_1_channel/pixel_mask",
        "start_time": "entry/start_time",
        "frame_starts": f"{detector}/start_time",
        "frame_starts_as_axis": "entry/data/start_time",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with h5py.File(part, "w") as file:
        for name, value in fields.items():
            place = places.get(name, f"{detector}/{name}")
            if value is None or place is None:
                continue
            unit = None
            if isinstance(value, tuple):
                value, unit = value
            file[place] = value
            if unit is not None:
                file[place].attrs["units"] = unit
        if not legacy and isinstance(fields["nimages"], int):
            file["entry/data/image_id"] = np.arange(fields["nimages"])
            stack = h5py.VirtualLayout((fields["nimages"], 1, ROWS, COLUMNS), np.uint16)
            source = h5py.VirtualSource("nowhere.h5", "entry/data/data", stack.shape)
            stack[:] = source
            file.create_virtual_dataset("entry/data/data", stack)
        file.require_group("entry/data")
        for number in range(1, links + 1):
            name = path.name.replace("_master.h5", f"_data_{number:06d}.h5")
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "entry/data/data")
    part.rename(path)
    return path


def _mask() -> np.ndarray:
    mask = np.zeros((ROWS, COLUMNS), np.uint32)
    mask[:, 10] = 1
    mask[3, 4] = 8
    return mask


def write_run_file(path: Path, *, ended: bool = True, energy_ev: float = 8000.0) -> Path:
    """A ``.fio`` file of a time series: empty command, no data part."""
    end = "! Acquisition ended at Mon Nov 23 10:20:30 2026\n" if ended else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"!\n! Comments\n!\n%c\n!\n! Parameter\n!\n%p\nfmbenergy = {energy_ev}\n_note = silica\n{end}"
    )
    return path


def write_batchinfo(
    path: Path, *, x0: float = 21.5, y0: float = 17.25, frames: int = 10, more: str = ""
) -> Path:
    """A ``.batchinfo`` file; its beam centre counts from 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"start_time: Mon Nov 23 10:20:00 2026\nndataend: [{frames}]\nx0: {x0}\ny0: {y0}\n{more}")
    return path


def write_series(
    raw: Path, name: str = "silica_00001", *, files: int = 3, per_file: int = 4, **changes: object
) -> Path:
    """A finished series with master, data files and run file; gives its detector folder."""
    folder = raw / name / "e4m"
    write_master(folder / f"{name}_master.h5", links=files, **({"nimages": files * per_file} | changes))
    for number in range(files):
        write_data_file(folder / f"{name}_data_{number + 1:06d}.h5", frames_of(number * per_file, per_file))
    write_run_file(raw / name / f"{name}.fio")
    return folder
