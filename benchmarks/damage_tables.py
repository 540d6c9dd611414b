"""Tables of the damage benchmark: false alarms with exact bounds, change at the alarm against goals and rivals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.stats import beta

from benchmarks.damage_cells import Cell
from benchmarks.damage_outcomes import ALPHA, LEVELS, Alarm, Outcome
from benchmarks.damage_rivals import RIVALS, WINDOW_FRAMES

_CONFIDENCE = 0.95
_ALL = "all without damage"
_DETECTION_HEAD = (
    "damage", "found", "change at the alarm", "goal", "when called damaging",
    "family at the alarm: right, not yet told, wrong", "once told, right", "told and right at the end",
    "before onset", "onset in its interval: at the alarm, at the end", "tolerance reached within the forecast",
)  # fmt: skip


def tables_of(outcomes: list[Outcome]) -> dict[str, list[dict[str, Any]]]:
    """All numbers: ``false_alarms``, ``detection`` and ``rivals``, one row per entry."""
    return {
        "false_alarms": false_alarm_rows(outcomes),
        "detection": detection_rows(outcomes),
        "rivals": rival_rows(outcomes),
    }


def exact_bounds(happened: int, of: int) -> tuple[float, float]:
    """Clopper-Pearson interval (95 %) of a share."""
    tail = (1 - _CONFIDENCE) / 2
    low = float(beta.ppf(tail, happened, of - happened + 1)) if happened else 0.0
    high = float(beta.ppf(1 - tail, happened + 1, of - happened)) if happened < of else 1.0
    return low, high


def false_alarm_rows(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Of all, per null cell and per disturbance: how many raised an alarm at each level, or were called damaged."""
    rows = []
    undamaged = _undisturbed(outcomes)
    disturbed = [outcome for outcome in outcomes if outcome.cell.disturbance]
    names = dict.fromkeys(outcome.cell.name for outcome in [*undamaged, *disturbed])
    for name in [_ALL, *names] if undamaged else names:
        some = undamaged if name == _ALL else [o for o in outcomes if o.cell.name == name]
        numbers = [sum(o.alarms[index] is not None for o in some) for index in range(len(LEVELS))]
        numbers.append(sum(o.damaging_frame is not None for o in some))
        rows.append({"cell": name, "series": len(some), "alarms": numbers,
                     "bounds": [exact_bounds(number, len(some)) for number in numbers]})  # fmt: skip
    return rows


def _undisturbed(outcomes: list[Outcome]) -> list[Outcome]:
    return [o for o in outcomes if not o.cell.family and not o.cell.disturbance]


def _median_change(cell: Cell, frames: Iterable[int | None]) -> float:
    """Median change at these frames; no alarm counts as beyond everything."""
    change = np.abs(cell.change)
    found = float(np.median([np.inf if frame is None else change[frame] for frame in frames]))
    return found if np.isfinite(found) else float("nan")


