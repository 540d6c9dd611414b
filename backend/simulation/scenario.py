"""What happens to the sample and the beam during a simulated series, as laws with known truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class FluxStep:
    """From ``start`` to ``end`` (fractions of the series) the beam on the detector is multiplied by ``factor``.

    ``on_sample``: the sample gets less beam as well, so less dose; false where scatterers are missing instead.
    """

    start: float
    end: float
    factor: float
    on_sample: bool = True


@dataclass(frozen=True, slots=True)
class FluxSaw:
    """The beam decays linearly to ``lowest`` and is topped up at once; ``period`` is a fraction of the series."""

    period: float
    lowest: float


@dataclass(frozen=True, slots=True)
class ModuleGlitch:
    """From ``start`` to ``end`` (fractions of the series) a part of the detector counts nothing.

    ``rows``, ``columns``: first and last edge of this part, as fractions of the detector.
    """

    start: float
    end: float
    rows: tuple[float, float]
    columns: tuple[float, float]


@dataclass(frozen=True, slots=True)
class FlashingPixel:
    """From ``start`` on (a fraction of the series) one pixel counts ``photons`` more with this ``chance`` per frame.

    ``row``, ``column``: its place as fractions of the detector.
    """

    start: float
    chance: float
    photons: int
    row: float
    column: float


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
    flux_saw : FluxSaw or None
    decorrelation_fractions : tuple of float
        Where the speckle pattern is replaced by an independent one from one frame to the next.
    beam_driven : bool
        Whether the beam makes the motion: the relaxation rate goes with the transmission of the absorbers, from the
        first frame on.
    renewals : float
        How often in the series the sample moves on by the size of the beam: adds this number per length of the series
        to the relaxation rate of the field, the same at all q.
    glitch, flash : ModuleGlitch or None, FlashingPixel or None
        Faults of the detector.
    """

    name: str
    description: str
    onset_fraction: float | None = None
    damaging: bool = False
    low_q_rise: float = 0.0
    aggregate_radius_nm: float = 20.0
    gamma_end_factor: float = 1.0
    flux_steps: tuple[FluxStep, ...] = ()
    flux_saw: FluxSaw | None = None
    decorrelation_fractions: tuple[float, ...] = ()
    beam_driven: bool = False
    renewals: float = 0.0
    glitch: ModuleGlitch | None = None
    flash: FlashingPixel | None = None

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
        factor = self.exposure_factor(frame, frames)
        for step in self.flux_steps:
            if not step.on_sample and _is_between(step.start, step.end, frame, frames):
                factor *= step.factor
        return factor

    def exposure_factor(self, frame: int, frames: int) -> float:
        """Factor on the beam that the sample gets at this frame."""
        factor = 1.0
        for step in self.flux_steps:
            if step.on_sample and _is_between(step.start, step.end, frame, frames):
                factor *= step.factor
        if self.flux_saw is not None:
            period = max(1, _frame_at(self.flux_saw.period, frames))
            factor *= 1.0 - (1.0 - self.flux_saw.lowest) * (frame % period) / period
        return factor

    def form_factor_change(self, q_inv_nm: np.ndarray, frame: int, frames: int) -> np.ndarray:
        """Factor on I(q) at this frame, shape of ``q_inv_nm`` (1/nm)."""
        amplitude = self.low_q_rise * self.progress(frame, frames)
        return 1.0 + amplitude * np.exp(-((q_inv_nm * self.aggregate_radius_nm) ** 2) / 3.0)

    def gamma_factor(self, frame: int, frames: int) -> float:
        """Factor on the relaxation rate between the frame before and this one."""
        return math.exp(math.log(self.gamma_end_factor) * self.progress(frame, frames))

    def renewal_per_frame(self, frames: int) -> float:
        """What the motion of the sample adds to the relaxation rate of the field, per frame."""
        return self.renewals / frames

    def has_glitch(self, frame: int, frames: int) -> bool:
        """Whether a part of the detector counts nothing at this frame."""
        return self.glitch is not None and _is_between(self.glitch.start, self.glitch.end, frame, frames)

    def may_flash(self, frame: int, frames: int) -> bool:
        """Whether the flashing pixel has begun to flash."""
        return self.flash is not None and frame >= _frame_at(self.flash.start, frames)

    def decorrelates(self, frame: int, frames: int) -> bool:
        """Whether this frame shows a speckle pattern independent of the one before."""
        return any(frame == _frame_at(fraction, frames) for fraction in self.decorrelation_fractions)


def _frame_at(fraction: float, frames: int) -> int:
    return round(fraction * frames)


def _is_between(start: float, end: float, frame: int, frames: int) -> bool:
    return _frame_at(start, frames) <= frame < _frame_at(end, frames)


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
        "early-aggregation",
        "Aggregates grow from the first frame on: there is no undamaged part to compare with.",
        onset_fraction=0.0,
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
        flux_steps=(FluxStep(0.5, 1.0, 0.7, on_sample=False),),
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
    Scenario(
        "top-up",
        "The beam decays by 3 % and is topped up, ten times in the series; nothing else changes.",
        flux_saw=FluxSaw(0.1, 0.97),
    ),
    Scenario(
        "absorber",
        "An absorber goes in halfway and leaves 30 % of the beam: fewer photons, less dose per frame, no damage.",
        flux_steps=(FluxStep(0.5, 1.0, 0.3),),
    ),
    Scenario(
        "module-glitch",
        "A chip of the detector, an eighth of its pixels, counts nothing for a twentieth of the series.",
        glitch=ModuleGlitch(0.5, 0.55, rows=(0.5, 1.0), columns=(0.75, 1.0)),
    ),
    Scenario(
        "flashing-pixel",
        "From halfway on one pixel counts 500 photons too many in every twentieth frame or so.",
        flash=FlashingPixel(0.5, 0.05, 500, row=0.5, column=0.3),
    ),
    Scenario(
        "hot-pixel",
        "From halfway on one pixel counts 20 photons too many in every frame.",
        flash=FlashingPixel(0.5, 1.0, 20, row=0.4, column=0.6),
    ),
    Scenario(
        "drift",
        "The sample moves through the beam all the time: the speckle pattern is renewed at the same rate at all q.",
        renewals=20.0,
    ),
)

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
