"""The verdict as it travels in a snapshot and is stored: state, words, and the channels it rests on in numbers."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class VerdictState(StrEnum):
    """The fixed words of the verdict. ``TOO EARLY`` is said until there is enough data to judge, never GOOD."""

    GOOD = "GOOD"
    WATCH = "WATCH"
    DAMAGING = "DAMAGING"
    BAD_DATA = "BAD DATA"
    TOO_EARLY = "TOO EARLY"
    NO_DATA = "NO DATA"
    IDLE = "IDLE"


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """One channel of the damage detector, as it was when a verdict was given.

    Attributes
    ----------
    family, channel : str
        "structure", "dynamics" or "contrast", and the channel in words.
    log10_evidence, log10_alarm : float
        The statistic, log10 of its e-value times its share of the false-alarm budget, and the level of the alarm.
    effect_percent, effect_err_percent : float
        Change of ``frames`` against ``reference_frames``, one sigma.
    tolerance_percent : float
        The change that counts as damage.
    rings : tuple of int
        Rings, from 1, whose change is looked for; what is compared with the rest names its own rings alone.
    frames, reference_frames : tuple of int
        First and last frame of the newest windows and of the reference.
    """

    family: str
    channel: str
    log10_evidence: float
    log10_alarm: float
    effect_percent: float
    effect_err_percent: float
    tolerance_percent: float
    rings: tuple[int, ...]
    frames: tuple[int, int]
    reference_frames: tuple[int, int]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """State, one measured number against its limit (why), one sentence of advice (do).

    ``grounds``: the channels it rests on in numbers, the leading one first; empty where no damage was looked for.
    """

    state: VerdictState
    why: str
    do: str
    series: str = ""
    family: str = ""
    frame: int = -1
    onset_frame: int | None = None
    onset_interval: tuple[int, int] | None = None
    log10_evidence: float = 0.0
    also: tuple[str, ...] = ()
    grounds: tuple[Ground, ...] = ()
