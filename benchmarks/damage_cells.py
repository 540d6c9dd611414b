"""What may happen in the damage benchmark: nothing, damage of a known kind from a known frame, or a disturbance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from backend.settings import DamageSettings
from benchmarks.damage_series import SeriesPlan, restless_beam, slow_tilt

FRAMES = 800
RINGS = 8
ONSET = 240
CONTRAST = 0.12
GLITCH_FRAMES = 30
MODULE_GAINS = (0.0, 0.5, 1.5, 3.0)
SYSTEMATIC_FRAMES = 80
FIRST_AGE_FRAMES = 200
_LOW_RINGS = 2


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of series; damage grows linearly with the frames from ``onset`` to the end.

    Attributes
    ----------
    family : str
        Name of the family of damage, empty for none.
    final : float
        Change at the end: 0.3 is +30 % of the scattering of the two lowest rings, of the relaxation rate, or of the
        contrast.
    goal : float or None
        Median change at the alarm that is to be reached.
    pixels : int
        Per ring.
    photons_per_pixel : tuple
        In a frame, in the lowest and the highest ring.
    disturbance : str
        What goes wrong beside the sample: "module" reads nothing, too little or too much for 30 frames in the outer
        half of the rings, "step" takes 40 % of the beam at some frame, "tilt" tilts I(q) slowly by
        ``systematic_rms_percent``, which the program is told.
    systematic_rms_percent : float
        Rms of the ratio of the lowest to the highest ring, with a correlation time of ``SYSTEMATIC_FRAMES``.
    ageing_exponent : float
        Power of the age with which the relaxation time grows from ``tau_c_frames`` at the first frame, of an age of
        ``FIRST_AGE_FRAMES``; the program is told.
    """

    name: str
    tau_c_frames: float
    family: str = ""
    final: float = 0.0
    onset: int = ONSET
    goal: float | None = None
    frames: int = FRAMES
    pixels: int = 2000
    photons_per_pixel: tuple[float, float] = (0.21, 0.05)
    disturbance: str = ""
    systematic_rms_percent: float = 0.0
    ageing_exponent: float = 0.0

    @property
    def change(self) -> np.ndarray:
        """Relative change at each frame, shape (frame,)."""
        return self.final * np.clip((np.arange(self.frames) - self.onset) / (self.frames - self.onset), 0, 1)

    @property
    def limit_frame(self) -> int:
        """First frame at which the change is as large as the tolerance of the program; beyond the end if never."""
        settings = DamageSettings()
        percent = {
            "structure": settings.structure_tolerance_percent,
            "dynamics": settings.dynamics_tolerance_percent,
            "contrast": settings.contrast_tolerance_percent,
        }[self.family]
        beyond = np.abs(np.log1p(self.change)) >= np.log1p(percent / 100)
        return int(np.argmax(beyond)) if beyond.any() else self.frames

    def plan(self, seed: int) -> SeriesPlan:
        """The series of this cell with a beam, and a disturbance, of its own."""
        rng = np.random.default_rng(seed)
        beam = restless_beam(self.frames, rng)
        module_gain = np.ones((self.frames, RINGS))
        where = int(rng.integers(self.frames // 8, self.frames - GLITCH_FRAMES))
        if self.disturbance == "module":
            module_gain[where : where + GLITCH_FRAMES, RINGS // 2 :] = rng.choice(MODULE_GAINS)
        if self.disturbance == "step":
            beam[where:] *= 0.6
        grown = 1 + self.change
        still = np.ones(self.frames)
        ageing = (1 + np.arange(self.frames) / FIRST_AGE_FRAMES) ** -self.ageing_exponent
        structure = np.ones((self.frames, RINGS))
        if self.family == "structure":
            structure[:, :_LOW_RINGS] = grown[:, None]
        if self.disturbance == "tilt":
            structure *= slow_tilt(structure.shape, self.systematic_rms_percent / 100, SYSTEMATIC_FRAMES, rng)
        return SeriesPlan(
            tau_c_frames=self.tau_c_frames,
            beam=beam,
            structure=structure,
            rate=ageing * (grown if self.family == "dynamics" else still),
            contrast=CONTRAST * (grown if self.family == "contrast" else still),
            pixels=self.pixels,
            photons_per_pixel=self.photons_per_pixel,
            onset=self.onset,
            module_gain=module_gain,
        )


NULLS = tuple(Cell(f"no damage, tau_c {tau:g}", tau) for tau in (1.5, 6.0, 60.0, 600.0))
DISTURBED = (
    Cell("module glitch, tau_c 6", 6.0, disturbance="module"),
    Cell("module glitch, tau_c 60", 60.0, disturbance="module"),
    Cell("beam step of -40 %, tau_c 6", 6.0, disturbance="step"),
    Cell("slow tilt of 1 % rms, tau_c 6", 6.0, disturbance="tilt", systematic_rms_percent=1.0),
)
DAMAGED = (
    Cell("low q +10 %, tau_c 6", 6.0, "structure", 0.1, goal=0.039),
    Cell("low q +30 %, tau_c 6", 6.0, "structure", 0.3, goal=0.055),
    Cell("low q +100 %, tau_c 6", 6.0, "structure", 1.0, goal=0.08),
    Cell("low q +10 %, tau_c 60", 60.0, "structure", 0.1),
    Cell("low q +30 % from frame 0, tau_c 6", 6.0, "structure", 0.3, onset=0),
    Cell("rate x2, tau_c 6", 6.0, "dynamics", 1.0, goal=0.58),
    Cell("rate x4, tau_c 6", 6.0, "dynamics", 3.0, goal=0.85),
    Cell("rate x4, tau_c 60", 60.0, "dynamics", 3.0),
    Cell("contrast -50 %, tau_c 6", 6.0, "contrast", -0.5),
    Cell("contrast -50 %, tau_c 60", 60.0, "contrast", -0.5),
)
# tau grows by a factor of 2.2 during the series.
AGEING = (
    Cell("ageing, tau ~ t^0.5, tau_c 6", 6.0, disturbance="ageing", ageing_exponent=0.5),
    Cell("rate x4 while ageing, tau_c 6", 6.0, "dynamics", 3.0, ageing_exponent=0.5),
    Cell("low q +30 % while ageing, tau_c 6", 6.0, "structure", 0.3, ageing_exponent=0.5),
)


def small(cell: Cell) -> Cell:
    """The same in half as many frames, with a third of the pixels and three times the light: a sixth of the work."""
    return replace(
        cell, onset=cell.onset // 2, frames=cell.frames // 2, pixels=700, photons_per_pixel=(0.6, 0.15)
    )


def begun_at(cell: Cell, onset: int) -> Cell:
    """The same with damage from this frame on; what is damaged from the first frame on stays so."""
    return replace(cell, onset=onset) if cell.onset else cell
