"""From an assessment to the words on the panel: state, why (number against limit), what to do."""

from __future__ import annotations

import math

from backend.damage.assessment import Assessment, DamageState
from backend.damage.dose import DoseScale
from backend.snapshot import Verdict, VerdictState

_STATES = {
    DamageState.TOO_EARLY: VerdictState.TOO_EARLY,
    DamageState.TOO_FEW_PHOTONS: VerdictState.TOO_EARLY,
    DamageState.TOO_UNCERTAIN: VerdictState.TOO_EARLY,
    DamageState.NO_FRAMES: VerdictState.BAD_DATA,
    DamageState.NO_BEAM: VerdictState.BAD_DATA,
    DamageState.STEADY: VerdictState.GOOD,
    DamageState.CHANGING: VerdictState.WATCH,
    DamageState.DAMAGING: VerdictState.DAMAGING,
}
_ABOUT_STRUCTURE = (DamageState.STEADY, DamageState.TOO_UNCERTAIN)
_WORDS = {
    "structure": "Ratio of low-q to high-q scattering",
    "dynamics": "Relaxation rate",
    "contrast": "Speckle contrast",
}


# The lowest and the highest ring of a line through all rings; by themselves these two may differ by less or by more.
_TOLD_AS = {"lowest against highest q": "line in ln q"}


def percent(log_ratio: float) -> float:
    """Change in percent of a ln ratio."""
    return 100 * math.expm1(min(log_ratio, 50.0))


def verdict_of(assessment: Assessment, series: str, frames_per_window: int, dose: DoseScale) -> Verdict:
    """Words for an assessment of ``series``; frames are told with their ``dose`` where it is known in gray."""
    write = {
        DamageState.TOO_EARLY: _too_early,
        DamageState.TOO_FEW_PHOTONS: _too_few_photons,
        DamageState.TOO_UNCERTAIN: _too_uncertain,
        DamageState.NO_FRAMES: _no_frames,
        DamageState.NO_BEAM: _no_beam,
        DamageState.STEADY: _steady,
        DamageState.CHANGING: _changing,
        DamageState.DAMAGING: _damaging,
    }[assessment.state]
    why, do = write(assessment, frames_per_window, dose)
    # What leads by chance while nothing changes is not what the sentence is about.
    said = "structure" if assessment.state in _ABOUT_STRUCTURE else assessment.family
    return Verdict(
        state=_STATES[assessment.state],
        why=why,
        do=do,
        series=series,
        family=assessment.family,
        frame=assessment.frame,
        onset_frame=assessment.onset_frame,
        onset_interval=assessment.onset_interval,
        log10_evidence=assessment.log10_evidence,
        also=tuple(
            f"{_WORDS[family]}: {_change(effect, error)}"
            for family, (effect, error) in assessment.effects.items()
            if family != said and math.isfinite(error)
        ),
        grounds=assessment.grounds,
    )


def _change(effect: float, error: float) -> str:
    return f"{percent(effect):+.1f} ± {percent(error):.1f} %"


def _limit(assessment: Assessment) -> str:
    return f"limit {percent(assessment.tolerance):.3g} %"


def _leading(assessment: Assessment) -> str:
    words = _WORDS[assessment.family]
    told = _TOLD_AS.get(assessment.label, assessment.label)
    detail = "" if told == words.lower() else f" ({told})"
    numbers = f"{_change(assessment.effect, assessment.effect_err)}, {_limit(assessment)}"
    if assessment.family_told:
        return f"{words}{detail} {numbers}"
    other = _WORDS["contrast" if assessment.family == "dynamics" else "dynamics"].lower()
    return f"{words} or {other}, cannot tell which yet: if the former, {numbers}"


def _at_dose(exposure: float | None, dose: DoseScale) -> str:
    words = "" if exposure is None else dose.words(exposure)
    return f" at {words}" if words else ""


def _since(assessment: Assessment, dose: DoseScale) -> str:
    if assessment.onset_frame is None or assessment.onset_interval is None:
        return ""
    first, last = assessment.onset_interval
    at_dose = _at_dose(assessment.onset_taken, dose)
    return f", since about frame {assessment.onset_frame} ({first} to {last}){at_dose}"


def _limit_reached(assessment: Assessment, dose: DoseScale) -> str:
    if assessment.limit_frame is None or assessment.limit_interval is None:
        return ""
    first, last = assessment.limit_interval
    until = "later" if last is None else f"{last}"
    at_dose = _at_dose(assessment.limit_taken, dose)
    return f"; at the limit by about frame {assessment.limit_frame} ({first} to {until}){at_dose}"


def _too_early(assessment: Assessment, frames_per_window: int, dose: DoseScale) -> tuple[str, str]:
    seen = assessment.windows * frames_per_window
    needed = assessment.windows_needed * frames_per_window
    return (
        f"Too early to tell ({seen} of {needed} frames).",
        "Wait: the start of the series sets the comparison.",
    )


def _too_few_photons(assessment: Assessment, frames_per_window: int, dose: DoseScale) -> tuple[str, str]:
    return (
        f"Too few photons per ring in {frames_per_window} frames to tell a change from noise.",
        "Use longer windows or fewer rings in the settings, or more beam.",
    )


def _too_uncertain(assessment: Assessment, frames_per_window: int, dose: DoseScale) -> tuple[str, str]:
    effect, error = assessment.effects.get("structure", (assessment.effect, assessment.effect_err))
    return (
        f"Too early to tell: low-q to high-q ratio {_change(effect, error)}; a change of "
        f"{percent(assessment.tolerance):.3g} % would not stand out.",
        "More photons are needed: more frames, more beam, or longer windows in the settings.",
    )


def _no_frames(assessment: Assessment, frames_per_window: int, dose: DoseScale) -> tuple[str, str]:
    first = assessment.frame - frames_per_window + 1
    return (
        f"No frames: none of frames {first} to {assessment.frame} came, or could be used.",
        "Check the detector and the file writer; the verdict goes on with the next frames.",
    )


def _no_beam(assessment: Assessment, frames_per_window: int, dose: DoseScale) -> tuple[str, str]:
    counts = (
        f"{100 * assessment.beam_fraction:.2g} % of what it did before"
        if assessment.windows
        else "nothing yet"
    )
    return (
        f"No beam: the detector counts {counts}.",
        "Check shutter, absorbers and the ring; these frames are left out of the verdict.",
    )


def _steady(assessment: Assessment, frames_per_window: int, dose: DoseScale) -> tuple[str, str]:
    effect, error = assessment.effects.get("structure", (assessment.effect, assessment.effect_err))
    dose_words = dose.words(assessment.taken)
    so_far = f"{assessment.frame + 1} frames" + (f" and {dose_words}" if dose_words else "")
    return (
        f"Steady over {so_far}: low-q to high-q ratio {_change(effect, error)}.",
        "Carry on.",
    )


def _changing(assessment: Assessment, frames_per_window: int, dose: DoseScale) -> tuple[str, str]:
    return (
        f"{_leading(assessment)}{_since(assessment, dose)}{_limit_reached(assessment, dose)}.",
        "Keep watching; have a fresh spot ready.",
    )


def _damaging(assessment: Assessment, frames_per_window: int, dose: DoseScale) -> tuple[str, str]:
    return (
        f"{_leading(assessment)}{_since(assessment, dose)}.",
        "Move to a fresh spot or put in an absorber; use only the frames before the change.",
    )
