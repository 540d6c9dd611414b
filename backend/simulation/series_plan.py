"""Everything that defines one simulated series; the same plan always gives the same frames."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from backend.errors import FeedbackError
from backend.simulation.detector_model import EIGER_500K, DetectorModel
from backend.simulation.relaxation import SMALLEST_EXPONENT
from backend.simulation.scenario import SCENARIOS, Scenario

PixelType = Literal["uint16", "uint32"]

# Whether a value is good, how it is called, what to do if it is not.
_Check = tuple[bool, str, str]


class SimulationError(FeedbackError):
    """A simulated series cannot be made as asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPlan:
    """One simulated series.

    Attributes
    ----------
    detector, scenario : DetectorModel, Scenario
    sample, number : str, int
        Give the series name ``<sample>_<NNNNN>``.
    frames, frame_time_s : int, float
    photons_per_pixel : float
        Mean over unmasked pixels and one frame, at the start of the series, without absorbers and I0 noise.
    transmission : float
        Of the absorbers: a factor on the photons, and in a beam-driven sample on the relaxation rate.
    position_mm : tuple of float
        Where the beam meets the sample, horizontal and vertical.
    contrast, modes : float, int
        g2(0) - 1 and the number of coherence modes; below 1 / modes the rest is light without speckle.
    diffusion_nm2_per_s, exponent : float
        Gamma = diffusion q^2; g2 - 1 = contrast * exp(-2 (Gamma lag)^exponent).
    form_factor_length_nm : float
        I(q) is proportional to 1 / (1 + (q length)^2)^2 (Debye and Bueche) at the start.
    speckle_size_px : float
        Full width at half maximum of the spatial intensity correlation.
    i0_noise_rms, i0_correlation_s : float
        Relative fluctuation of the beam, common to all pixels, and its correlation time.
    seed : int
    dtype : str
        Type of a pixel in the files.
    frames_per_file : int or None
        ``None`` means about one second of frames.
    """

    detector: DetectorModel = EIGER_500K
    scenario: Scenario = SCENARIOS["stable"]
    sample: str = "simulated"
    number: int = 1
    frames: int = 600
    frame_time_s: float = 0.05
    photons_per_pixel: float = 0.1
    transmission: float = 1.0
    position_mm: tuple[float, float] = (0.0, 0.0)
    contrast: float = 0.2
    modes: int = 1
    diffusion_nm2_per_s: float = 100.0
    exponent: float = 1.0
    form_factor_length_nm: float = 8.0
    speckle_size_px: float = 2.0
    i0_noise_rms: float = 0.02
    i0_correlation_s: float = 1.0
    seed: int = 0
    dtype: PixelType = "uint32"
    frames_per_file: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated.

        Raises
        ------
        SimulationError
            Names the value and its limits.
        """
        for good, value, advice in (*self._acquisition_checks(), *self._sample_checks()):
            if not good:
                raise SimulationError(
                    f"A series with {value} cannot be simulated.",
                    still_works="Nothing was written.",
                    try_this=f"{advice[0].upper()}{advice[1:]}.",
                )

    def _acquisition_checks(self) -> tuple[_Check, ...]:
        readout_s = self.detector.readout_time_s
        return (
            (
                bool(re.fullmatch(r"[A-Za-z0-9][\w\-]*", self.sample)),
                f"sample name {self.sample!r}",
                "use letters, digits, _ and -",
            ),
            (0 <= self.number <= 99999, f"series number {self.number}", "use 0 to 99999"),
            (1 <= self.frames <= 10_000_000, f"{self.frames} frames", "use 1 to 10 million"),
            (
                readout_s < self.frame_time_s <= 3600,
                f"frame time {self.frame_time_s} s",
                f"use more than the readout time, {readout_s} s, and at most 3600 s",
            ),
            (
                0 < self.photons_per_pixel <= 1000,
                f"{self.photons_per_pixel} photons per pixel",
                "use a number above 0, at most 1000",
            ),
            (0 < self.transmission <= 1, f"transmission {self.transmission}", "use more than 0, at most 1"),
            (bool(np.isfinite(self.position_mm).all()), f"position {self.position_mm}", "use finite numbers"),
            (self.seed >= 0, f"seed {self.seed}", "use 0 or more"),
            (self.dtype in ("uint16", "uint32"), f"pixel type {self.dtype!r}", "use uint16 or uint32"),
            (
                self.frames_per_file is None or self.frames_per_file >= 1,
                f"{self.frames_per_file} frames per file",
                "use 1 or more",
            ),
        )

    def _sample_checks(self) -> tuple[_Check, ...]:
        return (
            (1 <= self.modes <= 16, f"{self.modes} modes", "use 1 to 16"),
            (
                0 <= self.contrast * self.modes <= 1,
                f"contrast {self.contrast} with {self.modes} mode(s)",
                "contrast is at most 1 / modes and not negative",
            ),
            (
                0 <= self.diffusion_nm2_per_s < np.inf,
                f"diffusion {self.diffusion_nm2_per_s} nm^2/s",
                "use 0 or more",
            ),
            (
                SMALLEST_EXPONENT <= self.exponent <= 1,
                f"relaxation exponent {self.exponent}",
                f"use {SMALLEST_EXPONENT} to 1; compressed relaxation cannot be simulated",
            ),
            (
                0 <= self.form_factor_length_nm < np.inf,
                f"form factor length {self.form_factor_length_nm} nm",
                "use 0 or more",
            ),
            (0.5 <= self.speckle_size_px <= 50, f"speckle size {self.speckle_size_px} px", "use 0.5 to 50"),
            (0 <= self.i0_noise_rms <= 0.3, f"beam noise {self.i0_noise_rms}", "use 0 to 0.3 (relative)"),
            (
                0 < self.i0_correlation_s < np.inf,
                f"beam noise correlation time {self.i0_correlation_s} s",
                "use more than 0",
            ),
        )

    @property
    def name(self) -> str:
        """Series name as at P10."""
        return f"{self.sample}_{self.number:05d}"

    @property
    def file_frames(self) -> int:
        """Frames in each data file except perhaps the last."""
        if self.frames_per_file is not None:
            return self.frames_per_file
        return min(2000, max(1, round(1.0 / self.frame_time_s)))

    @property
    def count_time_s(self) -> float:
        """Exposure of a frame."""
        return self.frame_time_s - self.detector.readout_time_s

    def gamma_per_s(self, q_inv_nm: np.ndarray) -> np.ndarray:
        """Relaxation rate at the start of the series, same shape as ``q_inv_nm``, 1/s."""
        beam = self.transmission if self.scenario.beam_driven else 1.0
        return beam * self.diffusion_nm2_per_s * np.asarray(q_inv_nm) ** 2

    def form_factor(self, q_inv_nm: np.ndarray) -> np.ndarray:
        """I(q) at the start of the series relative to q = 0, same shape as ``q_inv_nm`` (Debye and Bueche 1949)."""
        return 1.0 / (1.0 + (np.asarray(q_inv_nm) * self.form_factor_length_nm) ** 2) ** 2
