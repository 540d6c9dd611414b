"""Whether g2 changed because the sample moves differently or because the speckle lost contrast.

Both take photons from the same products, so the channel of one also answers to the other. Which of them it was is told
by the shape of g2 since the onset: the relaxation rates of all rings times one factor, or g2 - 1 times one factor.
"""

from __future__ import annotations

import math
from functools import reduce

import numpy as np

from backend.damage.noise_model import NoiseModel
from backend.damage.windows import Window, merge_windows

_FACTORS = np.geomspace(1 / 30, 30, 121)
_LOG_ODDS_OF_DYNAMICS = math.log(20.0)
"""Beams change the dynamics of samples; lost contrast alone is rare."""


def family_of_change(
    model: NoiseModel, lags: np.ndarray, unchanged: list[Window], changed: list[Window]
) -> str:
    """Name of the family, "dynamics" or "contrast": whichever explains how g2 has changed since the onset.

    Parameters
    ----------
    model : NoiseModel
        As fitted on the reference.
    lags : ndarray, shape (lag,), int64
    unchanged, changed : list of Window
        Before and from the onset on, at least one each. Only their difference is looked at: g2 of the reference is not
        exactly what the model says.
    """
    before, now = _sums(unchanged), _sums(changed)
    change = _excess(now) - _excess(before)
    still = model.excess(lags)
    counting = (1 + still) * (1 / np.maximum(before.expected, 1e-9) + 1 / np.maximum(now.expected, 1e-9))
    speckle = 8 / model.speckles * (_steadiness(model, unchanged) + _steadiness(model, changed))
    rates = _FACTORS[:, None, None] * model.gamma_per_frame[:, None]
    by_rate = model.contrast * np.exp(-2 * rates * lags) - still
    by_contrast = (_FACTORS[:, None, None] - 1) * still
    misfit_of_rate = _misfits(change - by_rate, counting, still, speckle).min()
    misfit_of_contrast = _misfits(change - by_contrast, counting, still, speckle).min()
    return "contrast" if (misfit_of_rate - misfit_of_contrast) / 2 > _LOG_ODDS_OF_DYNAMICS else "dynamics"


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


def _sums(windows: list[Window]) -> Window:
    return reduce(merge_windows, windows)


def _excess(window: Window) -> np.ndarray:
    return window.products / np.maximum(window.expected, 1e-9) - 1


def _steadiness(model: NoiseModel, windows: list[Window]) -> np.ndarray:
    """Part of the variance of the speckle that is left in the mean over windows in a row, shape (ring,)."""
    number, frames = len(windows), windows[-1].frames
    apart = np.arange(number)
    pairs = np.where(apart == 0, number, 2 * (number - apart))
    return model.speckle_correlation(frames * apart.astype(float), frames) @ pairs / number**2
