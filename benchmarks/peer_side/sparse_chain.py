"""Peer chain A: bslz4_to_sparse, then the kernels of xpcs-correlator, both through a thread pool.

The package's own front end goes through files and a dask cluster; its kernels are called here directly, which is
faster: frames to events in threads, one transpose of the whole series by its parallel kernel, then pieces of rings of
about equal size in threads. Pixels are numbered ring by ring first, so that a ring is one run of the transposed data.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the filter
import numba
import numpy as np
from bslz4_to_sparse import chunk2sparse
from xpcscorr.correlators.sparse import base as kernels

_PIECES_PER_THREAD = 8
_LAG_WINDOW = 32768
_DATASET = "entry/data/data"


@dataclass(slots=True)
class _Movie:
    """Chunks in memory, and where they are on disk as (file, position)."""

    chunks: list[bytes]
    places: list[tuple[str, int]]
    dtype: np.dtype
    mask: np.ndarray
    position_of_pixel: np.ndarray
    ring_of_pixel: np.ndarray
    ring_start: np.ndarray


_movies: dict[str, _Movie] = {}
_local = threading.local()


@cache
def warm_pool(threads: int) -> ThreadPoolExecutor:
    """Threads that keep their buffers from run to run."""
    return ThreadPoolExecutor(threads)


def load_movie(name: str, files: list[str], frames: int, ring_of_pixel: str) -> dict[str, Any]:
    """Take the compressed chunks of the first frames into memory.

    ring_of_pixel : path of an array, shape (y, x), int16, -1 for pixels that are not used.
    """
    ring = np.load(ring_of_pixel)
    chunks: list[bytes] = []
    places: list[tuple[str, int]] = []
    for file in files:
        with h5py.File(file) as opened:
            data = opened[_DATASET]
            dtype = np.dtype(data.dtype)
            for index in range(min(len(data), frames - len(chunks))):
                chunks.append(bytes(data.id.read_direct_chunk((index, 0, 0))[1]))
                places.append((file, index))
    position, start = _ring_by_ring(ring.ravel())
    mask = (ring >= 0).astype(np.uint8)
    _movies[name] = _Movie(chunks, places, dtype, mask, position, ring.ravel(), start)
    return {"frames": len(chunks)}


def _ring_by_ring(ring: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """New number of each pixel, ascending within rings, and first number of each ring."""
    rings = int(ring.max()) + 1
    used = np.flatnonzero(ring >= 0)
    order = used[np.argsort(ring[used], kind="stable")]
    position = np.full(ring.size, -1, np.int32)
    position[order] = np.arange(order.size, dtype=np.int32)
    start = np.concatenate([[0], np.cumsum(np.bincount(ring[used], minlength=rings))])
    return position, start.astype(np.int64)


def run_chain(name: str, threads: int, from_files: bool, result: str) -> dict[str, Any]:
    """Seconds for the whole chain; ring sums and lag sums of all rings go into an .npz at ``result``.

    ``g2`` : shape (ring, lag), float64, all lags from 0; ``lag_sums`` : the numerators, exact integers in float64;
    ``ring_counts`` : shape (ring, frame), int64.
    """
    movie = _movies[name]
    numba.set_num_threads(threads)
    start = time.perf_counter()
    pool = warm_pool(threads)
    ring_counts, intensity, pixel, pointer = _decode_all(movie, pool, from_files)
    decoded = time.perf_counter()
    columns = kernels._convert_frames_csr_to_csc(  # noqa: SLF001 - the package has no public door to it
        intensity, pixel, pointer, int(movie.ring_start[-1]), np.empty(0, np.uint16)
    )
    turned = time.perf_counter()
    lag_sums = _lag_sums(movie, pool, threads, len(pointer) - 1, *columns)
    pixels = np.diff(movie.ring_start)
    g2 = np.array([_g2(*each) for each in zip(lag_sums, ring_counts, pixels, strict=True)])
    end = time.perf_counter()
    np.savez(result, g2=g2, lag_sums=lag_sums, ring_counts=ring_counts)
    return {
        "seconds": end - start,
        "decode_s": decoded - start,
        "transpose_s": turned - decoded,
        "lag_sums_s": end - turned,
        "events": len(intensity),
    }


def decode_movie(
    name: str, threads: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Photons per (ring, frame); count, ring-sorted pixel and frame pointer of all events; first pixel of each ring."""
    movie = _movies[name]
    return (*_decode_all(movie, warm_pool(threads), from_files=False), movie.ring_start)