def detection_rows(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Per kind of damage: power, change at the alarm against its goal, family, early alarms, onset intervals."""
    rows = []
    for cell in _damaged_cells(outcomes):
        some = [outcome for outcome in outcomes if outcome.cell == cell]
        alarms = [alarm for outcome in some if (alarm := outcome.alarms[0]) is not None]
        intervals = [o.last_onset for o in some if o.last_onset is not None]
        rows.append({
            "cell": cell.name,
            "series": len(some),
            "found": len(alarms),
            "change_at_alarm": _median_change(cell, (o.alarms[0] and o.alarms[0].frame for o in some)),
            "goal": cell.goal,
            "change_when_damaging": _median_change(cell, (o.damaging_frame for o in some)),
            "family_at_alarm": _families(cell, alarms),
            "right_once_told": _right_once_told(cell, some),
            "right_family_at_end": sum(o.last_told and o.last_family == cell.family for o in some),
            "before_onset": sum(alarm.frame <= cell.onset for alarm in alarms),
            "onset_covered_at_alarm": _covered(cell, [a.onset_interval for a in alarms if a.onset_interval]),
            "limit_covered": _forecasts_covered(cell, [a.limit_interval for a in alarms if a.limit_interval]),
            "onset_covered_at_end": _covered(cell, intervals),
        })  # fmt: skip
    return rows


def _families(cell: Cell, alarms: list[Alarm]) -> tuple[int, int, int]:
    """How many name the right family, say that they cannot tell yet, and name a wrong one."""
    right = sum(alarm.told and alarm.family == cell.family for alarm in alarms)
    told = sum(alarm.told for alarm in alarms)
    return right, len(alarms) - told, told - right


def _right_once_told(cell: Cell, outcomes: list[Outcome]) -> tuple[int, int, float]:
    """How many are right when they first name a family, of how many, and how many frames after the alarm (median)."""
    told = [(o.first_told, o.alarms[0]) for o in outcomes]
    pairs = [(first, alarm) for first, alarm in told if first is not None and alarm is not None]
    right = sum(first.family == cell.family for first, _ in pairs)
    delay = float(np.median([first.frame - alarm.frame for first, alarm in pairs])) if pairs else float("nan")
    return right, len(pairs), delay


def _damaged_cells(outcomes: list[Outcome]) -> list[Cell]:
    return list(dict.fromkeys(outcome.cell for outcome in outcomes if outcome.cell.family))


def _covered(cell: Cell, intervals: list[tuple[int, int]]) -> tuple[int, int]:
    return sum(low <= cell.onset <= high for low, high in intervals), len(intervals)


def rival_rows(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Per rival: false alarms, and median change at its alarm in each kind of damage; none without undamaged series."""
    rows: list[dict[str, Any]] = []
    undamaged = _undisturbed(outcomes)
    if not undamaged:
        return rows
    for index, rival in enumerate(RIVALS):
        largest = np.array([outcome.paths[index][-1] for outcome in undamaged])
        threshold = rival.threshold
        if threshold is None:
            threshold = float(np.quantile(largest, 1 - ALPHA, method="higher"))
            # The series at the quantile itself is still below.
            threshold = float(np.nextafter(threshold, np.inf))
        false = int((largest >= threshold).sum())
        changes = {}
        for cell in _damaged_cells(outcomes):
            frames = [_reached(o.paths[index], threshold) for o in outcomes if o.cell == cell]
            changes[cell.name] = _median_change(cell, frames)
        rows.append({"rival": rival.name, "false": false, "of": len(undamaged),
                     "bounds": exact_bounds(false, len(undamaged)), "changes": changes})  # fmt: skip
    return rows


def _reached(path: np.ndarray, threshold: float) -> int | None:
    """Last frame of the first window at or above the threshold."""
    window = int(np.searchsorted(path, threshold))
    return None if window == len(path) else (window + 1) * WINDOW_FRAMES - 1


def as_markdown(tables: dict[str, list[dict[str, Any]]]) -> str:
    """The tables for a page of the docs."""
    levels = [f"alarms at {_percent(level)}" for level in LEVELS]
    lines = [_line("undamaged series", "number", *levels, "called damaging"), _rule(3 + len(LEVELS))]
    for row in tables["false_alarms"]:
        cells = [
            f"{number} ({_percent(low)} to {_percent(high)})"
            for number, (low, high) in zip(row["alarms"], row["bounds"], strict=True)
        ]
        lines.append(_line(row["cell"], str(row["series"]), *cells))
    if tables["detection"]:
        lines += ["", _line(*_DETECTION_HEAD), _rule(len(_DETECTION_HEAD))]
        lines += [_detection_line(row) for row in tables["detection"]]
    if tables["rivals"]:
        lines += ["", *_rival_table(tables)]
    return "\n".join(lines)


def _rival_table(tables: dict[str, list[dict[str, Any]]]) -> list[str]:
    names = [row["cell"] for row in tables["detection"]]
    ours, found = tables["false_alarms"][0], [row["change_at_alarm"] for row in tables["detection"]]
    return [
        _line("way to raise an alarm", "false alarms", *names),
        _rule(2 + len(names)),
        _rival_line("**this program**", ours["alarms"][0], ours["bounds"][0], found),
        *(
            _rival_line(row["rival"], row["false"], row["bounds"], [row["changes"][name] for name in names])
            for row in tables["rivals"]
        ),
    ]


def _detection_line(row: dict[str, Any]) -> str:
    change, goal = row["change_at_alarm"], row["goal"]
    reached = "" if goal is None else f"{_percent(goal)}: {'reached' if change <= goal else 'missed'}"
    covered = (
        f"{inside} of {of}" for inside, of in (row["onset_covered_at_alarm"], row["onset_covered_at_end"])
    )
    right, of, delay = row["right_once_told"]
    once_told = f"{right} of {of}, {delay:.3g} frames later" if of else "-"
    return _line(
        row["cell"], f"{row['found']} of {row['series']}", _percent(change), reached,
        _percent(row["change_when_damaging"]), ", ".join(str(number) for number in row["family_at_alarm"]),
        once_told, f"{row['right_family_at_end']} of {row['series']}",
        str(row["before_onset"]), ", ".join(covered), f"{row['limit_covered'][0]} of {row['limit_covered'][1]}",
    )  # fmt: skip


def _rival_line(name: str, false: int, bounds: tuple[float, float], changes: list[float]) -> str:
    share = f"{false} ({_percent(bounds[0])} to {_percent(bounds[1])})"
    return _line(name, share, *(_percent(change) for change in changes))


def _percent(share: float) -> str:
    return "-" if not np.isfinite(share) else f"{100 * share:.3g} %"


def _forecasts_covered(cell: Cell, intervals: list[tuple[int, int | None]]) -> tuple[int, int]:
    inside = (
        low <= cell.limit_frame and (high is None or cell.limit_frame <= high) for low, high in intervals
    )
    return sum(inside), len(intervals)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(columns: int) -> str:
    return _line(*["---"] * columns)
