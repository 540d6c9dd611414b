"""The dispatcher with a real ledger and real processes, across crashes and restarts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.folders import result_folder
from backend.dispatch.job import CLAIM_FILE, DONE_FILE, INTENT_FILE, write_record
from backend.dispatch.local_executor import LocalExecutor
from backend.dispatch.process_identity import JOB_MARK, processes_marked
from backend.dispatch.recipe import Recipe
from backend.errors import DispatchError
from backend.frames import DetectorInfo, SeriesInfo
from backend.ledger import Ledger
from backend.ledger_file import LedgerError
from backend.settings import DispatchSettings
from backend.snapshot import JobRow

ROOT = Path(__file__).parents[2]
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


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Backend]]:
    lives: list[Backend] = []

    def begin(*recipes: Recipe, **settings: object) -> Backend:
        lives.append(Backend(tmp_path, *recipes, **settings))  # type: ignore[arg-type]
        return lives[-1]

    yield begin
    (tmp_path / "go").touch()
    for life in lives:
        for row in life.dispatcher.job_rows():
            for pid in processes_marked(JOB_MARK, row.job_id):
                # It may end by itself just now.
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        life.end()


def test_a_series_end_leads_to_one_checked_result(start: Callable[..., Backend], tmp_path: Path) -> None:
    backend = start(recipe())
    ended = backend.dispatcher.series_ended(series(tmp_path), 100)
    assert ended.problems == () and [row.state for row in ended.rows] == ["queued"]
    changed = backend.poll_until_over()
    assert [row.state for row in changed][0] == "running" and changed[-1].state == "done"
    (row,) = backend.dispatcher.job_rows()
    expected = tmp_path / "processed/onlineanalysis/silica_00001/e4m/silica_00001_xpcs_results.h5"
    assert Path(row.result_path) == expected and expected.exists()
    assert (row.progress, row.executor) == (1.0, "local")
    assert row.submitted_at <= row.started_at <= row.ended_at
    assert backend.dispatcher.result_of(row.job_id).is_good
    assert backend.dispatcher.poll(time.time()) == []
    assert [step.state for step in backend.ledger.job_history(row.job_id)] == ["queued", "running", "done"]


def test_a_series_that_ends_again_gives_no_second_job(start: Callable[..., Backend], tmp_path: Path) -> None:
    first = start(recipe())
    first.dispatcher.series_ended(series(tmp_path), 100)
    assert first.dispatcher.series_ended(series(tmp_path), 100).rows == ()
    first.poll_until_over()
    first.end()
    second = start(recipe())
    assert second.dispatcher.series_ended(series(tmp_path), 100).rows == ()
    assert len(second.dispatcher.series_ended(series(tmp_path, detector="e500"), 100).rows) == 1
    second.poll_until_over()
    assert [row.state for row in second.dispatcher.job_rows()] == ["done", "done"]


def test_one_bad_recipe_does_not_stop_the_others(start: Callable[..., Backend], tmp_path: Path) -> None:
    backend = start(recipe(), recipes_at_series_end=["typo", "xpcs"])
    ended = backend.dispatcher.series_ended(series(tmp_path), 100)
    assert [row.recipe for row in ended.rows] == ["xpcs"]
    assert "no recipe typo; known are xpcs" in ended.problems[0].what
    with pytest.raises(DispatchError, match="no recipe typo"):
        backend.dispatcher.run(series(tmp_path), "typo")


def test_a_recipe_is_left_out_where_it_does_not_apply(start: Callable[..., Backend], tmp_path: Path) -> None:
    backend = start(recipe(applies_to={"min_frames": 200}))
    assert backend.dispatcher.series_ended(series(tmp_path), 100).rows == ()


def test_asking_again_runs_again_beside_the_first_result(
    start: Callable[..., Backend], tmp_path: Path
) -> None:
    backend = start(recipe())
    backend.dispatcher.series_ended(series(tmp_path), 100)
    again = backend.dispatcher.run(series(tmp_path), "xpcs")
    assert again.job_id.endswith("-2")
    backend.poll_until_over()
    paths = {row.result_path for row in backend.dispatcher.job_rows()}
    assert len(paths) == 2 and all(Path(path).exists() for path in paths)


def test_newest_first_and_no_more_at_once_than_allowed(start: Callable[..., Backend], tmp_path: Path) -> None:
    backend = start(recipe(WAIT_FOR_GO), parallel_jobs=2)
    for number in range(1, 5):
        backend.dispatcher.series_ended(series(tmp_path, number), 100)
    backend.dispatcher.poll(time.time())
    states = {row.series: row.state for row in backend.dispatcher.job_rows()}
    assert list(states) == ["silica_00004", "silica_00003", "silica_00002", "silica_00001"]
    assert list(states.values()) == ["running", "running", "queued", "queued"]
    (tmp_path / "go").touch()
    backend.poll_until_over()
    assert {row.state for row in backend.dispatcher.job_rows()} == {"done"}


def test_progress_and_last_line_are_shown(start: Callable[..., Backend], tmp_path: Path) -> None:
    backend = start(recipe(WAIT_FOR_GO))
    (row,) = backend.dispatcher.series_ended(series(tmp_path), 100).rows
    backend.poll_until(lambda: backend.row(row.job_id).last_line == "waiting for go")
    assert backend.row(row.job_id).progress == 0.42


def test_a_failed_job_is_tried_again_as_often_as_the_recipe_says(
    start: Callable[..., Backend], tmp_path: Path
) -> None:
    backend = start(recipe("print('no beam'); sys.exit(3)", retries=2))
    backend.dispatcher.series_ended(series(tmp_path), 100)
    backend.poll_until_over()
    rows = backend.dispatcher.job_rows()
    assert [row.state for row in rows] == ["failed"] * 3
    assert [row.job_id[-2:] for row in rows] == ["-3", "-2", "-1"]
    assert "attempt 2" in rows[2].reason and "attempt" not in rows[0].reason and rows[0].try_this
    log = backend.ledger.jobs(1)[0].intent.folder / "log.txt"
    assert "no beam" in log.read_text()


def test_a_retry_can_succeed(start: Callable[..., Backend], tmp_path: Path) -> None:
    fail_once = """
