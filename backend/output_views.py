"""All files that a job left as they are to be shown: the same file of several tasks on one page, where it is curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from backend.output_view import OutputView, read_output_view
from backend.snapshot import JobOutput

_MOST_TASKS = 12
_Item = TypeVar("_Item")


def read_output_views(outputs: Sequence[JobOutput]) -> tuple[OutputView, ...]:
    """One view per file; of a job of several tasks, one per file that each of them left."""
    groups: dict[object, list[JobOutput]] = {}
    for place, output in enumerate(outputs):
        key = place if output.task is None else (output.title, output.kind, output.x, output.y)
        groups.setdefault(key, []).append(output)
    return tuple(view for group in groups.values() for view in _views_of(group))


def _views_of(group: Sequence[JobOutput]) -> list[OutputView]:
    if group[0].task is None:
        return [read_output_view(output) for output in group]
    # Reading thousands of files would take long, and nobody could tell their curves apart.
    shown = _evenly(group, _MOST_TASKS)
    # Tasks are numbered from 0, and the last one is among those in a row of the job table.
    number = 1 + max(output.task or 0 for output in group)
    note = f"{len(shown)} of {number} tasks are shown." if len(shown) < number else ""
    views = [(output, read_output_view(output)) for output in shown]
    alone = [
        replace(view, title=f"{view.title} (task {output.task})", note=note or view.note)
        for output, view in views
        if not view.curves
    ]
    drawn = [(output, view) for output, view in views if view.curves]
    return [*([_joined(drawn, note)] if drawn else []), *alone]


def _joined(drawn: Sequence[tuple[JobOutput, OutputView]], note: str) -> OutputView:
    curves = [
        replace(curve, label=f"task {output.task}" + (f": {curve.label}" if len(view.curves) > 1 else ""))
        for output, view in drawn
        for curve in view.curves
    ]
    first = drawn[0][1]
    fewer = _evenly(curves, _MOST_TASKS)
    left_out = f"{len(fewer)} of {len(curves)} curves are shown." if len(fewer) < len(curves) else ""
    return replace(
        first,
        path=str(Path(first.path).parent),
        curves=tuple(fewer),
        note=" ".join(filter(None, (note, left_out))),
    )


def _evenly(items: Sequence[_Item], most: int) -> list[_Item]:
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, min(len(items), most))]
