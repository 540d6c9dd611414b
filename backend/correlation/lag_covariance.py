"""Covariance of g2 between the lags of a ring: from the scatter between sectors, and from theory.

Delete-one-sector replicates hold the noise of the whole estimator: shot noise, speckle, and the correlation between
lags that share frames. A dozen sectors cannot fill a matrix of forty lags, though, so it is put together from parts
that each have enough data:

- errors: geometric mean over neighbouring lags;
- correlations: pooled over rings of nearly the same q, which relax and count alike;
- as weights of a fit, the correlations are replaced by a smooth model with a handful of parameters. Weights made of
  the scatter itself, even when shrunk, favour the combinations of lags in which the sectors agree by chance: on
  simulated speckle the errors of the parameters then come out too small by a factor of up to three;
- for the errors of fitted parameters the scatter itself is carried through the fit. So they are right on average
  whatever the weights are; poor weights only make them larger.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

_SMOOTH_LAGS = 5
_FEWEST_SECTORS = 4
_MOST_NEIGHBOURS = 4
# Rings whose rates differ by less than this factor, for rates that go with q squared.
_ALIKE_LOG_Q = 0.5 * np.log(1.5)
# Correlation falls by 1/e over this many e-foldings of the lag.
_CORRELATION_RANGES = (0.15, 0.3, 0.6, 1.0, 1.5, 2.5, 4.0, 8.0)
_LARGEST_SHARE = 0.98


@dataclass(frozen=True, slots=True)
class LagCovariance:
    """Noise of one ring at the lags that can be used.

    Attributes
    ----------
    lags : ndarray, shape (lag of g2,), bool
        Which lags have a value and an error.
    scatter : ndarray, shape (draw, used lag), float64
        Deviations whose summed outer product is the covariance of g2.
    whitening : ndarray, shape (used lag, used lag), float64
        Lower triangular W with W C W' = 1 for the smooth model C of the covariance: the weights of a fit.
    """

    lags: np.ndarray
    scatter: np.ndarray
    whitening: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        """Covariance of g2 as it was found; shape (used lag, used lag)."""
        return self.scatter.T @ self.scatter


def lag_covariances(
    lag: np.ndarray,
    g2: np.ndarray,
    replicates: np.ndarray,
    q_inv_nm: np.ndarray | None = None,
    floor: np.ndarray | None = None,
) -> tuple[LagCovariance | None, ...]:
    """Covariance between lags for each ring; ``None`` where fewer than four sectors have data.

    Parameters
    ----------
    lag : ndarray, shape (lag,)
        Positive, ascending, in any unit.
    g2 : ndarray, shape (ring, lag)
        nan where there are no pairs.
    replicates : ndarray, shape (sector, ring, lag)
        g2 with one sector left out; nan where a sector is empty.
    q_inv_nm : ndarray or None, shape (ring,)
        Mean q; ``None`` = every ring stands alone.
    floor : ndarray or None, shape (ring, lag)
        Errors that cannot be undercut, such as those of :func:`shot_noise_error`.
    """
    deviations = jackknife_deviations(replicates)
    variance = np.where(np.isfinite(g2), np.nansum(deviations**2, axis=0), 0.0)
    # A sector that is empty at one lag is so at all; lags that no sector has yet count against none.
    filled = (np.isfinite(deviations) | ~np.isfinite(g2)).all(axis=2)
    enough = filled.sum(axis=0) >= _FEWEST_SECTORS
    lags = (variance > 0) & enough[:, None]
    errors = np.full(g2.shape, np.nan)
    for ring in np.flatnonzero(lags.any(axis=1)):
        errors[ring, lags[ring]] = _smooth(np.sqrt(variance[ring, lags[ring]]))
    if floor is not None:
        errors = np.fmax(errors, np.where(lags, floor, np.nan))
    with np.errstate(invalid="ignore"):
        standard = deviations / errors
    return tuple(
        _one_ring(ring, lag, lags, errors[ring], standard, _neighbours(ring, q_inv_nm)) if any_lag else None
        for ring, any_lag in enumerate(lags.any(axis=1).tolist())
    )


def jackknife_deviations(replicates: np.ndarray) -> np.ndarray:
    """Deviations from the mean replicate, shape as ``replicates``, whose sum of squares over axis 0 is the variance.

    Delete-one jackknife: variance = (n - 1) / n times the sum of squared deviations (Efron, SIAM CBMS 38 (1982)). An
    empty sector, whose replicate is nan somewhere, gives nan and does not count.
    """
    valid = np.isfinite(replicates)
    number = np.maximum(valid.sum(axis=0), 1)
    mean = np.where(valid, replicates, 0.0).sum(axis=0) / number
    return (replicates - mean) * np.sqrt((number - 1) / number)


def _one_ring(
    ring: int, lag: np.ndarray, lags: np.ndarray, error: np.ndarray, standard: np.ndarray, alike: list[int]
) -> LagCovariance:
    used = lags[ring]
    pooled = []
    for other in [ring, *alike]:
        # A neighbour with gaps at these lags says nothing about their correlation.
        draws = standard[:, other][:, used] if other < len(lags) else np.empty((0, 0))
        draws = draws[np.isfinite(draws).all(axis=1)] if draws.size else draws
        if len(draws) >= _FEWEST_SECTORS:
            pooled.append(draws)
    draws = np.concatenate(pooled) / np.sqrt(len(pooled))
    scale = error[used]
    factor = np.linalg.cholesky(_smooth_correlation(draws, lag[used]) * np.outer(scale, scale))
    whitening = solve_triangular(factor, np.eye(len(scale)), lower=True)
    return LagCovariance(used, draws * scale, whitening)


def _neighbours(ring: int, q_inv_nm: np.ndarray | None) -> list[int]:
    if q_inv_nm is None:
        return []
    distance = np.abs(np.log(q_inv_nm / q_inv_nm[ring]))
    near = np.argsort(distance, kind="stable")[1 : 1 + _MOST_NEIGHBOURS]
    return [int(other) for other in near if distance[other] <= _ALIKE_LOG_Q]


def _smooth(error: np.ndarray) -> np.ndarray:
    """Geometric mean of the errors of neighbouring lags.

    Those of a dozen sectors are uncertain by a fifth each; as weights they would prefer lags whose sectors agree by
    chance, and the same chance would make the errors of the parameters too small.
    """
    logarithm = np.pad(np.log(error), _SMOOTH_LAGS // 2, mode="edge")
    return np.exp(np.convolve(logarithm, np.full(_SMOOTH_LAGS, 1 / _SMOOTH_LAGS), mode="valid"))


def _smooth_correlation(draws: np.ndarray, lag: np.ndarray) -> np.ndarray:
    """Correlation matrix of the model s_i s_j exp(-|ln(lag_i / lag_j)| / range) that is nearest to that of the draws.

    s squared is the share of the noise that is speckle: neighbouring lags have it in common, shot noise is their own.
    """
    product = draws.T @ draws
    size = np.sqrt(np.diag(product))
    correlation = product / np.outer(size, size)
    distance = np.abs(np.log(lag[:, None] / lag))
    other = ~np.eye(len(lag), dtype=bool)
    steps = np.abs(np.subtract.outer(np.arange(len(lag)), np.arange(len(lag))))
    near = (steps > 0) & (steps <= _SMOOTH_LAGS)
    best, least = np.zeros_like(correlation), np.inf
    for reach in _CORRELATION_RANGES:
        decay = np.exp(-distance / reach)
        share = (correlation * decay * near).sum(axis=1) / (decay**2 * near).sum(axis=1)
        speckle = np.sqrt(np.clip(share, 0.0, _LARGEST_SHARE))
        model = np.outer(speckle, speckle) * decay
        miss = float(((model - correlation)[other] ** 2).sum())
        if miss < least:
            best, least = model, miss
    return np.where(other, best, 1.0)