import os
if not os.path.exists(sys.argv[2] + "/seen"):
    os.mkdir(sys.argv[2] + "/seen")
    sys.exit(1)
"""
    backend = start(recipe(fail_once + WRITE_RESULT, retries=1))
    backend.dispatcher.series_ended(series(tmp_path), 100)
    backend.poll_until_over()
    assert [row.state for row in backend.dispatcher.job_rows()] == ["done", "failed"]
    assert backend.dispatcher.job_rows()[0].result_path.endswith("silica_00001_xpcs_results.h5")


def test_a_broken_result_is_a_failed_job(start: Callable[..., Backend], tmp_path: Path) -> None:
    backend = start(recipe("open(sys.argv[1], 'w').write('rubbish')"))
    backend.dispatcher.series_ended(series(tmp_path), 100)
    backend.poll_until_over()
    (row,) = backend.dispatcher.job_rows()
    assert row.state == "failed" and "not a sound HDF5" in row.reason and row.result_path == ""


def test_cancel_queued_and_running(start: Callable[..., Backend], tmp_path: Path) -> None:
    backend = start(recipe(WAIT_FOR_GO, retries=3))
    (waiting,) = backend.dispatcher.series_ended(series(tmp_path, 1), 100).rows
    (running,) = backend.dispatcher.series_ended(series(tmp_path, 2), 100).rows
    backend.poll_until(lambda: backend.row(running.job_id).last_line == "waiting for go")
    assert backend.dispatcher.cancel(waiting.job_id).state == "cancelled"
    assert backend.dispatcher.cancel(running.job_id).reason == "Stopping."
    backend.poll_until_over()
    assert [row.state for row in backend.dispatcher.job_rows()] == ["cancelled", "cancelled"]
    with pytest.raises(DispatchError, match="already ended"):
        backend.dispatcher.cancel(running.job_id)
    with pytest.raises(DispatchError, match="no job"):
        backend.dispatcher.cancel("never")


def test_a_restarted_backend_adopts_the_running_job(start: Callable[..., Backend], tmp_path: Path) -> None:
    first = start(recipe(WAIT_FOR_GO))
    (row,) = first.dispatcher.series_ended(series(tmp_path), 100).rows
    first.poll_until(lambda: first.row(row.job_id).last_line == "waiting for go")
    first.end()
    second = start(recipe(WAIT_FOR_GO))
    second.dispatcher.poll(time.time())
    assert second.row(row.job_id).state == "running"
    (tmp_path / "go").touch()
    second.poll_until_over()
    assert second.row(row.job_id).state == "done"


def test_a_job_that_vanished_with_its_backend_is_judged_failed(
    start: Callable[..., Backend], tmp_path: Path
) -> None:
    first = start(recipe(WAIT_FOR_GO))
    (row,) = first.dispatcher.series_ended(series(tmp_path), 100).rows
    first.poll_until(lambda: first.row(row.job_id).last_line == "waiting for go")
    first.end()
    for pid in processes_marked(JOB_MARK, row.job_id):
        os.kill(pid, signal.SIGKILL)
    second = start(recipe(WAIT_FOR_GO))
    second.poll_until_over()
    assert second.row(row.job_id).state == "failed" and "vanished" in second.row(row.job_id).reason


def test_a_job_that_ended_while_no_backend_ran_is_done(start: Callable[..., Backend], tmp_path: Path) -> None:
    first = start(recipe(WAIT_FOR_GO))
    (row,) = first.dispatcher.series_ended(series(tmp_path), 100).rows
    first.dispatcher.poll(time.time())
    (record,) = first.ledger.jobs(1)
    first.end()
    (tmp_path / "go").touch()
    deadline = time.monotonic() + 30.0
    while not (record.intent.folder / DONE_FILE).exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second = start(recipe(WAIT_FOR_GO))
    assert [changed.state for changed in second.dispatcher.poll(time.time())] == ["done"]
    assert second.row(row.job_id).result_path


def test_a_backend_killed_after_the_intent_starts_it_next_time(
    start: Callable[..., Backend], tmp_path: Path
) -> None:
    first = start(recipe())
    (row,) = first.dispatcher.series_ended(series(tmp_path), 100).rows
    first.end()
    second = start(recipe())
    assert second.dispatcher.series_ended(series(tmp_path), 100).rows == ()
    second.poll_until_over()
    assert second.row(row.job_id).state == "done"


def test_a_backend_killed_between_start_and_note_does_not_start_twice(
    start: Callable[..., Backend], tmp_path: Path
) -> None:
    program = "open(sys.argv[2] + '/starts', 'a').write('x')\n" + WAIT_FOR_GO
    first = start(recipe(program))
    first.dispatcher.series_ended(series(tmp_path), 100)
    (record,) = first.ledger.jobs(1)
    # The start itself, without the note that would follow.
    LocalExecutor().submit(record.intent)
    first.end()
    second = start(recipe(program))
    second.dispatcher.poll(time.time())
    (row,) = second.dispatcher.job_rows()
    assert row.state == "running"
    (tmp_path / "go").touch()
    second.poll_until_over()
    assert second.row(row.job_id).state == "done"
    assert (tmp_path / "starts").read_text() == "x"


def test_a_real_kill_9_of_the_backend_keeps_the_job(start: Callable[..., Backend], tmp_path: Path) -> None:
    program = f"""
