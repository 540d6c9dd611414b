"""The wrapper, the local executor and the intake, with real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.dispatch.folders import make_folder
from backend.dispatch.intake import take_in
from backend.dispatch.job import (
    CLAIM_FILE,
    DONE_FILE,
    INTENT_FILE,
    LOG_FILE,
    ClaimRecord,
    DoneRecord,
    JobIntent,
    JobRecord,
    JobReport,
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

ROOT = Path(__file__).parents[2]
WRITE_RESULT = """
import sys, h5py, numpy
with h5py.File(sys.argv[1], "w") as file:
    file["/xpcs/multitau/normalized_g2"] = numpy.ones((3, 2))
    file["/xpcs/multitau/delay_list"] = numpy.arange(3)
    file["/xpcs/qmap/dynamic_roi_map"] = numpy.ones((4, 5), dtype="i4")
print("progress 0.5", file=sys.stderr)
print("written")
"""
WAIT_FOR_EVER = "import sys, signal; print('waiting', flush=True); signal.pause()"
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True:
    signal.pause()
"""


def intent(folder: Path, program: str, **changes: object) -> JobIntent:
    part = folder / "results" / ".part-job-1.h5"
    made = JobIntent(
        job_id=f"job-{folder.name}-1",
        series="silica_00001",
        detector="e4m",
        recipe="xpcs",
        recipe_sha256="ab" * 32,
        attempt=1,
        retries_left=0,
        executor="local",
        command=(sys.executable, "-c", program, str(part), "a b; $HOME `x` 'q'"),
        folder=folder / "results" / ".jobs" / "job-1",
        part_path=part,
        result_path=folder / "results" / "silica_00001_xpcs_results.h5",
        time_limit_s=60.0,
        nice=1,
        submitted_at=time.time(),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def prepare(job: JobIntent) -> JobIntent:
    make_folder(job.folder)
    write_record(job.folder / INTENT_FILE, job)
    return job


def wrapper(job: JobIntent) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "backend.dispatch.run_job", str(job.folder / INTENT_FILE)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)


def done_of(job: JobIntent) -> DoneRecord:
    record = read_record(job.folder / DONE_FILE, DoneRecord)
    assert record is not None
    return record


def wait_for(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def follow(executor: LocalExecutor, job: JobIntent, started: JobReport, **known: object) -> JobReport:
    """Poll until the job has ended."""
    status = JobStatus(state=JobState.RUNNING, identity=started.identity, started_at=started.started_at)
    record = JobRecord(job, replace(status, **known))  # type: ignore[arg-type]
    reports: list[JobReport] = []
    wait_for(lambda: (reports.extend(executor.poll([record])) or reports[-1]).state.is_final)
    return reports[-1]


def log_says(job: JobIntent, word: str) -> Callable[[], bool]:
    return lambda: read_log_tail(job.folder / LOG_FILE).last_line == word


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
    (report,) = LocalExecutor().poll([record])
    assert report.state is JobState.UNKNOWN and "elsewhere" in report.reason
    with pytest.raises(DispatchError, match="elsewhere"):
        LocalExecutor().cancel(record)
    write_record(job.folder / CLAIM_FILE, replace(claim, started_at=time.time() - 100.0))
    (report,) = LocalExecutor().poll([record])
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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> JobIntent:
    job = prepare(intent(tmp_path_factory.mktemp("finished"), WRITE_RESULT))
    assert wrapper(job).communicate()[0] is None
    return job


@pytest.fixture
def job(finished: JobIntent, tmp_path: Path) -> JobIntent:
    """A finished job of its own in ``tmp_path``."""
    shutil.copytree(finished.result_path.parent, tmp_path / "results")
    moved = intent(tmp_path, WRITE_RESULT)
    for name in (INTENT_FILE, DONE_FILE):
        path = moved.folder / name
        path.write_text(path.read_text().replace(str(finished.result_path.parent), str(tmp_path / "results")))
    return moved


def refusal(job: JobIntent) -> str:
    result = take_in(job.folder)
    assert not result.is_good
    assert result.problems[0].try_this
    return result.problems[0].what


def test_the_copied_job_is_good(job: JobIntent) -> None:
    assert take_in(job.folder).is_good


def test_changed_results_are_refused_and_kept(job: JobIntent) -> None:
    content = bytearray(job.result_path.read_bytes())
    content[-1] ^= 1
    job.result_path.write_bytes(content)
    assert "checksum" in refusal(job)
    job.result_path.write_bytes(content[:-10])
    assert "bytes" in refusal(job)
    assert job.result_path.exists()
    job.result_path.unlink()
    assert "cannot be read" in refusal(job)


def test_without_done_nothing_is_believed(job: JobIntent) -> None:
    (job.folder / DONE_FILE).unlink()
    assert DONE_FILE in refusal(job)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"job_id": 3}', "\x00", "null"])
def test_a_damaged_done_is_refused(job: JobIntent, text: str) -> None:
    (job.folder / DONE_FILE).write_text(text)
    assert "cannot be used" in refusal(job)
    (report,) = LocalExecutor().poll([JobRecord(job, JobStatus(state=JobState.RUNNING))])
    assert report.state is JobState.FAILED


@pytest.mark.parametrize("field", ["job_id", "series", "recipe_sha256", "result_path"])
def test_the_done_of_another_job_is_refused(job: JobIntent, field: str) -> None:
    document = json.loads((job.folder / DONE_FILE).read_text())
    document[field] = "/other"
    (job.folder / DONE_FILE).write_text(json.dumps(document))
    assert "another" in refusal(job)


def test_a_file_that_is_no_result_is_refused_though_its_checksum_fits(tmp_path: Path) -> None:
    text = prepare(intent(tmp_path, "import sys; open(sys.argv[1], 'w').write('no hdf5')"))
    wrapper(text).communicate()
    assert "not a sound HDF5" in refusal(text)


def test_a_result_without_g2_is_refused(tmp_path: Path) -> None:
    empty = prepare(intent(tmp_path, "import sys, h5py; h5py.File(sys.argv[1], 'w').close()"))
    wrapper(empty).communicate()
    with h5py.File(empty.result_path) as file:
        assert not list(file)
    assert "holds no /xpcs/multitau/normalized_g2" in refusal(empty)


def test_the_wrapper_explains_a_wrong_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.json").write_text("{")
    assert [main([]), main([str(tmp_path / "none.json")]), main([str(tmp_path / "bad.json")])] == [2, 2, 2]
    assert "usage" in capsys.readouterr().err
