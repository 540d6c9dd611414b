"""Lives of a backend: dispatcher, real ledger and local executor on the files of a beamtime."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.folders import result_folder
from backend.dispatch.local_executor import LocalExecutor
from backend.dispatch.process_identity import JOB_MARK, processes_marked
from backend.dispatch.recipe import Recipe
from backend.frames import DetectorInfo, SeriesInfo
from backend.ledger import Ledger
from backend.settings import DispatchSettings
from backend.snapshot import JobRow

WRITE_RESULT = """
import sys, h5py, numpy
with h5py.File(sys.argv[1], "w") as file:
    file["/xpcs/multitau/normalized_g2"] = numpy.ones((3, 2))
    file["/xpcs/multitau/delay_list"] = numpy.arange(3)
    file["/xpcs/qmap/dynamic_roi_map"] = numpy.ones((4, 5), dtype="i4")
"""
WAIT_FOR_GO = (
    """
import os, time
print("progress 0.42", file=sys.stderr)
print("waiting for go", flush=True)
while not os.path.exists(sys.argv[2] + "/go"):
    time.sleep(0.01)
"""
    + WRITE_RESULT
)


def recipe(program: str = WRITE_RESULT, name: str = "xpcs", retries: int = 0, **changes: object) -> Recipe:
    quoted = program.replace("{", "{{").replace("}", "}}")
    command = ["{python}", "-c", "import sys\n" + quoted, "{result}", "{beamtime}"]
    document = {"name": name, "title": "t", "description": "d", "command": command, "retries": retries}
    return Recipe.model_validate(document | {"text_sha256": f"{retries}{len(program)}".zfill(64)} | changes)


def series(beamtime: Path, number: int = 1, detector: str = "e4m") -> SeriesInfo:
    name = f"silica_{number:05d}"
    folder = beamtime / "raw" / name / detector
    info = DetectorInfo(detector, (514, 1030), np.dtype(np.uint16))
    return SeriesInfo(name, "silica", number, folder, info, folder / f"{name}_master.h5", expected_frames=100)


class Backend:
    """One life of a backend: ledger, executor and dispatcher on the files of a beamtime."""

    def __init__(self, beamtime: Path, *recipes: Recipe, parallel_jobs: int = 1, **settings: object) -> None:
        self.ledger = Ledger(beamtime / "processed" / "ledger.sqlite")
        names = tuple(entry.name for entry in recipes)
        chosen = DispatchSettings.model_validate({"recipes_at_series_end": names} | settings)
        self.dispatcher = Dispatcher(
            self.ledger,
            {entry.name: entry for entry in recipes},
            [LocalExecutor(parallel_jobs)],
            chosen,
            results_of=lambda info: result_folder(beamtime / "raw", beamtime / "processed", info),
            beamtime=beamtime,
        )

    def row(self, job_id: str) -> JobRow:
        return next(row for row in self.dispatcher.job_rows() if row.job_id == job_id)

    def poll_until(self, condition: Callable[[], bool]) -> list[JobRow]:
        deadline = time.monotonic() + 30.0
        changed: list[JobRow] = []
        while not condition():
            assert time.monotonic() < deadline, self.dispatcher.job_rows()
            changed += self.dispatcher.poll(time.time())
            time.sleep(0.01)
        return changed

    def poll_until_over(self) -> list[JobRow]:
        over = {"done", "failed", "cancelled"}
        return self.poll_until(lambda: {row.state for row in self.dispatcher.job_rows()} <= over)

    def end(self) -> None:
        self.dispatcher.close()
        self.ledger.close()


@contextmanager
def lives_in(beamtime: Path) -> Iterator[Callable[..., Backend]]:
    """Begins backends one after the other on the same files; all they started is gone afterwards."""
    lives: list[Backend] = []

    def begin(*recipes: Recipe, **settings: object) -> Backend:
        lives.append(Backend(beamtime, *recipes, **settings))  # type: ignore[arg-type]
        return lives[-1]

    yield begin
    (beamtime / "go").touch()
    for life in lives:
        for row in life.dispatcher.job_rows():
            for pid in processes_marked(JOB_MARK, row.job_id):
                # It may end by itself just now.
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        life.end()
