"""A two-time map by age and lag: how the relaxation changes while the sample ages.

Age is the middle of both times, (t1 + t2) / 2, and lag their difference, t2 - t1 (as in Bikondoa, J. Appl. Cryst. 50,
357 (2017), who shows that cuts at constant t1 mix ages).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_STRONGEST_CORRELATION = 0.99


@dataclass(frozen=True, slots=True)
class AgeingCut:
    """g2 around one age.

    Attributes
    ----------
    age_bins, window_bins : float
        Middle and width of the window of ages, in bins from the start.
    lag_bins : ndarray, shape (lag,), int64
        Ascending, from 1.
    g2, g2_err : ndarray, shape (lag,), float64
        Mean over the window and its standard error; the error is nan where it stands on fewer than three values.
    """

    age_bins: float
    window_bins: float
    lag_bins: np.ndarray
    g2: np.ndarray
    g2_err: np.ndarray


def age_lag_map(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The map sorted by lag, and the age of each of its values.

    Parameters
    ----------
    values : ndarray, shape (bin, bin)
        Symmetric map over t1 and t2.

    Returns
    -------
    sorted_values : ndarray, shape (lag, bin), float64
        ``values[i, i + lag]`` at [lag, i]; nan beyond the end of the map.
    age_bins : ndarray, shape (lag, bin), float64
        Age in bins from the start of the first one.
    """
    bins = len(values)
    first = np.arange(bins)
    lag = first[:, None]
    second = first + lag
    inside = second < bins
    sorted_values = np.where(inside, values[first, np.minimum(second, bins - 1)], np.nan).astype(np.float64)
    return sorted_values, first + 0.5 * (lag + 1)


def ageing_cuts(values: np.ndarray, age_bins: np.ndarray, window_bins: float) -> tuple[AgeingCut, ...]:
    """g2 against the lag around each age, averaged over a window of ages.

    A lag is left out where the window holds no value of it: at an age of a bins, lags beyond 2 a do not exist.

    Parameters
    ----------
    values : ndarray, shape (bin, bin)
        Symmetric map; nan is left out.
    age_bins : ndarray, shape (cut,)
        Middles of the windows, in bins.
    window_bins : float
        Width of each window, in bins.
    """
    by_lag, ages = age_lag_map(values)
    cuts = []
    for age in age_bins.tolist():
        chosen = (np.abs(ages - age) <= 0.5 * window_bins) & np.isfinite(by_lag)
        lags = [lag for lag in range(1, len(values)) if chosen[lag].any()]
        found = [_mean_and_error(by_lag[lag][chosen[lag]]) for lag in lags]
        g2, g2_err = np.array(found).reshape(-1, 2).T
        cuts.append(AgeingCut(age, window_bins, np.array(lags, np.int64), g2, g2_err))
    return tuple(cuts)


def _mean_and_error(samples: np.ndarray) -> tuple[float, float]:
    """Mean of values that follow each other in age, and its standard error.

    Neighbours share speckle and are no independent values: their number is reduced by (1 - r) / (1 + r) with the
    correlation r of one value with the next, as for an autoregressive process of first order.
    """
    mean = float(samples.mean())
    if samples.size < 3:
        return mean, float("nan")
    rest = samples - mean
    variance = float(rest @ rest)
    if variance == 0.0:
        return mean, 0.0
    correlation = min(max(float(rest[1:] @ rest[:-1]) / variance, 0.0), _STRONGEST_CORRELATION)
    independent = samples.size * (1 - correlation) / (1 + correlation)
    return mean, float(np.sqrt(variance / (samples.size - 1) / independent))
