"""The KWW exponent has no channel of its own: those of rate and contrast see most of what g2 tells about it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import xlogy

from backend.damage.channels import dynamics_channels
from backend.damage.noise_model import NoiseModel, counting_variance
from backend.damage.windows import Window
from backend.series_accumulators import DAMAGE_LAGS

RINGS, PIXELS, CONTRAST, FRAMES = 8, 2000, 0.12, 10


@pytest.mark.parametrize(
    ("tau_c_frames", "first_lag", "least"),
    [(1.5, 1, 0.93), (6.0, 1, 0.93), (60.0, 1, 0.94), (1.5, 0, 0.38), (6.0, 0, 0.79), (60.0, 0, 0.92)],
)
def test_rate_and_contrast_see_a_change_of_the_exponent(
    tau_c_frames: float, first_lag: int, least: float
) -> None:
    """Lag 0 does not know the exponent, so a contrast that includes it sees less of it."""
    lags = np.array([lag for lag in DAMAGE_LAGS if lag >= first_lag])
    gamma = np.geomspace(0.5, 2.0, RINGS) / tau_c_frames
    model = NoiseModel(CONTRAST, gamma, gamma, np.zeros(RINGS), 1e-3, np.full(RINGS, float(PIXELS)), 0.0, 1.0)
    photons = np.geomspace(0.21, 0.05, RINGS)
    expected = np.repeat(FRAMES * PIXELS * photons[:, None] ** 2, len(lags), axis=1)
    window = Window(
        FRAMES - 1, FRAMES, 1.0, FRAMES * PIXELS * photons, np.full(RINGS, float(FRAMES)), expected, expected
    )
    channels = {channel.label: channel for channel in dynamics_channels(model, [window], lags)}
    weights = np.stack([channels[name].weights for name in ("relaxation rate", "speckle contrast")])
    excess = model.excess(lags)
    variance = counting_variance(expected, excess, lags)
    reach = gamma[:, None] * lags
    # d(g2 - 1) / d ln exponent of contrast exp(-2 (gamma lag)^exponent), at exponent 1.
    response = -2 * xlogy(reach, reach) * excess
    moved = (weights * response).sum(axis=(1, 2))
    covariance = np.einsum("akl,bkl->ab", weights * variance, weights)
    seen = moved @ np.linalg.solve(covariance, moved)
    assert seen > least * (response**2 / variance).sum()
