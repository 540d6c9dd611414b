"""Fetches files of a job from the cluster: goes on where it was cut, and nothing is here by its name half."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import paramiko

from backend.dispatch.job import open_for_group, sync_folder

_PIECE_BYTES = 256 * 1024
_LARGEST_RECORD_BYTES = 4 * 1024 * 1024


def read_small(sftp: paramiko.SFTPClient, remote: PurePosixPath) -> bytes:
    """Content of a small file; no more of it than any of ours can have.

    Raises
    ------
    OSError, EOFError, paramiko.SSHException
        It cannot be read now.
    """
    with sftp.open(str(remote), "rb") as file:
        return bytes(file.read(_LARGEST_RECORD_BYTES))


def store_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises
    ------
    OSError
        It cannot be written.
    """
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        with open(part, "wb", opener=open_for_group) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def fetch_rest(
    sftp: paramiko.SFTPClient, remote: PurePosixPath, local: Path, passed: Callable[[int], None]
) -> None:
    """Append to ``local`` what it lacks of a file that only grows; one that shrank is fetched anew.

    ``passed`` is told of every piece (bytes) and may stop by raising.

    Raises
    ------
    OSError, EOFError, paramiko.SSHException
        The connection broke, or one side cannot read or write. The next call goes on from there.
    """
    have = local.stat().st_size if local.exists() else 0
    with sftp.open(str(remote), "rb") as source:
        size = source.stat().st_size or 0
        if size < have:
            local.unlink()
            have = 0
        with open(local, "ab", opener=open_for_group) as target:
            source.seek(have)
            if size > have:
                source.prefetch(size)
            while have < size and (piece := source.read(min(_PIECE_BYTES, size - have))):
                target.write(piece)
                have += len(piece)
                passed(len(piece))
