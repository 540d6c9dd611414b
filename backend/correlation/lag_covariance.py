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
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, slots=True)
class RingStatistics:
    """What shot noise follows from.

    ``pixels`` and ``photons_per_pixel`` (mean per pixel and frame): shape (ring,); ``frames`` in the series.
    """

    pixels: np.ndarray
    photons_per_pixel: np.ndarray
    frames: int


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


@dataclass(frozen=True, slots=True)
class _Noise:
    """Errors, and deviations in units of them, of all rings; ``unseen`` is what the errors have beyond the scatter."""

    lag_frames: np.ndarray
    lags: np.ndarray
    errors: np.ndarray
    standard: np.ndarray
    unseen: np.ndarray


def lag_covariances(
    lag_frames: np.ndarray,
    g2: np.ndarray,
    replicates: np.ndarray,
    q_inv_nm: np.ndarray | None = None,
    statistics: RingStatistics | None = None,
) -> tuple[LagCovariance | None, ...]:
    """Covariance between lags for each ring; ``None`` where fewer than four sectors have data.

    Parameters
    ----------
    lag_frames : ndarray, shape (lag,)
        Positive, ascending lags of a multi-tau scheme that begins at 1.
    g2 : ndarray, shape (ring, lag)
        nan where there are no pairs.
    replicates : ndarray, shape (sector, ring, lag)
        g2 with one sector left out; nan where a sector is empty.
    q_inv_nm : ndarray or None, shape (ring,)
        Mean q; ``None`` = every ring stands alone.
    statistics : RingStatistics or None
        For the least error there can be. So lags at which no photons have met by chance, where nothing scatters,
        count as what they are; ``None`` = such lags are left out.
    """
    deviations = jackknife_deviations(replicates)
    known = np.isfinite(g2)
    seen = np.where(known, np.nansum(deviations**2, axis=0), 0.0)
    least = np.zeros_like(seen)
    if statistics is not None:
        least = np.where(known, np.nan_to_num(shot_noise_error(lag_frames, statistics)) ** 2, 0.0)
    variance = np.fmax(seen, least)
    # A sector that is empty at one lag is so at all; lags that no sector has yet count against none.
    enough = (np.isfinite(deviations) | ~known).all(axis=2).sum(axis=0) >= _FEWEST_SECTORS
    lags = (variance > 0) & enough[:, None]
    errors = np.full(g2.shape, np.nan)
    for ring in np.flatnonzero(lags.any(axis=1)):
        errors[ring, lags[ring]] = _smooth(np.sqrt(variance[ring, lags[ring]]))
    # Counting noise that did not show.
    unseen = np.sqrt(variance - seen)
    with np.errstate(invalid="ignore"):
        noise = _Noise(lag_frames, lags, errors, deviations / errors, unseen)
    alike = [_neighbours(ring, q_inv_nm) for ring in range(len(g2))]
    return tuple(_one_ring(ring, alike[ring], noise) for ring in range(len(g2)))


def shot_noise_error(lag_frames: np.ndarray, statistics: RingStatistics) -> np.ndarray:
    """Error of g2 from counting alone, shape (ring, lag); nan for rings without photons.

    variance = 1 / (pixels (frames - lag) bin photons^2): chance coincidences in pairs of bins that are ``bin`` frames
    long, for a contrast well below one. Speckle and its product with shot noise come on top.
    """
    bin_frames = np.diff(lag_frames, prepend=0)
    pairs = np.maximum(statistics.frames - lag_frames, bin_frames) * bin_frames
    photons = np.where(statistics.photons_per_pixel > 0, statistics.photons_per_pixel, np.nan)
    return 1 / np.sqrt((statistics.pixels * photons**2)[:, None] * pairs)


def jackknife_deviations(replicates: np.ndarray) -> np.ndarray:
    """Deviations from the mean replicate, shape as ``replicates``, whose sum of squares over axis 0 is the variance.

    Delete-one jackknife: variance = (n - 1) / n times the sum of squared deviations (Efron, SIAM CBMS 38 (1982)). An
    empty sector, whose replicate is nan somewhere, gives nan and does not count.
    """
    valid = np.isfinite(replicates)
    number = np.maximum(valid.sum(axis=0), 1)
    mean = np.where(valid, replicates, 0.0).sum(axis=0) / number
    return (replicates - mean) * np.sqrt((number - 1) / number)


def _one_ring(ring: int, alike: list[int], noise: _Noise) -> LagCovariance | None:
    used = noise.lags[ring]
    if not used.any():
        return None
    error = noise.errors[ring, used]
    unseen = noise.unseen[ring, used]
    draws = _pooled_draws([ring, *alike], used, noise.standard) * error
    scatter = np.concatenate([draws, np.diag(unseen)[unseen > 0]])
    return LagCovariance(used, scatter, _whitening(scatter, error, noise.lag_frames[used]))


def _pooled_draws(rings: list[int], used: np.ndarray, standard: np.ndarray) -> np.ndarray:
    """Deviations in units of the error of the first ring and of those like it, whose squares sum up to about one."""
    pooled = []
    for ring in rings:
        draws = standard[:, ring, used]
        # A neighbour with gaps at these lags says nothing about their correlation.
        draws = draws[np.isfinite(draws).all(axis=1)]
        if len(draws) >= _FEWEST_SECTORS:
            pooled.append(draws)
    return np.concatenate(pooled) / np.sqrt(len(pooled))


def _whitening(scatter: np.ndarray, error: np.ndarray, lag: np.ndarray) -> np.ndarray:
    factor = np.linalg.cholesky(_smooth_correlation(scatter, lag) * np.outer(error, error))
    return solve_triangular(factor, np.eye(len(error)), lower=True)


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
        share = (correlation * decay * near).sum(axis=1) / np.maximum((decay**2 * near).sum(axis=1), _TINY)
        speckle = np.sqrt(np.clip(share, 0.0, _LARGEST_SHARE))
        model = np.outer(speckle, speckle) * decay
        miss = float(((model - correlation)[other] ** 2).sum())
        if miss < least:
            best, least = model, miss
    return np.where(other, best, 1.0)
