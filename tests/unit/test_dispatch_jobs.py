"""The wrapper and the local executor, with real processes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_jobs import (
    DEAF,
    ROOT,
    WAIT_FOR_EVER,
    WRITE_RESULT,
    done_of,
    follow,
    intent,
    log_says,
    prepare,
    wait_for,
    wrapper,
)

from backend.dispatch.intake import take_in
from backend.dispatch.job import (
    CLAIM_FILE,
    INTENT_FILE,
    LOG_FILE,
    ClaimRecord,
    JobRecord,
    JobState,
    JobStatus,
    claim_with,
    read_record,
    write_record,
)
from backend.dispatch.local_executor import LocalExecutor
from backend.dispatch.log_tail import read_log_tail
from backend.dispatch.process_identity import JOB_MARK, ProcessIdentity, processes_marked
from backend.dispatch.run_job import main
from backend.errors import DispatchError
from backend.job_plan import JobPlan


def test_a_good_job_ends_with_a_result_that_is_taken_in(tmp_path: Path) -> None:
    job = intent(tmp_path, WRITE_RESULT)
    executor = LocalExecutor()
    started = executor.submit(job)
    assert started.state is JobState.RUNNING and ProcessIdentity.parse(started.identity) is not None
    ended = follow(executor, job, started)
    assert (ended.state, ended.exit_code, ended.progress) == (JobState.DONE, 0, 1.0)
    done = done_of(job)
    assert done.command[-1] == "a b; $HOME `x` 'q'"
    assert done.recipe_sha256 == "ab" * 32 and "python" in done.versions
    assert done.size_bytes == job.result_path.stat().st_size
    assert not job.part_path.exists()
    result = take_in(job.folder)
    assert result.is_good and result.path == job.result_path
    for path in job.result_path.parent.rglob("*"):
        assert not path.stat().st_mode & (stat.S_IWOTH | stat.S_IROTH), path


@pytest.mark.parametrize(
    ("program", "reason", "exit_code"),
    [
        ("import sys; print('no master'); sys.exit(3)", "exit code 3", 3),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL", -9),
        ("print('forgot it')", "wrote no result", 0),
    ],
)
def test_a_failed_command_is_explained(tmp_path: Path, program: str, reason: str, exit_code: int) -> None:
    job = intent(tmp_path, program)
    executor = LocalExecutor()
    ended = follow(executor, job, executor.submit(job))
    assert ended.state is JobState.FAILED
    assert reason in ended.reason and str(job.folder / LOG_FILE) in ended.try_this
    assert ended.exit_code == exit_code
    assert reason in ended.last_line
    assert not take_in(job.folder).is_good


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    job = intent(tmp_path, "", command=("/no/such/program", "x"))
    executor = LocalExecutor()
    ended = follow(executor, job, executor.submit(job))
    assert ended.state is JobState.FAILED and "/no/such/program cannot be started" in ended.reason


def test_a_job_over_its_time_limit_is_stopped(tmp_path: Path) -> None:
    job = intent(tmp_path, WAIT_FOR_EVER, time_limit_s=0.3)
    executor = LocalExecutor()
    ended = follow(executor, job, executor.submit(job))
    assert ended.state is JobState.FAILED and "time limit of 0.3 s" in ended.reason
    wait_for(lambda: processes_marked(JOB_MARK, job.job_id) == [])


def test_cancel_stops_the_command(tmp_path: Path) -> None:
    job = intent(tmp_path, WAIT_FOR_EVER)
    executor = LocalExecutor()
    started = executor.submit(job)
    wait_for(log_says(job, "waiting"))
    executor.cancel(JobRecord(job, JobStatus(state=JobState.RUNNING, identity=started.identity)))
    ended = follow(executor, job, started)
    assert ended.state is JobState.FAILED and "asked to stop" in ended.reason
    wait_for(lambda: processes_marked(JOB_MARK, job.job_id) == [])


@pytest.mark.parametrize("wrapper_too", [False, True])
def test_a_stop_may_reach_the_command_before_its_wrapper(tmp_path: Path, wrapper_too: bool) -> None:
    job = intent(tmp_path, WAIT_FOR_EVER)
    executor = LocalExecutor()
    started = executor.submit(job)
    wait_for(log_says(job, "waiting"))
    process = ProcessIdentity.parse(started.identity)
    assert process is not None
    (command,) = set(processes_marked(JOB_MARK, job.job_id)) - {process.pid}
    os.kill(command, signal.SIGTERM)
    if wrapper_too:
        wait_for(lambda: command not in processes_marked(JOB_MARK, job.job_id))
        os.kill(process.pid, signal.SIGTERM)
    ended = follow(executor, job, started)
    assert ("asked to stop" if wrapper_too else "killed by SIGTERM") in ended.reason


def test_cancel_kills_a_command_that_does_not_listen(tmp_path: Path) -> None:
    job = intent(tmp_path, DEAF)
    executor = LocalExecutor()
    started = executor.submit(job)
    wait_for(log_says(job, "deaf"))
    began = time.monotonic()
    executor.cancel(JobRecord(job, JobStatus(state=JobState.RUNNING, identity=started.identity)))
    assert time.monotonic() - began < 1.0
    assert follow(executor, job, started).exit_code == -signal.SIGKILL
    wait_for(lambda: processes_marked(JOB_MARK, job.job_id) == [])


def test_nothing_of_a_command_is_left_running(tmp_path: Path) -> None:
    background = f"\nimport subprocess; subprocess.Popen([sys.executable, '-c', {WAIT_FOR_EVER!r}])"
    job = intent(tmp_path, WRITE_RESULT + background)
    executor = LocalExecutor()
    assert follow(executor, job, executor.submit(job)).state is JobState.DONE
    wait_for(lambda: processes_marked(JOB_MARK, job.job_id) == [])


def test_kill_9_of_the_wrapper_is_seen_and_the_command_does_not_go_on(tmp_path: Path) -> None:
    job = intent(tmp_path, WAIT_FOR_EVER)
    executor = LocalExecutor()
    started = executor.submit(job)
    wait_for(log_says(job, "waiting"))
    identity = ProcessIdentity.parse(started.identity)
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    ended = follow(executor, job, started)
    assert ended.state is JobState.FAILED and "vanished" in ended.reason and ended.last_line == "waiting"
    wait_for(lambda: processes_marked(JOB_MARK, job.job_id) == [])


def test_a_new_executor_adopts_a_running_job_by_its_claim(tmp_path: Path) -> None:
    job = intent(tmp_path, WAIT_FOR_EVER)
    first = LocalExecutor()
    first.submit(job)
    wait_for(log_says(job, "waiting"))
    first.close()
    second = LocalExecutor()
    (found,) = second.find([job, replace(job, folder=tmp_path / "never")])
    assert found.state is JobState.RUNNING
    assert found.identity == read_record(job.folder / CLAIM_FILE, ClaimRecord).identity
    second.cancel(JobRecord(job, JobStatus(state=JobState.RUNNING)))
    assert follow(second, job, found).state is JobState.FAILED


def test_a_cancel_that_the_last_backend_wrote_down_is_carried_out(tmp_path: Path) -> None:
    job = intent(tmp_path, WAIT_FOR_EVER)
    executor = LocalExecutor()
    started = executor.submit(job)
    wait_for(log_says(job, "waiting"))
    assert follow(executor, job, started, cancel_asked=True).state is JobState.FAILED


def test_two_wrappers_race_for_one_claim(tmp_path: Path) -> None:
    count = "open(__import__('sys').argv[1] + '.count', 'a').write('x')"
    job = prepare(intent(tmp_path, WRITE_RESULT + count))
    racers = [wrapper(job) for _ in range(4)]
    words = [racer.communicate()[1].decode() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0, 0]
    assert sum("duplicate" in word for word in words) == 3
    assert Path(f"{job.part_path}.count").read_text() == "x"
    assert take_in(job.folder).is_good
    assert not [entry for entry in job.folder.iterdir() if entry.name.startswith(".part")]


def test_a_claim_is_given_once(tmp_path: Path) -> None:
    assert claim_with(tmp_path / "claim", ClaimRecord(job_id="a", identity="x", started_at=1.0))
    assert not claim_with(tmp_path / "claim", ClaimRecord(job_id="a", identity="y", started_at=2.0))
    assert read_record(tmp_path / "claim", ClaimRecord).identity == "x"


def test_an_earlier_result_is_never_replaced(tmp_path: Path) -> None:
    job = prepare(intent(tmp_path, WRITE_RESULT))
    job.result_path.write_bytes(b"earlier")
    wrapper(job).communicate()
    assert done_of(job).outcome == "failed" and "not replaced" in done_of(job).reason
    assert job.result_path.read_bytes() == b"earlier"
    assert job.part_path.exists()


def test_a_result_folder_that_vanishes_is_explained(tmp_path: Path) -> None:
    program = WRITE_RESULT + "import os; os.remove(sys.argv[1]); os.mkdir(sys.argv[1])"
    job = prepare(intent(tmp_path, program))
    wrapper(job).communicate()
    assert done_of(job).outcome == "failed" and "cannot be stored" in done_of(job).reason


@pytest.mark.parametrize(("room_bytes", "outcome"), [(4_000, "failed"), (100, None)])
def test_a_full_disk_under_the_wrapper(tmp_path: Path, room_bytes: int, outcome: str | None) -> None:
    job = prepare(intent(tmp_path, "import sys; open(sys.argv[1], 'wb').write(bytes(1_000_000))"))
    program = f"""
