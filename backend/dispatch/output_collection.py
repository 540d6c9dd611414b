"""Takes the files that a job's command left: checked, given their final names together or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from backend.dispatch.file_checksum import measure_file
from backend.dispatch.folders import RESULT_ENDING
from backend.dispatch.job import OutputRecord, place_result
from backend.dispatch.job_command import output_folder
from backend.dispatch.job_tasks import task_intent, tasks_of
from backend.job_plan import Output
from backend.ledger_rows import JobIntent
from backend.output_files import output_faults


class CollectionError(Exception):
    """The files of a job cannot be taken; the sentence says why. They stay where the command left them."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that a command left, the name it is to get, what it is declared to be, and the task that left it."""

    path: Path
    target: Path
    output: Output
    task: int | None = None


def find_files(intent: JobIntent) -> tuple[FoundFile, ...]:
    """The result file, if the job is to write one, then all that matches the outputs, each as the first it matches.

    Of a job of several tasks those of each task, in the order of their numbers.

    Raises
    ------
    CollectionError
        One that is required is not there, or a file is not as it should be.
    """
    tasks = tasks_of(intent)
    if not tasks:
        return _find_files_of_one(intent)
    found: list[FoundFile] = []
    faults = []
    for task in tasks:
        try:
            of_task = _find_files_of_one(task_intent(intent, task))
        except CollectionError as fault:
            faults.append(f"Task {task}: {fault}")
        else:
            found += [replace(file, task=task) for file in of_task]
    if faults:
        raise CollectionError(" ".join(faults))
    return tuple(found)


def _find_files_of_one(intent: JobIntent) -> tuple[FoundFile, ...]:
    folder = output_folder(intent.folder)
    found: dict[Path, FoundFile] = {}
    faults = []
    if intent.plan.writes_result:
        if not intent.part_path.exists():
            raise CollectionError("The command ended well but wrote no result.")
        result = Output(file=intent.part_path.name, kind="mento-result", title="Result")
        found[intent.part_path] = FoundFile(intent.part_path, intent.result_path, result)
    for output in intent.plan.outputs:
        paths = sorted(path for path in folder.glob(output.file) if not path.is_dir())
        if not paths and output.required:
            faults.append(f"The command ended well but left no {output.file}.")
        for path in paths:
            target = final_path(intent.result_path, path.relative_to(folder))
            found.setdefault(path, FoundFile(path, target, output))
    for file in found.values():
        # A result of our own form is judged where it is taken in.
        if file.path == intent.part_path:
            continue
        faults += [
            f"The output {file.path.name} is refused: {fault}."
            for fault in output_faults(file.path, file.output)
        ]
    if faults:
        raise CollectionError(" ".join(faults))
    return tuple(found.values())


def place_files(found: Sequence[FoundFile]) -> tuple[OutputRecord, ...]:
    """Give the files their final names, all of them or none.

    Raises
    ------
    CollectionError
        There is a file of that name already.
    OSError
        The file system refuses.
    """
    placed: list[FoundFile] = []
    records = []
    try:
        for file in found:
            size_bytes, sha256 = measure_file(file.path)
            place_result(file.path, file.target)
            placed.append(file)
            output = file.output
            records.append(
                OutputRecord(
                    path=file.target, kind=output.kind, title=output.title or file.path.name, x=output.x, y=output.y,
                    size_bytes=size_bytes, sha256=sha256, task=file.task,
                )
            )  # fmt: skip
    except OSError as error:
        for done in placed:
            place_result(done.target, done.path)
        if isinstance(error, FileExistsError):
            reason = f"There already is a file {file.target.name}; it was not replaced."
            raise CollectionError(reason) from error
        raise
    return tuple(records)


def final_path(result_path: Path, name: Path) -> Path:
    """Final name of an output: beside the result, beginning like it; folders in its name become a part of it."""
    return result_path.with_name(f"{result_path.name.removesuffix(RESULT_ENDING)}_{'_'.join(name.parts)}")


def left_over(intent: JobIntent) -> int:
    """Files that nobody declared; they stay in the job's folder."""
    ran = [task_intent(intent, task) for task in tasks_of(intent)] or [intent]
    return sum(not path.is_dir() for one in ran for path in output_folder(one.folder).rglob("*"))
