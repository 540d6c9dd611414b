"""Where the nodes do not see the beamtime folder: whether files get there and back, and how fast."""

from __future__ import annotations

import os
import threading
import time

import paramiko

from backend.dispatch.pace import Pace
from backend.dispatch.sftp_download import fetch_rest
from backend.dispatch.sftp_upload import upload
from backend.dispatch.ssh_transport import SshTransport
from backend.doctor.examination import Examination
from backend.doctor.finding import Finding, fault, good

_TEST_BYTES = 16_000_000


def copy_there_and_back(seen: Examination) -> Finding:
    """Send a file to the cluster, have its checksum compared there, and fetch it again."""
    assert seen.plan.address is not None
    there = seen.plan.paths.to_there(seen.work_folder / "to-copy")
    try:
        sent_s, fetched_s = _times_s(seen, SshTransport(seen.plan.address))
    except (OSError, EOFError, paramiko.SSHException) as error:
        return fault(
            f"A file cannot be copied to {there.parent} and back: {error}.",
            "Jobs would not get their series, or their results would not come back.",
            "Check beamtime_folder in section [cluster] of the settings: the account must be able to make it.",
        )
    megabytes = _TEST_BYTES / 1e6
    return good(
        f"{megabytes:.0f} MB went to {there.parent} and back unchanged, at {megabytes / sent_s:.0f} and "
        f"{megabytes / fetched_s:.0f} MB/s."
    )


def _times_s(seen: Examination, connection: SshTransport) -> tuple[float, float]:
    local, back = seen.work_folder / "to-copy", seen.work_folder / "copied"
    content = os.urandom(_TEST_BYTES)
    local.write_bytes(content)
    remote = seen.plan.paths.to_there(local)
    pace = Pace(seen.settings.cluster.copy_rate_mb_per_s * 1e6, threading.Event())
    try:
        sftp = connection.open_sftp()
        began = time.monotonic()
        upload(connection, sftp, local, remote, pace, lambda _: None)
        sent = time.monotonic()
        fetch_rest(sftp, remote, back, pace.passed)
        fetched = time.monotonic()
    finally:
        connection.close()
    if back.read_bytes() != content:
        raise OSError("what came back is not what was sent")
    return sent - began, fetched - sent