def run_decode(name: str, threads: int) -> dict[str, Any]:
    """Seconds to turn all chunks into (index, value), nothing else."""
    movie = _movies[name]
    start = time.perf_counter()
    events = sum(warm_pool(threads).map(lambda chunk: _decoder(movie)(chunk, 0)[0], movie.chunks))
    return {"seconds": time.perf_counter() - start, "events": int(events)}


def _decoder(movie: _Movie) -> chunk2sparse:
    """Decoder with buffers of this thread."""
    if getattr(_local, "movie", None) is not movie:
        _local.movie = movie
        _local.decoder = chunk2sparse(movie.mask, movie.dtype)
    decoder: chunk2sparse = _local.decoder
    return decoder


def _decode_all(
    movie: _Movie, pool: ThreadPoolExecutor, from_files: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Photons per (ring, frame); then count, ring-sorted pixel and frame pointer of all events."""
    rings = len(movie.ring_start) - 1

    def one(frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        chunk = _read(*movie.places[frame]) if from_files else movie.chunks[frame]
        events, (value, index) = _decoder(movie)(chunk, 0)
        if events < 0:
            raise ValueError(f"frame {frame} could not be decoded: {events}")
        pixel, count = np.empty(events, np.int32), np.empty(events, np.uint16)
        sums = np.zeros(rings, np.int64)
        _by_ring(
            index[:events], value[:events], movie.position_of_pixel, movie.ring_of_pixel, pixel, count, sums
        )
        return pixel, count, sums

    frames = list(pool.map(one, range(len(movie.chunks))))
    pointer = np.concatenate([[0], np.cumsum([pixel.size for pixel, _, _ in frames])])
    intensity, pixels = np.empty(pointer[-1], np.uint16), np.empty(pointer[-1], np.int32)

    def gather(frame: int) -> None:
        part = slice(pointer[frame], pointer[frame + 1])
        pixels[part], intensity[part], _ = frames[frame]

    list(pool.map(gather, range(len(frames))))
    return np.array([sums for _, _, sums in frames]).T, intensity, pixels, pointer


def _read(file: str, index: int) -> bytes:
    opened = getattr(_local, "files", None)
    if opened is None:
        opened = _local.files = {}
    if file not in opened:
        opened[file] = h5py.File(file)[_DATASET]
    return bytes(opened[file].id.read_direct_chunk((index, 0, 0))[1])


@numba.njit(nogil=True)
def _by_ring(
    index: np.ndarray,
    value: np.ndarray,
    position_of_pixel: np.ndarray,
    ring_of_pixel: np.ndarray,
    pixel: np.ndarray,
    count: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Number pixels ring by ring, narrow the counts, add up the rings."""
    for i in range(index.size):
        if value[i] > 65535:
            raise ValueError("a count is too large for this comparison")
        pixel[i] = position_of_pixel[index[i]]
        count[i] = value[i]
        sums[ring_of_pixel[index[i]]] += value[i]


def _lag_sums(
    movie: _Movie,
    pool: ThreadPoolExecutor,
    threads: int,
    frames: int,
    intensity: np.ndarray,
    time_index: np.ndarray,
    pointer: np.ndarray,
) -> np.ndarray:
    """Sums over pixels and frames of products at every lag, shape (ring, lag), float64."""
    longest = max(1, int(movie.ring_start[-1]) // (threads * _PIECES_PER_THREAD))
    pieces = [
        (ring, first, min(first + longest, last))
        for ring, (ring_first, last) in enumerate(pairwise(movie.ring_start.tolist()))
        for first in range(ring_first, last, longest)
    ]

    def one(piece: tuple[int, int, int]) -> np.ndarray:
        sums = np.zeros(frames)
        kernels._calculate_correlation_g2_only_csc(  # noqa: SLF001 - as above
            intensity, time_index, pointer[piece[1] : piece[2] + 1], sums, _LAG_WINDOW
        )
        return sums

    total = np.zeros((len(movie.ring_start) - 1, frames))
    for (ring, _, _), sums in zip(pieces, pool.map(one, pieces), strict=True):
        total[ring] += sums
    return total


def _g2(lag_sums: np.ndarray, ring_counts: np.ndarray, pixels: int) -> np.ndarray:
    """g2 as the package normalises it: by the sums of products of the ring means."""
    with np.errstate(divide="ignore", invalid="ignore"):
        diagonal = kernels._calculate_denom_diag(ring_counts / pixels)  # noqa: SLF001 - as above
        values: np.ndarray = lag_sums / diagonal / pixels
    return values
