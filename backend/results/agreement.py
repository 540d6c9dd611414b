"""Does the g2 of a finished job agree with the live one?"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.stats import chi2

from backend.errors import DispatchError

FALSE_DISPUTES = 1e-3
"""Chance that results which differ by noise alone are called disputed."""

_SAME_LAG_TOLERANCE = 1e-6


def compare_g2(
    live_lag_s: np.ndarray,
    live_g2: np.ndarray,
    live_err: np.ndarray,
    confirmed_lag_s: np.ndarray,
    confirmed_g2: np.ndarray,
    confirmed_err: np.ndarray,
) -> tuple[np.ndarray, Literal["confirmed", "disputed"]]:
    r"""Difference per ring in units of the combined error, and whether it is more than noise can make.

    For each ring ``z = sqrt(mean((g2_live - g2_confirmed)^2 / (err_live^2 + err_confirmed^2)))`` over the lags that
    both have (multi-tau lags of the same series are equal to rounding). Neighbouring lags share frames, so their
    differences are correlated to an unknown degree. The limit is therefore that of the worst case, all lags of a ring
    moving together: ``z^2`` then follows chi-squared with one degree of freedom. One ring beyond the limit, shared
    among the rings after Bonferroni, disputes the result. Both numbers may come from the same photons; then they
    differ by less than the errors, and the test errs on the side of "confirmed".

    Parameters
    ----------
    live_lag_s, confirmed_lag_s : ndarray, shape (lag,), seconds
        Lags of each result.
    live_g2, live_err, confirmed_g2, confirmed_err : ndarray, shape (ring, lag)
        g2 and its one-sigma error; points that are not finite are left out.

    Returns
    -------
    z : ndarray, shape (ring,), float64
        nan for a ring without a common point, inf where two values without error differ.
    agreement : str
        "confirmed" or "disputed".

    Raises
    ------
    DispatchError
        The results have no ring or no lag in common, so they cannot be compared.
    """
    if live_g2.shape[0] != confirmed_g2.shape[0]:
        raise _incomparable(f"the live one has {live_g2.shape[0]} q rings, the job's {confirmed_g2.shape[0]}")
    live_at, confirmed_at = _common_lags(live_lag_s, confirmed_lag_s)
    variance = live_err[:, live_at] ** 2 + confirmed_err[:, confirmed_at] ** 2
    difference = live_g2[:, live_at] - confirmed_g2[:, confirmed_at]
    usable = np.isfinite(variance) & np.isfinite(difference)
    squared = np.zeros_like(difference)
    np.divide(difference**2, variance, out=squared, where=usable & (variance > 0))
    squared[usable & (variance == 0) & (difference != 0)] = np.inf
    points = usable.sum(axis=1)
    if not points.any():
        raise _incomparable("they have no lag in common")
    z = np.full(len(points), np.nan)
    compared = points > 0
    z[compared] = np.sqrt(squared[compared].sum(axis=1, where=usable[compared]) / points[compared])
    limit = np.sqrt(chi2.isf(FALSE_DISPUTES / compared.sum(), df=1))
    return z, "confirmed" if bool((z[compared] <= limit).all()) else "disputed"


def _common_lags(live_lag_s: np.ndarray, confirmed_lag_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of equal lags in both ascending lists."""
    if not len(live_lag_s) or not len(confirmed_lag_s):
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    right = np.clip(np.searchsorted(confirmed_lag_s, live_lag_s), 1, max(1, len(confirmed_lag_s) - 1))
    right = np.minimum(right, len(confirmed_lag_s) - 1)
    left = np.maximum(right - 1, 0)
    nearer_left = np.abs(confirmed_lag_s[left] - live_lag_s) < np.abs(confirmed_lag_s[right] - live_lag_s)
    nearest = np.where(nearer_left, left, right)
    same = np.isclose(confirmed_lag_s[nearest], live_lag_s, rtol=_SAME_LAG_TOLERANCE, atol=0.0)
    return np.flatnonzero(same), nearest[same]


def _incomparable(why: str) -> DispatchError:
    return DispatchError(
        f"The job's g2 cannot be compared with the live one: {why}.",
        still_works="Both results are kept.",
        try_this="Run the recipe again with the settings of the live analysis.",
    )
