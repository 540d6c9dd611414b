"""What is looked at: contrasts of ring intensities that no change of the incident beam can move, and of g2.

Structure: x = sum_b w_b ln N_b with sum_b w_b = 0, so the incident intensity cancels. Dynamics and contrast:
x = sum_bk w_bk (g2_bk - 1), weighted to answer to a change of ln gamma or of the contrast only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.damage.noise_model import NoiseModel, counting_variance
from backend.damage.windows import Window

STRUCTURE_SCALES = (0.15, 0.9)
DYNAMICS_SCALES = (0.6, 4.0)
BROAD_CHANNELS = 4
"""The first so many structure channels look at more than one ring alone."""
CONTRAST_ALONE = "speckle contrast, whatever the rate"
_FEWEST_COUNTS = 30.0


@dataclass(frozen=True, slots=True)
class Channel:
    """One quantity followed through the series.

    Attributes
    ----------
    family : str
        "structure", "dynamics" or "contrast".
    label : str
        Words for it.
    prior : float
        Share of the false-alarm budget; all channels together have at most 1.
    slope_scales : tuple of float
        For the ramp test.
    weights : ndarray, shape (ring,) or (ring, lag)
        Of ln N (structure), or of g2 - 1 (dynamics, contrast).
    scale : float
        Factor from the weighted sum to a relative change (ln ratio).
    rings : tuple of int
        Rings, from 0, whose change it looks for; other rings with weight are what they are compared with.
    """

    family: str
    label: str
    prior: float
    slope_scales: tuple[float, ...]
    weights: np.ndarray
    scale: float
    rings: tuple[int, ...]


def structure_channels(model: NoiseModel, reference: list[Window], q_inv_nm: np.ndarray) -> list[Channel]:
    """Lowest rings, lower half, slope in ln q, and each other ring against the rest; empty when photons are too few."""
    counts = np.mean([window.counts for window in reference], axis=0)
    bright = counts >= _FEWEST_COUNTS
    if np.count_nonzero(bright) < 3:
        return []
    frames = reference[0].frames
    speckle = model.contrast / model.speckles * model.speckle_correlation(np.zeros(1), frames)[:, 0]
    precision = np.where(bright, 1 / (1 / np.maximum(counts, 1.0) + speckle), 0.0)
    order = np.flatnonzero(bright)
    rings = len(order)
    log_q = np.log(q_inv_nm)
    tilt = -(log_q - log_q[order[0]]) / (log_q[order[-1]] - log_q[order[0]])
    templates = [
        ("lowest q against the rest", _members(order[:1], len(counts)), 0.11),
        ("two lowest q against the rest", _members(order[:2], len(counts)), 0.11),
        ("low q against high q", _members(order[: max(rings // 2, 1)], len(counts)), 0.11),
        ("lowest against highest q", tilt, 0.11),
    ]
    templates += [
        (f"ring {ring + 1} against the rest", _members(np.array([ring]), len(counts)), 0.09 / (rings - 1))
        for ring in order[1:]
    ]
    channels = []
    for label, template, prior in templates:
        centred = template - (precision * template).sum() / precision.sum()
        weights = precision * centred
        weights = weights / (weights * template).sum()
        changing = tuple(np.flatnonzero(bright if template is tilt else template).tolist())
        channels.append(Channel("structure", label, prior, STRUCTURE_SCALES, weights, 1.0, changing))
    return channels


def _members(rings: np.ndarray, number: int) -> np.ndarray:
    template = np.zeros(number)
    template[rings] = 1.0
    return template


def dynamics_channels(model: NoiseModel, reference: list[Window], lags: np.ndarray) -> list[Channel]:
    """Relaxation rate of all rings together and of each, and the contrast; empty when coincidences are too few."""
    expected = np.mean([window.expected for window in reference], axis=0)
    excess = model.excess(lags)
    variance = counting_variance(np.maximum(expected, 1e-9), excess, lags)
    by_rate = np.where(expected > 1e-3, model.rate_response(lags), 0.0)
    by_contrast = np.where(expected > 1e-3, excess / model.contrast, 0.0)
    # What is left of the contrast when a change of the rate is allowed for: the number to show.
    overlap = (by_rate * by_contrast / variance).sum() / max(float((by_rate**2 / variance).sum()), 1e-300)
    by_contrast_alone = by_contrast - overlap * by_rate
    rings = len(excess)
    channels = []

    def channel(
        family: str, label: str, response: np.ndarray, prior: float, scales: tuple[float, ...]
    ) -> None:
        information = float((response**2 / variance).sum())
        # A response that a whole window cannot tell from noise by a factor of a hundred carries no verdict.
        if information < 1e-4:
            return
        scale = model.contrast if family == "contrast" else 1.0
        weights = response / variance / information
        changing = tuple(np.flatnonzero(weights.any(axis=1)).tolist())
        channels.append(Channel(family, label, prior, scales, weights, 1.0 / scale, changing))

    channel("dynamics", "relaxation rate", by_rate, 0.32, DYNAMICS_SCALES)
    # A change of one alone moves both; the channel made for it has the most evidence and gives it the name.
    channel("contrast", "speckle contrast", by_contrast, 0.05, STRUCTURE_SCALES)
    channel("contrast", CONTRAST_ALONE, by_contrast_alone, 0.025, STRUCTURE_SCALES)
    for ring in range(rings):
        only = np.zeros_like(by_rate)
        only[ring] = by_rate[ring]
        channel("dynamics", f"relaxation rate of ring {ring + 1}", only, 0.075 / rings, DYNAMICS_SCALES)
    return channels
