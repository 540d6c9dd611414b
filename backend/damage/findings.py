"""What all channels say after a window, and which of them leads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from backend.damage.channels import CONTRAST_ALONE, Channel
from backend.damage.followed_channels import FollowedChannels
from backend.damage.verdict import percent
from backend.settings import DamageSettings
from backend.snapshot_verdict import Ground

CONFIDENCE_SIGMA = 1.645
_MOST_GROUNDS = 6
_TELLING_LOG10_EVIDENCE = 1.0
_EXPOSURE_PER_100_H_S = 360_000.0
_SECONDS_WHEN_LENGTH_UNKNOWN = 1000.0
_LARGEST_ALPHA = 0.05
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
    frames : tuple
        Of each channel: first and last frame of the reference, and of the newest windows.
    """

    channels: tuple[Channel, ...]
    log10_evidence: np.ndarray
    effect: np.ndarray
    effect_err: np.ndarray
    frames: tuple[tuple[tuple[int, int], tuple[int, int]], ...]

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

    def grounds(self, leading: int, tolerances: np.ndarray, log10_alarm: float) -> tuple[Ground, ...]:
        """The leading channel, then others with an evidence of ten or more, strongest first; at most six.

        ``tolerances``: shape (channel,), ln ratios.
        """
        telling = np.flatnonzero(self.log10_evidence >= _TELLING_LOG10_EVIDENCE)
        by_evidence = telling[np.argsort(-self.log10_evidence[telling], kind="stable")].tolist()
        others = [channel for channel in by_evidence if channel != leading]
        return tuple(
            self._ground(channel, float(tolerances[channel]), log10_alarm)
            for channel in [leading, *others][:_MOST_GROUNDS]
        )

    def _ground(self, channel: int, tolerance: float, log10_alarm: float) -> Ground:
        reference_frames, frames = self.frames[channel]
        return Ground(
            family=self.channels[channel].family,
            channel=self.channels[channel].label,
            log10_evidence=float(self.log10_evidence[channel]),
            log10_alarm=log10_alarm,
            effect_percent=percent(float(self.effect[channel])),
            effect_err_percent=percent(float(self.effect_err[channel])),
            tolerance_percent=percent(tolerance),
            rings=tuple(ring + 1 for ring in self.channels[channel].rings),
            frames=frames,
            reference_frames=reference_frames,
        )

    def by_family(self) -> dict[str, tuple[float, float]]:
        """Change and error of the channel that stands for each family."""
        return {
            channel.family: (float(self.effect[place]), float(self.effect_err[place]))
            for place, channel in enumerate(self.channels)
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
        tuple(
            frames
            for followed in groups
            for frames in [followed.compared_frames()] * len(followed.group.channels)
        ),
    )


def tolerances_of(settings: DamageSettings) -> dict[str, float]:
    """Change of each family that counts as damage, as a ln ratio like all effects."""
    return {
        "structure": math.log1p(settings.structure_tolerance_percent / 100),
        "dynamics": math.log1p(settings.dynamics_tolerance_percent / 100),
        "contrast": math.log1p(settings.contrast_tolerance_percent / 100),
    }


def alpha_of(settings: DamageSettings, planned_s: float) -> float:
    """Share of the undamaged series of this length that may be called damaged; 0 s: the length is not known."""
    seconds = planned_s or _SECONDS_WHEN_LENGTH_UNKNOWN
    return min(settings.false_alarms_per_100_h * seconds / _EXPOSURE_PER_100_H_S, _LARGEST_ALPHA)
