"""The dispatcher across crashes and restarts of its backend."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dispatching_backend import WAIT_FOR_GO, Backend, lives_in, recipe, series

from backend.dispatch.job import DONE_FILE
from backend.dispatch.local_executor import LocalExecutor
from backend.dispatch.process_identity import JOB_MARK, processes_marked
from backend.ledger_file import LedgerError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Backend]]:
    with lives_in(tmp_path) as begin:
        yield begin


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
from dispatching_backend import WAIT_FOR_GO, Backend, recipe, series
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
