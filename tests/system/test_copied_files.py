"""Jobs on a cluster that cannot see the beamtime folder: copies over a real SSH server, cut in the middle too."""

from __future__ import annotations

import os
import random
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import h5py
import pytest
from program import wait_until
from slurm_over_ssh import SlurmOverSsh, running_cluster

from backend.beamtime.folder import BeamtimeFolder
from backend.cluster_access import open_cluster
from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.folders import result_folder
from backend.dispatch.recipe import Recipe
from backend.frames import DetectorInfo, SeriesInfo
from backend.ledger import Ledger
from backend.settings import DispatchSettings, load_settings
from backend.simulation.beamtime_tree import write_beamtime_skeleton
from backend.snapshot import JobRow

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SUM_AND_WRITE = """
import hashlib, os, pathlib, sys, h5py, numpy
master = pathlib.Path(sys.argv[1])
sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(master.parent.iterdir())
        if not file.name.startswith(".part-")]
with h5py.File(sys.argv[2], "w") as file:
    file["/xpcs/multitau/normalized_g2"] = numpy.ones((3, 2))
    file["/xpcs/multitau/delay_list"] = numpy.arange(3)
    file["/xpcs/qmap/dynamic_roi_map"] = numpy.ones((4, 5), dtype="i4")
    file["noise"] = numpy.frombuffer(os.urandom(int(sys.argv[3])), dtype="u1")
    file.attrs["sums"] = sums
print("summed up")
"""
DATA_BYTES = 24_000_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmOverSsh]:
    with running_cluster() as cluster:
        yield cluster


class Backend:
    """One life of a backend whose cluster has a disk of its own."""

    def __init__(self, site: Path, cluster: SlurmOverSsh, rate_mb_per_s: float, result_bytes: int) -> None:
        self.current = site / "current"
        self.there = site / "cluster-disk" / "mento-gui"
        settings = site / "settings.toml"
        settings.write_text(
            f'[cluster]\nhost = "127.0.0.1"\nport = {cluster.port}\nuser = "{cluster.user}"\n'
            f'key_file = "{cluster.key_file}"\nknown_hosts = "{cluster.known_hosts}"\npartition = "short"\n'
            f'python = "{sys.executable}"\nfiles = "copy"\nbeamtime_folder = "{self.there}"\npoll_s = 0.5\n'
            f"copy_rate_mb_per_s = {rate_mb_per_s}\nunseen_s = 5\n"
        )
        self.ledger = Ledger(self.current / "processed" / "ledger.sqlite")
        self.executor = open_cluster(
            BeamtimeFolder(self.current, "current"), load_settings(settings), self.current / "processed"
        )
        self.dispatcher = Dispatcher(
            self.ledger,
            {"xpcs": _recipe(result_bytes)},
            [self.executor],
            DispatchSettings(time_limit_s=120),
            results_of=lambda info: result_folder(self.current / "raw", self.current / "processed", info),
            beamtime=self.current,
        )

    @property
    def row(self) -> JobRow:
        return self.dispatcher.job_rows()[0]

    def series_ended(self) -> JobRow:
        ended = self.dispatcher.series_ended(_series(self.current), 100)
        assert ended.problems == ()
        return ended.rows[0]

    def poll_until(self, reached: Callable[[JobRow], bool], what: str, within_s: float = 60.0) -> JobRow:
        def step() -> bool:
            self.dispatcher.poll(time.time())
            return reached(self.row)

        try:
            wait_until(step, within_s, what)
        except pytest.fail.Exception:
            pytest.fail(f"never {what}: {self.row}")
        return self.row

    def end(self) -> None:
        self.dispatcher.close()
        self.ledger.close()


@pytest.fixture
def start(tmp_path: Path, cluster: SlurmOverSsh) -> Iterator[Callable[..., Backend]]:
    lives: list[Backend] = []
    detector = write_beamtime_skeleton(tmp_path) / "raw" / "silica_00001" / "e4m"
    detector.mkdir(parents=True)
    (detector / "silica_00001_master.h5").write_bytes(b"master")
    (detector / "silica_00001_data_000001.h5").write_bytes(random.Random(1).randbytes(DATA_BYTES))

    def begin(rate_mb_per_s: float = 1000.0, result_bytes: int = 1000) -> Backend:
        lives.append(Backend(tmp_path, cluster, rate_mb_per_s, result_bytes))
        return lives[-1]

    yield begin
    for life in lives:
        life.end()


def _recipe(result_bytes: int) -> Recipe:
    quoted = SUM_AND_WRITE.replace("{", "{{").replace("}", "}}")
    command = ["{python}", "-c", quoted, "{master}", "{result}", str(result_bytes)]
    document = {"name": "xpcs", "title": "t", "description": "d", "command": command, "executor": "slurm"}
    return Recipe.model_validate(document | {"text_sha256": "5" * 64})


def _series(beamtime: Path) -> SeriesInfo:
    import numpy as np

    folder = beamtime / "raw" / "silica_00001" / "e4m"
    info = DetectorInfo("e4m", (514, 1030), np.dtype(np.uint16))
    return SeriesInfo("silica_00001", "silica", 1, folder, info, folder / "silica_00001_master.h5", 100)


