"""Sequential test of one series of numbers: constant level against a ramp that starts at an unknown dose.

The numbers have a known covariance up to a factor. Whitening (a Cholesky factor that grows by one row per number) and
recursive residuals take out the unknown level exactly, so under "no change" the residuals are independent standard
normal. For every possible onset and slope scale the Bayes factor of a Gaussian slope is

    BF = (1 + s^2 S)^(-1/2) exp(s^2 U^2 / (2 (1 + s^2 S))),   U = sum r w,  S = sum r^2

with residuals w and whitened ramps r. Their average over onsets and scales is a test martingale: the chance that it
ever exceeds 1/alpha without a change is at most alpha (Ville's inequality), at any stopping time.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp


class RampTest:
    """Takes one number at a time; all onsets so far are kept in mind.

    Parameters
    ----------
    capacity : int
        Most numbers that can be added.
    planned : int
        Numbers that the whole series will bring; each onset has the prior weight 1 / planned. In a longer series no
        new onsets begin after the plan: the weights must not exceed one together, or the bound on alarms is lost.
    slope_scales : tuple of float
        Prior standard deviations of the slope, per unit of planned dose.
    """

    def __init__(self, capacity: int, planned: int, slope_scales: tuple[float, ...]) -> None:
        self._planned = max(planned, 1)
        self._scales = np.array(slope_scales)
        self._factor = np.zeros((capacity, capacity))
        self._value = np.zeros(capacity)
        self._level = np.zeros(capacity)
        self._ramp = np.zeros((capacity, capacity))
        self._onset_dose = np.zeros(capacity)
        self._level_weight = 0.0
        self._level_sum = 0.0
        self._level_ramp = np.zeros(capacity)
        self._score = np.zeros(capacity)
        self._information = np.zeros(capacity)
        self._last_dose = 0.0
        self.residuals: list[float] = []
        self.size = 0

    def innovation(self, value: float, covariance: np.ndarray) -> float:
        """How far the next number is from its prediction, in standard deviations; nothing is added.

        covariance : ndarray, shape (size + 1,), with the numbers added so far and, last, its own variance.
        """
        row, scale = self._whitening_row(covariance)
        return self._residual(value, row, scale)[0]

    def add(self, value: float, covariance: np.ndarray, dose: float) -> None:
        """Add the next number, measured up to ``dose`` (in units of the planned dose)."""
        n = self.size
        row, scale = self._whitening_row(covariance)
        residual, whitened, level, spread = self._residual(value, row, scale)
        self._factor[n, :n] = row
        self._factor[n, n] = scale
        self._onset_dose[n] = self._last_dose
        onsets = slice(0, n + 1)
        ramp = (np.maximum(dose - self._onset_dose[onsets], 0.0) - row @ self._ramp[:n, onsets]) / scale
        if n > 0:
            change = (ramp - level * self._level_ramp[onsets] / self._level_weight) / spread
            self._score[onsets] += change * residual
            self._information[onsets] += change**2
            self.residuals.append(residual)
        self._value[n] = whitened
        self._level[n] = level
        self._ramp[n, onsets] = ramp
        self._level_weight += level**2
        self._level_sum += level * whitened
        self._level_ramp[onsets] += level * ramp
        self._last_dose = dose
        self.size += 1

    def _whitening_row(self, covariance: np.ndarray) -> tuple[np.ndarray, float]:
        n = self.size
        row = (
            solve_triangular(self._factor[:n, :n], covariance[:n], lower=True, check_finite=False)
            if n
            else np.empty(0)
        )
        # Rounding can make the rest slightly negative when a number is fully predicted by the earlier ones.
        rest = max(float(covariance[n]) - float(row @ row), 1e-12 * float(covariance[n]))
        return row, float(np.sqrt(rest))

    def _residual(self, value: float, row: np.ndarray, scale: float) -> tuple[float, float, float, float]:
        n = self.size
        whitened = (value - float(row @ self._value[:n])) / scale
        level = (1.0 - float(row @ self._level[:n])) / scale
        if n == 0:
            return 0.0, whitened, level, 1.0
        spread = float(np.sqrt(1 + level**2 / self._level_weight))
        return (whitened - level * self._level_sum / self._level_weight) / spread, whitened, level, spread

    def _log_bayes_factors(self, over_dispersion: float) -> np.ndarray:
        """Natural log of the Bayes factor per (scale, onset), for the onsets of the plan."""
        onsets = min(self.size, self._planned)
        score = self._score[:onsets] / over_dispersion
        information = self._information[:onsets] / over_dispersion
        squared = self._scales[:, None] ** 2
        grown = squared * information
        return -0.5 * np.log1p(grown) + 0.5 * squared * score**2 / (1 + grown)

    def log_evidence(self, over_dispersion: float = 1.0) -> float:
        """Natural log of the test martingale; onsets still to come count with a factor of one."""
        if self.size == 0:
            return 0.0
        factors = self._log_bayes_factors(over_dispersion)
        prior = -np.log(self._planned * len(self._scales))
        rest = max(1 - self.size / self._planned, 1e-300)
        return float(logsumexp(np.append(factors.ravel() + prior, np.log(rest))))

    def onset_weights(self, over_dispersion: float = 1.0) -> np.ndarray:
        """Posterior weight of each number being the first after the onset; shape (onset,), sums to one."""
        factors = logsumexp(self._log_bayes_factors(over_dispersion), axis=0)
        return np.exp(factors - logsumexp(factors))
