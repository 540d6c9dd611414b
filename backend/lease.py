"""Only one backend works on a folder: a lock that dies with its process, and words about who holds it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path

from backend.errors import FeedbackError

_HEARTBEAT_S = 10.0
_STALE_AFTER_S = 60.0
_RECORD_BYTES = 256
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


class LeaseError(FeedbackError):
    """Another backend holds the lease, or it cannot be written."""


class LeaseTakenError(LeaseError):
    """Another backend is at work."""


class Lease:
    """Exclusive lock on a file with host, process and heartbeat in it.

    The lock is the kernel's (``flock``), so a killed backend leaves none behind. Where the file system does not
    carry locks between hosts, a fresh heartbeat of another host is respected too.

    Raises
    ------
    LeaseError
        Another backend is at work, or the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        except OSError as error:
            raise LeaseError(
                f"The lock file {path} cannot be made: {error.strerror or error}.",
                still_works="Live pictures and the verdict do not need it.",
                try_this="Check that the folder is there and that you may write in it.",
            ) from error
        self._beat_at = 0.0
        try:
            self._take()
            self.keep()
        except OSError as error:
            os.close(self._file)
            raise LeaseError(
                f"The lock file {path} cannot be used: {error.strerror or error}.",
                still_works="Live pictures and the verdict do not need it.",
                try_this="Check that the file system is there and that you may write in it.",
            ) from error
        except LeaseError:
            os.close(self._file)
            raise

    def _take(self) -> None:
        locked = True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise self._refusal() from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            locked = False
        holder = self._read()
        other = holder.get("host") not in (None, socket.gethostname())
        if not locked:
            # A file system without locks: the heartbeat alone has to tell, on this host too.
            other = other or holder.get("pid") not in (None, os.getpid())
        heartbeat = holder.get("heartbeat")
        # Clocks of two hosts differ: a heartbeat from a little ahead is fresh, one from far ahead is nonsense.
        fresh = isinstance(heartbeat, (int, float)) and abs(time.time() - heartbeat) < _STALE_AFTER_S
        if other and fresh:
            raise self._refusal()

    def _read(self) -> dict[str, object]:
        content = os.pread(self._file, 4096, 0)
        try:
            holder = json.loads(content) if content else {}
        except ValueError:
            # Half-written by a crash; the lock itself decides.
            return {}
        return holder if isinstance(holder, dict) else {}

    def _refusal(self) -> LeaseTakenError:
        holder = self._read()
        return LeaseTakenError(
            f"Another backend is at work here: process {holder.get('pid', '?')} on {holder.get('host', '?')} "
            f"({self._path}).",
            still_works="It goes on with the measurement.",
            try_this="Use its window, or stop it first (mento-gui status --root DIR shows it).",
        )

    def keep(self) -> None:
        """Renew the heartbeat when it is due; cheap, to be called often.

        Raises
        ------
        LeaseError
            The file cannot be written any more.
        """
        if time.monotonic() - self._beat_at < _HEARTBEAT_S and self._beat_at:
            return
        self._beat_at = time.monotonic()
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "heartbeat": time.time()}
        try:
            os.pwrite(self._file, json.dumps(holder).ljust(_RECORD_BYTES).encode(), 0)
            os.ftruncate(self._file, _RECORD_BYTES)
        except OSError as error:
            raise LeaseError(
                f"The lock file {self._path} cannot be written: {error.strerror or error}.",
                still_works="Live pictures and the verdict go on.",
                try_this="Check the disk and the quota.",
            ) from error

    def release(self) -> None:
        """Give the lease back."""
        try:
            os.ftruncate(self._file, 0)
        finally:
            os.close(self._file)
