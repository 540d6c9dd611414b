"""What is kept of every series so that series can be compared: where, how much dose, how fast, which structure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.snapshot import VerdictState


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the beam met the sample, and how large it was there; micrometres, widths in full."""

    horizontal_um: float
    vertical_um: float
    beam_width_um: float
    beam_height_um: float

    def overlaps(self, other: Spot) -> bool:
        """Whether some place was in both beams, each taken as a rectangle of its full widths."""
        return (
            2 * abs(self.horizontal_um - other.horizontal_um) < self.beam_width_um + other.beam_width_um
            and 2 * abs(self.vertical_um - other.vertical_um) < self.beam_height_um + other.beam_height_um
        )


@dataclass(frozen=True, slots=True)
class RelaxationRate:
    """Rate at the q where it is not correlated with its power of q; one-sigma errors of ln rate and power."""

    q_inv_nm: float
    rate_per_s: float
    log_rate_err: float
    q_power: float
    q_power_err: float

    def log_rate_at(self, q_inv_nm: float) -> tuple[float, float]:
        """ln(rate in 1/s) at another q, by the power of q, and its error."""
        distance = float(np.log(q_inv_nm / self.q_inv_nm))
        error = float(np.hypot(self.log_rate_err, distance * self.q_power_err))
        return float(np.log(self.rate_per_s)) + self.q_power * distance, error


@dataclass(frozen=True, slots=True)
class RingIntensities:
    """Scattering per q ring.

    Attributes
    ----------
    q_inv_nm, log_intensity, log_intensity_err : tuple of float, one per ring
        q, ln of photons per pixel and frame, one sigma of it from counting and from the finite number of speckles.
    """

    q_inv_nm: tuple[float, ...]
    log_intensity: tuple[float, ...]
    log_intensity_err: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRecord:
    """One series and detector; ``None`` where it is not known.

    Attributes
    ----------
    folder : str
        Name of the series folder: detectors that saw the same exposure share it.
    started_at : float or None
        Seconds since 1970.
    frames : int
        Frames that were exposed so far, missing ones too.
    spot : Spot or None
        ``spot_unknown`` says why it is not known.
    exposure_s : float or None
        Seconds, weighted by the transmission of the absorbers, up to the newest frame.
    onset_exposure_s : float or None
        The same up to the frame where damage began, in a series that shows damage.
    gray_per_s : float or None
        Dose per exposure.
    transmission : float or None
        As the files state it.
    counts_per_s : float or None
        Photons per second and pixel of the q rings: the beam as the detector sees it.
    verdict : VerdictState
        Last word of the series.
    rate, intensities
        Known once the series has ended.
    settings_sha256 : str
        Hash of the settings it was made with.
    """

    series: str
    detector: str
    folder: str
    sample: str
    started_at: float | None
    frames: int
    spot: Spot | None
    spot_unknown: str
    exposure_s: float | None
    onset_exposure_s: float | None
    gray_per_s: float | None
    transmission: float | None
    counts_per_s: float | None
    verdict: VerdictState
    rate: RelaxationRate | None
    intensities: RingIntensities | None
    settings_sha256: str

    @property
    def exposure_rate(self) -> float:
        """Share of the full beam; the whole of it where the files state no transmission."""
        return 1.0 if self.transmission is None else self.transmission
