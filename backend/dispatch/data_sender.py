"""Sends the files that jobs read to the cluster, in a thread of its own: newest job first, again after every loss."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import paramiko

from backend.dispatch.copy_line import CopyLine
from backend.dispatch.job import JobIntent
from backend.dispatch.needed_files import needed_files
from backend.dispatch.pace import StreamStoppedError
from backend.dispatch.sftp_upload import remote_size, upload
from backend.errors import BeamtimeError, DispatchError

_FORGOTTEN_S = 60.0
_LOOK_S = 1.0


@dataclass(slots=True)
class _Parcel:
    """The files of one job; ``asked_at`` is when somebody last wanted it."""

    intent: JobIntent
    asked_at: float
    total_bytes: int = 0
    sent_bytes: int = 0
    problem: str = ""
    never: DispatchError | None = None
    complete: bool = False

    @property
    def words(self) -> str:
        if self.problem:
            return f"Copying to the cluster was interrupted ({self.problem}); it goes on by itself."
        if not self.total_bytes:
            return "Waiting for its turn to be copied to the cluster."
        return f"Copying to the cluster: {self.sent_bytes / 1e9:.2f} of {self.total_bytes / 1e9:.2f} GB."


class DataSender:
    """Sends what jobs read.

    Parameters
    ----------
    line : CopyLine
        What it copies over.
    further : sequence of Path
        Files that every job may read, for instance a mask.

    Attributes
    ----------
    trouble : DispatchError or None
        Why nothing can be sent now.
    """

    def __init__(self, line: CopyLine, further: Sequence[Path] = ()) -> None:
        self._line = line
        self._paths = line.paths
        self._further = tuple(further)
        self._clock = line.clock
        self._changed = threading.Condition()
        self._parcels: dict[str, _Parcel] = {}
        self._arrived: dict[PurePosixPath, tuple[int, int]] = {}
        self.trouble: DispatchError | None = None

    def bring(self, intent: JobIntent) -> str:
        """How far the sending is, "" when everything has arrived. What nobody asks for any more is not sent.

        Raises
        ------
        DispatchError
            A file is not there to be sent.
        """
        with self._changed:
            parcel = self._parcels.setdefault(intent.job_id, _Parcel(intent, self._clock()))
            parcel.asked_at = self._clock()
            if parcel.complete or parcel.never is not None:
                del self._parcels[intent.job_id]
            else:
                self._line.start(self._run, "data sender")
            self._changed.notify()
        if parcel.never is not None:
            raise parcel.never
        return "" if parcel.complete else parcel.words

    def close(self) -> None:
        """Stop in the middle of a file; the next sender goes on from there."""
        self._line.stop.set()
        with self._changed:
            self._changed.notify()
        self._line.close()

    def _run(self) -> None:
        while not self._line.stop.is_set():
            with self._changed:
                parcel = self._next()
                if parcel is None or self._line.backoff.wait_s > 0:
                    self._changed.wait(_LOOK_S if parcel is None else min(_LOOK_S, self._line.backoff.wait_s))
                    continue
            try:
                self._send(parcel)
            except StreamStoppedError:
                continue
            except (BeamtimeError, FileNotFoundError) as error:
                self._give_up(parcel, error)
            except (OSError, EOFError, paramiko.SSHException, DispatchError) as error:
                self._line.backoff.failed()
                self.trouble = error if isinstance(error, DispatchError) else _interrupted(error)
                parcel.problem = str(error.what if isinstance(error, DispatchError) else error).rstrip(".")
            else:
                self._line.backoff.succeeded()
                self.trouble = None

    def _next(self) -> _Parcel | None:
        """The newest job that somebody still wants; others are forgotten."""
        now = self._clock()
        self._parcels = {
            key: parcel for key, parcel in self._parcels.items() if now - parcel.asked_at < _FORGOTTEN_S
        }
        open_ones = [
            parcel for parcel in self._parcels.values() if not parcel.complete and parcel.never is None
        ]
        return max(open_ones, key=lambda parcel: parcel.intent.submitted_at, default=None)

    def _send(self, parcel: _Parcel) -> None:
        files = [*needed_files(parcel.intent, self._paths.here), *self._further]
        states = [file.stat() for file in files]
        parcel.total_bytes = sum(state.st_size for state in states)
        parcel.sent_bytes = 0

        def count(sent: int) -> None:
            parcel.sent_bytes += sent
            parcel.problem = ""
            self.trouble = None
            if self._clock() - parcel.asked_at > _FORGOTTEN_S:
                raise StreamStoppedError

        sftp = self._line.connection.open_sftp()
        try:
            for file, state in zip(files, states, strict=True):
                there = self._paths.to_there(file)
                known = (state.st_size, state.st_mtime_ns)
                # It may have been cleared away there meanwhile.
                if self._arrived.get(there) == known and remote_size(sftp, there) == state.st_size:
                    count(state.st_size)
                    continue
                upload(self._line.connection, sftp, file, there, self._line.pace, count)
                self._arrived[there] = known
        finally:
            sftp.close()
        parcel.complete = True

    def _give_up(self, parcel: _Parcel, error: Exception) -> None:
        parcel.never = DispatchError(
            f"The files of the job {parcel.intent.job_id} cannot be sent to the cluster: {error}.",
            still_works="The live analysis and other jobs are not affected.",
            try_this="Check that the series is still there, then run the recipe again.",
        )


def _interrupted(error: Exception) -> DispatchError:
    return DispatchError(
        f"Copying to the cluster was interrupted: {error}.",
        still_works="Live pictures, the verdict and local jobs go on; jobs for the cluster wait.",
        try_this="It goes on by itself; if this lasts, check that the account may write there and has room.",
    )
