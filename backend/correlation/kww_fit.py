"""Fit of g2 = baseline + contrast * exp(-2 (gamma lag)^exponent) (Kohlrausch-Williams-Watts, Siegert relation).

Errors of the parameters come from the jackknife replicates of g2, carried through the linearised fit: lags are
correlated, so the curvature of chi-square alone would promise too much.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import least_squares

from backend.correlation.multitau import MultiTauResult, jackknife_error
from backend.snapshot import RingFit

_FEWEST_LAGS = 6
_SMOOTH_LAGS = 5
_EXPONENT_RANGE = (0.3, 2.5)


def kww(
    lag_s: np.ndarray, gamma_per_s: float, contrast: float, baseline: float, exponent: float
) -> np.ndarray:
    """g2 of the model at ``lag_s`` (any shape, seconds)."""
    return baseline + contrast * np.exp(-2 * (gamma_per_s * lag_s) ** exponent)


def fit_rings(
    result: MultiTauResult, frame_time_s: float, fit_exponent: bool, start: tuple[RingFit | None, ...] = ()
) -> tuple[RingFit | None, ...]:
    """One fit per ring, ``None`` where g2 cannot carry one; ``start`` are earlier fits to begin from.

    Where g2 shows no decay at all the errors of rate and exponent are infinite.
    """
    begin = start if len(start) == len(result.g2) else (None,) * len(result.g2)
    lag_s = result.lag_frames[1:] * frame_time_s
    errors = result.g2_err
    return tuple(
        _fit_ring(
            lag_s, result.g2[ring, 1:], errors[ring, 1:], result.replicates[:, ring, 1:], fit_exponent, first
        )
        for ring, first in enumerate(begin)
    )


def _fit_ring(
    lag_s: np.ndarray,
    g2: np.ndarray,
    g2_err: np.ndarray,
    replicates: np.ndarray,
    fit_exponent: bool,
    start: RingFit | None,
) -> RingFit | None:
    usable = np.isfinite(g2) & np.isfinite(g2_err) & (g2_err > 0)
    if np.count_nonzero(usable) < _FEWEST_LAGS:
        return None
    lag, values, error = lag_s[usable], g2[usable], g2_err[usable]
    error = _smooth(error)
    best = _solve(lag, values, error, fit_exponent, start)
    if best is None:
        return None
    parameters, jacobian, chi2 = best
    free = parameters.size
    weighted = replicates[:, usable]
    weighted = weighted[np.isfinite(weighted).all(axis=1)]
    inverse = np.linalg.pinv(jacobian)
    shifts = ((weighted - values) / error) @ inverse.T
    scatter = jackknife_error(shifts) if len(shifts) > 1 else np.full(free, np.nan)
    if np.linalg.norm(jacobian[:, 0]) < 1:
        # Even a rate e times as fast would leave chi-square as it is: there is no decay to take a rate from.
        scatter[[0, *range(3, free)]] = np.inf
    gamma = math.exp(parameters[0])
    return RingFit(
        gamma_per_s=gamma,
        gamma_err_per_s=gamma * float(scatter[0]),
        contrast=float(parameters[1]),
        contrast_err=float(scatter[1]),
        baseline=float(parameters[2]),
        baseline_err=float(scatter[2]),
        exponent=float(parameters[3]) if fit_exponent else 1.0,
        exponent_err=float(scatter[3]) if fit_exponent else 0.0,
        reduced_chi2=chi2 / max(len(lag) - free, 1),
    )


def _smooth(error: np.ndarray) -> np.ndarray:
    """Geometric mean of the errors of neighbouring lags.

    Those of a dozen sectors are uncertain by a fifth each; as weights they would prefer lags whose sectors agree by
    chance, and the same chance would make the errors of the parameters too small.
    """
    logarithm = np.pad(np.log(error), _SMOOTH_LAGS // 2, mode="edge")
    return np.exp(np.convolve(logarithm, np.full(_SMOOTH_LAGS, 1 / _SMOOTH_LAGS), mode="valid"))


def _solve(
    lag: np.ndarray, values: np.ndarray, error: np.ndarray, fit_exponent: bool, start: RingFit | None
) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Best parameters (ln gamma, contrast, baseline[, exponent]), weighted Jacobian and chi-square."""
    span = max(float(values[:2].mean() - np.min(values)), 1e-3)
    guesses = np.log(np.geomspace(0.3 / lag[-1], 1.0 / lag[0], 4))
    starts = [np.array([guess, span, 1.0, 1.0]) for guess in guesses]
    if start is not None:
        starts.insert(
            0, np.array([math.log(start.gamma_per_s), start.contrast, start.baseline, start.exponent])
        )
    low = np.array([math.log(1e-3 / lag[-1]), 0.0, 0.5, _EXPONENT_RANGE[0]])
    high = np.array([math.log(30.0 / lag[0]), 2.0, 2.0, _EXPONENT_RANGE[1]])
    free = 4 if fit_exponent else 3

    def residual(parameters: np.ndarray) -> np.ndarray:
        exponent = parameters[3] if free == 4 else 1.0
        return (kww(lag, math.exp(parameters[0]), parameters[1], parameters[2], exponent) - values) / error

    def jacobian(parameters: np.ndarray) -> np.ndarray:
        exponent = parameters[3] if free == 4 else 1.0
        x = (math.exp(parameters[0]) * lag) ** exponent
        decay = np.exp(-2 * x)
        slope = -2 * parameters[1] * decay * x
        columns = [slope * exponent, decay, np.ones_like(lag)]
        if free == 4:
            columns.append(slope * (parameters[0] + np.log(lag)))
        return np.stack(columns, axis=1) / error[:, None]

    best = None
    for first in starts:
        inside = np.clip(first[:free], low[:free] + 1e-6, high[:free] - 1e-6)
        solution = least_squares(
            residual, inside, jac=jacobian, bounds=(low[:free], high[:free]), x_scale="jac"
        )
        if best is None or solution.cost < best.cost * (1 - 1e-6):
            best = solution
        if start is not None and first is starts[0] and 2 * solution.cost < 3 * len(lag):
            break
    if best is None or not np.all(np.isfinite(best.x)):
        return None
    return best.x, jacobian(best.x), 2 * float(best.cost)
