"""Channels that look at the same thing, as arrays: their numbers in a window and the noise of these numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.damage.channels import Channel, dynamics_channels, structure_channels
from backend.damage.noise_model import NoiseModel, counting_variance
from backend.damage.ramp_tests import SlowNoise
from backend.damage.windows import Window


@dataclass(frozen=True, slots=True)
class ChannelGroup:
    """Channels that are weighted sums of ln N, or of g2 - 1.

    Attributes
    ----------
    channels : tuple of Channel
        In the order of the last axis of all results.
    model : NoiseModel
        Noise of the windows.
    excess : ndarray or None, shape (ring, lag)
        g2 - 1 that stands in where there are no coincidences; ``None`` for sums of ln N.
    lags : ndarray or None, shape (lag,), int64
        ``None`` for sums of ln N.
    weights, squared_weights : ndarray, shape (ring, channel) or (ring * lag, channel)
    speckle_variance : ndarray, shape (ring, channel)
        What the speckle of each ring would add to the variance if it never changed.
    shared_photons : ndarray, shape (ring, channel)
        What photons that products of several lags share add to the variance, times the photons of a ring.
    """

    channels: tuple[Channel, ...]
    model: NoiseModel
    excess: np.ndarray | None
    lags: np.ndarray | None
    weights: np.ndarray
    squared_weights: np.ndarray
    speckle_variance: np.ndarray
    shared_photons: np.ndarray

    def tells(self, window: Window) -> bool:
        """False for g2 when the longest lag still reaches back before the first frame."""
        return self.excess is None or bool(window.expected.any(axis=0).all())

    def measure(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of a window, and their variance from counting; shape (channel,).

        That of ln N is 1 / counts, that of g2 is g2 / coincidences and what their photons share.
        """
        of_photons = 1 / np.maximum(window.counts, 1.0)
        if self.excess is None or self.lags is None:
            measured = np.log(np.maximum(window.counts, 0.5) / window.exposure_frames)
            counting = of_photons
        else:
            seen = window.expected > 0
            excess = window.products / np.where(seen, window.expected, 1.0) - 1
            measured = np.where(seen, excess, self.excess)
            counting = counting_variance(np.maximum(window.expected, 1e-3), self.excess, self.lags)
        variance = counting.ravel() @ self.squared_weights + of_photons @ self.shared_photons
        return measured.ravel() @ self.weights, variance

    def slow_covariance(self, distance_frames: np.ndarray, frames: int) -> np.ndarray:
        """Covariance from speckle and systematics at these window distances; shape (window, channel)."""
        model = self.model
        covariance = model.speckle_correlation(distance_frames, frames).T @ self.speckle_variance
        if self.excess is None:
            systematic = model.systematic_rms**2 * np.exp(-distance_frames / model.systematic_frames)
            covariance += systematic[:, None]
        return covariance

    def slow_noise(self, frames: int) -> SlowNoise:
        """The same for windows in a row, as exponentials."""
        decay, parts = self.model.speckle_exponentials(frames)
        strength = parts.T @ self.speckle_variance
        if self.excess is None:
            of_systematic = np.exp(-frames / self.model.systematic_frames)
            systematic = np.full((1, len(self.channels)), self.model.systematic_rms**2 * of_systematic)
            decay, strength = np.append(decay, of_systematic), np.concatenate([strength, systematic])
        return SlowNoise(decay, strength)


def structure_group(channels: list[Channel], model: NoiseModel) -> ChannelGroup:
    """Channels of ln N as one group."""
    weights = np.stack([channel.weights for channel in channels], axis=1)
    squared = weights**2
    variance = squared * (model.contrast / model.speckles)[:, None]
    return ChannelGroup(
        tuple(channels), model, None, None, weights, squared, variance, np.zeros_like(variance)
    )


def correlation_group(
    channels: list[Channel], model: NoiseModel, lags: np.ndarray, frames: int
) -> ChannelGroup:
    """Channels of g2 - 1 as one group."""
    weights = np.stack([channel.weights for channel in channels], axis=2)
    # Static limit of one mode with offset: var(C - 1) = 8 beta^2 / N_speckles.
    variance = weights.sum(axis=1) ** 2 * (8 * model.contrast**2 / model.speckles)[:, None]
    shared = np.einsum("rlc,rlm,rmc->rc", weights, model.shared_photons(lags, frames), weights)
    flat = weights.reshape(-1, len(channels))
    return ChannelGroup(tuple(channels), model, model.excess(lags), lags, flat, flat**2, variance, shared)


def channel_groups(
    model: NoiseModel, reference: list[Window], q_inv_nm: np.ndarray, lags: np.ndarray | None
) -> list[ChannelGroup]:
    """What the photons of the reference suffice to follow: nothing, I(q), or g2 as well unless ``lags`` is ``None``."""
    structure = structure_channels(model, reference, q_inv_nm)
    if not structure:
        return []
    correlations = [] if lags is None else dynamics_channels(model, reference, lags)
    groups = [structure_group(structure, model)]
    return (
        groups
        if lags is None or not correlations
        else [*groups, correlation_group(correlations, model, lags, reference[0].frames)]
    )
