"""g2 and two-time maps of a whole movie by the public functions of xpcs-correlator, to compare numbers.

The kernels in pieces, as fast as they can be called, are in :mod:`benchmarks.peer_side.sparse_chain`.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from typing import Any

import numpy as np
from xpcscorr import correlator_sparse_pixel_chunked

# In this process, and the plain sum: the other one, by FFT, is less exact at the longest lags.
_OPTIONS = {"dask_cluster_type": None, "g2_denominator": "direct"}


def correlate_by_xpcs_correlator(movie: str, ring_map: str, result: str) -> dict[str, Any]:
    """Frames of the movie; g2 and maps go into an .npz at ``result``.

    movie : path of an array, shape (frame, y, x), counts.
    ring_map : path of an array, shape (y, x), rings from 1, 0 for pixels that are not used.

    ``lag_frames`` : shape (lag,), all from 1; ``g2`` : shape (ring, lag), float64;
    ``two_time`` : shape (ring, frame, frame), float64, the half above the diagonal.
    """
    frames, rings = np.load(movie), np.load(ring_map)
    times_of_pixel = frames.reshape(len(frames), -1).T
    pixel, time_index = np.nonzero(times_of_pixel)
    events_of_pixel = np.bincount(pixel, minlength=rings.size)
    found = correlator_sparse_pixel_chunked(
        intensity=times_of_pixel[pixel, time_index],
        time_index=time_index,
        pixel_pointer=np.concatenate([[0], np.cumsum(events_of_pixel)]),
        frames_shape=frames.shape,
        roimask=rings,
        ttcf_format="t1,t2",
        extra_options=_OPTIONS,
    )
    np.savez(result, lag_frames=np.arange(1, len(frames)), g2=found.g2, two_time=found.ttcf)
    return {"frames": len(frames)}
