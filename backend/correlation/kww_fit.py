"""Fit of g2 = baseline + contrast * exp(-2 (gamma lag)^exponent) (Kohlrausch-Williams-Watts, Siegert relation).

Generalised least squares with the covariance between lags; errors come from the scatter between sectors carried
through the linearised fit. Contrast and baseline are free in each ring or one for all.

The solver is scipy's trust-region reflective ``least_squares``: it takes the analytic Jacobian, keeps bounds, and is a
dependency anyway. iminuit (no use of the Jacobian's least-squares form) and lmfit (a layer over the same solver)
would add a dependency and no information: the errors do not come from the fitter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from backend.correlation.lag_covariance import LagCovariance, RingStatistics, lag_covariances
from backend.correlation.multitau import MultiTauResult
from backend.settings import CorrelationSettings
from backend.snapshot import RingFit

_FEWEST_LAGS = 6
_DETERMINED = 0.99
_EXPONENT_RANGE = (0.3, 2.5)
_LARGEST_RATE_ERROR = 0.5
_SIGNIFICANT = 3.0
# Three points that have the spread and the fourth moment of a triangle, in units of its half width and its area.
_TRIANGLE_STEP, _TRIANGLE_WEIGHT = math.sqrt(0.4), 1 / 4.8
_RATE, _CONTRAST, _BASELINE, _EXPONENT = range(4)


@dataclass(frozen=True, slots=True)
class FittedRings:
    """Fits of all rings.

    Attributes
    ----------
    fits : tuple of RingFit or None
        One per ring.
    reasons : tuple of str
        One per ring: why there is no fit; empty where there is one.
    log_rate_covariance : ndarray, shape (ring, ring), float64
        Covariance of ln(gamma) between rings; nan where there is no fit.
    exponent_covariance : ndarray, shape (ring, ring), float64
        The same of the exponent; 0 where it was not free.
    """

    fits: tuple[RingFit | None, ...]
    reasons: tuple[str, ...]
    log_rate_covariance: np.ndarray
    exponent_covariance: np.ndarray


@dataclass(frozen=True, slots=True)
class _Curve:
    """g2 of one ring where it can be used. ``lag_s``: shape (3, lag), around each lag as wide as its bins."""

    ring: int
    lag_s: np.ndarray
    g2: np.ndarray
    noise: LagCovariance


def kww(
    lag_s: np.ndarray, gamma_per_s: float, contrast: float, baseline: float, exponent: float
) -> np.ndarray:
    """g2 of the model at ``lag_s`` (any shape, seconds)."""
    return baseline + contrast * np.exp(-2 * (gamma_per_s * lag_s) ** exponent)


def fit_all_rings(
    result: MultiTauResult,
    frame_time_s: float,
    settings: CorrelationSettings,
    q_inv_nm: np.ndarray | None = None,
    start: tuple[RingFit | None, ...] = (),
    statistics: RingStatistics | None = None,
) -> FittedRings:
    """Fit all rings.

    Parameters
    ----------
    result : MultiTauResult
        g2 with its sector replicates; lag 0 is not fitted, it tells how much contrast there is to lose.
    frame_time_s : float
        Seconds from frame to frame.
    settings : CorrelationSettings
        Whether the exponent is free (else 1), and contrast and baseline in each ring or one for all.
    q_inv_nm : ndarray or None, shape (ring,)
        Mean q of the rings: those that are close help each other to know how their lags are correlated.
    start : tuple of RingFit or None
        Earlier fits to begin from; the fit is the same without them, only slower.
    statistics : RingStatistics or None
        Pixels, photons and frames, for the least error a lag can have.
    """
    curves = _curves(result, frame_time_s, q_inv_nm, statistics)
    begin = start if len(start) == len(result.g2) else (None,) * len(result.g2)
    together = settings.shared_contrast or settings.shared_baseline
    groups = [curves] if together and curves else [[curve] for curve in curves]
    fits: list[RingFit | None] = [None] * len(result.g2)
    reasons = ["too few lags or sectors to fit"] * len(result.g2)
    log_rate = np.zeros((len(fits), len(fits)))
    exponent = np.zeros_like(log_rate)
    for group in groups:
        solved = _Group(group, settings).solve([begin[curve.ring] for curve in group])
        rings = np.ix_([curve.ring for curve in group], [curve.ring for curve in group])
        log_rate[rings], exponent[rings] = solved.covariance_of(_RATE), solved.covariance_of(_EXPONENT)
        for position, curve in enumerate(group):
            fit = solved.ring_fit(position)
            reasons[curve.ring] = _why_not(fit, solved, position, result, curve)
            fits[curve.ring] = None if reasons[curve.ring] else fit
    none = np.array([fit is None for fit in fits], bool)
    for covariance in (log_rate, exponent):
        covariance[none], covariance[:, none] = np.nan, np.nan
    return FittedRings(tuple(fits), tuple(reasons), log_rate, exponent)


def _curves(
    result: MultiTauResult,
    frame_time_s: float,
    q_inv_nm: np.ndarray | None,
    statistics: RingStatistics | None,
) -> list[_Curve]:
    noise = lag_covariances(result.lag_frames[1:], result.g2[:, 1:], result.replicates[:, :, 1:], q_inv_nm)
    # Three points with the spread of the pairs; sums of m frames average g2 over a triangle with a spread of m^2 / 6.
    step = _TRIANGLE_STEP * np.sqrt(6.0) * _lag_spread_frames(result)
    lag_s = (result.lag_frames[1:] + np.array([[-1], [0], [1]]) * step) * frame_time_s
    return [
        _Curve(ring, lag_s[:, one.lags], result.g2[ring, 1:][one.lags], one)
        for ring, one in enumerate(noise)
        if one is not None and np.count_nonzero(one.lags) >= _FEWEST_LAGS
    ]


def _lag_spread_frames(result: MultiTauResult) -> np.ndarray:
    """Rms distance of the pairs from each lag but the first; the distance of two lags of multi-tau is their m."""
    if result.lag_spread_frames is not None:
        return result.lag_spread_frames[1:]
    return np.sqrt((np.diff(result.lag_frames).astype(np.float64) ** 2 - 1) / 6)


class _Group:
    """Rings that are fitted together: one ring, or all when they share contrast or baseline."""

    def __init__(self, curves: list[_Curve], settings: CorrelationSettings) -> None:
        self.curves = curves
        self._settings = settings
        shared = {_CONTRAST: settings.shared_contrast, _BASELINE: settings.shared_baseline}
        self.column = np.full((len(curves), 4), -1)
        free = 0
        for kind in (_RATE, _CONTRAST, _BASELINE, _EXPONENT):
            if kind == _EXPONENT and not settings.fit_exponent:
                continue
            number = 1 if shared.get(kind) else len(curves)
            self.column[:, kind] = free + np.arange(number)
            free += number
        self.free = free
        self._rows = np.cumsum([0, *(curve.g2.size for curve in curves)])

    def values(self, parameters: np.ndarray) -> np.ndarray:
        """Parameters (ln gamma, contrast, baseline, exponent) of each ring, shape (ring, 4)."""
        return np.where(self.column >= 0, parameters[self.column], 1.0)

    def residual(self, parameters: np.ndarray) -> np.ndarray:
        """Whitened deviations of the model from g2, all rings one after another."""
        return np.concatenate(
            [
                curve.noise.whitening @ (_model(curve.lag_s, own) - curve.g2)
                for curve, own in zip(self.curves, self.values(parameters), strict=True)
            ]
        )

    def jacobian(self, parameters: np.ndarray) -> np.ndarray:
        """Derivatives of :meth:`residual`, shape (residual, free parameter)."""
        matrix = np.zeros((self._rows[-1], self.free))
        for position, own in enumerate(self.values(parameters)):
            curve = self.curves[position]
            kinds = np.flatnonzero(self.column[position] >= 0)
            rows = slice(self._rows[position], self._rows[position + 1])
            slopes = curve.noise.whitening @ _slopes(curve.lag_s, own)[:, kinds]
            matrix[rows, self.column[position, kinds]] = slopes
        return matrix

    def solve(self, begin: list[RingFit | None]) -> _Solved:
        """Best parameters and their covariance."""
        first, low, high = np.empty(self.free), np.empty(self.free), np.empty(self.free)
        guesses = np.array(
            [_start(curve, fit, self._settings) for curve, fit in zip(self.curves, begin, strict=True)]
        )
        for kind in range(4):
            column = self.column[:, kind]
            if column[0] < 0:
                continue
            limits = np.array([_limits(curve)[kind] for curve in self.curves])
            # A shared parameter starts from the ring in the middle of all guesses.
            same = bool((column == column[0]).all())
            first[column] = np.median(guesses[:, kind]) if same else guesses[:, kind]
            low[column], high[column] = limits.T
        margin = 1e-6 * (high - low)
        solution = least_squares(
            self.residual,
            np.clip(first, low + margin, high - margin),
            jac=self.jacobian,
            bounds=(low, high),
            x_scale="jac",
        )
        at_limit = (solution.x < low + 10 * margin) | (solution.x > high - 10 * margin)
        covariance = self._covariance(solution.jac, at_limit)
        return _Solved(self, solution.x, covariance, at_limit, solution.fun)

    def _covariance(self, jacobian: np.ndarray, fixed: np.ndarray) -> np.ndarray:
        """Scatter of g2 carried through the fit; infinite for parameters that lie at a limit or are not determined."""
        inverse = np.zeros((self.free, len(jacobian)))
        inverse[~fixed] = np.linalg.pinv(jacobian[:, ~fixed])
        # 1 where g2 determines a parameter: not where it changes nothing, as a rate so fast that all lags are too late.
        determined = np.einsum("ij,ji->i", inverse, jacobian)
        covariance = np.diag(np.where(determined > _DETERMINED, 0.0, np.inf))
        for position, curve in enumerate(self.curves):
            rows = slice(self._rows[position], self._rows[position + 1])
            shifts = inverse[:, rows] @ (curve.noise.whitening @ curve.noise.scatter.T)
            covariance = covariance + shifts @ shifts.T
        return covariance

    def rows_of(self, position: int) -> slice:
        """Rows of one ring in :meth:`residual`."""
        return slice(self._rows[position], self._rows[position + 1])


@dataclass(frozen=True, slots=True)
class _Solved:
    """Outcome for one group of rings."""

    group: _Group
    parameters: np.ndarray
    covariance: np.ndarray
    at_limit: np.ndarray
    residual: np.ndarray

    @property
    def column(self) -> np.ndarray:
        """Place of each ring's parameters, shape (ring, 4)."""
        return self.group.column

    def covariance_of(self, kind: int) -> np.ndarray:
        """Covariance of one kind of parameter between the rings of the group; zero where it is not free."""
        column = self.column[:, kind]
        return self.covariance[np.ix_(column, column)] if column[0] >= 0 else np.zeros((len(column),) * 2)

    def ring_fit(self, position: int) -> RingFit:
        """Parameters and one-sigma errors of one ring of the group."""
        log_rate, contrast, baseline, exponent = self.group.values(self.parameters)[position].tolist()
        error = np.sqrt(np.diag(self.covariance))[self.column[position]]
        error = np.where(self.column[position] >= 0, error, 0.0).tolist()
        own = self.residual[self.group.rows_of(position)]
        freedom = own.size - self.group.free / len(self.group.curves)
        gamma = math.exp(log_rate)
        return RingFit(
            gamma_per_s=gamma,
            gamma_err_per_s=gamma * error[_RATE],
            contrast=contrast,
            contrast_err=error[_CONTRAST],
            baseline=baseline,
            baseline_err=error[_BASELINE],
            exponent=exponent,
            exponent_err=error[_EXPONENT],
            reduced_chi2=float(own @ own) / max(freedom, 1.0),
        )


