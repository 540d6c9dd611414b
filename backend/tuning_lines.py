"""The lines of ``mento-gui tune --json`` as a window reads them; what it does not show is left out."""

from __future__ import annotations

import msgspec

from backend.snapshot import VerdictState


class TuningLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of all lines; the event names the kind."""


class ProgressLine(TuningLine, frozen=True, tag="progress"):
    """How far it is: what is being done, and the share of that from 0 to 1."""

    doing: str
    share: float


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """How one series is judged: the last word and why."""

    series: str
    frames: int
    state: VerdictState
    why: str
    frame_time_s: float | None = None


class FirstFrames(msgspec.Struct, frozen=True, kw_only=True):
    """Frame of the first verdict of a kind with both settings; ``None`` where it never came."""

    before_frame: int | None
    after_frame: int | None
    frames: int | None
    seconds: float | None


class SeriesLine(TuningLine, frozen=True, tag="series"):
    """One stored series with the present and with the changed settings."""

    before: Judgement
    after: Judgement
    watch: FirstFrames
    damaging: FirstFrames
    alarm_gained: bool
    alarm_lost: bool


class FalseAlarmCount(msgspec.Struct, frozen=True, kw_only=True):
    """Simulated undamaged series of one kind, with exact bounds of 95 %; as ``FalseAlarms``."""

    series: int
    told: int
    watched: int
    alarms: int
    share_bounds: tuple[float, float]
    per_100_h: float
    per_100_h_bounds: tuple[float, float]
    exposure_s: float
    pixels_used: float


class FalseAlarmsLine(TuningLine, frozen=True, tag="false_alarms"):
    """False alarms on undamaged series like the one named."""

    series: str
    false_alarms: FalseAlarmCount


class ChangeCount(msgspec.Struct, frozen=True, kw_only=True):
    """All series together; as ``TuningSum``."""

    series: int
    verdicts_changed: int
    alarms_gained: int
    alarms_lost: int
    alarms_earlier: int
    alarms_later: int


class SumLine(TuningLine, frozen=True, tag="sum"):
    """The last line."""

    sum: ChangeCount


AnyTuningLine = ProgressLine | SeriesLine | FalseAlarmsLine | SumLine

_DECODER = msgspec.json.Decoder(AnyTuningLine)


def read_tuning_line(line: bytes) -> AnyTuningLine:
    """One line.

    Raises
    ------
    msgspec.DecodeError
        It is none of these.
    """
    return _DECODER.decode(line)
