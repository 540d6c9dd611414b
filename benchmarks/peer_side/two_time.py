"""Two-time maps of all rings: xpcs-correlator's event kernel, and matrix products on dense frames."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from threadpoolctl import threadpool_limits
from xpcscorr.correlators.sparse import base as kernels

from benchmarks.peer_side.sparse_chain import decode_movie, warm_pool


@dataclass(slots=True)
class _Events:
    """All events of a movie, frame by frame; pixels are numbered ring by ring."""

    intensity: np.ndarray
    pixel: np.ndarray
    pointer: np.ndarray
    ring_start: np.ndarray
    ring_counts: np.ndarray


_events: dict[str, _Events] = {}


def load_events(name: str, threads: int) -> dict[str, Any]:
    """Decode a movie that was loaded, and keep its events."""
    counts, intensity, pixel, pointer, ring_start = decode_movie(name, threads)
    _events[name] = _Events(intensity, pixel, pointer, ring_start, counts)
    return {"events": int(intensity.size)}


def run_two_time_sparse(name: str, threads: int, result: str | None = None) -> dict[str, Any]:
    """Seconds from events to the normalised maps of all rings; largest rings first, so that threads end together.

    The maps go into the file ``result``, shape (ring, frame, frame), if it is given.
    """
    events = _events[name]
    frames = len(events.pointer) - 1
    numba.set_num_threads(threads)
    start = time.perf_counter()
    intensity, time_index, pixel_pointer = kernels._convert_frames_csr_to_csc(  # noqa: SLF001 - no public door
        events.intensity, events.pixel, events.pointer, int(events.ring_start[-1]), np.empty(0, np.uint16)
    )

    def one(ring: int) -> np.ndarray:
        numerator, sums = np.zeros((frames, frames), np.int64), np.zeros(frames, np.int64)
        pointer = pixel_pointer[events.ring_start[ring] : events.ring_start[ring + 1] + 1]
        kernels._calculate_correlation_csc(  # noqa: SLF001 - no public door
            intensity, time_index, pointer, numerator, sums, np.zeros(frames), False
        )
        return _normalised(numerator, sums, len(pointer) - 1)

    largest_first = np.argsort(-np.diff(events.ring_start)).tolist()
    maps = dict(zip(largest_first, warm_pool(threads).map(one, largest_first), strict=True))
    seconds = time.perf_counter() - start
    if result is not None:
        np.save(result, np.stack([maps[ring] for ring in sorted(maps)]))
    return {"seconds": seconds}


def run_two_time_dense(name: str, threads: int) -> dict[str, Any]:
    """Seconds for the products and the normalisation of all rings; filling the dense frames is not counted."""
    events = _events[name]
    seconds = 0.0
    with threadpool_limits(threads):
        for ring in range(len(events.ring_start) - 1):
            dense = _dense_frames(events, int(events.ring_start[ring]), int(events.ring_start[ring + 1]))
            start = time.perf_counter()
            _normalised(dense @ dense.T, events.ring_counts[ring], dense.shape[1])
            seconds += time.perf_counter() - start
    return {"seconds": seconds}


@numba.njit(nogil=True)
def _normalised(numerator: np.ndarray, sums: np.ndarray, pixels: int) -> np.ndarray:
    """Upper half of the map of a ring, shape (frame, frame), float32; frames without photons give zero."""
    values = np.zeros(numerator.shape, np.float32)
    for first in range(sums.size):
        scale = pixels / max(sums[first], 1)
        for second in range(first, sums.size):
            values[first, second] = numerator[first, second] * scale / max(sums[second], 1)
    return values


def _dense_frames(events: _Events, first: int, last: int) -> np.ndarray:
    """Counts of one ring, shape (frame, pixel), float32."""
    inside = (events.pixel >= first) & (events.pixel < last)
    frame = np.repeat(np.arange(len(events.pointer) - 1), np.diff(events.pointer))
    dense = np.zeros((len(events.pointer) - 1, last - first), np.float32)
    dense[frame[inside], events.pixel[inside] - first] = events.intensity[inside]
    return dense
