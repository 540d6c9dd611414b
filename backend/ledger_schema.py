"""Tables of the ledger. Each version is a list of statements that turns the one before it into itself."""

from __future__ import annotations

_VERSION_1 = (
    """CREATE TABLE series (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL, sample TEXT NOT NULL, detector TEXT NOT NULL,
        started_at REAL, first_seen_at REAL NOT NULL,
        frames INTEGER NOT NULL, expected_frames INTEGER, status TEXT NOT NULL,
        verdict TEXT NOT NULL, why TEXT NOT NULL, onset_frame INTEGER,
        UNIQUE (name, detector))""",
    """CREATE TABLE verdict_change (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        series TEXT NOT NULL, frame INTEGER NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL, do TEXT NOT NULL,
        log10_evidence REAL NOT NULL, settings_sha256 TEXT NOT NULL, at REAL NOT NULL, verdict_json BLOB NOT NULL)""",
    "CREATE INDEX verdict_change_series ON verdict_change (series, number)",
    "CREATE TABLE acknowledgement (message_key TEXT PRIMARY KEY, at REAL NOT NULL)",
    """CREATE TABLE job (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id TEXT NOT NULL UNIQUE,
        series TEXT NOT NULL, detector TEXT NOT NULL, recipe TEXT NOT NULL, recipe_sha256 TEXT NOT NULL,
        attempt INTEGER NOT NULL, retries_left INTEGER NOT NULL, executor TEXT NOT NULL,
        command_json TEXT NOT NULL, folder TEXT NOT NULL, part_path TEXT NOT NULL, result_path TEXT NOT NULL,
        time_limit_s REAL NOT NULL, nice INTEGER NOT NULL, submitted_at REAL NOT NULL,
        state TEXT NOT NULL, reason TEXT NOT NULL, try_this TEXT NOT NULL, identity TEXT NOT NULL,
        started_at REAL, ended_at REAL, exit_code INTEGER, last_line TEXT NOT NULL, cancel_asked INTEGER NOT NULL)""",
    "CREATE INDEX job_state ON job (state)",
    "CREATE INDEX job_series ON job (series, detector, recipe_sha256)",
    """CREATE TABLE job_state_change (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id TEXT NOT NULL REFERENCES job (job_id), state TEXT NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL)""",
    "CREATE INDEX job_state_change_job ON job_state_change (job_id, number)",
    """CREATE TABLE settings_change (
        number INTEGER PRIMARY KEY AUTOINCREMENT, author TEXT NOT NULL, at REAL NOT NULL, what TEXT NOT NULL)""",
)

# ``first_seen_at`` puts series without a known start in order; ``record`` is a SeriesRecord as msgpack.
_VERSION_2 = (
    """CREATE TABLE series_record (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        series TEXT NOT NULL, detector TEXT NOT NULL, sample TEXT NOT NULL,
        started_at REAL, first_seen_at REAL NOT NULL, frames INTEGER NOT NULL,
        exposure_s REAL, gray_per_s REAL, horizontal_um REAL, vertical_um REAL,
        settings_sha256 TEXT NOT NULL, record BLOB NOT NULL,
        UNIQUE (series, detector))""",
)

# Jobs may be "submitted" or "parked"; the tables are the same, but an older program would not know the words.
_VERSION_3: tuple[str, ...] = ()

# ``plan_json`` is a JobPlan, ``outputs_json`` the files that a job left; ``recipe_choice`` what a person
# wants to run by itself.
_VERSION_4 = (
    "ALTER TABLE job ADD COLUMN plan_json TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE job ADD COLUMN outputs_json TEXT NOT NULL DEFAULT '[]'",
    "CREATE TABLE recipe_choice (recipe TEXT PRIMARY KEY, runs INTEGER NOT NULL, at REAL NOT NULL)",
)

VERSIONS: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4)
"""``VERSIONS[n]`` takes a ledger of version ``n`` to version ``n + 1``; a new file starts at version 0."""
