from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.ledger import Ledger
from backend.ledger_file import LedgerError, open_ledger_file
from backend.ledger_rows import JobIntent, JobState, JobStatus
from backend.ledger_schema import VERSIONS
from backend.snapshot import RunRow, Verdict, VerdictState


def run_row(series: str = "silica_00001", **changes: object) -> RunRow:
    row = RunRow(
        series=series,
        sample="silica",
        detector="e4m",
        started_at=1000.0,
        frames=10,
        expected_frames=100,
        status="running",
        verdict=VerdictState.TOO_EARLY,
        why="10 of 20 frames",
    )
    return msgspec.structs.replace(row, **changes)


def job_intent(job_id: str = "silica_00001-xpcs-abc-1", **changes: object) -> JobIntent:
    intent = JobIntent(
        job_id=job_id,
        series="silica_00001",
        detector="e4m",
        recipe="xpcs",
        recipe_sha256="ab" * 32,
        attempt=1,
        retries_left=1,
        executor="local",
        command=("echo", "a b", "ünïcode"),
        folder=Path("/data/.jobs/x"),
        part_path=Path("/data/.part-x"),
        result_path=Path("/data/x.h5"),
        time_limit_s=60.0,
        nice=3,
        submitted_at=5.0,
    )
    return replace(intent, **changes)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "processed" / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path):
    opened = Ledger(path)
    yield opened
    opened.close()


def test_a_series_is_stored_once_and_updated(ledger: Ledger, path: Path) -> None:
    ledger.record_series(run_row())
    ledger.record_series(
        run_row(frames=100, status="complete", verdict=VerdictState.DAMAGING, onset_frame=40)
    )
    ledger.record_series(run_row(detector="e500"))
    assert run_row(
        frames=100, status="complete", verdict=VerdictState.DAMAGING, onset_frame=40
    ) in ledger.series_rows(9)
    assert len(ledger.series_rows(9)) == 2
    ledger.close()
    again = Ledger(path)
    assert len(again.series_rows(9)) == 2
    again.close()


def test_series_come_newest_first_up_to_the_limit(ledger: Ledger) -> None:
    for number in (2, 4, 1, 3):
        ledger.record_series(run_row(f"silica_{number:05d}", started_at=float(number)))
    ledger.record_series(run_row("unknown_start", started_at=None))
    names = [row.series for row in ledger.series_rows(3)]
    assert names == ["unknown_start", "silica_00004", "silica_00003"]


def test_only_changes_of_the_verdict_are_kept(ledger: Ledger) -> None:
    good = Verdict(state=VerdictState.GOOD, why="0.1 % of 5 %", do="Go on.", series="a", frame=10)
    bad = Verdict(
        state=VerdictState.DAMAGING,
        why="9 % of 5 %",
        do="Move.",
        series="a",
        frame=30,
        onset_interval=(10, 20),
        also=("x",),
    )
    assert ledger.record_verdict("a", good, "s1", 1.0)
    assert not ledger.record_verdict(
        "a", msgspec.structs.replace(good, frame=11, why="0.2 % of 5 %"), "s1", 2.0
    )
    assert ledger.record_verdict("a", bad, "s1", 3.0)
    assert ledger.record_verdict("a", bad, "s2", 4.0)
    assert ledger.record_verdict("b", good, "s1", 5.0)
    changes = ledger.verdicts("a")
    assert [(change.verdict, change.settings_sha256, change.at) for change in changes] == [
        (good, "s1", 1.0),
        (bad, "s1", 3.0),
        (bad, "s2", 4.0),
    ]


def test_acknowledgements_and_settings_changes(ledger: Ledger) -> None:
    ledger.record_acknowledgement("file:x", 1.0)
    ledger.record_acknowledgement("file:x", 2.0)
    assert ledger.acknowledgements() == {"file:x": 2.0}
    ledger.record_settings_change("anna", 1.0, "rings.count 20 -> 30")
    ledger.record_settings_change("bert", 2.0, "rings.count 30 -> 20")
    assert [change.author for change in ledger.settings_changes(5)] == ["bert", "anna"]


def test_an_intent_is_written_once_and_comes_back_whole(ledger: Ledger) -> None:
    intent = job_intent()
    assert ledger.write_intent(intent)
    assert not ledger.write_intent(replace(intent, command=("other",)))
    (record,) = ledger.jobs(5)
    assert record.intent == intent
    assert record.status == JobStatus(state=JobState.QUEUED)
    assert ledger.last_attempt("silica_00001", "e4m", "ab" * 32) == 1
    assert ledger.last_attempt("silica_00001", "e500", "ab" * 32) == 0


def test_a_job_keeps_its_history(ledger: Ledger) -> None:
    ledger.write_intent(job_intent())
    ledger.write_intent(job_intent("second"))
    running = JobStatus(state=JobState.RUNNING, identity="h b 1 2", started_at=6.0)
    failed = replace(
        running, state=JobState.FAILED, reason="exit code 3", exit_code=3, ended_at=8.0, cancel_asked=True
    )
    ledger.update_job("second", running, 6.0)
    ledger.update_job("second", replace(running, last_line="hello"), 7.0)
    ledger.update_job("second", failed, 8.0)
    assert [(step.state, step.at) for step in ledger.job_history("second")] == [
        (JobState.QUEUED, 5.0),
        (JobState.RUNNING, 6.0),
        (JobState.FAILED, 8.0),
    ]
    assert [record.intent.job_id for record in ledger.jobs(5)] == ["second", "silica_00001-xpcs-abc-1"]
    assert ledger.jobs(1)[0].status == failed
    assert [record.intent.job_id for record in ledger.unfinished_jobs()] == ["silica_00001-xpcs-abc-1"]
    with pytest.raises(LedgerError, match="no job third"):
        ledger.update_job("third", failed, 9.0)


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_any_command_survives(tmp_path_factory: pytest.TempPathFactory, command: list[str]) -> None:
    opened = Ledger(tmp_path_factory.mktemp("ledger") / "l.sqlite")
    opened.write_intent(job_intent(command=tuple(command)))
    assert opened.jobs(1)[0].intent.command == tuple(command)
    opened.close()


