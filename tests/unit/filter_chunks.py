"""Compressed chunks as the HDF5 filter makes them, and frames that are awkward for a decoder."""

from __future__ import annotations

import h5py
import hdf5plugin
import numpy as np

UNSIGNED = [np.uint8, np.uint16, np.uint32]


def filter_chunks(frames: np.ndarray, block_pixels: int = 0) -> list[bytes]:
    """The chunks that the HDF5 filter itself makes of frames; checked to be read back as the frames."""
    options = hdf5plugin.Bitshuffle(nelems=block_pixels, cname="lz4")
    with h5py.File("chunk.h5", "w", driver="core", backing_store=False) as file:
        data = file.create_dataset("data", data=frames, chunks=(1, *frames.shape[1:]), **options)
        assert np.array_equal(data[()], frames)
        return [bytes(data.id.read_direct_chunk((number, 0, 0))[1]) for number in range(len(frames))]


def filter_chunk(frame: np.ndarray, block_pixels: int = 0) -> bytes:
    """The chunk of one frame."""
    return filter_chunks(frame[None], block_pixels)[0]


def random_frame(
    generator: np.random.Generator, shape_yx: tuple[int, int], dtype: type, mean: float
) -> np.ndarray:
    """Photons, a few very bright pixels, and some at the type's maximum."""
    top = int(np.iinfo(dtype).max)
    frame = np.minimum(generator.poisson(mean, shape_yx), top).astype(dtype)
    frame[generator.random(shape_yx) < 0.01] = generator.integers(0, top, endpoint=True)
    frame[generator.random(shape_yx) < 0.02] = top
    return frame
