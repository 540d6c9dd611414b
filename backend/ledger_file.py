"""Opens the ledger's SQLite file: checks it, keeps a damaged one aside, brings an old one up to date."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from backend.errors import FeedbackError
from backend.ledger_schema import VERSIONS


class LedgerError(FeedbackError):
    """The ledger cannot be opened, read or written."""


def open_ledger_file(
    path: Path, busy_timeout_s: float, versions: Sequence[Sequence[str]] = VERSIONS
) -> tuple[sqlite3.Connection, tuple[LedgerError, ...]]:
    """Connection to a sound, current ledger file, and what a person should know about how it was opened.

    Raises
    ------
    LedgerError
        Another program holds the file, it may not be written, or a newer program made it.
    """
    try:
        path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_open(path, error.strerror or str(error)) from error
    notices: list[LedgerError] = []
    try:
        connection = _open_sound(path, busy_timeout_s, versions)
    except sqlite3.OperationalError as error:
        raise explain(path, error) from error
    except sqlite3.DatabaseError as error:
        aside = _keep_aside(path)
        notices.append(
            LedgerError(
                f"The ledger {path} is damaged ({error}); it was kept as {aside.name} and a new one was started.",
                still_works="The measurement and its feedback go on; data and result files are untouched.",
                try_this="Series are found again from their files; ask staff before deleting the damaged ledger.",
            )
        )
        try:
            connection = _open_sound(path, busy_timeout_s, versions)
        except sqlite3.Error as second_error:
            raise explain(path, second_error) from second_error
    notices += _use_write_ahead_log(connection, path)
    return connection, tuple(notices)


def _open_sound(path: Path, busy_timeout_s: float, versions: Sequence[Sequence[str]]) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy_timeout_s, check_same_thread=False, isolation_level=None)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        # Also proves at once that the file may be written: SQLite opens a read-only file without a word.
        connection.execute("BEGIN IMMEDIATE")
        faults = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
        if faults != ["ok"]:
            raise sqlite3.DatabaseError(" ".join(faults[0].split()))
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > len(versions):
            raise LedgerError(
                f"The ledger {path} was made by a newer program (version {found}, this one knows {len(versions)}).",
                still_works="Nothing was changed in it.",
                try_this="Start the newer program, or move the file away to begin a new ledger.",
            )
        for version in range(found, len(versions)):
            for statement in versions[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")
    except (sqlite3.Error, LedgerError):
        connection.close()
        raise
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection, path: Path) -> list[LedgerError]:
    try:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    except sqlite3.OperationalError as error:
        mode = str(error)
    # An intent must be on the disk before a job is started, also when the power fails.
    connection.execute("PRAGMA synchronous = FULL")
    if mode == "wal":
        return []
    connection.execute("PRAGMA journal_mode = DELETE")
    return [
        LedgerError(
            f"The file system of {path} allows no write-ahead log ({mode}); the ledger uses a rollback journal.",
            still_works="Everything works; writing the ledger is a little slower.",
        )
    ]


def _keep_aside(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for ending in ("", "-wal", "-shm", "-journal"):
        part = path.with_name(path.name + ending)
        if part.exists():
            os.rename(part, aside.with_name(aside.name + ending))
    return aside


def explain(path: Path, error: sqlite3.Error) -> LedgerError:
    """The failure of an SQLite call on the ledger in words."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return LedgerError(
            f"The ledger {path} is in use by another program ({text}).",
            still_works="Nothing was lost; the other program goes on.",
            try_this="Close the other backend of this beamtime, then try again.",
        )
    if "readonly" in text or "read-only" in text:
        return _cannot_open(path, "it may not be written")
    if "full" in text or "I/O" in text:
        return _cannot_open(path, f"the disk or the quota is full, or the disk fails ({text})")
    return _cannot_open(path, text)


def _cannot_open(path: Path, cause: str) -> LedgerError:
    return LedgerError(
        f"The ledger {path} cannot be used: {cause}.",
        still_works="Data files and results are untouched.",
        try_this="Check the folder's permissions and free space, then start again.",
    )
