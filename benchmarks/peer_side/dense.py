"""boost-corr's dense multi-tau correlator on the CPU, fed with frames that are decoded already."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import time
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the filter
import numpy as np
import torch
from boost_corr import MultitauCorrelator

# Its queues grow with the memory it may use; small ones, which fit the caches better, were the fastest of 2 to 36 GB,
# and batches of 16 faster than of 64. Its other defaults are kept: they sum low levels in bfloat16, which here is
# faster than float32 and costs a few 1e-5 of g2.
_BATCH_FRAMES = 16
_LARGEST_MEMORY_GB = 2.0

_frames: dict[str, tuple[torch.Tensor, np.ndarray, tuple[int, int]]] = {}


def load_frames(name: str, files: list[str], frames: int, ring_of_pixel: str) -> dict[str, Any]:
    """Decode the first frames and keep the pixels of the rings, ring by ring, as the correlator wants them."""
    ring = np.load(ring_of_pixel)
    flat = ring.ravel()
    used = np.flatnonzero(flat >= 0)
    order = used[np.argsort(flat[used], kind="stable")]
    parts: list[np.ndarray] = []
    for file in files:
        with h5py.File(file) as opened:
            wanted = frames - sum(map(len, parts))
            data = opened["entry/data/data"][:wanted].reshape(-1, flat.size)
        parts.append(data[:, order].astype(np.int16))
    stack = np.concatenate(parts)
    start = np.concatenate([[0], np.cumsum(np.bincount(flat[used]))[:-1]])
    _frames[name] = (torch.from_numpy(stack), start, ring.shape)
    return {"frames": len(stack)}


def run_dense(name: str, threads: int) -> dict[str, Any]:
    """Seconds from decoded frames to g2 of all rings."""
    stack, ring_start, shape = _frames[name]
    torch.set_num_threads(threads)
    start = time.perf_counter()
    correlator = MultitauCorrelator(
        shape,
        len(stack),
        mask_crop=torch.arange(stack.shape[1]),
        queue_size=_BATCH_FRAMES,
        max_memory=_LARGEST_MEMORY_GB,
    )
    for first in range(0, len(stack), _BATCH_FRAMES):
        correlator.process(stack[first : first + _BATCH_FRAMES])
    correlator.post_process()
    sums = np.add.reduceat(correlator.g2.numpy(), ring_start, axis=2)
    pixels = np.diff(np.append(ring_start, stack.shape[1]))
    g2 = sums[:, 0] * pixels / (sums[:, 1] * sums[:, 2])
    return {"seconds": time.perf_counter() - start, "first_lag": g2[0].tolist()}
