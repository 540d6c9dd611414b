"""A cluster that takes no jobs: they wait or run here, never in both places, and the banner says what is going on."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from batch_model import BatchModel
from test_dispatch_any_order import series, write_template

from backend.beamtime.path_map import PathMap
from backend.dispatch.cluster_executor import ClusterExecutor
from backend.dispatch.cluster_rules import ClusterRules
from backend.dispatch.cluster_watch import ClusterWatch
from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.executor import NotNowError, cannot_prepare
from backend.dispatch.folders import result_folder
from backend.dispatch.job import JobState
from backend.dispatch.local_executor import LocalExecutor
from backend.dispatch.recipe import Recipe
from backend.dispatch.room_on_disk import when_there_is_room
from backend.dispatch.scheduler import BatchState
from backend.errors import DispatchError
from backend.frames import SourceNotice
from backend.ledger import Ledger
from backend.settings import DispatchSettings
from backend.snapshot import JobRow

DO_WORK = 'echo x >> "$2"/starts; cp "$2"/template.h5 "$1"'


class Life:
    """A dispatcher with a cluster and this computer; ``now`` is its clock."""

    def __init__(self, beamtime: Path, without_cluster: str) -> None:
        self.beamtime = beamtime
        self.cluster = BatchModel()
        self.now = time.time()
        self.without_cluster = without_cluster
        self.begin()

    def begin(self) -> None:
        command = ["/bin/sh", "-c", DO_WORK, "sh", "{result}", "{beamtime}"]
        document = {
            "name": "xpcs", "title": "t", "description": "d", "command": command, "executor": "slurm",
            "without_cluster": self.without_cluster, "text_sha256": "7" * 64,
        }  # fmt: skip
        here = PurePosixPath(self.beamtime)
        rules = ClusterRules(python="python-there", poll_s=0.0, idle_poll_s=0.0)
        there = ClusterExecutor(self.cluster, PathMap(here, here), rules, clock=lambda: self.now)
        self.ledger = Ledger(self.beamtime / "processed" / "ledger.sqlite")
        self.dispatcher = Dispatcher(
            self.ledger,
            {"xpcs": Recipe.model_validate(document)},
            [LocalExecutor(parallel_jobs=4), there],
            DispatchSettings(local_after_s=60.0),
            results_of=lambda info: result_folder(self.beamtime / "raw", self.beamtime / "processed", info),
            beamtime=self.beamtime,
        )

    def end(self) -> None:
        self.dispatcher.close()
        self.ledger.close()

    @property
    def rows(self) -> tuple[JobRow, ...]:
        return self.dispatcher.job_rows()

    @property
    def banner(self) -> SourceNotice:
        return next(notice for notice in self.dispatcher.outages.notices if notice.key == "outage-slurm")

    @property
    def starts(self) -> str:
        file = self.beamtime / "starts"
        return file.read_text() if file.exists() else ""

    def series_ends(self, number: int = 1) -> JobRow:
        (row,) = self.dispatcher.series_ended(series(self.beamtime, number), 100).rows
        return row

    def poll(self, times: int = 1, after_s: float = 0.0) -> None:
        self.now += after_s
        for _ in range(times):
            self.dispatcher.poll(self.now)

    def poll_until_done(self) -> None:
        until = time.monotonic() + 60.0
        while not all(row.state == "done" for row in self.rows):
            assert time.monotonic() < until, self.rows
            self.poll()


@pytest.fixture
def beamtime(tmp_path: Path) -> Path:
    folder = tmp_path / "current"
    folder.mkdir()
    write_template(folder)
    return folder


@pytest.fixture
def patient(beamtime: Path) -> Iterator[Life]:
    """Its recipe waits for the cluster."""
    life = Life(beamtime, "wait")
    yield life
    life.end()


@pytest.fixture
def flexible(beamtime: Path) -> Iterator[Life]:
    """Its recipe may do without the cluster."""
    life = Life(beamtime, "local")
    yield life
    life.end()


def test_jobs_wait_and_drain_newest_first(patient: Life) -> None:
    patient.cluster.reachable = False
    for number in (1, 2, 3):
        patient.series_ends(number)
    patient.poll(after_s=10.0)
    assert (
        patient.banner.what.startswith("The cluster takes no jobs") and "no connection" in patient.banner.what
    )
    assert patient.banner.still_works.startswith("3 jobs wait and will be handed over, the newest first.")
    patient.poll(after_s=1000.0)
    assert [row.state for row in patient.rows] == ["queued"] * 3
    patient.cluster.reachable = True
    patient.poll(after_s=1000.0)
    assert [job.key.partition("-")[0] for job in patient.cluster.known.values()] == [
        "silica_00003", "silica_00002", "silica_00001",
    ]  # fmt: skip
    assert patient.banner.what == ""


@pytest.mark.parametrize("cause", ["unreachable", "reservation"])
def test_after_a_while_a_job_runs_here_where_its_recipe_allows_it(flexible: Life, cause: str) -> None:
    flexible.cluster.reachable = cause != "unreachable"
    flexible.cluster.refuses = "Requested reservation is invalid" if cause == "reservation" else ""
    row = flexible.series_ends()
    flexible.poll()
    flexible.poll(after_s=59.0)
    assert flexible.rows[0].executor == "slurm" and flexible.rows[0].state == "queued"
    flexible.poll(after_s=2.0)
    assert flexible.rows[0].executor == "local"
    assert "1 job runs on this computer instead." in flexible.banner.still_works
    flexible.poll_until_done()
    flexible.poll()
    assert flexible.starts == "x\n" and flexible.banner.what == ""
    assert flexible.rows[0].job_id == row.job_id and flexible.cluster.known == {}


def test_a_move_survives_the_backend(flexible: Life) -> None:
    flexible.cluster.reachable = False
    flexible.series_ends()
    flexible.poll()
    flexible.poll(after_s=61.0)
    assert flexible.rows[0].executor == "local"
    flexible.end()
    flexible.begin()
    assert flexible.rows[0].executor == "local"
    flexible.poll_until_done()
    assert flexible.starts == "x\n"


def test_a_job_that_the_cluster_has_does_not_move(flexible: Life) -> None:
    flexible.series_ends()
    flexible.poll(times=2)
    flexible.cluster.reachable = False
    flexible.poll()
    flexible.poll(after_s=5000.0)
    assert (flexible.rows[0].executor, flexible.rows[0].state) == ("slurm", "unknown")
    assert flexible.banner.still_works.startswith("1 job is there, and will be followed again.")
    flexible.cluster.reachable = True
    flexible.cluster.run_all()
    flexible.poll_until_done()
    assert flexible.starts == "x\n"


def test_should_the_cluster_begin_a_moved_job_after_all_the_first_one_works(flexible: Life) -> None:
    flexible.series_ends()
    flexible.poll(times=2)
    (number,) = flexible.cluster.known
    lost = flexible.cluster.known[number]
    # Its node is lost before the job began, so it counts as not started; then the cluster is out of reach.
    flexible.cluster.known[number] = type(lost)(
        number=number, key=lost.key, submitted=lost.submitted, state=BatchState.NODE_LOST
    )
    flexible.poll()
    flexible.poll(after_s=30.0)
    assert flexible.rows[0].state == "queued"
    flexible.cluster.reachable = False
    flexible.poll(after_s=400.0)
    flexible.poll(after_s=61.0)
    assert flexible.rows[0].executor == "local"
    # The node comes back and the job begins there.
    flexible.cluster.known[number] = lost
    flexible.cluster.reachable = True
    flexible.cluster.release(lost)
    flexible.cluster.run_all()
    flexible.poll_until_done()
    assert flexible.starts == "x\n"


def test_a_job_whose_reservation_is_gone_is_taken_back(flexible: Life) -> None:
    flexible.series_ends()
    flexible.poll(times=2)
    flexible.cluster.delete_reservation()
    flexible.cluster.refuses = "Requested reservation is invalid"
    flexible.poll(times=2)
    flexible.poll(after_s=30.0)
    assert flexible.rows[0].state == "queued"
    assert [job.state for job in flexible.cluster.known.values()] == [BatchState.CANCELLED]
    flexible.poll(after_s=61.0)
    flexible.poll_until_done()
    assert flexible.starts == "x\n" and flexible.rows[0].executor == "local"


def test_a_job_that_has_begun_and_waits_again_is_not_called_running(patient: Life) -> None:
    patient.series_ends()
    patient.poll(times=2)
    patient.cluster.crash_all(BatchState.NODE_LOST)
    patient.cluster.start_again()
    patient.poll()
    assert patient.rows[0].state == "running"
    patient.poll(after_s=30.0)
    assert patient.rows[0].state == "unknown" and "waiting again" in patient.rows[0].reason


def test_nothing_is_said_of_jobs_while_their_folder_is_gone(patient: Life, tmp_path: Path) -> None:
    patient.series_ends()
    patient.poll(times=2)
    before = patient.rows
    patient.beamtime.rename(tmp_path / "away")
    with pytest.raises(DispatchError, match="is gone"):
        patient.poll(after_s=10_000.0)
    (tmp_path / "current").mkdir()
    with pytest.raises(DispatchError, match="another one"):
        patient.poll()
    (tmp_path / "current").rmdir()
    assert patient.rows == before
    (tmp_path / "away").rename(patient.beamtime)
    patient.cluster.run_all()
    patient.poll_until_done()
    assert patient.starts == "x\n"


def test_a_full_disk_is_a_matter_of_time() -> None:
    assert isinstance(
        cannot_prepare("job", OSError(errno.ENOSPC, "No space left on device", "/p")), NotNowError
    )
    assert isinstance(cannot_prepare("job", OSError(errno.EDQUOT, "Disk quota exceeded", "/p")), NotNowError)
    assert not isinstance(
        cannot_prepare("job", OSError(errno.EACCES, "Permission denied", "/p")), NotNowError
    )


def test_the_queue_is_looked_at_ever_more_rarely_while_nothing_changes(patient: Life) -> None:
    patient.series_ends()
    patient.poll()
    jobs = list(patient.ledger.jobs(1))
    now = [0.0]
    watch = ClusterWatch(patient.cluster, 5.0, 60.0, clock=lambda: now[0])
    looked_at = []
    for second in range(600):
        now[0] = float(second)
        if watch.look(jobs):
            looked_at.append(second)
    pauses = [later - earlier for earlier, later in zip(looked_at, looked_at[1:], strict=False)]
    assert pauses[0] == 5 and pauses == sorted(pauses) and pauses[-1] == 60
    watch.hurry()
    assert watch.look(jobs)
    assert jobs[0].status.state is JobState.SUBMITTED


def test_what_must_not_be_lost_waits_for_room() -> None:
    errors = [OSError(errno.ENOSPC, "full"), OSError(errno.EDQUOT, "quota")]

    def write() -> str:
        if errors:
            raise errors.pop()
        return "written"

    assert when_there_is_room(write, 60.0, lambda: False) == "written"
    errors.append(OSError(errno.ENOSPC, "full"))
    with pytest.raises(OSError, match="full"):
        when_there_is_room(write, 60.0, lambda: True)
    errors.append(OSError(errno.EACCES, "not allowed"))
    with pytest.raises(OSError, match="not allowed"):
        when_there_is_room(write, 60.0, lambda: False)
