"""Takes a result in: only what ``done.json`` vouches for is ever shown as good."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from backend.dispatch.file_checksum import measure_file
from backend.dispatch.job import (
    DONE_FILE,
    INTENT_FILE,
    DoneRecord,
    JobIntent,
    OutputRecord,
    output_records,
    read_record,
)
from backend.errors import DispatchError
from backend.job_plan import Output
from backend.output_files import output_faults
from backend.snapshot import JobOutput


@dataclass(frozen=True, slots=True)
class CheckedResult:
    """The files that a job left and what is wrong with them; without problems they may be shown.

    ``path`` is the first of them that is a result file of our form.
    """

    job_id: str
    path: Path | None
    problems: tuple[DispatchError, ...] = ()
    outputs: tuple[JobOutput, ...] = ()

    @property
    def is_good(self) -> bool:
        """True when the job ended well and each of its files is exactly what it said it wrote."""
        return not self.problems


def take_in(folder: Path) -> CheckedResult:
    """Check the files of the job in this folder against its own ``done.json``; refused ones stay where they are."""
    try:
        intent = read_record(folder / INTENT_FILE, JobIntent)
        done = read_record(folder / DONE_FILE, DoneRecord)
    except DispatchError as error:
        return CheckedResult(folder.name, None, (error,))
    if intent is None or done is None:
        lacking = INTENT_FILE if intent is None else DONE_FILE
        problem = _refused(f"The job in {folder} has no {lacking}, so nothing vouches for its result.")
        return CheckedResult(folder.name, None, (problem,))
    if done.outcome != "done":
        return CheckedResult(intent.job_id, None, (_refused(f"The job gave no result: {done.reason}"),))
    records = output_records(intent, done)
    # Where the job ran, the same folders may have other names; from the job's folder the way is the same.
    paths = [
        Path(os.path.normpath(folder / os.path.relpath(record.path, intent.folder))) for record in records
    ]
    faults = _differences(intent, done) or [
        fault for path, record in zip(paths, records, strict=True) for fault in _file_faults(path, record)
    ]
    outputs = tuple(
        JobOutput(
            path=str(path), kind=record.kind, title=record.title, x=record.x, y=record.y, task=record.task
        )
        for path, record in zip(paths, records, strict=True)
    )
    result = next((Path(output.path) for output in outputs if output.kind == "mento-result"), None)
    return CheckedResult(intent.job_id, result, tuple(_refused(fault) for fault in faults), outputs)


def _differences(intent: JobIntent, done: DoneRecord) -> list[str]:
    pairs = {
        "job": (done.job_id, intent.job_id),
        "series": (done.series, intent.series),
        "recipe": (done.recipe_sha256, intent.recipe_sha256),
        "result file": (str(done.result_path), str(intent.result_path)),
    }
    faults = [
        f"{DONE_FILE} in {intent.folder} belongs to another {what} ({said}, expected {expected})."
        for what, (said, expected) in pairs.items()
        if said != expected
    ]
    results = intent.result_path.parent
    return faults + [
        f"{DONE_FILE} in {intent.folder} names a file that is not its own ({record.path})."
        for record in done.outputs
        if record.path.parent != results
    ]


def _file_faults(path: Path, record: OutputRecord) -> list[str]:
    try:
        size_bytes, sha256 = measure_file(path)
    except OSError as error:
        return [f"The result {path} cannot be read: {error.strerror}."]
    if size_bytes != record.size_bytes:
        return [f"The result {path} has {size_bytes} bytes, the job wrote {record.size_bytes}."]
    if sha256 != record.sha256:
        return [f"The result {path} was changed after the job wrote it (its checksum differs)."]
    promised = Output(file=path.name, kind=record.kind, x=record.x, y=record.y)
    return [f"The result {path} is refused: {fault}." for fault in output_faults(path, promised)]


def _refused(what: str) -> DispatchError:
    return DispatchError(
        what,
        still_works="The live curves stay; the file is kept but not shown as confirmed.",
        try_this="Run the recipe again on this series.",
    )