import resource, sys
from backend.dispatch.run_job import main
resource.setrlimit(resource.RLIMIT_FSIZE, ({room_bytes}, {room_bytes}))
sys.exit(main(sys.argv[1:]))
"""
    command = [sys.executable, "-c", program, str(job.folder / INTENT_FILE)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not job.result_path.exists()
    if outcome is None:
        assert ended.returncode == 1 and "cannot be written" in ended.stderr
        (report,) = LocalExecutor().poll([JobRecord(job, JobStatus(state=JobState.RUNNING))])
        assert report.state is JobState.FAILED and "before it began" in report.reason
    else:
        assert (done_of(job).outcome, done_of(job).exit_code) == (outcome, 1)
        assert "File too large" in ended.stderr


def test_a_job_folder_that_vanishes_gives_a_failed_job(tmp_path: Path) -> None:
    job = intent(tmp_path, "import shutil, os; shutil.rmtree(os.getcwd())")
    executor = LocalExecutor()
    ended = follow(executor, job, executor.submit(job))
    assert ended.state is JobState.FAILED and ended.try_this


def test_a_folder_that_cannot_be_made_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where the folder should be")
    with pytest.raises(DispatchError, match="cannot be prepared") as caught:
        LocalExecutor().submit(intent(tmp_path, WRITE_RESULT))
    assert caught.value.try_this


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_starts_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DispatchError, match="Permission denied"):
        LocalExecutor().submit(intent(tmp_path, WRITE_RESULT))


def test_a_job_of_another_host_is_unknown_until_its_time_is_over(tmp_path: Path) -> None:
    job = prepare(intent(tmp_path, WRITE_RESULT))
    claim = ClaimRecord(job_id=job.job_id, identity="elsewhere boot 12 34", started_at=time.time())
    write_record(job.folder / CLAIM_FILE, claim)
    record = JobRecord(job, JobStatus(state=JobState.RUNNING))
    now = [1000.0]
    executor = LocalExecutor(clock=lambda: now[0])
    (report,) = executor.poll([record])
    assert report.state is JobState.UNKNOWN and "elsewhere" in report.reason
    with pytest.raises(DispatchError, match="elsewhere"):
        executor.cancel(record)
    # Its own clock tells nothing: it may be wrong.
    write_record(job.folder / CLAIM_FILE, replace(claim, started_at=time.time() - 1e6))
    (report,) = executor.poll([record])
    assert report.state is JobState.UNKNOWN
    now[0] += 100.0
    (report,) = executor.poll([record])
    assert report.state is JobState.FAILED and "time limit" in report.reason


def test_a_process_number_used_again_is_not_the_job() -> None:
    mine = ProcessIdentity.of(os.getpid())
    assert mine is not None and mine.is_alive()
    assert ProcessIdentity.parse(str(mine)) == mine
    assert not replace(mine, start_ticks=mine.start_ticks + 1).is_alive()
    assert not replace(mine, boot="another").is_alive()


@given(st.text())
def test_any_text_as_identity(text: str) -> None:
    identity = ProcessIdentity.parse(text)
    assert identity is None or str(identity).split(" ")[:2] == text.split(" ")[:2]


@given(st.binary())
def test_any_bytes_as_log(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("log") / "log.txt"
    path.write_bytes(content)
    tail = read_log_tail(path)
    assert tail.progress is None or 0 <= tail.progress <= 1
    assert tail.last_line.isprintable() and len(tail.last_line) <= 300


def test_progress_and_last_line_come_from_the_end_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    assert read_log_tail(path) == (None, "")
    path.write_text("x" * 100_000 + "\nreading\nprogress 0.25\nfitting ring 3\nprogress 0.42\r\n\n")
    assert read_log_tail(path) == (0.42, "fitting ring 3")


def test_the_wrapper_explains_a_wrong_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.json").write_text("{")
    assert [main([]), main([str(tmp_path / "none.json")]), main([str(tmp_path / "bad.json")])] == [2, 2, 2]
    assert "usage" in capsys.readouterr().err


def test_a_beamtime_that_was_taken_away_is_not_made_anew_by_its_jobs(tmp_path: Path) -> None:
    beamtime = tmp_path / "current"
    plan = JobPlan(values={"beamtime": str(beamtime)})
    job = intent(beamtime, WRITE_RESULT, plan=plan)
    with pytest.raises(DispatchError, match="cannot be prepared"):
        LocalExecutor().submit(job)
    assert not beamtime.exists()
