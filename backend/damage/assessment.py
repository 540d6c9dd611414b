"""What the damage detector says after each window, as numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from backend.snapshot_verdict import Ground


class DamageState(StrEnum):
    """Significance and size together; ``NO_FRAMES``, ``NO_BEAM``, ``TOO_FEW_PHOTONS`` and ``TOO_UNCERTAIN`` say
    why nothing can be told.
    """

    TOO_EARLY = "too early"
    TOO_FEW_PHOTONS = "too few photons"
    TOO_UNCERTAIN = "too uncertain"
    NO_FRAMES = "no frames"
    NO_BEAM = "no beam"
    STEADY = "steady"
    CHANGING = "changing"
    DAMAGING = "damaging"


@dataclass(frozen=True, slots=True)
class Assessment:
    """State after the window that ends with ``frame``.

    Attributes
    ----------
    dose : float
        Exposure so far, in the unit the detector was given: seconds behind the absorbers in a series.
    log10_evidence : float
        Largest weighted e-value over channels; the alarm is at ``log10_alarm``.
    family, label : str
        Leading channel.
    family_told : bool
        False as long as the other one of "dynamics" and "contrast" may explain the change of g2 as well.
    effect : float
        Its relative change (ln ratio) between the reference and the newest windows; ``effect_err`` one sigma.
    effects : dict
        Relative change and error per family.
    onset_frame : int or None
        Median of the posterior once there is evidence; ``onset_interval`` holds 90 %.
    limit_frame : int or None
        Frame by which the change has probably reached the tolerance, told until it is called damage;
        ``limit_interval`` holds 90 %, without end where the last of it is ``None``.
    windows, windows_needed : int
        Windows seen and needed before anything is said.
    grounds : tuple of Ground
        The leading channel and all others with evidence, in numbers.
    taken : float
        As ``dose``, weighted with the incident beam as it was; ``onset_taken`` and ``limit_taken`` at these frames.
    """

    frame: int
    dose: float
    state: DamageState
    log10_evidence: float
    log10_alarm: float
    family: str
    label: str
    effect: float
    effect_err: float
    effects: dict[str, tuple[float, float]]
    tolerance: float
    onset_frame: int | None
    onset_interval: tuple[int, int] | None
    windows: int
    windows_needed: int
    windows_set_aside: int
    beam_fraction: float
    limit_frame: int | None = None
    limit_interval: tuple[int, int | None] | None = None
    grounds: tuple[Ground, ...] = ()
    taken: float = 0.0
    onset_taken: float | None = None
    limit_taken: float | None = None
    family_told: bool = True


def nothing_told(
    frame: int,
    dose: float,
    state: DamageState,
    *,
    log10_evidence: float,
    log10_alarm: float,
    tolerance: float,
    windows: tuple[int, int, int],
    beam_fraction: float,
) -> Assessment:
    """Assessment of a window that says nothing about a change; ``windows``: seen, needed and set aside."""
    return Assessment(
        frame=frame,
        dose=dose,
        state=state,
        log10_evidence=log10_evidence,
        log10_alarm=log10_alarm,
        family="",
        label="",
        effect=0.0,
        effect_err=math.inf,
        effects={},
        tolerance=tolerance,
        onset_frame=None,
        onset_interval=None,
        windows=windows[0],
        windows_needed=windows[1],
        windows_set_aside=windows[2],
        beam_fraction=beam_fraction,
    )
