"""Stretched relaxation as a sum of simple ones, so that an Ornstein-Uhlenbeck field can carry it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

SMALLEST_EXPONENT = 0.5

# Rates in units of Gamma: decades for the tails, closer around 1 where exponents near 1 have their weight.
_RATE_GRID = np.unique(np.concatenate((np.geomspace(5e-3, 1e3, 10), [0.6, 0.8, 1.0, 1.4])))


@dataclass(frozen=True, slots=True)
class RelaxationMixture:
    """exp(-x^exponent) written as sum(weights * exp(-rates * x)).

    ``weights`` and ``rates``: shape (component,), float64; the weights add up to 1, rates are in units of Gamma.
    """

    exponent: float
    weights: np.ndarray
    rates: np.ndarray

    def field_correlation(self, gamma_lag: np.ndarray) -> np.ndarray:
        """|g1| that the mixture really has at these values of Gamma * lag."""
        return np.exp(-np.multiply.outer(np.asarray(gamma_lag), self.rates)) @ self.weights


def relaxation_mixture(exponent: float) -> RelaxationMixture:
    """Mixture of simple relaxations for a Kohlrausch-Williams-Watts exponent of 0.5 to 1.

    exp(-x^exponent) is completely monotone for exponents up to 1, so positive weights exist (Bernstein); they are
    found by non-negative least squares on a logarithmic grid of rates.

    Raises
    ------
    ValueError
        The exponent is outside 0.5 ... 1; compressed relaxation has no such mixture.
    """
    if not SMALLEST_EXPONENT <= exponent <= 1.0:
        raise ValueError(f"relaxation exponent {exponent} is outside {SMALLEST_EXPONENT} ... 1")
    if exponent == 1.0:
        return RelaxationMixture(1.0, np.ones(1), np.ones(1))
    gamma_lag = np.concatenate(([0.0], np.geomspace(1e-4, 12.0, 400)))
    target = np.exp(-(gamma_lag**exponent))
    first = _non_negative_weights(gamma_lag, _RATE_GRID, target)
    # Every component costs a whole field per frame, so faint ones are left out and the rest is fitted again.
    rates = _RATE_GRID[first > 2e-3]
    weights = _non_negative_weights(gamma_lag, rates, target)
    used = weights > 0
    return RelaxationMixture(exponent, weights[used] / weights.sum(), rates[used])


def _non_negative_weights(gamma_lag: np.ndarray, rates: np.ndarray, target: np.ndarray) -> np.ndarray:
    matrix = np.exp(-np.outer(gamma_lag, rates))
    # The value at lag 0 is the intensity itself and must be met.
    emphasis = np.ones_like(gamma_lag)
    emphasis[0] = 1e3
    weights, _ = nnls(matrix * emphasis[:, None], target * emphasis)
    return weights