import os, signal, sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_dispatch_dispatcher import WAIT_FOR_GO, Backend, recipe, series
beamtime = Path(sys.argv[1])
backend = Backend(beamtime, recipe(WAIT_FOR_GO))
backend.dispatcher.series_ended(series(beamtime), 100)
backend.poll_until(lambda: backend.dispatcher.job_rows()[0].last_line == "waiting for go")
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    second = start(recipe(WAIT_FOR_GO))
    second.dispatcher.poll(time.time())
    (row,) = second.dispatcher.job_rows()
    assert row.state == "running"
    second.dispatcher.cancel(row.job_id)
    second.poll_until_over()
    assert second.row(row.job_id).state == "cancelled"


def test_a_backend_killed_between_retry_and_failure_retries_once(
    start: Callable[..., Backend], tmp_path: Path
) -> None:
    first = start(recipe("sys.exit(1)", retries=1))
    first.dispatcher.series_ended(series(tmp_path), 100)
    first.dispatcher.poll(time.time())
    (record,) = first.ledger.jobs(1)
    store = first.ledger.update_job

    def store_no_failure(job_id: str, status: object, at: float) -> None:
        if str(getattr(status, "state", "")) == "failed":
            raise LedgerError("The disk is full.")
        store(job_id, status, at)  # type: ignore[arg-type]

    first.ledger.update_job = store_no_failure  # type: ignore[method-assign]
    with pytest.raises(LedgerError):
        first.poll_until_over()
    first.end()
    second = start(recipe("sys.exit(1)", retries=1))
    second.poll_until_over()
    assert [(row.job_id[-2:], row.state) for row in second.dispatcher.job_rows()] == [
        ("-2", "failed"),
        ("-1", "failed"),
    ]


