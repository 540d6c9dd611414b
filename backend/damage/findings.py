"""What all channels say after a window, and which of them leads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from backend.damage.channels import CONTRAST_ALONE, Channel
from backend.damage.followed_channels import FollowedChannels
from backend.settings import DamageSettings

CONFIDENCE_SIGMA = 1.645
_SHOWN = ("lowest against highest q", "relaxation rate", CONTRAST_ALONE)


@dataclass(frozen=True, slots=True)
class Findings:
    """Numbers of all channels after one window.

    Attributes
    ----------
    channels : tuple of Channel
    log10_evidence : ndarray, shape (channel,)
        Weighted e-values; the alarm is at -log10 of the wanted rate.
    effect, effect_err : ndarray, shape (channel,)
        Relative change (ln ratio) of the newest windows against the reference; one sigma.
    """

    channels: tuple[Channel, ...]
    log10_evidence: np.ndarray
    effect: np.ndarray
    effect_err: np.ndarray

    def leading(self, log10_alarm: float, tolerances: np.ndarray | None) -> int:
        """The channel with most evidence; with tolerances, shape (channel,), the most changed of those that alarm."""
        alarming = np.flatnonzero(self.log10_evidence >= log10_alarm)
        if tolerances is None or not alarming.size:
            return int(np.argmax(self.log10_evidence))
        beyond_doubt = (np.abs(self.effect) - CONFIDENCE_SIGMA * self.effect_err) / tolerances
        return int(alarming[np.argmax(beyond_doubt[alarming])])

    def main_channel(self, family: str, otherwise: int) -> int:
        """The channel with the largest share of the false-alarm budget of a family, if it has any."""
        shares = [channel.prior if channel.family == family else 0.0 for channel in self.channels]
        return int(np.argmax(shares)) if any(shares) else otherwise

    def by_family(self) -> dict[str, tuple[float, float]]:
        """Change and error of the channel that stands for each family."""
        return {
            channel.family: (float(effect), float(error))
            for channel, effect, error in zip(self.channels, self.effect, self.effect_err, strict=True)
            if channel.label in _SHOWN
        }


def findings_of(groups: list[FollowedChannels]) -> Findings:
    """Findings of all groups, channels in their order."""
    effects = [followed.effects() for followed in groups]
    return Findings(
        tuple(channel for followed in groups for channel in followed.group.channels),
        np.concatenate([followed.log10_evidence() for followed in groups]),
        np.concatenate([effect for effect, _ in effects]),
        np.concatenate([error for _, error in effects]),
    )


def tolerances_of(settings: DamageSettings) -> dict[str, float]:
    """Change of each family that counts as damage, as a ln ratio like all effects."""
    return {
        "structure": math.log1p(settings.structure_tolerance_percent / 100),
        "dynamics": math.log1p(settings.dynamics_tolerance_percent / 100),
        "contrast": math.log1p(settings.contrast_tolerance_percent / 100),
    }
