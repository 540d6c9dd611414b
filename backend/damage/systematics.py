"""How far the shape of I(q) wanders by itself: measured on series of a sample that does not change.

Of each contrast x = sum_b w_b ln N_b the windows of a series have the covariance

    phi (counting + speckle) + s^2 exp(-|dt| / tau_s)

with the speckle's part from g2 of the same series and a scatter phi >= 1 beyond counting. The unknown level is taken
out by looking at differences alone (restricted maximum likelihood); phi is free in every series, s and tau_s are the
same in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import helmert, solve_triangular
from threadpoolctl import threadpool_limits

from backend.damage.channel_group import structure_group
from backend.damage.channels import BROAD_CHANNELS, structure_channels
from backend.damage.noise_model import SLOWEST_PER_FRAME, fit_noise_model
from backend.damage.windows import Window
from backend.errors import SeriesError

_RMS = np.concatenate([[0.0], np.geomspace(1e-4, 0.3, 240)])
_SCATTER = np.geomspace(1, 8, 10)
_TIMES = 25
_FEWEST_WINDOWS = 40
_LONGEST_TIME_OF_SERIES = 0.5
_LONGEST_TOLD_OF_SERIES = 0.2
_ONE_SIGMA = 0.5
_UPPER_95 = 1.353
"""Fall of ln L at a bound of one sigma, and at an upper bound of 95 %."""
_SEEN = 4.5
"""Three standard deviations."""


@dataclass(frozen=True, slots=True)
class ReferenceSeries:
    """A series of a sample that does not change, in windows.

    Attributes
    ----------
    name : str
    frame_time_s : float
    windows : tuple of Window
        Of equal length.
    q_inv_nm, speckles : ndarray, shape (ring,)
    lags : ndarray, shape (lag,), int64
        Of the products, in frames.
    """

    name: str
    frame_time_s: float
    windows: tuple[Window, ...]
    q_inv_nm: np.ndarray
    speckles: np.ndarray
    lags: np.ndarray

    @property
    def duration_s(self) -> float:
        """From the first window to the end of the last."""
        first, last = self.windows[0], self.windows[-1]
        return (last.last_frame - first.last_frame + first.frames) * self.frame_time_s


@dataclass(frozen=True, slots=True)
class Systematics:
    """Slow systematics of the shape of I(q).

    Attributes
    ----------
    seen : bool
        Whether there are any: three standard deviations.
    rms_percent, rms_bounds_percent : float, tuple of float
        s and its bounds of one sigma.
    largest_percent : float
        s is not larger than this by a chance of 95 %.
    time_s, time_bounds_s : float, tuple of float
        tau_s and its bounds of one sigma; of no meaning when none are seen.
    longest_time_s : float
        Systematics slower than this cannot be told from the level of the series.
    label : str
        What wanders most.
    """

    seen: bool
    rms_percent: float
    rms_bounds_percent: tuple[float, float]
    largest_percent: float
    time_s: float
    time_bounds_s: tuple[float, float]
    longest_time_s: float
    label: str

    @property
    def too_slow(self) -> bool:
        """They may be as slow as the series is long: it is too short, or its sample changes."""
        return self.seen and self.time_bounds_s[1] > self.longest_time_s


def measure_systematics(series: Sequence[ReferenceSeries]) -> Systematics:
    """Largest systematics of the broad contrasts of I(q): lowest rings, lower half, slope in ln q.

    Raises
    ------
    SeriesError
        A series has too few windows or photons; says what is missing.
    """
    longest_s = max(one.duration_s for one in series)
    shortest_s = max(one.windows[0].frames * one.frame_time_s for one in series)
    times_s = np.geomspace(shortest_s, _LONGEST_TIME_OF_SERIES * longest_s, _TIMES)
    log_likelihood: dict[str, np.ndarray] = {}
    # Matrices this small are slower with threads that wait for each other.
    with threadpool_limits(1, user_api="blas"):
        for one in series:
            for label, surface in _surfaces(one, times_s).items():
                log_likelihood[label] = log_likelihood.get(label, 0.0) + surface
    told_s = _LONGEST_TOLD_OF_SERIES * longest_s
    found = [_summary(label, surface, times_s, told_s) for label, surface in log_likelihood.items()]
    return max(found, key=lambda one: (one.seen, one.rms_percent if one.seen else one.largest_percent))


def _surfaces(series: ReferenceSeries, times_s: np.ndarray) -> dict[str, np.ndarray]:
    """ln L of each contrast, shape (time, rms), with the best scatter of this series."""
    windows = list(series.windows)
    if len(windows) < _FEWEST_WINDOWS:
        raise SeriesError(
            f"{series.name} is too short: {len(windows)} windows of {windows[0].frames} frames, {_FEWEST_WINDOWS} are "
            "the fewest.",
            try_this="Measure a longer series, or set fewer damage.window_frames.",
        )
    frames = windows[0].frames
    model = fit_noise_model(windows, series.lags, series.speckles, len(windows) * frames, 0.0, 1.0)
    # Most probable, not most cautious: what is taken as speckle here is not found as systematics. Static speckle
    # belongs to the level.
    steady = np.where(model.gamma_per_frame <= SLOWEST_PER_FRAME, 0.0, model.gamma_per_frame)
    model = replace(model, fast_per_frame=steady, slow_share=np.zeros_like(steady))
    channels = structure_channels(model, windows, series.q_inv_nm)[:BROAD_CHANNELS]
    if not channels:
        raise SeriesError(
            f"{series.name} has too few photons per ring and window.",
            try_this="Set more damage.window_frames, or measure with more beam.",
        )
    group = structure_group(channels, model)
    measured = [group.measure(window) for window in windows]
    values, counting = (np.array(part) for part in zip(*measured, strict=True))
    middle = np.array([window.last_frame - 0.5 * window.frames for window in windows])
    apart, place = np.unique(np.abs(middle[:, None] - middle), return_inverse=True)
    speckle = group.slow_covariance(apart, frames)[place.ravel()].reshape(*place.shape, -1)
    contrasts = helmert(len(windows))
    decays = np.exp(-apart[place] * series.frame_time_s / times_s[:, None, None])
    return {
        channel.label: _surface(
            contrasts @ values[:, k],
            contrasts @ (speckle[..., k] + np.diag(counting[:, k])) @ contrasts.T,
            contrasts @ decays @ contrasts.T,
        )
        for k, channel in enumerate(channels)
    }


def _surface(numbers: np.ndarray, noise: np.ndarray, decays: np.ndarray) -> np.ndarray:
    """ln L, shape (time, rms); numbers, shape (n,), with noise, shape (n, n), and decays, shape (time, n, n)."""
    surface = np.empty((len(decays), len(_RMS)))
    factor = np.linalg.cholesky(noise)
    white = solve_triangular(factor, numbers, lower=True)
    for row, decay in zip(surface, decays, strict=True):
        # Numbers in which noise has the variance 1 and systematics have eigenvalues.
        half = solve_triangular(factor, decay, lower=True)
        eigenvalues, vectors = np.linalg.eigh(solve_triangular(factor, half.T, lower=True))
        squares = (vectors.T @ white) ** 2
        variance = _SCATTER[:, None, None] + (_RMS**2)[:, None] * np.maximum(eigenvalues, 0.0)
        row[:] = -0.5 * (np.log(variance) + squares / variance).sum(axis=2).min(axis=0)
    return surface


def _summary(label: str, surface: np.ndarray, times_s: np.ndarray, told_s: float) -> Systematics:
    """``surface``: ln L, shape (time, rms); times longer than ``told_s`` say nothing about how large they may be."""
    by_rms, by_time = surface.max(axis=0), surface.max(axis=1)
    top = float(surface.max())
    best_time, best_rms = np.unravel_index(int(np.argmax(surface)), surface.shape)
    limited = surface[times_s <= told_s].max(axis=0)
    beyond = np.flatnonzero(limited >= limited.max() - _UPPER_95)
    rms = _bounds(_RMS, by_rms >= top - _ONE_SIGMA)
    times = _bounds(times_s, by_time >= top - _ONE_SIGMA)
    return Systematics(
        seen=top - float(by_rms[0]) > _SEEN,
        rms_percent=100 * float(_RMS[best_rms]),
        rms_bounds_percent=(100 * rms[0], 100 * rms[1]),
        largest_percent=100 * float(_RMS[beyond[-1]]),
        time_s=float(times_s[best_time]),
        time_bounds_s=times,
        longest_time_s=told_s,
        label=label,
    )


def _bounds(grid: np.ndarray, inside: np.ndarray) -> tuple[float, float]:
    """The first points of the grid outside, for the bounds lie between them and the last ones inside."""
    among = np.flatnonzero(inside)
    return float(grid[max(among[0] - 1, 0)]), float(grid[min(among[-1] + 1, len(grid) - 1)])
