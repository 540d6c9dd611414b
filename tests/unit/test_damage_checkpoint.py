"""A run of the damage benchmark that is interrupted goes on where it was, with the same tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import damage_roc
from benchmarks.damage_cells import DAMAGED, NULLS, small
from benchmarks.damage_checkpoint import Checkpoint, Task
from benchmarks.damage_outcomes import Outcome, Watch, run
from benchmarks.damage_roc import run_all
from benchmarks.damage_tables import as_markdown, tables_of

pytestmark = pytest.mark.timeout(300)
TASKS: list[Task] = [
    (small(cell), 90 + seed, Watch()) for seed, cell in enumerate([*NULLS[:2], DAMAGED[2], DAMAGED[6]])
]


def test_an_interrupted_run_goes_on_and_ends_with_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "outcomes.jsonl"
    done: list[Task] = []

    def run_two(*task: object) -> Outcome:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(task)
        return run(*task)

    monkeypatch.setattr(damage_roc, "run", run_two)
    assert len(run_all(TASKS, Checkpoint(file), processes=1)) == 2

    def run_others(*task: object) -> Outcome:
        assert task not in done
        return run(*task)

    monkeypatch.setattr(damage_roc, "run", run_others)
    resumed = run_all(TASKS, Checkpoint(file), processes=1)
    assert [outcome.cell for outcome in resumed] == [cell for cell, _, _ in TASKS]
    assert len(file.read_text().splitlines()) == len(TASKS)
    again = run_all(TASKS, Checkpoint(file), processes=1)
    assert as_markdown(tables_of(resumed)) == as_markdown(tables_of(again))
    fresh = run(*TASKS[2])
    assert (resumed[2].alarms, resumed[2].last_onset) == (fresh.alarms, fresh.last_onset)


def test_other_cells_and_other_windows_are_other_tasks(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.jsonl"
    cell, seed, watch = TASKS[0]
    Checkpoint(file).add(TASKS[0], run(*TASKS[0]))
    known = Checkpoint(file)
    assert known.find(TASKS[0]) is not None
    assert known.find((cell, seed + 1, watch)) is None
    assert known.find((NULLS[0], seed, watch)) is None
    assert known.find((cell, seed, Watch(window_frames=20))) is None
