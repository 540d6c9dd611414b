"""A job of several tasks: what is different from task to task, and where each keeps its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from backend.dispatch.folders import RESULT_ENDING
from backend.dispatch.job_command import output_folder
from backend.ledger_rows import JobIntent

ENDED_FOLDER = "ended"
"""In the job's folder: how each task ended, one file per task."""
JOIN_FILE = "join.json"
"""In the job's folder: the claim of the task that puts together what all of them left."""
_TASKS_FOLDER = "tasks"
_MARK = "{task}"


def task_values(array: int | None, folder: Path) -> Mapping[str, str]:
    """Placeholders of a job of ``array`` tasks; in ``{output}`` the number of the task is put in where it runs."""
    if array is None:
        return {}
    return {"task": _MARK, "tasks": str(array), "output": str(output_folder(_task_folder(folder, _MARK)))}


def task_intent(intent: JobIntent, task: int) -> JobIntent:
    """One task as a job of its own, in a folder of its own, whose files get names of their own."""
    number = str(task)
    values = intent.plan.values
    own = {name: values[name].replace(_MARK, number) for name in ("task", "output")}
    return replace(
        intent,
        command=tuple(argument.replace(_MARK, number) for argument in intent.command),
        folder=_task_folder(intent.folder, number),
        result_path=intent.result_path.with_name(
            f"{intent.result_path.name.removesuffix(RESULT_ENDING)}_{number}{RESULT_ENDING}"
        ),
        plan=replace(intent.plan, values=dict(values) | own),
    )


def tasks_of(intent: JobIntent) -> range:
    """Numbers of the tasks of a job, from 0; none when it is a single one."""
    return range(intent.plan.resources.array or 0)


def ended_file(intent: JobIntent, task: int) -> Path:
    """Where a task says how it ended."""
    return intent.folder / ENDED_FOLDER / f"{task}.json"


def tasks_without_word(intent: JobIntent) -> list[int]:
    """Tasks that have not said how they ended."""
    return [task for task in tasks_of(intent) if not ended_file(intent, task).exists()]


def named(tasks: list[int]) -> str:
    """``task 3`` or ``tasks 3, 5 and 2 further`` for a sentence."""
    shown = ", ".join(map(str, tasks[:5]))
    further = f" and {len(tasks) - 5} further" if len(tasks) > 5 else ""
    return f"task{'s' if len(tasks) > 1 else ''} {shown}{further}"


def _task_folder(folder: Path, task: str) -> Path:
    return folder / _TASKS_FOLDER / task
