"""g2 and two-time maps of a whole movie by scikit-beam, to compare numbers."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from typing import Any

import numpy as np
from skbeam.core.correlation import multi_tau_auto_corr, two_time_corr


def correlate_by_scikit_beam(
    movie: str, ring_map: str, levels: int, lags_per_level: int, result: str
) -> dict[str, Any]:
    """Frames of the movie; g2 and maps go into an .npz at ``result``.

    movie : path of an array, shape (frame, y, x), counts.
    ring_map : path of an array, shape (y, x), rings from 1, 0 for pixels that are not used.

    ``lag_frames`` : shape (lag,), from 0; ``g2`` : shape (ring, lag), float64;
    ``two_time`` : shape (ring, frame, frame), float64.
    """
    frames, rings = np.load(movie), np.load(ring_map)
    g2, lag_frames = multi_tau_auto_corr(levels, lags_per_level, rings, frames)
    # One level that holds all frames, an even number: in higher levels elements would be means of several pairs.
    held_frames = len(frames) + len(frames) % 2
    two_time = two_time_corr(rings, frames, len(frames), held_frames, num_levels=1).g2
    np.savez(result, lag_frames=lag_frames, g2=g2.T, two_time=two_time)
    return {"frames": len(frames)}
