"""What happens to the sample and the beam during a simulated series, as laws with known truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class FluxStep:
    """From ``start`` to ``end`` (fractions of the series) the beam on the detector is multiplied by ``factor``."""

    start: float
    end: float
    factor: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """Laws in time of one kind of series; all are 1 (nothing happens) unless set.

    Attributes
    ----------
    name, description : str
        Name on the command line and one sentence.
    onset_fraction : float or None
        Where in the series the sample starts to change; ``None`` where it never does.
    damaging : bool
        Whether a damage verdict after the onset is the right answer.
    low_q_rise : float
        Relative rise of the scattering for q -> 0 at the end of the series.
    aggregate_radius_nm : float
        Radius of gyration of what grows; the rise falls off as exp(-(q Rg)^2 / 3) (Guinier).
    gamma_end_factor : float
        Factor on the relaxation rate at the end of the series, reached geometrically from the onset on.
    flux_steps : tuple of FluxStep
    decorrelation_fractions : tuple of float
        Where the speckle pattern is replaced by an independent one from one frame to the next.
    beam_driven : bool
        Whether the beam makes the motion: the relaxation rate goes with the transmission of the absorbers, from the
        first frame on.
    """

    name: str
    description: str
    onset_fraction: float | None = None
    damaging: bool = False
    low_q_rise: float = 0.0
    aggregate_radius_nm: float = 20.0
    gamma_end_factor: float = 1.0
    flux_steps: tuple[FluxStep, ...] = ()
    decorrelation_fractions: tuple[float, ...] = ()
    beam_driven: bool = False

    def onset_frame(self, frames: int) -> int | None:
        """First frame (from 0) at which the change begins; ``None`` where nothing changes."""
        return None if self.onset_fraction is None else _frame_at(self.onset_fraction, frames)

    def progress(self, frame: int, frames: int) -> float:
        """How far the change has come: 0 up to the onset, then linear to 1 at the last frame."""
        onset = self.onset_frame(frames)
        if onset is None or frame <= onset:
            return 0.0
        return min(1.0, (frame - onset) / max(1, frames - 1 - onset))

    def flux_factor(self, frame: int, frames: int) -> float:
        """Factor on the beam at this frame, common to all pixels."""
        factor = 1.0
        for step in self.flux_steps:
            if _frame_at(step.start, frames) <= frame < _frame_at(step.end, frames):
                factor *= step.factor
        return factor

    def form_factor_change(self, q_inv_nm: np.ndarray, frame: int, frames: int) -> np.ndarray:
        """Factor on I(q) at this frame, shape of ``q_inv_nm`` (1/nm)."""
        amplitude = self.low_q_rise * self.progress(frame, frames)
        return 1.0 + amplitude * np.exp(-((q_inv_nm * self.aggregate_radius_nm) ** 2) / 3.0)

    def gamma_factor(self, frame: int, frames: int) -> float:
        """Factor on the relaxation rate between the frame before and this one."""
        return math.exp(math.log(self.gamma_end_factor) * self.progress(frame, frames))

    def decorrelates(self, frame: int, frames: int) -> bool:
        """Whether this frame shows a speckle pattern independent of the one before."""
        return any(frame == _frame_at(fraction, frames) for fraction in self.decorrelation_fractions)


def _frame_at(fraction: float, frames: int) -> int:
    return round(fraction * frames)


_ALL = (
    Scenario("stable", "Nothing changes: equilibrium dynamics from the first frame to the last."),
    Scenario(
        "aggregation",
        "From the onset on aggregates grow: scattering at low q rises and the relaxation slows down.",
        onset_fraction=0.5,
        damaging=True,
        low_q_rise=0.6,
        gamma_end_factor=1.0 / 3.0,
    ),
    Scenario(
        "acceleration",
        "From the onset on the relaxation becomes four times faster; the structure stays the same.",
        onset_fraction=0.5,
        damaging=True,
        gamma_end_factor=4.0,
    ),
    Scenario(
        "gelation",
        "From the onset on the relaxation becomes twenty times slower; contrast and structure stay the same.",
        onset_fraction=0.5,
        damaging=True,
        gamma_end_factor=0.05,
    ),
    Scenario(
        "beam-loss",
        "The beam is lost for a sixth of the series and comes back; the sample is unharmed.",
        flux_steps=(FluxStep(0.5, 2.0 / 3.0, 0.002),),
    ),
    Scenario(
        "bubble",
        "A bubble passes: the intensity steps down at all q at once and the speckle pattern is new; no damage.",
        flux_steps=(FluxStep(0.5, 1.0, 0.7),),
        decorrelation_fractions=(0.5,),
    ),
    Scenario(
        "late-shutter",
        "The shutter opens late: the first tenth of the frames is empty, then nothing changes.",
        flux_steps=(FluxStep(0.0, 0.1, 0.0),),
    ),
    Scenario(
        "beam-driven",
        "The beam itself drives the motion: the relaxation rate goes with the transmission; no damage.",
        beam_driven=True,
    ),
)

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
