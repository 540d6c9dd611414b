"""Sequential tests of several series of numbers: constant level against a ramp that starts at an unknown dose.

The numbers have a known covariance up to a factor. Whitening (a Cholesky factor that grows by one row per number) and
recursive residuals take out the unknown level exactly, so under "no change" the residuals are independent standard
normal. For every possible onset and slope scale the Bayes factor of a Gaussian slope is

    BF = (1 + s^2 S)^(-1/2) exp(s^2 U^2 / (2 (1 + s^2 S))),   U = sum r w,  S = sum r^2

with residuals w and whitened ramps r. Their average over onsets and scales is a test martingale: the chance that it
ever exceeds 1/alpha without a change is at most alpha (Ville's inequality), at any stopping time. The weights of the
onsets fall linearly to zero at the planned end, for what begins late has no time to be found, but for a share of the
very first one: much damage begins with the beam.

All channels are tested at the same doses, each with a covariance of its own. The work per number goes with the square
of the numbers so far, and nothing is fitted again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, ndtr

from backend.damage.ramp_kernels import add_to_scores, extend_ramps, log_sum_bayes_factors, whiten

_FARTHEST_DOSE = 10.0
_SHARE_FROM_THE_START = 0.05
_BISECTIONS = 24


@dataclass(frozen=True, slots=True)
class Prediction:
    """The next numbers as seen from those before.

    Attributes
    ----------
    row : ndarray, shape (number, channel)
        Next row of the whitening factor, without its last element ``scale``.
    scale, whitened, level, spread : ndarray, shape (channel,)
        Last element; whitened number; whitened constant; widening because the level is known from few numbers.
    residual : ndarray, shape (channel,)
        Distance from the prediction in standard deviations; 0 for the first number.
    """

    row: np.ndarray
    scale: np.ndarray
    whitened: np.ndarray
    level: np.ndarray
    spread: np.ndarray
    residual: np.ndarray


class RampTests:
    """Takes one number per channel at a time; all onsets so far are kept in mind.

    Parameters
    ----------
    capacity : int
        Most numbers that can be added.
    planned : int
        Numbers that the whole series will bring. In a longer series no new onsets begin after the plan: the weights
        must not exceed one together, or the bound on alarms is lost.
    slope_scales : ndarray, shape (channel, scale)
        Prior standard deviations of the slope, per unit of planned dose.
    """

    def __init__(self, capacity: int, planned: int, slope_scales: np.ndarray) -> None:
        channels = len(slope_scales)
        falling = np.arange(max(planned, 1), 0, -1.0)
        self._onset_weight = (1 - _SHARE_FROM_THE_START) * falling / falling.sum()
        self._onset_weight[0] += _SHARE_FROM_THE_START
        self._slope_variance = np.ascontiguousarray(np.asarray(slope_scales, float).T ** 2)
        self._factor = np.zeros((capacity, capacity, channels))
        self._ramps = np.zeros((capacity, capacity, channels))
        self._value = np.zeros((capacity, channels))
        self._level = np.zeros((capacity, channels))
        self._residuals = np.zeros((capacity, channels))
        self._onset_dose = np.zeros(capacity)
        self._level_weight = np.zeros(channels)
        self._level_sum = np.zeros(channels)
        self._level_ramp = np.zeros((capacity, channels))
        self._score = np.zeros((capacity, channels))
        self._information = np.zeros((capacity, channels))
        self._last_dose = 0.0
        self.size = 0

    @property
    def residuals(self) -> np.ndarray:
        """Standardised residuals from the second number on, shape (number - 1, channel)."""
        return self._residuals[1 : self.size]

    def predict(self, values: np.ndarray, covariance: np.ndarray) -> Prediction:
        """How the next numbers look before they are added.

        Parameters
        ----------
        values : ndarray, shape (channel,)
        covariance : ndarray, shape (size + 1, channel)
            With the numbers added so far and, last, their own variance.
        """
        n = self.size
        row, own = np.array(covariance[:n], float, order="C"), covariance[n]
        whiten(self._factor, row)
        # Rounding can make the rest slightly negative when a number is fully predicted by the earlier ones.
        scale = np.sqrt(np.maximum(own - (row**2).sum(axis=0), 1e-12 * own))
        whitened = (values - (row * self._value[:n]).sum(axis=0)) / scale
        level = (1.0 - (row * self._level[:n]).sum(axis=0)) / scale
        if n == 0:
            # The first number tells the level and nothing else.
            spread, residual = np.full_like(scale, np.inf), np.zeros_like(scale)
        else:
            spread = np.sqrt(1 + level**2 / self._level_weight)
            residual = (whitened - level * self._level_sum / self._level_weight) / spread
        return Prediction(row, scale, whitened, level, spread, residual)

    def add(self, numbers: Prediction, dose: float) -> None:
        """Add the numbers last predicted, measured up to ``dose`` (in units of the planned dose)."""
        n = self.size
        level, onsets = numbers.level, slice(0, n + 1)
        self._factor[n, :n] = numbers.row
        self._factor[n, n] = numbers.scale
        self._onset_dose[n] = self._last_dose
        heights = np.maximum(dose - self._onset_dose[onsets], 0.0)
        extend_ramps(self._ramps, numbers.row, numbers.scale, heights)
        add_to_scores(
            self._ramps[n],
            (level, numbers.spread, numbers.residual),
            np.maximum(self._level_weight, 1e-300),
            self._level_ramp[onsets],
            self._score[onsets],
            self._information[onsets],
        )
        self._residuals[n] = numbers.residual
        self._value[n] = numbers.whitened
        self._level[n] = level
        self._level_weight += level**2
        self._level_sum += level * numbers.whitened
        self._last_dose = dose
        self.size += 1

    def log_evidence(self, over_dispersion: np.ndarray) -> np.ndarray:
        """Natural log of the test martingales, shape (channel,); onsets still to come count with a factor of one."""
        if self.size == 0:
            return np.zeros(len(over_dispersion))
        begun = self._onset_weight[: self.size]
        onsets = len(begun)
        factors = np.empty(len(over_dispersion))
        log_sum_bayes_factors(
            self._score[:onsets] / over_dispersion,
            self._information[:onsets] / over_dispersion,
            self._slope_variance,
            begun / len(self._slope_variance),
            factors,
        )
        rest = max(1 - float(begun.sum()), 1e-300)
        return np.logaddexp(factors, np.log(rest))

    def onset_weights(self, channel: int, over_dispersion: float) -> np.ndarray:
        """Posterior weight of each number being the first after the onset; shape (onset,), sums to one."""
        return self._posterior(channel, over_dispersion)[0].sum(axis=0)

    def crossing_doses(
        self, channel: int, over_dispersion: float, height: float, chances: np.ndarray
    ) -> np.ndarray:
        """Doses by which the ramp has reached ``height`` (or minus it) with these chances; shape of ``chances``.

        Infinite beyond ten times the planned dose. Slopes and onsets have their posterior.
        """
        weight, mean, sigma = self._posterior(channel, over_dispersion)
        direction = np.sign((weight * mean).sum())
        onset_dose = self._onset_dose[: weight.shape[1]]
        low, high = np.zeros(len(chances)), np.full(len(chances), _FARTHEST_DOSE)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            since = np.maximum(middle[:, None] - onset_dose, 1e-12)[:, None]
            reached = (weight * ndtr((direction * mean - height / since) / sigma)).sum(axis=(1, 2))
            low, high = np.where(reached < chances, middle, low), np.where(reached < chances, high, middle)
        return np.where(low > 0.999 * _FARTHEST_DOSE, np.inf, high)

    def _posterior(self, channel: int, over_dispersion: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights, and mean and standard deviation of the slope, of each scale and onset; shape (scale, onset)."""
        prior = self._onset_weight[: self.size]
        onsets = len(prior)
        score = self._score[:onsets, channel] / over_dispersion
        information = self._information[:onsets, channel] / over_dispersion
        variance = self._slope_variance[:, channel, None]
        grown = variance * information
        factors = np.log(prior) - 0.5 * np.log1p(grown) + 0.5 * variance * score**2 / (1 + grown)
        weight = np.exp(factors - logsumexp(factors))
        return weight, variance * score / (1 + grown), np.sqrt(variance / (1 + grown))


def compile_kernels() -> None:
    """Load or compile what a test needs, so that no series has to wait for it."""
    tests = RampTests(1, 1, np.ones((1, 1)))
    tests.add(tests.predict(np.zeros(1), np.ones((1, 1))), 1.0)
    tests.log_evidence(np.ones(1))
