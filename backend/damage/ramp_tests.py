"""Sequential tests of several series of numbers: constant level against a ramp that starts at an unknown dose.

The numbers have a known covariance up to a factor. Whitening (with the Cholesky factor of the covariance) and recursive
residuals take out the unknown level exactly, so under "no change" the residuals are independent standard
normal. For every possible onset and slope scale the Bayes factor of a Gaussian slope is

    BF = (1 + s^2 S)^(-1/2) exp(s^2 U^2 / (2 (1 + s^2 S))),   U = sum r w,  S = sum r^2

with residuals w and whitened ramps r. Their average over onsets and scales is a test martingale: the chance that it
ever exceeds 1/alpha without a change is at most alpha (Ville's inequality), at any stopping time. The weights of the
onsets fall linearly to zero at the planned end, for what begins late has no time to be found, but for a share of the
very first one: much damage begins with the beam.

All channels are tested at the same doses, each with a covariance of its own: a sum of exponentials. The work per number
goes with the numbers so far, and nothing is fitted again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, ndtr

from backend.damage.ramp_kernels import (
    add_to_scores,
    carry_on,
    carry_on_spread,
    foresee,
    log_sum_bayes_factors,
    whiten,
)

_FARTHEST_DOSE = 10.0
_SHARE_FROM_THE_START = 0.05
_LIKELY_FROM_THE_START = 0.25
"""Of all changes. The test bets less on them: what it bets there it lacks for all other onsets."""
_BISECTIONS = 24


@dataclass(frozen=True, slots=True)
class SlowNoise:
    """Covariance of numbers that are s = 1, 2, ... steps apart: the sum of strength decay^(s - 1) over all parts.

    Attributes
    ----------
    decay : ndarray, shape (part,)
        Of one step.
    strength : ndarray, shape (part, channel)
        Covariance of neighbours.
    """

    decay: np.ndarray
    strength: np.ndarray


@dataclass(frozen=True, slots=True)
class Prediction:
    """The next numbers as seen from those before.

    Attributes
    ----------
    noise : tuple of ndarray
        What goes on from here, as ``noise`` of :func:`backend.damage.ramp_kernels.add_to_scores`.
    whitened : ndarray, shape (2, channel)
        Whitened numbers, and whitened constant.
    spread : ndarray, shape (channel,)
        Widening because the level is known from few numbers.
    residual : ndarray, shape (channel,)
        Distance from the prediction in standard deviations; 0 for the first number.
    """

    noise: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    whitened: np.ndarray
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
    slow : SlowNoise
    """

    def __init__(self, capacity: int, planned: int, slope_scales: np.ndarray, slow: SlowNoise) -> None:
        parts, channels = slow.strength.shape
        self._onset_weight = _onset_weights(planned, _SHARE_FROM_THE_START)
        self._likely_onset = _onset_weights(planned, _LIKELY_FROM_THE_START)
        self._slope_variance = np.ascontiguousarray(np.asarray(slope_scales, float).T ** 2)
        self._slow = slow
        self._spread = np.zeros((parts, parts, channels))
        self._sums = np.zeros((2, parts, channels))
        self._ramps = np.zeros((capacity, parts, channels))
        self._residuals = np.zeros((capacity, channels))
        self._onset_dose = np.zeros(capacity)
        self._level_weight = np.zeros(channels)
        self._level_sum = np.zeros(channels)
        self._level_ramp = np.zeros((capacity, channels))
        self._score = np.zeros((capacity, channels))
        self._information = np.zeros((capacity, channels))
        self._last_dose = 0.0
        self._ones = np.ones(channels)
        self.size = 0

    @property
    def residuals(self) -> np.ndarray:
        """Standardised residuals from the second number on, shape (number - 1, channel)."""
        return self._residuals[1 : self.size]

    def predict(self, values: np.ndarray, variance: np.ndarray, steps: int) -> Prediction:
        """How the next numbers look before they are added.

        Parameters
        ----------
        values, variance : ndarray, shape (channel,)
            Numbers, and their own variance.
        steps : int
            Between them and the last numbers that were added; more than one where some are missing.
        """
        decay, strength = self._slow.decay, self._slow.strength
        reach, kept = strength * (decay ** (steps - 1))[:, None], decay**steps
        gain, scale, whitened = np.empty_like(reach), np.empty_like(variance), np.empty((2, len(variance)))
        foresee(self._spread, reach, kept, variance, gain, scale)
        whiten(self._sums[0], reach, scale, values, whitened[0])
        whiten(self._sums[1], reach, scale, self._ones, whitened[1])
        noise = (reach, kept, scale, gain * scale)
        number, level = whitened
        if self.size == 0:
            # The first number tells the level and nothing else.
            return Prediction(noise, whitened, np.full_like(scale, np.inf), np.zeros_like(scale))
        spread = np.sqrt(1 + level**2 / self._level_weight)
        residual = (number - level * self._level_sum / self._level_weight) / spread
        return Prediction(noise, whitened, spread, residual)

    def add(self, numbers: Prediction, dose: float) -> None:
        """Add the numbers last predicted, measured up to ``dose`` (in units of the planned dose)."""
        n = self.size
        onsets = slice(0, n + 1)
        _, kept, _, scaled_gain = numbers.noise
        number, level = numbers.whitened
        self._onset_dose[n] = self._last_dose
        add_to_scores(
            self._ramps[onsets],
            np.maximum(dose - self._onset_dose[onsets], 0.0),
            numbers.noise,
            (level, numbers.spread, numbers.residual),
            np.maximum(self._level_weight, 1e-300),
            self._level_ramp[onsets],
            self._score[onsets],
            self._information[onsets],
        )
        carry_on_spread(self._spread, kept, scaled_gain)
        carry_on(self._sums[0], kept, scaled_gain, number)
        carry_on(self._sums[1], kept, scaled_gain, level)
        self._residuals[n] = numbers.residual
        self._level_weight += level**2
        self._level_sum += level * number
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
            self._score[:onsets],
            self._information[:onsets],
            over_dispersion,
            self._slope_variance,
            begun / len(self._slope_variance),
            factors,
        )
        rest = max(1 - float(begun.sum()), 1e-300)
        return np.logaddexp(factors, np.log(rest))

    def onset_weights(self, channel: int, over_dispersion: float) -> np.ndarray:
        """Posterior weight of each number being the first after the onset; shape (onset,), sums to one."""
        return self._posterior(channel, over_dispersion, self._onset_weight)[0].sum(axis=0)

    def crossing_doses(
        self, channel: int, over_dispersion: float, height: float, chances: np.ndarray
    ) -> np.ndarray:
        """Doses by which the ramp has reached ``height`` (or minus it) with these chances; shape of ``chances``.

        Infinite beyond ten times the planned dose. Slopes and onsets have their posterior. A change that is there from
        the start has no part before it that tells its level and so its slope: what is foretold of it hangs on how often
        changes begin with the beam.
        """
        weight, mean, sigma = self._posterior(channel, over_dispersion, self._likely_onset)
        direction = np.sign((weight * mean).sum())
        onset_dose = self._onset_dose[: weight.shape[1]]
        low, high = np.zeros(len(chances)), np.full(len(chances), _FARTHEST_DOSE)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            since = np.maximum(middle[:, None] - onset_dose, 1e-12)[:, None]
            reached = (weight * ndtr((direction * mean - height / since) / sigma)).sum(axis=(1, 2))
            low, high = np.where(reached < chances, middle, low), np.where(reached < chances, high, middle)
        return np.where(low > 0.999 * _FARTHEST_DOSE, np.inf, high)

    def _posterior(
        self, channel: int, over_dispersion: float, onset_weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights, and mean and standard deviation of the slope, of each scale and onset; shape (scale, onset)."""
        prior = onset_weight[: self.size]
        onsets = len(prior)
        score = self._score[:onsets, channel] / over_dispersion
        information = self._information[:onsets, channel] / over_dispersion
        variance = self._slope_variance[:, channel, None]
        grown = variance * information
        factors = np.log(prior) - 0.5 * np.log1p(grown) + 0.5 * variance * score**2 / (1 + grown)
        weight = np.exp(factors - logsumexp(factors))
        return weight, variance * score / (1 + grown), np.sqrt(variance / (1 + grown))


def _onset_weights(planned: int, from_the_start: float) -> np.ndarray:
    """Weights that fall linearly to zero at the planned end, and an extra share of the very first; sum is one."""
    falling = np.arange(max(planned, 1), 0, -1.0)
    weights = (1 - from_the_start) * falling / falling.sum()
    weights[0] += from_the_start
    return weights


def compile_kernels() -> None:
    """Load or compile what a test needs, so that no series has to wait for it."""
    tests = RampTests(1, 1, np.ones((1, 1)), SlowNoise(np.zeros(1), np.zeros((1, 1))))
    tests.add(tests.predict(np.zeros(1), np.ones(1), 1), 1.0)
    tests.log_evidence(np.ones(1))
