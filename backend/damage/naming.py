"""Whether g2 changed because the sample moves differently or because the speckle lost contrast.

Both take photons from the same products, so the channel of one also answers to the other. Which of them it was is told
by the shape of g2 since the onset: the relaxation rates of all rings times one factor, or g2 - 1 times one factor. Lag
0, where there is one, is the contrast itself, but for what moves within the exposure of a frame; it may do so or not,
for what is known of the exposure may be wrong. For some windows after the alarm either family may explain the change;
until one of them does so by far better, neither is ruled out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from backend.damage.noise_model import NoiseModel, counting_variance
from backend.damage.windows import Window

_FEWEST_TO_COMPARE = 5
_FACTORS = np.geomspace(1 / 30, 30, 121)
LOG_ODDS_TO_TELL = math.log(99.0)
"""A name is wrong at most once in a hundred, were rate and contrast changed equally often."""


@dataclass(frozen=True, slots=True)
class FamilyOfChange:
    """What has changed in g2.

    Attributes
    ----------
    family : str
        "dynamics" or "contrast": which explains it better.
    log_odds : float
        Natural log of how much better, never negative.
    """

    family: str
    log_odds: float

    @property
    def told(self) -> bool:
        """Surely so."""
        return self.log_odds >= LOG_ODDS_TO_TELL


class LastingName:
    """A name that was surely right stands as long as its family explains the change better.

    Later frames may lower the odds again for a while, by chance, and a word that comes and goes helps nobody: of 1440
    damaged series of the benchmark 5 had lost a name at their end, all of them a right one.
    """

    def __init__(self) -> None:
        self._family = ""

    def holds(self, change: FamilyOfChange) -> bool:
        """Whether the family of the newest change is sure, by all that was found so far."""
        if change.told:
            self._family = change.family
        return change.family == self._family


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
    counting = counting_variance(1 / (counting_before + counting), still, lags)
    frames = changed[-1].frames
    speckle = 8 / model.speckles * (_steadiness(model, before, frames) + _steadiness(model, now, frames))
    noise = _Noise(counting, still, speckle)
    # What the files say of the exposure may be wrong, and a model that takes frames for instants may be so, too.
    exposures = (0.0, model.exposure or 1.0) if lags[0] == 0 else (model.exposure,)
    exposed = [replace(model, exposure=exposure) for exposure in exposures]
    misfit_of_rate = min(_misfit_of_rate(change, one, lags, noise) for one in exposed)
    misfit_of_contrast = min(_misfit_of_contrast(change, one.excess(lags), noise) for one in exposed)
    log_odds = (misfit_of_rate - misfit_of_contrast) / 2
    return FamilyOfChange("contrast" if log_odds > 0 else "dynamics", abs(log_odds))


@dataclass(frozen=True, slots=True)
class _Noise:
    """Of g2 - 1.

    Attributes
    ----------
    counting : ndarray, shape (ring, lag)
        Variance of each number.
    shape, speckle : ndarray, shape (ring, lag) and (ring,)
        The speckle raises or lowers all lags of a ring together: this shape times a factor of this variance.
    """

    counting: np.ndarray
    shape: np.ndarray
    speckle: np.ndarray

    def product(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Scalar product with the inverse covariance, over rings and lags, the last two axes; chi^2 of one itself."""
        own = 1 / self.speckle + (self.shape**2 / self.counting).sum(axis=1)
        weighted = self.shape / self.counting
        along = (one * weighted).sum(axis=-1) * (other * weighted).sum(axis=-1) / own
        product: np.ndarray = (one * other / self.counting).sum(axis=(-2, -1)) - along.sum(axis=-1)
        return product


def _misfit_of_rate(change: np.ndarray, model: NoiseModel, lags: np.ndarray, noise: _Noise) -> float:
    """Least chi^2 of a factor on all rates."""
    rest = change + model.excess(lags) - model.excess(lags, _FACTORS[:, None, None])
    return float(noise.product(rest, rest).min())


def _misfit_of_contrast(change: np.ndarray, still: np.ndarray, noise: _Noise) -> float:
    """Least chi^2 of a factor on g2 - 1."""
    best = float(noise.product(change, still) / noise.product(still, still))
    rest = change - np.clip(best, _FACTORS[0] - 1, _FACTORS[-1] - 1) * still
    return float(noise.product(rest, rest))


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


def _steadiness(model: NoiseModel, weights: np.ndarray, frames: int) -> np.ndarray:
    """Part of the variance of the speckle that is left in a weighted mean over windows in a row, shape (ring,)."""
    number = len(weights)
    pairs = np.correlate(weights, weights, "full")[number - 1 :]
    pairs[1:] *= 2
    correlation = model.speckle_correlation(frames * np.arange(number, dtype=float), frames)
    return correlation @ pairs / weights.sum() ** 2
