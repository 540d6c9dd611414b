"""How the relaxation rate goes with q: Gamma = D q^2, and with a free power Gamma = A q^n."""

from __future__ import annotations

import math

import numpy as np

from backend.correlation.kww_fit import FittedRings
from backend.snapshot import RateLaw

_FEWEST_RINGS = 3


def rate_law(fitted: FittedRings, q_inv_nm: np.ndarray, frames: int) -> RateLaw | None:
    """Diffusion coefficient, power of q and mean exponent of the rings; ``None`` below three fitted rings.

    Generalised least squares in ln(Gamma), whose errors are nearly symmetric. For a free power the rate is quoted at
    the q where it is not correlated with the power. When the rings scatter more about the law than their errors
    allow, the errors are enlarged by that factor, as no ring is then to be trusted beyond it.

    Parameters
    ----------
    fitted : FittedRings
        Fits of the rings and the covariance of their ln(Gamma).
    q_inv_nm : ndarray, shape (ring,)
        Root mean square q of the rings: so the width of a ring does not shift D.
    frames : int
        Frames the fits are made of.
    """
    used = [ring for ring, fit in enumerate(fitted.fits) if fit is not None]
    if len(used) < _FEWEST_RINGS:
        return None
    fits = [fit for fit in fitted.fits if fit is not None]
    log_q = np.log(q_inv_nm[used])
    log_rate = np.log([fit.gamma_per_s for fit in fits])
    weight = np.linalg.inv(fitted.log_rate_covariance[np.ix_(used, used)])
    one = np.ones(len(used))
    diffusion, diffusion_err, diffusion_chi2 = _line(one[:, None], log_rate - 2 * log_q, weight)
    pivot = float(one @ weight @ log_q / (one @ weight @ one))
    power, power_err, power_chi2 = _line(np.stack([one, log_q - pivot], axis=1), log_rate, weight)
    values = np.array([fit.exponent for fit in fits])
    exponent, exponent_err = float(values.mean()), 0.0
    scatter = fitted.exponent_covariance[np.ix_(used, used)]
    if np.all(np.diag(scatter) > 0):
        mean, mean_err, _ = _line(one[:, None], values, np.linalg.inv(scatter))
        exponent, exponent_err = float(mean[0]), float(mean_err[0])
    return RateLaw(
        frames=frames,
        rings=len(used),
        diffusion_nm2_per_s=math.exp(diffusion[0]),
        diffusion_err_nm2_per_s=math.exp(diffusion[0]) * float(diffusion_err[0]),
        diffusion_reduced_chi2=diffusion_chi2,
        q_power=float(power[1]),
        q_power_err=float(power_err[1]),
        power_reduced_chi2=power_chi2,
        pivot_q_inv_nm=math.exp(pivot),
        pivot_rate_per_s=math.exp(power[0]),
        pivot_rate_err_per_s=math.exp(power[0]) * float(power_err[0]),
        exponent=exponent,
        exponent_err=exponent_err,
    )


def _line(
    columns: np.ndarray, target: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Parameters, errors and reduced chi-square of a linear law."""
    covariance = np.linalg.inv(columns.T @ weight @ columns)
    parameters = covariance @ columns.T @ weight @ target
    miss = target - columns @ parameters
    chi2 = float(miss @ weight @ miss) / (len(target) - len(parameters))
    return parameters, np.sqrt(np.diag(covariance) * max(chi2, 1.0)), chi2
