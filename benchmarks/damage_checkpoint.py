"""Outcomes of the damage benchmark in a file, one line each: a run that was interrupted goes on where it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.damage_cells import Cell
from benchmarks.damage_outcomes import Alarm, Outcome, Watch

Task = tuple[Cell, int, Watch]


class Checkpoint:
    """Outcomes by what was simulated and how it was watched; which version of the program did so is up to the user."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
        self._lines = {entry["task"]: entry["outcome"] for entry in map(json.loads, lines)}

    def find(self, task: Task) -> Outcome | None:
        """The outcome of a task, if it is known."""
        line = self._lines.get(_name(task))
        return None if line is None else _from_numbers(task[0], line)

    def add(self, task: Task, outcome: Outcome) -> None:
        """Keep an outcome; it is in the file when this returns."""
        numbers = _as_numbers(outcome)
        self._lines[_name(task)] = numbers
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"task": _name(task), "outcome": numbers}) + "\n")


def _name(task: Task) -> str:
    return hashlib.sha256(repr(task).encode()).hexdigest()


def _as_numbers(outcome: Outcome) -> dict[str, Any]:
    numbers = {
        field.name: getattr(outcome, field.name)
        for field in dataclasses.fields(outcome)
        if field.name not in ("cell", "alarms", "first_told", "paths")
    }
    return numbers | {
        "alarms": [alarm and dataclasses.asdict(alarm) for alarm in outcome.alarms],
        "first_told": outcome.first_told and dataclasses.asdict(outcome.first_told),
        # What matters of a path is where it crosses a threshold, not its eighth digit.
        "paths": [[float(f"{value:.7g}") for value in path] for path in outcome.paths],
    }


def _from_numbers(cell: Cell, numbers: dict[str, Any]) -> Outcome:
    kept = dict(numbers)
    alarms = tuple(_alarm(alarm) for alarm in kept.pop("alarms"))
    first_told = _alarm(kept.pop("first_told"))
    paths = tuple(np.array(path) for path in kept.pop("paths"))
    kept["last_onset"] = kept["last_onset"] and tuple(kept["last_onset"])
    return Outcome(cell=cell, alarms=alarms, first_told=first_told, paths=paths, **kept)


def _alarm(numbers: dict[str, Any] | None) -> Alarm | None:
    if numbers is None:
        return None
    intervals = ("onset_interval", "limit_interval")
    return Alarm(**(numbers | {name: numbers[name] and tuple(numbers[name]) for name in intervals}))
