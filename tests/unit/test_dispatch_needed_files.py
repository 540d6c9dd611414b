"""Which files go along with a job, and how fast."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from backend.dispatch.job import JobIntent
from backend.dispatch.needed_files import needed_files
from backend.dispatch.pace import Pace, StreamStoppedError


def intent(beamtime: Path, *command: str) -> JobIntent:
    folder = beamtime / "processed" / "job"
    return JobIntent(
        job_id="silica_00001-xpcs-1", series="silica_00001", detector="e4m", recipe="xpcs", recipe_sha256="",
        attempt=1, retries_left=0, executor="slurm", command=command, folder=folder, part_path=folder / ".part",
        result_path=folder / "result.h5", time_limit_s=60.0, nice=0, submitted_at=0.0,
    )  # fmt: skip


@pytest.fixture
def beamtime(tmp_path: Path) -> Path:
    for name in (
        "raw/silica_00001/silica_00001.fio", "raw/silica_00001/e4m/silica_00001_master.h5",
        "raw/silica_00001/e4m/silica_00001_data_000001.h5", "raw/silica_00001/e4m/silica_00001.batchinfo",
        "raw/silica_00001/e4m/silica_00002_master.h5", "raw/silica_00001/e4m/other.txt", "raw/silica_00001x/a",
        "processed/mento-gui/settings.toml", "shared/mask.npy",
    ):  # fmt: skip
        (tmp_path / "current" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "current" / name).touch()
    (tmp_path / "outside.npy").touch()
    return tmp_path / "current"


def test_with_the_master_go_all_files_of_its_series(beamtime: Path) -> None:
    job = intent(beamtime, "python", "correlate", f"{beamtime}/raw/silica_00001/e4m/silica_00001_master.h5")
    names = [str(file.relative_to(beamtime / "raw" / "silica_00001")) for file in needed_files(job, beamtime)]
    assert names == [
        "e4m/silica_00001.batchinfo", "e4m/silica_00001_data_000001.h5", "e4m/silica_00001_master.h5",
        "silica_00001.fio",
    ]  # fmt: skip


def test_other_files_go_alone_and_folders_or_strangers_not_at_all(beamtime: Path) -> None:
    job = intent(
        beamtime, "/bin/sh", f"--mask={beamtime}/shared/mask.npy", f"{beamtime}/processed/mento-gui/settings.toml",
        str(beamtime), f"{beamtime}/processed/not-yet.h5", f"{beamtime}/../outside.npy", "shared/mask.npy",
        f"{beamtime.parent}/outside.npy",
    )  # fmt: skip
    names = [str(file.relative_to(beamtime)) for file in needed_files(job, beamtime)]
    assert names == ["processed/mento-gui/settings.toml", "shared/mask.npy"]
    assert needed_files(replace(job, command=("true",)), beamtime) == ()


def test_a_stream_keeps_to_its_rate_and_does_not_catch_up() -> None:
    now = [0.0]

    class Waits(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            now[0] += timeout or 0.0
            return self.is_set()

    stop = Waits()
    pace = Pace(1000.0, stop, lambda: now[0])
    for _ in range(10):
        pace.passed(500)
    # A second's worth may go at once.
    assert 4.0 <= now[0] <= 5.0
    now[0] += 100.0
    began = now[0]
    for _ in range(10):
        pace.passed(500)
    assert 4.0 <= now[0] - began <= 5.0
    stop.set()
    with pytest.raises(StreamStoppedError):
        pace.passed(1)