def test_an_unusable_results_folder_is_said_in_the_table(
    start: Callable[..., Backend], tmp_path: Path
) -> None:
    backend = start(recipe())
    (tmp_path / "processed" / "onlineanalysis").write_text("not a folder")
    backend.dispatcher.series_ended(series(tmp_path), 100)
    backend.poll_until_over()
    (row,) = backend.dispatcher.job_rows()
    assert row.state == "failed" and "cannot be prepared" in row.reason and row.try_this


def test_a_damaged_claim_is_no_reason_to_start_again(start: Callable[..., Backend], tmp_path: Path) -> None:
    first = start(recipe())
    first.dispatcher.series_ended(series(tmp_path), 100)
    (record,) = first.ledger.jobs(1)
    first.end()
    record.intent.folder.mkdir(parents=True)
    write_record(record.intent.folder / INTENT_FILE, record.intent)
    (record.intent.folder / CLAIM_FILE).write_text("{")
    second = start(recipe())
    second.poll_until_over()
    (row,) = second.dispatcher.job_rows()
    assert row.state == "failed" and CLAIM_FILE in row.reason


def test_a_thousand_old_jobs_do_not_slow_a_poll(start: Callable[..., Backend], tmp_path: Path) -> None:
    backend = start(recipe())
    for number in range(1000):
        (row,) = backend.dispatcher.series_ended(series(tmp_path, number), 100).rows
        backend.dispatcher.cancel(row.job_id)
    assert len(backend.ledger.jobs(2000)) == 1000
    assert len(backend.dispatcher.job_rows()) <= 200
    began = time.perf_counter()
    backend.dispatcher.poll(time.time())
    assert time.perf_counter() - began < 0.5


def test_a_series_outside_raw_gets_a_folder_of_its_name(tmp_path: Path) -> None:
    inside = result_folder(tmp_path / "raw", tmp_path / "processed", series(tmp_path))
    assert inside == tmp_path / "processed/onlineanalysis/silica_00001/e4m"
    outside = result_folder(tmp_path / "other" / "raw", tmp_path / "processed", series(tmp_path))
    assert outside == tmp_path / "processed/onlineanalysis/silica_00001"
