"""Reads one ``_data_NNNNNN.h5`` in slices: compressed chunks as they are where the decoder knows them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from backend.acquisition.hdf5_file import (
    HDF5_FAULTS,
    FileChangedError,
    FileStamp,
    UnusableFileError,
    open_hdf5,
    reason_in_words,
)
from backend.frames import Codec

_FRAMES = "entry/data/data"
_DATA_GROUP = "entry/data"
_BITSHUFFLE_FILTER = 32008
_BITSHUFFLE_WITH_LZ4 = 2
_PIXEL_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.uint32))
# Ten times the largest detector of this kind; a larger frame means a damaged or foreign file.
_LARGEST_FRAME_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class DataFile:
    """One data file as it was when it was looked at.

    Attributes
    ----------
    path, stamp
        Where it is and in which state it was.
    dataset : str
        Path of the frames inside the file.
    frames : int
        Number of frames.
    shape_yx, dtype
        Shape and native type of one frame.
    codec : str
        ``"bslz4"`` when every frame is one chunk the decoder takes as it is, else ``"raw"``.
    channels : int or None
        Length of the channel axis of a file ``[image, channel, y, x]``; the first channel is read.
    """

    path: Path
    stamp: FileStamp
    dataset: str
    frames: int
    shape_yx: tuple[int, int]
    dtype: np.dtype
    codec: Codec
    channels: int | None

    @property
    def frame_bytes(self) -> int:
        """Size of one plain frame."""
        return self.shape_yx[0] * self.shape_yx[1] * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class FrameRun:
    """Consecutive frames of one file in one codec; ``first`` is the position in the file, from 0."""

    first: int
    codec: Codec
    chunks: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class FrameSlice:
    """What one read gave: runs of good frames, the frames that could not be read, and where to go on."""

    runs: tuple[FrameRun, ...]
    damaged: tuple[int, ...]
    reason: str
    next_frame: int


def inspect_data_file(path: Path) -> DataFile:
    """Return frame count, shape, type and codec of a data file.

    Raises
    ------
    FileChangedError
        The file changed meanwhile.
    UnusableFileError
        It holds no frames, or frames of a type that is not an unsigned integer of 8, 16 or 32 bits.
    SeriesError
        The file cannot be read.
    """
    with open_hdf5(path) as (file, stamp):
        dataset = _find_frames(file, path)
        shape_yx = (int(dataset.shape[-2]), int(dataset.shape[-1]))
        dtype = dataset.dtype.newbyteorder("=")
        _check_frames(path, dataset, shape_yx, dtype)
        return DataFile(
            path=path,
            stamp=stamp,
            dataset=dataset.name,
            frames=int(dataset.shape[0]),
            shape_yx=shape_yx,
            dtype=dtype,
            codec="bslz4" if _is_one_bslz4_chunk_per_frame(dataset) else "raw",
            channels=int(dataset.shape[1]) if dataset.ndim == 4 else None,
        )


def read_frames(data_file: DataFile, first: int, count: int, largest_bytes: int) -> FrameSlice:
    """Return up to ``count`` frames from position ``first``, fewer when they exceed ``largest_bytes`` together.

    Raises
    ------
    FileChangedError
        The file is no longer the one that was inspected; nothing of it was used.
    SeriesError
        The file cannot be read.
    """
    with open_hdf5(data_file.path) as (file, stamp):
        if stamp != data_file.stamp:
            raise FileChangedError(f"{data_file.path.name} was replaced after it was first read.")
        dataset = file[data_file.dataset]
        last = min(first + count, data_file.frames)
        if data_file.codec == "bslz4":
            return _read_chunks(dataset, data_file, first, last, largest_bytes)
        affordable = max(1, largest_bytes // data_file.frame_bytes)
        return _read_plain(dataset, data_file, first, min(last, first + affordable))


def _find_frames(file: h5py.File, path: Path) -> h5py.Dataset:
    group = file.get(_DATA_GROUP)
    if not isinstance(group, h5py.Group):
        raise _wrong(path, f"it has no group /{_DATA_GROUP}")
    # Links to other files are never followed: the file they name may not exist yet.
    own = [name for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink)]
    for name in sorted(own, key=lambda name: (name != "data", name)):
        item = group[name]
        if isinstance(item, h5py.Dataset) and item.ndim in (3, 4) and not item.is_virtual:
            return item
    raise _wrong(path, f"there is no stack of frames in /{_DATA_GROUP}")


def _check_frames(path: Path, dataset: h5py.Dataset, shape_yx: tuple[int, int], dtype: np.dtype) -> None:
    if dtype not in _PIXEL_TYPES:
        raise _wrong(
            path, f"its pixels are of type {dtype}, where unsigned integers of 8, 16 or 32 bits are expected"
        )
    if 0 in dataset.shape:
        raise _wrong(path, f"it holds no frames (the stack has the shape {dataset.shape})")
    if shape_yx[0] * shape_yx[1] * dtype.itemsize > _LARGEST_FRAME_BYTES:
        raise _wrong(path, f"a frame of {shape_yx[0]} x {shape_yx[1]} pixels is larger than any detector")


def _wrong(path: Path, why: str) -> UnusableFileError:
    return UnusableFileError(
        f"{path.name} in {path.parent} cannot be used: {why}.",
        still_works="The other files of the series are read.",
        try_this="Check what wrote this file.",
    )


def _is_one_bslz4_chunk_per_frame(dataset: h5py.Dataset) -> bool:
    one_frame = (1,) * (dataset.ndim - 2) + dataset.shape[-2:]
    if dataset.chunks != one_frame or not dataset.dtype.isnative:
        return False
    properties = dataset.id.get_create_plist()
    if properties.get_nfilters() != 1:
        return False
    code, _, values, _ = properties.get_filter(0)
    return code == _BITSHUFFLE_FILTER and len(values) > 4 and values[4] == _BITSHUFFLE_WITH_LZ4


def _read_chunks(
    dataset: h5py.Dataset, data_file: DataFile, first: int, last: int, largest_bytes: int
) -> FrameSlice:
    collected = _Collected()
    frame = first
    while frame < last and (frame == first or collected.size_bytes < largest_bytes):
        corner = (frame,) + (0,) * (dataset.ndim - 1)
        try:
            filter_mask, chunk = dataset.id.read_direct_chunk(corner)
        except HDF5_FAULTS as error:
            collected.lose(frame, reason_in_words(error))
        else:
            # A set bit means that the writer left the compression out for this frame.
            codec: Codec = "raw" if filter_mask else "bslz4"
            if _states_its_size(chunk, codec, data_file.frame_bytes):
                collected.keep(frame, codec, bytes(chunk))
            else:
                collected.lose(frame, "its compressed size does not fit the detector")
        frame += 1
    return collected.result(frame)


def _states_its_size(chunk: bytes, codec: Codec, frame_bytes: int) -> bool:
    if codec == "raw":
        return len(chunk) == frame_bytes
    return len(chunk) >= 12 and struct.unpack_from(">Q", chunk)[0] == frame_bytes


def _read_plain(dataset: h5py.Dataset, data_file: DataFile, first: int, last: int) -> FrameSlice:
    collected = _Collected()
    try:
        images = _decoded(dataset, data_file, first, last)
    except HDF5_FAULTS:
        # One damaged frame spoils the whole read: find out which one.
        for frame in range(first, last):
            try:
                collected.keep(frame, "raw", _decoded(dataset, data_file, frame, frame + 1).tobytes())
            except HDF5_FAULTS as error:
                collected.lose(frame, reason_in_words(error))
    else:
        for offset, image in enumerate(images):
            collected.keep(first + offset, "raw", image.tobytes())
    return collected.result(last)


def _decoded(dataset: h5py.Dataset, data_file: DataFile, first: int, last: int) -> np.ndarray:
    images = dataset[first:last] if data_file.channels is None else dataset[first:last, 0]
    return np.ascontiguousarray(images, dtype=data_file.dtype)


class _Collected:
    """Gathers frames into runs of one codec without holes."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._runs: list[tuple[int, Codec, list[bytes]]] = []
        self._damaged: list[int] = []
        self._reason = ""

    def keep(self, frame: int, codec: Codec, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        if self._runs:
            first, run_codec, chunks = self._runs[-1]
            if run_codec == codec and first + len(chunks) == frame:
                chunks.append(chunk)
                return
        self._runs.append((frame, codec, [chunk]))

    def lose(self, frame: int, reason: str) -> None:
        self._damaged.append(frame)
        self._reason = self._reason or reason

    def result(self, next_frame: int) -> FrameSlice:
        runs = tuple(FrameRun(first, codec, tuple(chunks)) for first, codec, chunks in self._runs)
        return FrameSlice(runs, tuple(self._damaged), self._reason, next_frame)