def test_threads_share_one_ledger(ledger: Ledger) -> None:
    failures: list[Exception] = []

    def write(name: str) -> None:
        try:
            for number in range(20):
                ledger.record_series(run_row(f"{name}_{number:05d}"))
                ledger.series_rows(5)
        except LedgerError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(ledger.series_rows(1000)) == 80


def test_a_file_of_rubbish_is_kept_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database, " * 400)
    opened = Ledger(path)
    opened.record_series(run_row())
    assert len(opened.series_rows(5)) == 1
    (notice,) = opened.notices
    assert "damaged" in notice.what and "kept as" in notice.what and notice.try_this
    (aside,) = path.parent.glob("*.damaged-*")
    assert aside.read_bytes().startswith(b"this is no database")
    opened.close()


def test_a_damaged_page_is_noticed_at_the_start(path: Path) -> None:
    opened = Ledger(path)
    for number in range(200):
        opened.record_series(run_row(f"silica_{number:05d}"))
    opened.close()
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    again = Ledger(path)
    assert again.series_rows(5) == ()
    assert "damaged" in again.notices[0].what
    assert [aside.read_bytes() for aside in path.parent.glob("*.damaged-*")] == [bytes(content)]
    again.close()


def test_a_locked_ledger_is_said_and_not_touched(path: Path) -> None:
    Ledger(path).close()
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerError, match="in use by another program"):
        Ledger(path, busy_timeout_s=0.05)
    other.close()
    assert not list(path.parent.glob("*.damaged-*"))


def test_a_ledger_of_a_newer_program_is_refused_unchanged(path: Path) -> None:
    path.parent.mkdir()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(LedgerError, match="newer program"):
        Ledger(path)
    assert not list(path.parent.glob("*.damaged-*"))


def test_an_older_ledger_is_brought_up_to_date_without_loss(path: Path) -> None:
    opened = Ledger(path)
    opened.record_series(run_row())
    opened.close()
    longer = (*VERSIONS, ("ALTER TABLE series ADD COLUMN comment TEXT NOT NULL DEFAULT 'none'",))
    connection, notices = open_ledger_file(path, 1.0, longer)
    assert notices == ()
    assert connection.execute("SELECT name, comment FROM series").fetchall() == [("silica_00001", "none")]
    assert connection.execute("PRAGMA user_version").fetchone() == (len(longer),)
    connection.close()


def test_jobs_of_a_ledger_that_knew_only_one_result_are_taken_up(path: Path) -> None:
    path.parent.mkdir()
    connection, _ = open_ledger_file(path, 1.0, VERSIONS[:3])
    connection.execute(
        "INSERT INTO job VALUES (1, 'k-1', 's', 'e4m', 'xpcs', '', 1, 0, 'local', '[\"x\", \"y\"]', '/f', '/p', '/r',"
        " 60.0, 5, 1.0, 'queued', '', '', '', NULL, NULL, NULL, '', 0)"
    )
    connection.close()
    opened = Ledger(path)
    (job,) = opened.unfinished_jobs()
    assert (job.intent.command, job.intent.plan.writes_result, job.status.outputs) == (("x", "y"), True, ())
    opened.close()


def test_a_failed_migration_leaves_the_old_ledger(path: Path) -> None:
    Ledger(path).close()
    broken = (
        *VERSIONS,
        ("ALTER TABLE series ADD COLUMN comment TEXT", "ALTER TABLE nothing ADD COLUMN x TEXT"),
    )
    with pytest.raises(LedgerError):
        open_ledger_file(path, 1.0, broken)
    opened = Ledger(path)
    opened.record_series(run_row())
    opened.close()


def test_a_ledger_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("not a folder")
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger(place / "ledger.sqlite")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_ledger_is_said(path: Path) -> None:
    Ledger(path).close()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with pytest.raises(LedgerError, match="may not be written"):
            Ledger(path)
    finally:
        path.parent.chmod(0o700)


def test_a_closed_ledger_speaks_in_words(path: Path) -> None:
    opened = Ledger(path)
    opened.close()
    with pytest.raises(LedgerError, match="cannot be used"):
        opened.record_series(run_row())


def test_a_full_disk_is_said_and_loses_nothing_written_before(path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
from backend.ledger import Ledger
from backend.ledger_file import LedgerError
ledger = Ledger(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
written = 0
try:
    while written < 1000:
        ledger.record_settings_change("anna", 1.0, "x" * 1000)
        written += 1
except LedgerError as error:
    print(error.what)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert 0 < written < 1000
assert len(ledger.settings_changes(2000)) == written
ledger.record_settings_change("anna", 2.0, "room again")
"""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, str(path)]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert "the disk or the quota is full" in ended.stdout
    opened = Ledger(path)
    assert opened.settings_changes(1)[0].what == "room again"
    opened.close()


def test_what_was_written_survives_kill_9(path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from backend.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "ledger.record_settings_change('anna', 1.0, 'rings')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program, str(path)], cwd=root, check=False)
    opened = Ledger(path)
    assert [change.what for change in opened.settings_changes(5)] == ["rings"]
    assert opened.notices == ()
    opened.close()
