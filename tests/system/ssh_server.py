"""A real SSH server on the loopback address, as an ordinary user or as root, with keys of its own."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import paramiko
from daemons import (
    SYSTEM_FOLDERS,
    children_of,
    free_port,
    kill_daemon,
    kill_process,
    port_answers,
    start_daemon,
)
from program import wait_until

from backend.dispatch.host_keys import approve_host
from backend.dispatch.ssh_login import SshAddress

_CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/ssh/host
PidFile {folder}/pids/sshd.pid
AuthorizedKeysFile {folder}/ssh/client.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PermitUserRC no
Subsystem sftp internal-sftp
UseDNS no
{further}
"""


class SshServer:
    """sshd that lets the user of the tests in with one key.

    ``further`` are lines of its configuration. Everything it has lies in ``folder``.
    """

    def __init__(self, folder: Path, further: Sequence[str] = ()) -> None:
        self.folder = folder
        self.port = free_port()
        self.user = getpass.getuser()
        self.known_hosts = folder / "ssh" / "known_hosts"
        self.key_file = folder / "ssh" / "client"
        self._further = further
        for name in ("ssh", "pids", "log"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> SshAddress:
        """How it is logged in at; its host key is approved there."""
        return SshAddress("127.0.0.1", self.port, self.user, self.key_file, self.known_hosts)

    @property
    def host_key(self) -> paramiko.PKey:
        """The key it shows."""
        return paramiko.PKey.from_path(self.folder / "ssh" / "host")

    @property
    def log(self) -> str:
        """What it has written about connections."""
        return (self.folder / "log" / "sshd.log").read_text(encoding="utf-8", errors="replace")

    def prepare(self) -> None:
        """Make keys and configuration, and approve the host key."""
        make_key(self.folder / "ssh" / "host")
        make_key(self.key_file)
        text = _CONFIGURATION.format(folder=self.folder, port=self.port, further="\n".join(self._further))
        (self.folder / "ssh" / "sshd_config").write_text(text, encoding="ascii")
        approve_host(self.known_hosts, "127.0.0.1", self.port, self.host_key)

    def start(self) -> None:
        """Start it and wait until it answers."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        start_daemon(
            self.folder, {"PATH": SYSTEM_FOLDERS, "LC_ALL": "C"}, "sshd", "-f", f"{self.folder}/ssh/sshd_config",
            "-E", f"{self.folder}/log/sshd.log",
        )  # fmt: skip
        wait_until(lambda: port_answers(self.port), 20.0, "the SSH server answers")

    def kill(self) -> None:
        """End it as a power failure would; open connections live on in processes of their own."""
        kill_daemon(self.folder, "sshd")

    def kill_connections(self) -> int:
        """End every connection that this server has let in; returns how many there were."""
        server = int((self.folder / "pids" / "sshd.pid").read_text(encoding="ascii"))
        sessions = children_of(server)
        for pid in (process for session in sessions for process in (*children_of(session), session)):
            kill_process(pid)
        return len(sessions)


def make_key(path: Path) -> None:
    """A new pair of keys."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=30,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
