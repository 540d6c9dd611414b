"""Fetches what jobs leave on the cluster, in a thread of its own: log, claim, the result, and ``done.json`` last.

So a job folder here is one on a slow shared file system: as soon as ``done.json`` is here, the checked result is.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import msgspec
import paramiko

from backend.dispatch.copy_line import CopyLine
from backend.dispatch.file_checksum import measure_file
from backend.dispatch.folders import make_job_folders
from backend.dispatch.job import (
    CLAIM_FILE,
    DONE_FILE,
    LOG_FILE,
    DoneRecord,
    JobIntent,
    OutputRecord,
    decode_record,
    output_records,
    place_result,
)
from backend.dispatch.pace import StreamStoppedError
from backend.dispatch.sftp_download import fetch_rest, read_small, store_whole
from backend.errors import DispatchError

_FETCHES = 3
"""A result that came so often unlike the job wrote it is like that there."""


class ResultFetcher:
    """Fetches what jobs leave.

    Parameters
    ----------
    line : CopyLine
        What it copies over.
    poll_s : float
        Seconds between two looks.
    """

    def __init__(self, line: CopyLine, poll_s: float) -> None:
        self._line = line
        self._paths = line.paths
        self._poll_s = poll_s
        self._lock = threading.Lock()
        self._wanted: dict[str, JobIntent] = {}
        self._looked_at: dict[str, float] = {}
        self._mismatches: dict[str, int] = {}

    def watch(self, intents: Sequence[JobIntent]) -> None:
        """From now on fetch what these jobs leave, and no others' any more."""
        with self._lock:
            self._wanted = {intent.job_id: intent for intent in intents}
            self._looked_at = {key: at for key, at in self._looked_at.items() if key in self._wanted}
            if intents:
                self._line.start(self._run, "result fetcher")

    def has_looked_since(self, job_id: str, moment: float) -> bool:
        """True when a look that began after ``moment`` has fetched all that was there."""
        return self._looked_at.get(job_id, float("-inf")) > moment

    def close(self) -> None:
        """Stop in the middle of a file; the next fetcher goes on from there."""
        self._line.close()

    def _run(self) -> None:
        while not self._line.stop.wait(max(self._poll_s, self._line.backoff.wait_s)):
            with self._lock:
                wanted = list(self._wanted.values())
            try:
                self._look(wanted)
            except StreamStoppedError:
                return
            except (OSError, EOFError, paramiko.SSHException, DispatchError):
                # Whatever it was, the job table says it of the connection for commands; here it is tried again.
                self._line.backoff.failed()
            else:
                self._line.backoff.succeeded()

    def _look(self, wanted: Sequence[JobIntent]) -> None:
        if not wanted:
            return
        sftp = self._line.connection.open_sftp()
        try:
            for intent in wanted:
                began = self._line.clock()
                if self._fetch(sftp, intent):
                    with self._lock:
                        self._looked_at[intent.job_id] = began
        finally:
            sftp.close()

    def _fetch(self, sftp: paramiko.SFTPClient, intent: JobIntent) -> bool:
        """Fetch what is new of one job; False when the next look has to try again."""
        there = self._paths.to_there(intent.folder)
        try:
            present = set(sftp.listdir(str(there)))
        except FileNotFoundError:
            return True
        make_job_folders(intent)
        if LOG_FILE in present:
            fetch_rest(sftp, there / LOG_FILE, intent.folder / LOG_FILE, self._line.pace.passed)
        if CLAIM_FILE in present and not (intent.folder / CLAIM_FILE).exists():
            store_whole(intent.folder / CLAIM_FILE, read_small(sftp, there / CLAIM_FILE))
        if DONE_FILE in present and not (intent.folder / DONE_FILE).exists():
            content = read_small(sftp, there / DONE_FILE)
            if not self._fetch_result(sftp, intent, content):
                return False
            # Last, as it vouches for the rest. One that cannot be read is judged by whoever reads it here.
            store_whole(intent.folder / DONE_FILE, content)
        return True

    def _fetch_result(self, sftp: paramiko.SFTPClient, intent: JobIntent, content: bytes) -> bool:
        """Fetch all files that a job vouches for; False when one has to be fetched again."""
        try:
            done = decode_record(content, DoneRecord)
        except msgspec.DecodeError:
            return True
        results = intent.result_path.parent
        of_this_job = [
            file
            for file in output_records(intent, done)
            if file.path.parent == Path(self._paths.to_there(results))
        ]
        return done.outcome != "done" or all(
            self._fetch_file(sftp, intent, file, results / file.path.name) for file in of_this_job
        )

    def _fetch_file(
        self, sftp: paramiko.SFTPClient, intent: JobIntent, file: OutputRecord, target: Path
    ) -> bool:
        if _is_here(target, file):
            return True
        part = intent.folder / f".part-{target.name}"
        try:
            fetch_rest(sftp, PurePosixPath(file.path), part, self._line.pace.passed)
            if not _is_here(part, file) and self._is_worth_another_try(intent):
                part.unlink()
                return False
            place_result(part, target)
        except (FileNotFoundError, FileExistsError):
            # There is none there any more, or another file has its name here: who checks the result will say so.
            return True
        return True

    def _is_worth_another_try(self, intent: JobIntent) -> bool:
        """True the first times that a result is not as the job wrote it: it may have been changed on the way."""
        self._mismatches[intent.job_id] = self._mismatches.get(intent.job_id, 0) + 1
        return self._mismatches[intent.job_id] < _FETCHES


def _is_here(path: Path, file: OutputRecord) -> bool:
    try:
        return measure_file(path) == (file.size_bytes, file.sha256)
    except FileNotFoundError:
        return False
