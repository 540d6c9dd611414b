"""Rough rings around the beam, to tell a hot pixel from its equals before there are q rings."""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np

from backend.detector import polar_kernels as kernels
from backend.detector.geometry import Geometry
from backend.worker_pool import equal_shares, share_out

_PER_DOUBLED_RADIUS = 8
_PIECES = 16


def rough_rings(geometry: Geometry, good: np.ndarray, pool: Executor | None = None) -> np.ndarray:
    """Rings whose radius grows by a tenth from one to the next.

    Parameters
    ----------
    good : ndarray, shape (y, x), bool

    Returns
    -------
    ndarray, shape (pixel,), int16
        Ring of each pixel from 0, -1 for bad pixels.
    """
    shells = np.arange(int(geometry.largest_radius_px) + 2)
    ring_of_shell = (_PER_DOUBLED_RADIUS * np.log2(1 + shells)).astype(np.int16)
    rings = np.empty(good.shape, np.int16)

    def work(rows: tuple[int, int]) -> None:
        kernels.set_rings((*geometry.beam_center_yx_px, *rows), good, ring_of_shell, rings)

    share_out(pool, work, equal_shares(good.shape[0], _PIECES))
    return rings.ravel()
