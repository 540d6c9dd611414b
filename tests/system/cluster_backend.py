"""A backend's jobs without the rest of it: ledger, executor and dispatcher on the files of one beamtime."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from program import wait_until

from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.executor import Executor
from backend.dispatch.folders import result_folder
from backend.dispatch.job_script import batch_name
from backend.dispatch.recipe import Recipe
from backend.frames import DetectorInfo, SeriesInfo
from backend.ledger import Ledger
from backend.settings import DispatchSettings
from backend.snapshot import JobRow

WRITE_RESULT = """
import os, sys, time, h5py, numpy
with open(sys.argv[2] + "/starts", "a") as file:
    file.write("x")
while os.path.exists(sys.argv[2] + "/wait"):
    time.sleep(0.02)
with h5py.File(sys.argv[1], "w") as file:
    file["/xpcs/multitau/normalized_g2"] = numpy.ones((3, 2))
    file["/xpcs/multitau/delay_list"] = numpy.arange(3)
    file["/xpcs/qmap/dynamic_roi_map"] = numpy.ones((4, 5), dtype="i4")
"""


class ClusterBackend:
    """One life of a backend; the next one on the same folder takes up its ledger."""

    def __init__(self, beamtime: Path, executor: Executor, recipe: Recipe) -> None:
        self.beamtime = beamtime
        raw, processed = beamtime / "raw", beamtime / "processed"
        processed.mkdir(exist_ok=True)
        self.ledger = Ledger(processed / "ledger.sqlite")
        self.dispatcher = Dispatcher(
            self.ledger,
            {recipe.name: recipe},
            [executor],
            DispatchSettings(time_limit_s=120, recipes_at_series_end=(recipe.name,)),
            results_of=lambda info: result_folder(raw, processed, info),
            beamtime=beamtime,
        )

    def series_ended(self) -> JobRow:
        """The only job that the end of the series leads to."""
        ended = self.dispatcher.series_ended(series_in(self.beamtime), 100)
        assert ended.problems == ()
        return ended.rows[0]

    @property
    def row(self) -> JobRow:
        """The newest job."""
        return self.dispatcher.job_rows()[0]

    @property
    def batch_name(self) -> str:
        """What the newest job is called on the cluster."""
        return batch_name(self.ledger.jobs(1)[0].intent)

    def poll_until(
        self, reached: str | Callable[[JobRow], bool], what: str = "", within_s: float = 60.0
    ) -> JobRow:
        """Follow the jobs until the newest one is in this state, or ``reached`` says so of it."""
        is_reached = (lambda row: row.state == reached) if isinstance(reached, str) else reached

        def step() -> bool:
            self.dispatcher.poll(time.time())
            return is_reached(self.row)

        try:
            wait_until(step, within_s, what or str(reached))
        except pytest.fail.Exception:
            pytest.fail(f"never {what or reached}: {self.row}")
        return self.row

    def end(self) -> None:
        """As if the backend ended; its jobs go on."""
        self.dispatcher.close()
        self.ledger.close()


def python_recipe(program: str, *arguments: str, **changes: object) -> Recipe:
    """A recipe called ``xpcs`` for the cluster that runs a Python program with these arguments."""
    quoted = program.replace("{", "{{").replace("}", "}}")
    document = {
        "name": "xpcs", "title": "t", "description": "d", "command": ["{python}", "-c", quoted, *arguments],
        "executor": "slurm", "text_sha256": "5" * 64,
    }  # fmt: skip
    return Recipe.model_validate(document | changes)


def series_in(beamtime: Path) -> SeriesInfo:
    """A series of 100 frames that lies where the detector would write it."""
    folder = beamtime / "raw" / "silica_00001" / "e4m"
    info = DetectorInfo("e4m", (514, 1030), np.dtype(np.uint16))
    return SeriesInfo("silica_00001", "silica", 1, folder, info, folder / "silica_00001_master.h5", 100)