def _model(lag_s: np.ndarray, own: np.ndarray) -> np.ndarray:
    decay = np.exp(-2 * (math.exp(own[_RATE]) * lag_s) ** own[_EXPONENT])
    return own[_BASELINE] + own[_CONTRAST] * _over_triangle(decay)


def _slopes(lag_s: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Derivatives of the model to (ln gamma, contrast, baseline, exponent), shape (lag, 4)."""
    log_x = own[_RATE] + np.log(lag_s)
    x = np.exp(own[_EXPONENT] * log_x)
    decay = np.exp(-2 * x)
    by_x = -2 * own[_CONTRAST] * x * decay
    return np.stack(
        [
            own[_EXPONENT] * _over_triangle(by_x),
            _over_triangle(decay),
            np.ones(lag_s.shape[1]),
            _over_triangle(by_x * log_x),
        ],
        axis=1,
    )


def _over_triangle(values: np.ndarray) -> np.ndarray:
    return values[1] + _TRIANGLE_WEIGHT * (values[0] - 2 * values[1] + values[2])


def _limits(curve: _Curve) -> tuple[tuple[float, float], ...]:
    first, last = float(curve.lag_s[1, 0]), float(curve.lag_s[1, -1])
    return ((math.log(1e-3 / last), math.log(30.0 / first)), (0.0, 2.0), (0.5, 2.0), _EXPONENT_RANGE)


def _start(curve: _Curve, earlier: RingFit | None, settings: CorrelationSettings) -> np.ndarray:
    """The best of a grid of rates and exponents and an earlier fit; contrast and baseline follow linearly."""
    lag = curve.lag_s[1]
    rates = np.log(np.geomspace(0.1 / lag[-1], 2.0 / lag[0], 16))
    exponents = np.array([0.6, 1.0, 1.6]) if settings.fit_exponent else np.ones(1)
    grid = np.stack(np.meshgrid(rates, exponents), axis=-1).reshape(-1, 2)
    if earlier is not None:
        grid = np.concatenate([grid, [[math.log(earlier.gamma_per_s), earlier.exponent]]])
    decay = np.exp(-2 * np.exp(grid[:, 1:] * (grid[:, :1] + np.log(lag))))
    columns = curve.noise.whitening @ np.stack([decay, np.ones_like(decay)], axis=-1)
    target = curve.noise.whitening @ curve.g2
    linear = np.linalg.pinv(columns) @ target
    linear[:, 0] = np.clip(linear[:, 0], 0.0, 2.0)
    miss = ((columns @ linear[..., None])[..., 0] - target) ** 2
    best = int(np.argmin(miss.sum(axis=1)))
    return np.array([grid[best, 0], linear[best, 0], linear[best, 1], grid[best, 1]])


def _why_not(fit: RingFit, solved: _Solved, position: int, result: MultiTauResult, curve: _Curve) -> str:
    """Why the fit of a ring says nothing; empty when it does."""
    column = solved.column[position]
    certain = fit.gamma_err_per_s < _LARGEST_RATE_ERROR * fit.gamma_per_s
    if certain and fit.contrast > _SIGNIFICANT * fit.contrast_err:
        limited = bool(solved.at_limit[column[column >= 0]].any())
        return "the decay is not of the shape that is fitted" if limited else ""
    level = float(np.average(curve.g2[: _FEWEST_LAGS // 2])) - 1
    at_start = float(result.g2[curve.ring, 0]) - 1
    if not at_start > 0:
        at_start = level
    error = float(np.sqrt(np.diag(curve.noise.matrix))[0])
    end = float(curve.g2[-_FEWEST_LAGS // 2 :].mean()) - 1
    if at_start < _SIGNIFICANT * error:
        return "no contrast above the noise"
    if end > 0.5 * at_start:
        return "too slow to fit"
    if level < 0.5 * at_start:
        return "too fast to fit"
    return "too noisy to fit"
