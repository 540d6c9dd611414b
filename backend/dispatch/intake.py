"""Takes a result in: only what ``done.json`` vouches for is ever shown as good."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import h5py

from backend.dispatch.job import DONE_FILE, INTENT_FILE, DoneRecord, JobIntent, read_record
from backend.dispatch.run_job import measure_file
from backend.errors import DispatchError

_NEEDED_DATASETS = ("/xpcs/multitau/normalized_g2", "/xpcs/multitau/delay_list", "/xpcs/qmap/dynamic_roi_map")


@dataclass(frozen=True, slots=True)
class CheckedResult:
    """A result file and what is wrong with it; without problems it may be shown."""

    job_id: str
    path: Path | None
    problems: tuple[DispatchError, ...] = ()

    @property
    def is_good(self) -> bool:
        """True when the file is exactly what the job said it wrote."""
        return self.path is not None and not self.problems


def take_in(folder: Path) -> CheckedResult:
    """Check the result of the job in this folder against its own ``done.json``; refused files stay where they are."""
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
    # Where the job ran, the same folders may have other names; from the job's folder the way is the same.
    path = Path(os.path.normpath(folder / os.path.relpath(intent.result_path, intent.folder)))
    faults = _differences(intent, done) or _file_faults(path, done)
    return CheckedResult(intent.job_id, path, tuple(_refused(fault) for fault in faults))


def _differences(intent: JobIntent, done: DoneRecord) -> list[str]:
    pairs = {
        "job": (done.job_id, intent.job_id),
        "series": (done.series, intent.series),
        "recipe": (done.recipe_sha256, intent.recipe_sha256),
        "result file": (str(done.result_path), str(intent.result_path)),
    }
    return [
        f"{DONE_FILE} in {intent.folder} belongs to another {what} ({said}, expected {expected})."
        for what, (said, expected) in pairs.items()
        if said != expected
    ]


def _file_faults(path: Path, done: DoneRecord) -> list[str]:
    try:
        size_bytes, sha256 = measure_file(path)
    except OSError as error:
        return [f"The result {path} cannot be read: {error.strerror}."]
    if size_bytes != done.size_bytes:
        return [f"The result {path} has {size_bytes} bytes, the job wrote {done.size_bytes}."]
    if sha256 != done.sha256:
        return [f"The result {path} was changed after the job wrote it (its checksum differs)."]
    try:
        with h5py.File(path, "r", locking=False) as file:
            lacking = [name for name in _NEEDED_DATASETS if not isinstance(file.get(name), h5py.Dataset)]
    except (OSError, RuntimeError, KeyError) as error:
        return [f"The result {path} is not a sound HDF5 file: {error}."]
    return [f"The result {path} holds no {name}." for name in lacking]


def _refused(what: str) -> DispatchError:
    return DispatchError(
        what,
        still_works="The live curves stay; the file is kept but not shown as confirmed.",
        try_this="Run the recipe again on this series.",
    )
