"""Other ways to raise an alarm, on the same series: what one would write in an evening, and one that knows everything.

Each takes the sums of a series and returns one number per window, shape (window,); the alarm is where it first reaches
a threshold. The level and the scatter come from the first fifth of the windows, which therefore stay below it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.linalg import solve_triangular

from benchmarks.damage_series import RingSeries

WINDOW_FRAMES = 10
_REFERENCE_SHARE = 0.2
_LOW_RINGS = 2


@dataclass(frozen=True, slots=True)
class Rival:
    """One way; ``threshold`` is ``None`` where it has to be set on series without damage, to 1 % of alarms."""

    name: str
    statistic: Callable[[RingSeries], np.ndarray]
    threshold: float | None


def _windows(frames: np.ndarray) -> np.ndarray:
    whole = len(frames) // WINDOW_FRAMES
    return frames[: whole * WINDOW_FRAMES].reshape(whole, WINDOW_FRAMES, *frames.shape[1:]).sum(axis=1)


def _reference(windows: np.ndarray) -> int:
    return round(_REFERENCE_SHARE * len(windows))


def _standardised(numbers: np.ndarray) -> np.ndarray:
    early = numbers[: _reference(numbers)]
    return (numbers - early.mean()) / early.std(ddof=1)


def _after_reference(statistic: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(statistic)) < _reference(statistic), -np.inf, statistic)


def _low_q_ratio(series: RingSeries) -> np.ndarray:
    """ln of the lowest rings against the others: the incident beam cancels."""
    counts = _windows(series.counts)
    low, high = counts[:, :_LOW_RINGS].sum(axis=1), counts[:, _LOW_RINGS:].sum(axis=1)
    return np.log(np.maximum(low, 0.5) / np.maximum(high, 0.5))


def _mean_excess(series: RingSeries) -> np.ndarray:
    """Mean g2 - 1 over rings and lags."""
    expected = np.zeros(series.products.shape)
    for index, lag in enumerate(series.lags):
        # Of n photons in a frame each may pair with n - 1.
        earlier = series.counts[: len(expected) - lag] - (lag == 0)
        expected[lag:, :, index] = series.counts[lag:] * earlier / series.plan.pixels
    sums = (_windows(part).sum(axis=(1, 2)) for part in (series.products, expected))
    products, by_chance = sums
    return products / np.maximum(by_chance, 1e-9) - 1


def total_change(series: RingSeries) -> np.ndarray:
    """Change of the total intensity in percent."""
    total = _windows(series.counts).sum(axis=1)
    return _after_reference(100 * np.abs(total / total[: _reference(total)].mean() - 1))


def sigma_rule(series: RingSeries) -> np.ndarray:
    """Largest distance from the level in standard deviations."""
    scores = [np.abs(_standardised(numbers)) for numbers in (_low_q_ratio(series), _mean_excess(series))]
    return _after_reference(np.maximum(*scores))


def cusum(series: RingSeries) -> np.ndarray:
    """Cumulative sums of the scores in both directions, less 0.5 per window."""
    sums = []
    for numbers in (_low_q_ratio(series), _mean_excess(series)):
        score = _standardised(numbers)
        for signed in (score, -score):
            path = np.zeros(len(score))
            for window in range(_reference(score), len(score)):
                path[window] = max(0.0, path[window - 1] + signed[window] - 0.5)
            sums.append(path)
    return np.max(sums, axis=0)


def likelihood_ratio(series: RingSeries) -> np.ndarray:
    """Generalised likelihood ratio: the best ramp of any onset against a level, independent errors."""
    return _after_reference(
        np.max([_best_ramp(_standardised(x)) for x in (_low_q_ratio(series), _mean_excess(series))], axis=0)
    )


def _best_ramp(score: np.ndarray) -> np.ndarray:
    windows = len(score)
    ramps = np.maximum(np.subtract.outer(np.arange(windows), np.arange(windows)), 0.0)
    number = np.arange(1, windows + 1)[:, None]
    mean_ramp, mean_score = np.cumsum(ramps, axis=0) / number, np.cumsum(score)[:, None] / number
    covariance = np.cumsum(ramps * score[:, None], axis=0) - number * mean_ramp * mean_score
    variance = np.cumsum(ramps**2, axis=0) - number * mean_ramp**2
    return np.max(np.where(variance > 1e-9, covariance**2 / np.maximum(variance, 1e-9), 0.0), axis=1)


def cormap(series: RingSeries) -> np.ndarray:
    """-log10 of p of the longest run of one sign between each I(q) and the first, times the number of comparisons."""
    curves = _windows(series.fine_counts).astype(float)
    curves /= curves.sum(axis=1, keepdims=True)
    longest = [_longest_run(np.sign(curve - curves[0])) for curve in curves[1:]]
    chances = np.array([_chance_of_run(curves.shape[1], run) for run in longest])
    adjusted = np.minimum(chances * len(chances), 1.0)
    return np.concatenate([[-np.inf], -np.log10(np.maximum(adjusted, 1e-300))])


def _longest_run(signs: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(signs)) + 1
    return int(np.diff(np.concatenate([[0], edges, [len(signs)]])).max())


@cache
def _chance_of_run(tosses: int, run: int) -> float:
    """Chance that the longest run of heads or of tails in so many tosses is at least this long (Schilling 1990)."""
    # A run of equal tosses is a run of equal neighbours, shorter by one.
    run, pairs = run - 1, tosses - 1
    if run < 1:
        return 1.0
    without = np.ones(pairs + 1)
    for number in range(run, pairs + 1):
        # The first unequal pair comes after 0, 1, ... run - 1 equal ones.
        equal = np.arange(run)
        rest = number - equal - 1
        without[number] = (without[rest] * 0.5 ** (equal + 1)).sum()
    return float(1 - without[pairs])


def all_knowing(series: RingSeries) -> np.ndarray:
    """Standard score of a rise of the low rings from a known onset; level, beam and noise are known exactly."""
    plan = series.plan
    foreseen = plan.pixels * _windows(plan.photons / plan.structure)
    numbers = np.log(np.maximum(_windows(series.counts), 0.5) / foreseen)
    counting = 1 / foreseen.mean(axis=0)
    decay = 2 * plan.gamma_per_frame[0]
    windows = len(numbers)
    apart = WINDOW_FRAMES * np.abs(np.subtract.outer(np.arange(windows), np.arange(windows)))
    steps = np.subtract.outer(np.arange(WINDOW_FRAMES), np.arange(WINDOW_FRAMES))
    score, information = np.zeros(windows), np.zeros(windows)
    ramp = np.maximum((np.arange(windows) + 0.5) * WINDOW_FRAMES - plan.onset, 0.0)
    distances, place = np.unique(apart, return_inverse=True)
    for ring in range(_LOW_RINGS):
        correlation = np.array([np.exp(-decay[ring] * np.abs(d + steps)).mean() for d in distances])
        speckle = plan.contrast[0] / plan.pixels * correlation[place].reshape(apart.shape)
        factor = np.linalg.cholesky(speckle + counting[ring] * np.eye(windows))
        white = solve_triangular(factor, np.stack([numbers[:, ring], ramp], axis=1), lower=True)
        score += np.cumsum(white[:, 0] * white[:, 1])
        information += np.cumsum(white[:, 1] ** 2)
    return np.where(information > 0, score / np.sqrt(np.maximum(information, 1e-300)), -np.inf)


RIVALS = (
    Rival("total intensity, 10 %", total_change, 10.0),
    Rival("5 sigma", sigma_rule, 5.0),
    Rival("CUSUM (0.5, 5)", cusum, 5.0),
    Rival("CUSUM, calibrated", cusum, None),
    Rival("CorMap, Bonferroni, p < 0.01", cormap, 2.0),
    Rival("likelihood ratio, calibrated", likelihood_ratio, None),
    Rival("all-knowing, calibrated", all_knowing, None),
)
