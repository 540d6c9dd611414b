"""Multi-tau g2 in plain float64 numpy from frames that the HDF5 library decodes: slow, simple, shares nothing."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - registers the filter
import numpy as np

_LAGS = 8


def dense_frames(files: list[str], frames: int) -> np.ndarray:
    """Frames of the data files, shape (frame, y, x), as stored."""
    parts: list[np.ndarray] = []
    for file in map(Path, files):
        with h5py.File(file) as opened:
            parts.append(opened["entry/data/data"][: frames - sum(map(len, parts))])
    return np.concatenate(parts)


def multi_tau_g2(frames: np.ndarray, ring_of_pixel: np.ndarray, lag_frames: np.ndarray) -> np.ndarray:
    """g2 of all rings at these lags, shape (ring, lag), float64.

    Lags up to 8 are of single frames; of sums of 2^L frames they are 5 to 8 times 2^L. The normaliser is the sum over
    all pairs of the products of the ring means of the same two samples.

    frames : shape (frame, y, x); ring_of_pixel : shape (y, x), -1 outside.
    """
    g2 = np.empty((int(ring_of_pixel.max()) + 1, len(lag_frames)))
    for ring in range(len(g2)):
        samples = {0: frames[:, ring_of_pixel == ring].astype(np.float64)}
        for column, lag_in_frames in enumerate(lag_frames.tolist()):
            level = 0
            while lag_in_frames >> level > _LAGS:
                level += 1
                if level not in samples:
                    below = samples[level - 1]
                    even = len(below) // 2 * 2
                    samples[level] = below[0:even:2] + below[1:even:2]
            g2[ring, column] = _one_lag(samples[level], lag_in_frames >> level)
    return g2


def _one_lag(samples: np.ndarray, lag: int) -> float:
    earlier, later = samples[:-lag], samples[lag:]
    numerator = np.einsum("tp,tp->t", earlier, later).sum()
    normaliser = (earlier.sum(axis=1) * later.sum(axis=1)).sum()
    return float(samples.shape[1] * numerator / normaliser)
