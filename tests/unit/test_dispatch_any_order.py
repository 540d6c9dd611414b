"""Whatever is lost in whatever order: one wish ends with exactly one result, or with a job that says why not."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path, PurePosixPath

import h5py
import numpy as np
from batch_model import BatchModel
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backend.beamtime.path_map import PathMap
from backend.dispatch.cluster_executor import ClusterExecutor
from backend.dispatch.cluster_rules import ClusterRules
from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.folders import result_folder
from backend.dispatch.recipe import Recipe
from backend.dispatch.scheduler import BatchState
from backend.frames import DetectorInfo, SeriesInfo
from backend.ledger import Ledger
from backend.settings import DispatchSettings
from backend.snapshot import JobRow

ENDS = ("done", "failed", "parked", "cancelled")


class _Killed(BaseException):
    """The backend dies here."""


def make_dispatcher(beamtime: Path, ledger: Ledger, cluster: BatchModel, clock: list[float]) -> Dispatcher:
    command = [
        "/bin/sh",
        "-c",
        'echo x >> "$2"/starts; cp "$2"/template.h5 "$1"',
        "sh",
        "{result}",
        "{beamtime}",
    ]
    document = {"name": "xpcs", "title": "t", "description": "d", "command": command, "executor": "slurm"}
    recipe = Recipe.model_validate(document | {"text_sha256": "7" * 64})
    executor = ClusterExecutor(
        cluster,
        PathMap(PurePosixPath(beamtime), PurePosixPath(beamtime)),
        ClusterRules(python="python3", poll_s=0.0),
        clock=lambda: clock[0],
    )
    return Dispatcher(
        ledger,
        {"xpcs": recipe},
        [executor],
        DispatchSettings(),
        results_of=lambda info: result_folder(beamtime / "raw", beamtime / "processed", info),
        beamtime=beamtime,
    )


def series(beamtime: Path, number: int = 1) -> SeriesInfo:
    name = f"silica_{number:05d}"
    folder = beamtime / "raw" / name / "e4m"
    info = DetectorInfo("e4m", (514, 1030), np.dtype(np.uint16))
    return SeriesInfo(name, "silica", number, folder, info, folder / f"{name}_master.h5", 100)


def write_template(beamtime: Path) -> None:
    with h5py.File(beamtime / "template.h5", "w") as file:
        file["/xpcs/multitau/normalized_g2"] = np.ones((3, 2))
        file["/xpcs/multitau/delay_list"] = np.arange(3)
        file["/xpcs/qmap/dynamic_roi_map"] = np.ones((4, 5), dtype="i4")


class OneWish(RuleBasedStateMachine):
    """One series, one recipe, and everything that may go wrong around them."""

    @initialize()
    def series_ends(self) -> None:
        self.beamtime = Path(tempfile.mkdtemp(prefix="wish-"))
        write_template(self.beamtime)
        self.cluster = BatchModel()
        self.clock = [1000.0]
        self.crashed = False
        self._begin()
        self.dispatcher.series_ended(series(self.beamtime), 100)

    def _begin(self) -> None:
        self.ledger = Ledger(self.beamtime / "processed" / "ledger.sqlite")
        self.dispatcher = make_dispatcher(self.beamtime, self.ledger, self.cluster, self.clock)

    def _end(self) -> None:
        self.dispatcher.close()
        self.ledger.close()

    @property
    def row(self) -> JobRow:
        (row,) = self.dispatcher.job_rows()
        return row

    @property
    def starts(self) -> int:
        file = self.beamtime / "starts"
        return len(file.read_text().split()) if file.exists() else 0

    @rule(times=st.integers(1, 5))
    def polls(self, times: int) -> None:
        for _ in range(times):
            self.dispatcher.poll(time.time())

    @rule()
    def all_goes_well_for_a_while(self) -> None:
        self.polls(3)
        self.cluster_works()

    @rule(seconds=st.sampled_from([1.0, 20.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock[0] += seconds

    @rule()
    def cluster_works(self) -> None:
        if self.cluster.reachable:
            self.cluster.run_all()

    @rule(state=st.sampled_from([BatchState.NODE_LOST, BatchState.ENDED_BADLY]))
    def jobs_crash(self, state: BatchState) -> None:
        if self.cluster.reachable:
            self.cluster.crash_all(state)
            self.crashed = True

    @rule(lost=st.sampled_from(["before", "after"]))
    def next_reply_is_lost(self, lost: str) -> None:
        self.cluster.lost_reply = lost

    @rule()
    def network_changes(self) -> None:
        self.cluster.reachable = not self.cluster.reachable

    @rule()
    def controller_forgets(self) -> None:
        self.cluster.forget_newest()

    @rule()
    def controller_starts_again_what_has_begun(self) -> None:
        self.cluster.start_again()

    @rule()
    def backend_restarts(self) -> None:
        self._end()
        self._begin()

    @rule()
    def backend_dies_before_it_writes_down_what_happened(self) -> None:
        def die(*_: object) -> None:
            raise _Killed

        self.ledger.update_job = die  # type: ignore[method-assign]
        try:
            self.dispatcher.poll(time.time())
        except _Killed:
            # What it had begun stays as it is.
            pass
        self._end()
        self._begin()

    @precondition(lambda self: self.row.state not in ENDS)
    @rule()
    def person_cancels(self) -> None:
        self.dispatcher.cancel(self.row.job_id)

    @invariant()
    def work_is_done_once_at_most(self) -> None:
        assert self.starts <= 1

    @invariant()
    def done_means_done(self) -> None:
        if self.row.state == "done":
            assert self.starts == 1 and self.dispatcher.result_of(self.row.job_id).is_good

    def teardown(self) -> None:
        if not hasattr(self, "beamtime"):
            return
        self.cluster.reachable = True
        for _ in range(40):
            if self.row.state in ENDS:
                break
            self.clock[0] += 400.0
            self.polls(3)
            self.cluster.run_all()
        row = self.row
        assert row.state in ENDS, row
        assert row.state != "failed" or self.crashed, row
        assert row.state == "done" or row.reason, row
        if row.state == "parked":
            assert self.starts == 0
        self._end()
        shutil.rmtree(self.beamtime)


TestOneWish = OneWish.TestCase
TestOneWish.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_nobody_waits_for_the_network(tmp_path: Path) -> None:
    """While the cluster lets a question wait, the table is read and jobs are cancelled at once."""
    write_template(tmp_path)
    asked, answer = threading.Event(), threading.Event()

    class Slow(BatchModel):
        def jobs(self):  # type: ignore[no-untyped-def]
            asked.set()
            assert answer.wait(30.0)
            return super().jobs()

    ledger = Ledger(tmp_path / "processed" / "ledger.sqlite")
    clock = [1000.0]
    dispatcher = make_dispatcher(tmp_path, ledger, Slow(), clock)
    (row,) = dispatcher.series_ended(series(tmp_path), 100).rows
    dispatcher.poll(time.time())
    polling = threading.Thread(target=dispatcher.poll, args=(time.time(),))
    polling.start()
    try:
        assert asked.wait(30.0)
        began = time.monotonic()
        assert dispatcher.job_rows()[0].state == "submitted"
        assert dispatcher.cancel(row.job_id).reason == "Stopping."
        assert dispatcher.series_ended(series(tmp_path), 100).rows == ()
        assert time.monotonic() - began < 5.0 and polling.is_alive()
    finally:
        answer.set()
        polling.join(30.0)
    for _ in range(3):
        clock[0] += 400.0
        dispatcher.poll(time.time())
    assert dispatcher.job_rows()[0].state == "cancelled"
    ledger.close()