def _is_done(row: JobRow) -> bool:
    return row.state == "done"


def _check_result(backend: Backend) -> None:
    """One good result here, made from the very data that are here."""
    import hashlib

    (row,) = backend.dispatcher.job_rows()
    assert backend.dispatcher.result_of(row.job_id).is_good
    result = Path(row.result_path)
    assert result.is_relative_to(backend.current) and not stat.S_IMODE(result.stat().st_mode) & stat.S_IWOTH
    detector = backend.current / "raw" / "silica_00001" / "e4m"
    sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(detector.iterdir())]
    with h5py.File(result, "r") as file:
        assert list(file.attrs["sums"]) == sums
    assert not list(result.parent.glob(".part-*"))


def _cut_all(cluster: SlurmOverSsh) -> None:
    """Kill the server's processes of all open connections; it takes new ones."""
    server = int((cluster.folder / "pids" / "sshd.pid").read_text())
    for child in Path(f"/proc/{server}/task/{server}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


def test_data_go_there_and_the_result_comes_back(start: Callable[..., Backend]) -> None:
    backend = start()
    backend.series_ended()
    backend.poll_until(_is_done, "done")
    _check_result(backend)
    assert backend.row.last_line == "The result is complete."
    copy = backend.there / "raw" / "silica_00001" / "e4m" / "silica_00001_data_000001.h5"
    assert stat.S_IMODE(copy.stat().st_mode) & 0o007 == 0
    # A second job on the same data sends nothing again.
    before = copy.stat().st_mtime_ns
    backend.dispatcher.run(_series(backend.current), "xpcs")
    backend.poll_until(_is_done, "done")
    assert copy.stat().st_mtime_ns == before


def test_a_cut_in_the_middle_of_the_upload_goes_on_from_there(
    start: Callable[..., Backend], cluster: SlurmOverSsh
) -> None:
    backend = start(rate_mb_per_s=4.0)
    backend.series_ended()
    part = backend.there / "raw" / "silica_00001" / "e4m" / ".part-silica_00001_data_000001.h5"
    backend.poll_until(lambda _: part.exists() and part.stat().st_size > DATA_BYTES / 3, "a third is there")
    assert backend.row.state == "queued" and "Copying to the cluster: 0.0" in backend.row.reason
    _cut_all(cluster)
    at_the_cut = part.stat().st_size
    backend.poll_until(lambda _: part.exists() and part.stat().st_size > at_the_cut, "it goes on")
    assert part.stat().st_size < DATA_BYTES, "it was sent anew in one piece"
    backend.poll_until(_is_done, "done", within_s=90.0)
    _check_result(backend)


def test_the_next_backend_goes_on_and_what_arrived_wrong_is_sent_again(start: Callable[..., Backend]) -> None:
    first = start(rate_mb_per_s=4.0)
    first.series_ended()
    part = first.there / "raw" / "silica_00001" / "e4m" / ".part-silica_00001_data_000001.h5"
    first.poll_until(lambda _: part.exists() and part.stat().st_size > DATA_BYTES / 3, "a third is there")
    first.end()
    # A page of it was lost by the disk there.
    with part.open("r+b") as file:
        file.seek(100_000)
        file.write(bytes(4096))
    second = start(rate_mb_per_s=50.0)
    second.poll_until(lambda row: "did not arrive as it is here" in row.reason, "the checksum differs")
    second.poll_until(_is_done, "done")
    _check_result(second)


def test_a_cut_in_the_middle_of_the_result(start: Callable[..., Backend], cluster: SlurmOverSsh) -> None:
    backend = start(rate_mb_per_s=4.0, result_bytes=16_000_000)
    backend.series_ended()

    def fetching(_: JobRow) -> bool:
        return any(part.stat().st_size > 4_000_000 for part in backend.current.rglob(".part-*_results.h5"))

    backend.poll_until(fetching, "a part of the result is here", within_s=90.0)
    assert not list(backend.current.rglob("done.json")) and not list(
        backend.current.rglob("silica_*_results.h5")
    )
    _cut_all(cluster)
    backend.poll_until(_is_done, "done", within_s=90.0)
    _check_result(backend)


def test_a_result_that_is_wrong_there_is_never_called_good(start: Callable[..., Backend]) -> None:
    # It takes eight seconds to fetch: long enough to spoil it.
    backend = start(rate_mb_per_s=2.0, result_bytes=16_000_000)
    backend.series_ended()
    backend.poll_until(lambda _: bool(list(backend.there.rglob("done.json"))), "the job has ended there")
    (result,) = backend.there.rglob("*_results.h5")
    os.truncate(result, 1_000_000)
    row = backend.poll_until(lambda row: row.state in ("failed", "done"), "ended")
    assert row.state == "failed" and "1000000 bytes, the job wrote" in row.reason


def test_a_series_that_is_gone_is_told(start: Callable[..., Backend]) -> None:
    backend = start()
    (backend.current / "raw" / "silica_00001" / "e4m").rename(backend.current / "raw" / "moved")
    backend.series_ended()
    row = backend.poll_until(lambda row: row.state == "failed", "failed")
    assert PurePosixPath(row.result_path).name not in os.listdir(backend.current / "processed")
