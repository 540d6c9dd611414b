"""Jobs of several tasks: each runs once, whoever starts it how often, and the job is done when all of them are."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from local_jobs import ROOT, done_of, follow, prepare, wait_for
from test_dispatch_recipes import series

from backend.dispatch.intake import take_in
from backend.dispatch.intent import WhereJobRuns, make_intent, next_attempt
from backend.dispatch.job import DONE_FILE, INTENT_FILE, LOG_FILE, JobIntent, JobState, JobStatus
from backend.dispatch.job_board import JobBoard
from backend.dispatch.local_executor import LocalExecutor
from backend.dispatch.log_tail import read_log_tail
from backend.dispatch.recipe import Recipe
from backend.dispatch.recipe_lint import recipe_warnings
from backend.dispatch.scheduler import BatchState
from backend.dispatch.slurm_text import parse_sacct, parse_squeue
from backend.ledger import Ledger
from backend.settings import DispatchSettings
from backend.snapshot import JobOutput

SCRIPT = """
echo started >> ../../../starts-$MENTO_TASK
echo "frame,task" > part.csv
echo {tasks},{task} >> part.csv
[ {task} != "$FAILS" ] || { echo "task says why"; exit 3; }
"""


def recipe(array: int = 3, fails: str = "", **changes: object) -> Recipe:
    document = {
        "name": "parts", "title": "t", "description": "d", "script": SCRIPT, "resources": {"array": array},
        "outputs": [{"file": "part.csv", "kind": "csv", "title": "Part"}], "text_sha256": "7" * 64,
        "environment": {"variables": {"FAILS": fails}},
    }  # fmt: skip
    return Recipe.model_validate(document | changes)


def job_of(folder: Path, recipe: Recipe, at: float = 0.0) -> JobIntent:
    where = WhereJobRuns(
        python=sys.executable, results=folder / "results", beamtime=folder, settings=DispatchSettings(nice=0),
        settings_file=None,
    )  # fmt: skip
    return make_intent(recipe, series(), 100, where, attempt=1, at=at)


def start(job: JobIntent, *part: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "backend.dispatch.run_job", str(job.folder / INTENT_FILE), *part]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)


def run(job: JobIntent, *part: str) -> str:
    process = start(job, *part)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return error.decode()


def starts(job: JobIntent) -> list[str]:
    return [
        f"{file.name}:{file.read_text().count('started')}" for file in sorted(job.folder.glob("starts-*"))
    ]


def test_on_this_computer_the_tasks_run_one_after_the_other(tmp_path: Path) -> None:
    job = job_of(tmp_path, recipe(), at=time.time())
    executor = LocalExecutor()
    report = follow(executor, job, executor.submit(job))
    assert report.state is JobState.DONE, report
    result = take_in(job.folder)
    assert result.is_good, result.problems
    names = [
        "silica_00001_parts_0_part.csv",
        "silica_00001_parts_1_part.csv",
        "silica_00001_parts_2_part.csv",
    ]
    assert [Path(output.path).name for output in result.outputs] == names
    assert [(output.title, output.task) for output in result.outputs] == [
        ("Part", 0),
        ("Part", 1),
        ("Part", 2),
    ]
    assert Path(result.outputs[1].path).read_text() == "frame,task\n3,1\n"
    assert starts(job) == ["starts-0:1", "starts-1:1", "starts-2:1"]


def test_the_last_task_of_an_array_speaks_for_all_and_none_runs_twice(tmp_path: Path) -> None:
    job = prepare(job_of(tmp_path, recipe(array=4)))
    # All at once, and each of them twice.
    running = [start(job, "17", str(task)) for task in (0, 1, 2, 3, 3, 2, 1, 0)]
    said = [process.communicate(timeout=60)[1].decode() for process in running]
    assert [process.returncode for process in running] == [0] * 8
    assert sum("duplicate" in text for text in said) == 4
    assert sum("The result is complete." in text for text in said) == 1
    done = done_of(job)
    assert done.outcome == "done" and len(done.outputs) == 4 and take_in(job.folder).is_good
    assert starts(job) == ["starts-0:1", "starts-1:1", "starts-2:1", "starts-3:1"]


def test_of_two_arrays_for_one_job_only_the_first_works(tmp_path: Path) -> None:
    job = prepare(job_of(tmp_path, recipe(array=2)))
    run(job, "17", "0")
    assert "duplicate: job" in run(job, "18", "1")
    assert not (job.folder / DONE_FILE).exists()
    run(job, "17", "1")
    assert done_of(job).outcome == "done"


def test_a_failed_task_is_named_and_no_file_gets_a_name_among_the_results(tmp_path: Path) -> None:
    job = prepare(job_of(tmp_path, recipe(fails="1")))
    for task in "012":
        said = run(job, "5", task)
        assert ("task 1: task says why" in said) == (task == "1")
    done = done_of(job)
    assert done.outcome == "failed" and done.exit_code == 3
    assert done.reason == "Task 1 of 3 failed. The command ended with exit code 3."
    assert not list((tmp_path / "results").glob("*.csv"))
    # Tried again, all tasks run in a folder of the new attempt.
    again = prepare(next_attempt(replace(job, retries_left=1), at=1.0))
    for task in "012":
        run(again, "6", task)
    assert starts(again) == ["starts-0:1", "starts-1:1", "starts-2:1"]


def test_a_file_that_one_task_did_not_leave_is_told_with_its_number(tmp_path: Path) -> None:
    outputs = [{"file": "part.csv", "kind": "csv"}]
    script = "[ {task} = 2 ] || echo a,b > part.csv; [ {task} = 2 ] || echo 1,2 >> part.csv"
    job = prepare(job_of(tmp_path, recipe(script=script, outputs=outputs)))
    run(job)
    assert done_of(job).reason == "Task 2: The command ended well but left no part.csv."


def test_a_stop_leaves_the_tasks_that_have_not_begun(tmp_path: Path) -> None:
    script = "touch ../../../begun-{task}; sleep 60"
    job = prepare(job_of(tmp_path, recipe(script=script, outputs=(), leaves_files=False)))
    process = start(job)
    wait_for((job.folder / "begun-0").exists)
    process.terminate()
    process.communicate(timeout=30)
    assert done_of(job).outcome == "stopped" and not (job.folder / "begun-1").exists()


def test_progress_is_that_of_the_tasks(tmp_path: Path) -> None:
    job = prepare(job_of(tmp_path, recipe(array=4)))
    (job.folder / LOG_FILE).write_text("".join(run(job, "5", task) for task in "012"))
    tail = read_log_tail(job.folder / LOG_FILE)
    assert tail.progress == 0.75 and tail.last_line == "Task 2: The command ended well."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"resources": {}}, "{task} has a value only with array = N"),
        ({"script": "touch {result}{task}"}, "cannot all write {result}"),
        ({"script": "", "command": ["echo", "{{task}}", "{task}"]}, "cannot be told from the placeholder"),
        ({"resources": {"array": 1001}}, "less than or equal to 1000"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_in_an_array_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("{", r"\{").replace("}", r"\}")):
        recipe(**changes)


def test_what_is_probably_not_meant_is_said() -> None:
    assert "one after the other" in " ".join(recipe_warnings(recipe(), ()))
    same = recipe(script="touch a", leaves_files=False, outputs=(), executor="slurm")
    assert recipe_warnings(same, ()) == ["Without {task} every task of the array does the same."]


def test_slurm_lists_tasks_and_we_see_one_job() -> None:
    rows = [
        "12_[3-7%2]|PENDING|JobArrayTaskLimit|2026-01-02T03:04:06|N/A|key",
        "12_1|RUNNING|None|2026-01-02T03:04:05|2026-01-02T03:04:07|key",
        "12_0|COMPLETED|None|2026-01-02T03:04:05|2026-01-02T03:04:07|key",
        "13|PENDING|JobHeldUser|2026-01-02T03:04:05|N/A|other",
    ]
    whole, other = parse_squeue("\n".join(rows))
    assert (whole.number, whole.state, whole.key) == ("12", BatchState.RUNNING, "key")
    assert whole.identity == "12 2026-01-02T03:04:05" and other.held and other.number == "13"
    assert (
        whole.reason == "1 tasks run, 1 have ended, the others wait (Waiting for other parts of its array)."
    )
    (held,) = parse_squeue("12_[0-7]|PENDING|JobHeldUser|2026-01-02T03:04:05|N/A|key")
    assert held.number == "12" and held.held and held.state is BatchState.WAITING
    # In the accounts.
    (over,) = parse_sacct(
        "12_0|COMPLETED|0:0|2026-01-02T03:04:05|key\n12_1|FAILED|1:0|2026-01-02T03:04:05|key\n"
    )
    assert over.state is BatchState.ENDED_BADLY and over.reason == "Task 1: It failed on the cluster."
    (lost,) = parse_squeue(
        "12_0|NODE_FAIL|NodeDown|2026-01-02T03:04:05|N/A|key\n12_1|COMPLETED|None|2026-01-02T03:04:05|N/A|key"
    )
    assert lost.state is BatchState.NODE_LOST and lost.reason.startswith("Task 0: Its node")


def test_a_row_of_the_table_names_files_of_some_of_many_tasks(tmp_path: Path) -> None:
    board = JobBoard(Ledger(tmp_path / "ledger.sqlite"))
    job = job_of(tmp_path, recipe(array=1000))
    board.add(job)
    outputs = tuple(
        JobOutput(path=f"/p/{name}_{task}", kind="csv", title=name, task=task)
        for task in range(1000)
        for name in ("a", "b")
    )
    board.store(job, JobStatus(state=JobState.DONE, outputs=outputs), at=1.0)
    shown = board.row(job.job_id).outputs
    tasks = [output.task for output in shown if output.title == "a"]
    assert len(shown) == 24 and len(tasks) == 12 and tasks[0] == 0 and tasks[-1] == 999
    assert board[job.job_id].status.outputs == outputs
