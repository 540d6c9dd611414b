"""The files of jobs where the cluster cannot see them: copies are sent before a job, and what it leaves is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import paramiko

from backend.beamtime.path_map import PathMap
from backend.dispatch.data_sender import DataSender
from backend.dispatch.job import INTENT_FILE, JobIntent
from backend.dispatch.result_fetcher import ResultFetcher
from backend.dispatch.sftp_upload import make_remote_folder
from backend.dispatch.ssh_transport import SshTransport
from backend.dispatch.transport import TransportError
from backend.errors import DispatchError


class CopiedFiles:
    """JobFiles through SFTP.

    Parameters
    ----------
    connection : SshTransport
        The one for commands; it carries the small job files.
    paths : PathMap
        From the beamtime folder here to its copy there.
    sender, fetcher : DataSender, ResultFetcher
        Carry the rest, each over a line of its own.
    """

    shares_claims = False

    def __init__(
        self, connection: SshTransport, paths: PathMap, sender: DataSender, fetcher: ResultFetcher
    ) -> None:
        self._connection = connection
        self._paths = paths
        self._sender = sender
        self._fetcher = fetcher

    @property
    def trouble(self) -> DispatchError | None:
        """What the sender says."""
        return self._sender.trouble

    def bring(self, intent: JobIntent) -> str:
        """How far the sending is."""
        return self._sender.bring(intent)

    def hand_in(self, intent: JobIntent) -> None:
        """Send the job's own file, its folders made."""
        sftp = self._connection.open_sftp()
        try:
            folder = self._paths.to_there(intent.folder)
            make_remote_folder(sftp, self._paths.to_there(intent.result_path.parent))
            make_remote_folder(sftp, folder)
            _place(sftp, intent.folder / INTENT_FILE, folder / INTENT_FILE)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise TransportError(
                f"The job file of {intent.job_id} cannot be sent to {self._connection.place}: {error}.",
                still_works="Live pictures, the verdict and local jobs go on; jobs for the cluster wait.",
                try_this="Check that the account may write there and has room; it is tried again.",
            ) from error
        finally:
            sftp.close()

    def watch(self, intents: Sequence[JobIntent]) -> None:
        """Fetch what these jobs leave."""
        self._fetcher.watch(intents)

    def is_settled(self, intent: JobIntent, since: float) -> bool:
        """True when a later look has fetched everything."""
        return self._fetcher.has_looked_since(intent.job_id, since)

    def close(self) -> None:
        """Stop copying; what has arrived so far is used next time."""
        self._connection.close()
        self._sender.close()
        self._fetcher.close()


def _place(sftp: paramiko.SFTPClient, local: Path, remote: PurePosixPath) -> None:
    part = str(remote.with_name(f".part-{remote.name}"))
    sftp.put(str(local), part, confirm=True)
    sftp.posix_rename(part, str(remote))
