"""Whether g2 changed because the sample moves differently or because the speckle lost contrast.

Both take photons from the same products, so the channel of one also answers to the other. Which of them it was is told
by the shape of g2 since the onset: the relaxation rates of all rings times one factor, or g2 - 1 times one factor. For
some windows after the alarm either may explain the change; until one of them does so by far better, neither is ruled
out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from backend.damage.noise_model import NoiseModel
from backend.damage.windows import Window

_FEWEST_TO_COMPARE = 5
_FACTORS = np.geomspace(1 / 30, 30, 121)
LOG_ODDS_TO_TELL = math.log(99.0)
"""A name is wrong at most once in a hundred, were rate and contrast changed equally often."""


@dataclass(frozen=True, slots=True)
class FamilyOfChange:
    """What has changed in g2: ``family``, "dynamics" or "contrast", explains it better; ``told``: surely so."""

    family: str
    told: bool


def family_of_change(
    model: NoiseModel, lags: np.ndarray, windows: list[Window], onset_frame: int
) -> FamilyOfChange:
    """Which of rate and contrast explains how g2 has changed since the onset.

    Parameters
    ----------
    model : NoiseModel
        As fitted on the reference.
    lags : ndarray, shape (lag,), int64
    windows : list of Window
        More than one. Those up to ``onset_frame``, at least five, are compared with the rest: g2 of the reference is
        not exactly what the model says. A change grows from its onset on, so later windows count more.
    """
    split = sum(window.last_frame <= onset_frame for window in windows)
    split = min(max(split, _FEWEST_TO_COMPARE), len(windows) - 1)
    unchanged, changed = windows[:split], windows[split:]
    before, now = np.ones(len(unchanged)), _ramp(len(changed))
    (excess_before, counting_before), (excess, counting) = (
        _weighted_excess(unchanged, before),
        _weighted_excess(changed, now),
    )
    change = excess - excess_before
    still = model.excess(lags)
    counting = (1 + still) * (counting_before + counting)
    frames = changed[-1].frames
    speckle = 8 / model.speckles * (_steadiness(model, before, frames) + _steadiness(model, now, frames))
    rates = _FACTORS[:, None, None] * model.gamma_per_frame[:, None]
    by_rate = model.contrast * np.exp(-2 * rates * lags) - still
    by_contrast = (_FACTORS[:, None, None] - 1) * still
    misfit_of_rate = _misfits(change - by_rate, counting, still, speckle).min()
    misfit_of_contrast = _misfits(change - by_contrast, counting, still, speckle).min()
    log_odds = float(misfit_of_rate - misfit_of_contrast) / 2
    return FamilyOfChange("contrast" if log_odds > 0 else "dynamics", abs(log_odds) >= LOG_ODDS_TO_TELL)


def _weighted_excess(windows: list[Window], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """g2 - 1 of windows with weights, and its variance from counting over g2; both of shape (ring, lag)."""
    products = np.array([window.products for window in windows])
    by_chance = np.array([window.expected for window in windows])
    expected = np.maximum(np.tensordot(weights, by_chance, 1), 1e-9)
    return np.tensordot(weights, products, 1) / expected - 1, np.tensordot(
        weights**2, by_chance, 1
    ) / expected**2


def _ramp(number: int) -> np.ndarray:
    """Heights in the middles of windows, the mean is 1."""
    return (np.arange(number) + 0.5) / (number / 2)


def _misfits(rest: np.ndarray, counting: np.ndarray, shape: np.ndarray, speckle: np.ndarray) -> np.ndarray:
    """chi^2 of each candidate, shape (candidate,), from what it leaves, shape (candidate, ring, lag).

    counting : ndarray, shape (ring, lag)
        Variance of each number.
    shape, speckle : ndarray, shape (ring, lag) and (ring,)
        The speckle raises or lowers all lags of a ring together: this shape times a factor of this variance.
    """
    along = (rest * shape / counting).sum(axis=2)
    own = (shape**2 / counting).sum(axis=1)
    return (rest**2 / counting).sum(axis=(1, 2)) - (along**2 / (1 / speckle + own)).sum(axis=1)


def _steadiness(model: NoiseModel, weights: np.ndarray, frames: int) -> np.ndarray:
    """Part of the variance of the speckle that is left in a weighted mean over windows in a row, shape (ring,)."""
    number = len(weights)
    pairs = np.correlate(weights, weights, "full")[number - 1 :]
    pairs[1:] *= 2
    correlation = model.speckle_correlation(frames * np.arange(number, dtype=float), frames)
    return correlation @ pairs / weights.sum() ** 2
