"""The one file that remembers: series, verdicts, acknowledgements, jobs, settings changes of a beamtime."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from backend.job_plan import JobPlan
from backend.ledger_file import LedgerError, explain, open_ledger_file
from backend.ledger_rows import (
    JobIntent,
    JobRecord,
    JobState,
    JobStateChange,
    JobStatus,
    SettingsChange,
    VerdictChange,
)
from backend.series_record import SeriesRecord
from backend.snapshot import JobOutput, RunRow, Verdict, VerdictState

_INTENT_COLUMNS = (
    "job_id, series, detector, recipe, recipe_sha256, attempt, retries_left, executor, command_json, folder, "
    "part_path, result_path, time_limit_s, nice, submitted_at, plan_json"
)
_STATUS_COLUMNS = (
    "state, reason, try_this, identity, started_at, ended_at, exit_code, last_line, cancel_asked, "
    "outputs_json"
)


class Ledger:
    """SQLite ledger of one beamtime; may be used from any thread of one process.

    Parameters
    ----------
    path : Path
        The file; made with its folder when it does not exist.
    busy_timeout_s : float
        How long another program's lock is waited for.

    Attributes
    ----------
    notices : tuple of LedgerError
        What a person should know about the opening: a damaged file kept aside, no write-ahead log.

    Raises
    ------
    LedgerError
        The file is locked, may not be written, or comes from a newer program.
    """

    def __init__(self, path: Path, busy_timeout_s: float = 5.0) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection, self.notices = open_ledger_file(path, busy_timeout_s)

    def close(self) -> None:
        """Close the file; the ledger cannot be used afterwards."""
        with self._lock:
            self._connection.close()

    def record_series(self, row: RunRow) -> None:
        """Store a line of the run table, replacing what was known of this series and detector."""
        values = msgspec.structs.asdict(row) | {"first_seen_at": time.time(), "verdict": str(row.verdict)}
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO series (name, sample, detector, started_at, first_seen_at, frames, expected_frames,"
                " status, verdict, why, onset_frame) VALUES (:series, :sample, :detector, :started_at, :first_seen_at,"
                " :frames, :expected_frames, :status, :verdict, :why, :onset_frame)"
                " ON CONFLICT (name, detector) DO UPDATE SET"
                " sample = excluded.sample, started_at = excluded.started_at, frames = excluded.frames,"
                " expected_frames = excluded.expected_frames, status = excluded.status, verdict = excluded.verdict,"
                " why = excluded.why, onset_frame = excluded.onset_frame",
                values,
            )

    def series_rows(self, limit: int) -> tuple[RunRow, ...]:
        """Run table, newest first; a series without a known start counts from when it was first seen."""
        rows = self._read(
            "SELECT name, sample, detector, started_at, frames, expected_frames, status, verdict, why, onset_frame"
            " FROM series ORDER BY COALESCE(started_at, first_seen_at) DESC, number DESC LIMIT ?",
            (limit,),
        )
        return tuple(
            RunRow(
                series=row[0], sample=row[1], detector=row[2], started_at=row[3], frames=row[4], expected_frames=row[5],
                status=row[6], verdict=VerdictState(row[7]), why=row[8], onset_frame=row[9],
            )
            for row in rows
        )  # fmt: skip

    def record_numbers(self, record: SeriesRecord, at: float) -> bool:
        """Store what is compared between series, in place of what was known; True if stored.

        A series that is read again counts once, and what was seen of it is not forgotten while fewer frames are read.
        """
        spot = record.spot
        values = (
            record.series, record.detector, record.sample, record.started_at, at, record.frames, record.exposure_s,
            record.gray_per_s, spot and spot.horizontal_um, spot and spot.vertical_um, record.settings_sha256,
            msgspec.msgpack.encode(record),
        )  # fmt: skip
        with self._transaction() as connection:
            stored = connection.execute(
                "INSERT INTO series_record (series, detector, sample, started_at, first_seen_at, frames, exposure_s,"
                " gray_per_s, horizontal_um, vertical_um, settings_sha256, record)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (series, detector) DO UPDATE SET"
                " sample = excluded.sample, started_at = excluded.started_at, frames = excluded.frames,"
                " exposure_s = excluded.exposure_s, gray_per_s = excluded.gray_per_s,"
                " horizontal_um = excluded.horizontal_um, vertical_um = excluded.vertical_um,"
                " settings_sha256 = excluded.settings_sha256, record = excluded.record"
                " WHERE excluded.frames >= series_record.frames",
                values,
            ).rowcount
        return bool(stored)

    def numbers(self) -> tuple[SeriesRecord, ...]:
        """What is known of all series, in the order in which they began."""
        rows = self._read(
            "SELECT record FROM series_record ORDER BY COALESCE(started_at, first_seen_at), number", ()
        )
        return tuple(msgspec.msgpack.decode(row[0], type=SeriesRecord) for row in rows)

    def record_verdict(self, series: str, verdict: Verdict, settings_sha256: str, at: float) -> bool:
        """Store a verdict if its state or the settings differ from the last one of the series; True if stored."""
        with self._transaction() as connection:
            last = connection.execute(
                "SELECT state, settings_sha256 FROM verdict_change WHERE series = ? ORDER BY number DESC LIMIT 1",
                (series,),
            ).fetchone()
            if last == (str(verdict.state), settings_sha256):
                return False
            connection.execute(
                "INSERT INTO verdict_change (series, frame, state, why, do, log10_evidence, settings_sha256, at,"
                " verdict_json) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    series, verdict.frame, str(verdict.state), verdict.why, verdict.do, verdict.log10_evidence,
                    settings_sha256, at, msgspec.msgpack.encode(verdict),
                ),
            )  # fmt: skip
        return True

    def verdicts(self, series: str) -> tuple[VerdictChange, ...]:
        """All verdict changes of a series, oldest first."""
        rows = self._read(
            "SELECT verdict_json, settings_sha256, at FROM verdict_change WHERE series = ? ORDER BY number",
            (series,),
        )
        return tuple(
            VerdictChange(msgspec.msgpack.decode(row[0], type=Verdict), row[1], row[2]) for row in rows
        )

    def record_acknowledgement(self, key: str, at: float) -> None:
        """Remember that the message with this key was seen; a later one replaces the time."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO acknowledgement VALUES (?, ?)", (key, at))

    def acknowledgements(self) -> dict[str, float]:
        """Message keys that were acknowledged, with the time in seconds since 1970."""
        return dict(self._read("SELECT message_key, at FROM acknowledgement", ()))

    def record_recipe_choice(self, recipe: str, runs: bool, at: float) -> None:
        """Remember whether a recipe runs by itself; the last word counts."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO recipe_choice VALUES (?, ?, ?)", (recipe, int(runs), at)
            )

    def recipe_choices(self) -> dict[str, bool]:
        """What a person chose for each recipe, in the order of the choices."""
        rows = self._read("SELECT recipe, runs FROM recipe_choice ORDER BY at", ())
        return {recipe: bool(runs) for recipe, runs in rows}

    def record_settings_change(self, author: str, at: float, what: str) -> None:
        """Store who changed what."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO settings_change (author, at, what) VALUES (?, ?, ?)", (author, at, what)
            )

    def settings_changes(self, limit: int) -> tuple[SettingsChange, ...]:
        """Settings changes, newest first."""
        rows = self._read(
            "SELECT author, at, what FROM settings_change ORDER BY number DESC LIMIT ?", (limit,)
        )
        return tuple(SettingsChange(*row) for row in rows)

    def write_intent(self, intent: JobIntent) -> bool:
        """Store a new job as queued, on the disk when this returns; False if its key was there before."""
        values = (
            intent.job_id, intent.series, intent.detector, intent.recipe, intent.recipe_sha256, intent.attempt,
            intent.retries_left, intent.executor, json.dumps(intent.command), str(intent.folder),
            str(intent.part_path), str(intent.result_path), intent.time_limit_s, intent.nice, intent.submitted_at,
            msgspec.json.encode(intent.plan).decode(),
        )  # fmt: skip
        with self._transaction() as connection:
            marks = ", ".join("?" * len(values))
            written = connection.execute(
                f"INSERT INTO job ({_INTENT_COLUMNS}, {_STATUS_COLUMNS}) VALUES ({marks}, 'queued', '', '', '', NULL,"
                " NULL, NULL, '', 0, '[]') ON CONFLICT (job_id) DO NOTHING",
                values,
            ).rowcount
            if written:
                _append_state(connection, intent.job_id, JobState.QUEUED, "", intent.submitted_at)
        return bool(written)

    def move_job(self, intent: JobIntent) -> None:
        """Let another executor run a job, by the command that is the right one there."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE job SET executor = ?, command_json = ?, plan_json = ? WHERE job_id = ?",
                (
                    intent.executor, json.dumps(intent.command), msgspec.json.encode(intent.plan).decode(),
                    intent.job_id,
                ),
            )  # fmt: skip

    def update_job(self, job_id: str, status: JobStatus, at: float) -> None:
        """Replace what is known of a job; a new state or reason is also added to its history.

        Raises
        ------
        LedgerError
            There is no such job.
        """
        with self._transaction() as connection:
            before = connection.execute(
                "SELECT state, reason FROM job WHERE job_id = ?", (job_id,)
            ).fetchone()
            if before is None:
                raise LedgerError(f"The ledger {self.path} has no job {job_id}.")
            connection.execute(
                "UPDATE job SET state = ?, reason = ?, try_this = ?, identity = ?, started_at = ?, ended_at = ?,"
                " exit_code = ?, last_line = ?, cancel_asked = ?, outputs_json = ? WHERE job_id = ?",
                (
                    str(status.state), status.reason, status.try_this, status.identity, status.started_at,
                    status.ended_at, status.exit_code, status.last_line, int(status.cancel_asked),
                    msgspec.json.encode(status.outputs).decode(), job_id,
                ),
            )  # fmt: skip
            if before != (str(status.state), status.reason):
                _append_state(connection, job_id, status.state, status.reason, at)

    def jobs(self, limit: int) -> tuple[JobRecord, ...]:
        """Jobs, newest first."""
        rows = self._read(
            f"SELECT {_INTENT_COLUMNS}, {_STATUS_COLUMNS} FROM job ORDER BY number DESC LIMIT ?", (limit,)
        )
        return tuple(_job_record(row) for row in rows)

    def unfinished_jobs(self) -> tuple[JobRecord, ...]:
        """Jobs that may still change, newest first."""
        rows = self._read(
            f"SELECT {_INTENT_COLUMNS}, {_STATUS_COLUMNS} FROM job"
            " WHERE state IN ('queued', 'submitted', 'running', 'unknown', 'parked') ORDER BY number DESC",
            (),
        )
        return tuple(_job_record(row) for row in rows)

    def last_attempt(self, series: str, detector: str, recipe_sha256: str) -> int:
        """Highest attempt number of this recipe on this series; 0 when it was never asked for."""
        rows = self._read(
            "SELECT COALESCE(MAX(attempt), 0) FROM job WHERE series = ? AND detector = ? AND recipe_sha256 = ?",
            (series, detector, recipe_sha256),
        )
        return int(rows[0][0])

    def has_job(self, job_id: str) -> bool:
        """True when a job of this key was ever asked for."""
        return bool(self._read("SELECT 1 FROM job WHERE job_id = ?", (job_id,)))

    def job_history(self, job_id: str) -> tuple[JobStateChange, ...]:
        """All states of a job with their times, oldest first."""
        rows = self._read(
            "SELECT state, reason, at FROM job_state_change WHERE job_id = ? ORDER BY number", (job_id,)
        )
        return tuple(JobStateChange(JobState(row[0]), row[1], row[2]) for row in rows)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                finally:
                    # Still open only after a failure; SQLite has ended it itself when the disk was full.
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise explain(self.path, error) from error

    def _read(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise explain(self.path, error) from error


def _append_state(
    connection: sqlite3.Connection, job_id: str, state: JobState, reason: str, at: float
) -> None:
    connection.execute(
        "INSERT INTO job_state_change (job_id, state, reason, at) VALUES (?, ?, ?, ?)",
        (job_id, str(state), reason, at),
    )


def _job_record(row: tuple[Any, ...]) -> JobRecord:
    intent = JobIntent(
        job_id=row[0], series=row[1], detector=row[2], recipe=row[3], recipe_sha256=row[4], attempt=row[5],
        retries_left=row[6], executor=row[7], command=tuple(json.loads(row[8])), folder=Path(row[9]),
        part_path=Path(row[10]), result_path=Path(row[11]), time_limit_s=row[12], nice=row[13], submitted_at=row[14],
        plan=msgspec.json.decode(row[15], type=JobPlan),
    )  # fmt: skip
    status = JobStatus(
        state=JobState(row[16]), reason=row[17], try_this=row[18], identity=row[19], started_at=row[20],
        ended_at=row[21], exit_code=row[22], last_line=row[23], cancel_asked=bool(row[24]),
        outputs=msgspec.json.decode(row[25], type=tuple[JobOutput, ...]),
    )  # fmt: skip
    return JobRecord(intent, status)
