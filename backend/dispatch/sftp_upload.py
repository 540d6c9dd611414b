"""Copies a file to the cluster: goes on where it was cut, and counts only when its checksum there is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

import paramiko

from backend.dispatch.pace import Pace
from backend.dispatch.ssh_transport import SshTransport
from backend.errors import DispatchError

_PIECE_BYTES = 256 * 1024
_FOLDER_MODE = 0o770
_FILE_MODE = 0o660
_SLOWEST_CHECKSUM_BYTES_PER_S = 20e6


class CopyFailedError(DispatchError):
    """A copy did not arrive as it was sent; it is to be tried again from the beginning."""


def upload(
    connection: SshTransport,
    sftp: paramiko.SFTPClient,
    local: Path,
    remote: PurePosixPath,
    pace: Pace,
    on_sent: Callable[[int], None],
) -> None:
    """Copy a file; it has its name there only when it is complete and checked.

    ``on_sent`` is told of every piece (bytes), pieces that an earlier try had sent too.

    Raises
    ------
    OSError, EOFError, paramiko.SSHException
        The connection broke, or one side cannot read or write. The next call goes on from there.
    StreamStoppedError
        The pace was stopped.
    CopyFailedError
        It arrived changed, or changed here meanwhile.
    """
    size = local.stat().st_size
    if remote_size(sftp, remote) == size:
        with open(local, "rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        if remote_sha256(connection, remote, size) == digest:
            on_sent(size)
            return
    make_remote_folder(sftp, remote.parent)
    part = remote.with_name(f".part-{remote.name}")
    already = remote_size(sftp, part) or 0
    if already > size:
        already = 0
    with open(local, "rb") as source, sftp.open(str(part), "r+b" if already else "wb") as target:
        sftp.chmod(str(part), _FILE_MODE)
        digest = _send(source, target, already, pace, on_sent)
    if local.stat().st_size != size or remote_sha256(connection, part, size) != digest:
        sftp.remove(str(part))
        raise CopyFailedError(f"{local.name} did not arrive as it is here; it is sent again.")
    sftp.posix_rename(str(part), str(remote))


def _send(
    source: IO[bytes], target: paramiko.SFTPFile, already: int, pace: Pace, on_sent: Callable[[int], None]
) -> str:
    """Send what is not there yet; the checksum of the whole file."""
    digest = hashlib.sha256()
    # Many pieces are on their way at once; one that is lost shows in the checksum.
    target.set_pipelined(True)
    target.seek(already)
    position = 0
    while piece := source.read(
        _PIECE_BYTES if position >= already else min(_PIECE_BYTES, already - position)
    ):
        digest.update(piece)
        if position >= already:
            target.write(piece)
            pace.passed(len(piece))
        position += len(piece)
        on_sent(len(piece))
    return digest.hexdigest()


def remote_size(sftp: paramiko.SFTPClient, path: PurePosixPath) -> int | None:
    """Bytes of a file there; ``None`` when there is none."""
    try:
        return sftp.stat(str(path)).st_size
    except FileNotFoundError:
        return None


def remote_sha256(connection: SshTransport, path: PurePosixPath, size: int) -> str:
    """Checksum of a file there, computed there; "" when it could not be.

    Raises
    ------
    TransportError
        There is no connection.
    """
    answer = connection.run(
        ["/usr/bin/sha256sum", "--", str(path)], timeout_s=60.0 + size / _SLOWEST_CHECKSUM_BYTES_PER_S
    )
    # A backslash comes first when the name holds odd characters.
    return answer.output.lstrip("\\")[:64] if answer.exit_code == 0 else ""


def make_remote_folder(sftp: paramiko.SFTPClient, folder: PurePosixPath) -> None:
    """Make a folder there and what is missing above it, closed to the world.

    Raises
    ------
    OSError
        It cannot be made.
    """
    missing = []
    level = folder
    while not _exists(sftp, level):
        missing.append(level)
        level = level.parent
    for level in reversed(missing):
        try:
            sftp.mkdir(str(level), _FOLDER_MODE)
        except OSError:
            # Another thread may have made it a moment before.
            if not _exists(sftp, level):
                raise


def _exists(sftp: paramiko.SFTPClient, path: PurePosixPath) -> bool:
    try:
        sftp.stat(str(path))
    except FileNotFoundError:
        return False
    return True
