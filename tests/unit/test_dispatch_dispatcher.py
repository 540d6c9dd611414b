"""The dispatcher with a real ledger and real processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dispatching_backend import WAIT_FOR_GO, WRITE_RESULT, Backend, lives_in, recipe, series

from backend.dispatch.folders import result_folder
from backend.dispatch.job import CLAIM_FILE, INTENT_FILE, write_record
from backend.errors import DispatchError


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Backend]]:
    with lives_in(tmp_path) as begin:
        yield begin


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
