"""Whether a quantity of a sample goes with the dose rate, over series with different absorbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

FEWEST_SERIES = 3
LEAST_RATE_RATIO = 1.5
"""Rates that differ by less than this factor are taken as the same."""

_SURE = 3.0

FALSE_ALARM_SHARE = 0.01
"""Chance that a sample whose quantity does not go with the rate is ever said to do so, however many series come."""


@dataclass(frozen=True, slots=True)
class RateDependence:
    """Power n of quantity = constant x rate^n.

    Attributes
    ----------
    power, power_err : float
        n and its standard error, scatter between series in it.
    scatter : float
        Relative scatter between series beyond their own errors, one sigma.
    chance : float
        Probability of a power this far from 0 if the quantity does not go with the rate.
    limit : float
        ``chance`` below this is called a dependence.
    least_power : float
        A power nearer to 0 is no dependence worth speaking of, however sure it is.
    series : int
        Series it is made of.
    """

    power: float
    power_err: float
    scatter: float
    chance: float
    limit: float
    least_power: float
    series: int

    @property
    def is_shown(self) -> bool:
        """Whether the quantity surely goes with the rate."""
        return self.chance < self.limit and abs(self.power) >= self.least_power

    @property
    def is_excluded(self) -> bool:
        """Whether it surely does not, or by less than a power of twice ``least_power``."""
        return abs(self.power) + _SURE * self.power_err < 2 * self.least_power


def rate_dependence(
    rate: np.ndarray, log_value: np.ndarray, log_value_err: np.ndarray, least_power: float
) -> RateDependence | None:
    """Weighted test of d ln(value) / d ln(rate) = 0; ``None`` with too few series or rates too much alike.

    Random-effects regression: variances are the squared errors plus one between series, chosen such that the weighted
    squares of what the line leaves sum up to their expectation (R. C. Paule and J. Mandel, J. Res. Natl. Bur. Stand.
    87, 377, 1982), or none where they are smaller anyway. The statistic is held against Student's t with n - 2 degrees
    of freedom (G. Knapp and J. Hartung, Stat. Med. 22, 2693, 2003). The test is made anew with every series: the k-th
    time its limit is ``FALSE_ALARM_SHARE`` / (k (k + 1)), and these add up to that share.

    Parameters
    ----------
    rate : ndarray, shape (series,)
        Dose rates in any unit, above zero.
    log_value, log_value_err : ndarray, shape (series,)
        ln of the quantity and its one-sigma error.
    least_power : float
        Power that matters.
    """
    if lacking(rate):
        return None
    x = np.log(rate)
    columns = np.stack([np.ones(x.size), x - x.mean()], axis=1)
    between = _variance_between(columns, log_value, log_value_err)
    parameters, covariance, _ = _line(columns, log_value, log_value_err**2 + between)
    error = math.sqrt(covariance[1, 1])
    tests_so_far = x.size - FEWEST_SERIES + 1
    return RateDependence(
        power=float(parameters[1]),
        power_err=error,
        scatter=math.sqrt(between),
        chance=float(2 * stats.t.sf(abs(parameters[1]) / error, x.size - 2)),
        limit=FALSE_ALARM_SHARE / (tests_so_far * (tests_so_far + 1)),
        least_power=least_power,
        series=int(x.size),
    )


def lacking(rate: np.ndarray) -> str:
    """What is missing for the test, in words; empty when nothing is."""
    if rate.size < FEWEST_SERIES:
        so_far = rate.size or "none"
        return f"{FEWEST_SERIES} series with a fitted relaxation rate and without a change are needed, {so_far} so far"
    if rate.max() < LEAST_RATE_RATIO * rate.min():
        return f"all {rate.size} series have nearly the same dose rate; change it by a factor of 3 or more"
    return ""


def _variance_between(columns: np.ndarray, target: np.ndarray, error: np.ndarray) -> float:
    """Variance between series that makes the weighted squares equal to their expectation; 0 when they are smaller."""
    free = len(target) - columns.shape[1]

    def excess(between: float) -> float:
        return _line(columns, target, error**2 + between)[2] - free

    if excess(0.0) <= 0:
        return 0.0
    # With a variance as large as all squares together every weighted square is below one.
    high = float(np.sum((target - target.mean()) ** 2))
    return float(optimize.brentq(excess, 0.0, high))


def _line(
    columns: np.ndarray, target: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Parameters, covariance and weighted squares of what is left, for these variances."""
    weighted = columns / variance[:, None]
    covariance = np.linalg.inv(columns.T @ weighted)
    parameters = covariance @ (weighted.T @ target)
    left = target - columns @ parameters
    return parameters, covariance, float(left**2 @ (1 / variance))
