"""Logs in at a host over SSH: only with an approved host key, straight or through a jump host."""

from __future__ import annotations

import shlex
import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType

from backend.dispatch.host_keys import (
    check_private_key,
    default_known_hosts,
    fetch_host_key,
    fingerprint,
    host_entry,
    read_known_hosts,
)
from backend.errors import DispatchError

CONNECT_S = 10.0
"""Longest wait for each of: the network connection, the banner, the log-in, a new channel."""
STILL_WORKS = "Live pictures, the verdict and local jobs go on; jobs for the cluster wait."
_KEEPALIVE_S = 15


@dataclass(frozen=True, slots=True)
class SshAddress:
    """Whom to log in as where, with which key; the key is read at each log-in and never kept or logged.

    ``jump`` is the host to go through where this one cannot be reached directly. It only passes bytes on: it sees
    neither the commands nor the key for this host.
    """

    host: str
    port: int
    user: str
    key_file: Path
    known_hosts: Path
    jump: SshAddress | None = None

    @property
    def place(self) -> str:
        """User and host, for sentences."""
        return f"{self.user}@{host_entry(self.host, self.port)}"

    @property
    def trust_command(self) -> str:
        """What staff type to approve this host."""
        words = ["mento-gui", "trust", self.host]
        if self.port != 22:
            words += ["--port", str(self.port)]
        if self.jump is not None:
            port = "" if self.jump.port == 22 else f":{self.jump.port}"
            words += ["--via", f"{self.jump.user}@{self.jump.host}{port}", "--key", str(self.jump.key_file)]
        if self.known_hosts != default_known_hosts():
            words += ["--known-hosts", str(self.known_hosts)]
        return shlex.join(words)


class UnknownHostError(DispatchError):
    """The key of the host at ``address`` was never approved."""

    def __init__(self, address: SshAddress) -> None:
        super().__init__(
            f"The host key of {host_entry(address.host, address.port)} was never approved, so nothing was sent to it.",
            still_works=STILL_WORKS,
            try_this=f"Staff compare its fingerprint once: {address.trust_command}",
        )
        self.address = address


class SshLogin:
    """An open connection to a host, together with the one to the jump host that it goes through."""

    def __init__(self, address: SshAddress, client: paramiko.SSHClient, jump: SshLogin | None = None) -> None:
        self._address = address
        self._client = client
        self._jump = jump

    @property
    def transport(self) -> paramiko.Transport | None:
        """For new channels; ``None`` once the connection is known to be broken."""
        transport = self._client.get_transport()
        return transport if transport is not None and transport.is_active() else None

    def channel_to(self, host: str, port: int) -> paramiko.Channel:
        """A channel through this host to another one.

        Raises
        ------
        DispatchError
            This host does not pass it on.
        """
        try:
            transport = self.transport
            if transport is None:
                raise EOFError("the connection is broken")
            return transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=CONNECT_S)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise DispatchError(
                f"The jump host {self._address.place} does not reach {host_entry(host, port)}: {error}.",
                still_works=STILL_WORKS,
                try_this="Check host and port in section [cluster] of the settings, that the reservation is still "
                "there, and that the jump host lets connections through.",
            ) from error

    def close(self) -> None:
        """End both connections."""
        self._client.close()
        if self._jump is not None:
            self._jump.close()


def log_in(address: SshAddress) -> SshLogin:
    """A connection to the host whose key was approved; nothing of ours is sent to any other.

    Raises
    ------
    DispatchError
        Says what stood in the way and what to do.
    """
    _check_is_known(address)
    check_private_key(address.key_file)
    key = _read_key(address.key_file)
    client = paramiko.SSHClient()
    client.get_host_keys().update(read_known_hosts(address.known_hosts))
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    jump = None if address.jump is None else log_in(address.jump)
    login = SshLogin(address, client, jump)
    try:
        connection = None if jump is None else jump.channel_to(address.host, address.port)
        _connect(client, address, key, connection)
    except DispatchError:
        login.close()
        raise
    except (OSError, EOFError, ValueError, paramiko.SSHException) as error:
        login.close()
        raise _explain(address, error) from error
    return login


def ask_host_key(host: str, port: int, jump: SshAddress | None) -> paramiko.PKey:
    """The key a host shows now, asked through the jump host if there is one; nothing else is sent to it.

    Raises
    ------
    DispatchError
        It does not answer, or the jump host does not let through.
    """
    if jump is None:
        return fetch_host_key(host, port)
    with closing(log_in(jump)) as login:
        return fetch_host_key(host, port, login.channel_to(host, port))


def _connect(
    client: paramiko.SSHClient, address: SshAddress, key: paramiko.PKey, connection: paramiko.Channel | None
) -> None:
    client.connect(
        address.host,
        address.port,
        address.user,
        pkey=key,
        sock=connection,
        allow_agent=False,
        look_for_keys=False,
        timeout=CONNECT_S,
        banner_timeout=CONNECT_S,
        auth_timeout=CONNECT_S,
        channel_timeout=CONNECT_S,
    )
    transport = client.get_transport()
    if transport is not None:
        transport.set_keepalive(_KEEPALIVE_S)


def _read_key(path: Path) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(path)
    except (
        OSError,
        ValueError,
        TypeError,
        paramiko.SSHException,
        UnknownKeyType,
        UnsupportedAlgorithm,
    ) as error:
        # What the libraries say of a key is not passed on, lest a part of it should get into a log.
        raise DispatchError(
            f"The private key {path} cannot be used ({type(error).__name__}): it is not a key without passphrase of a "
            "type that is known here (Ed25519, ECDSA, RSA).",
            still_works=STILL_WORKS,
            try_this="Ask the beamline staff for a new key.",
        ) from None


def _check_is_known(address: SshAddress) -> None:
    # Without the jump host the other one cannot even be asked for its key.
    if address.jump is not None:
        _check_is_known(address.jump)
    if read_known_hosts(address.known_hosts).lookup(host_entry(address.host, address.port)) is None:
        raise UnknownHostError(address)


def _explain(address: SshAddress, error: Exception) -> DispatchError:
    name = host_entry(address.host, address.port)
    if isinstance(error, paramiko.BadHostKeyException):
        return DispatchError(
            f"{name} shows another host key than the approved one, so nothing was sent to it. It shows "
            f"{fingerprint(error.key)}, approved is {fingerprint(error.expected_key)}.",
            still_works=STILL_WORKS,
            try_this="Ask the people who run it whether its key was changed. If so, approve the new one: "
            f"{address.trust_command}",
        )
    if isinstance(error, paramiko.AuthenticationException):
        return DispatchError(
            f"{name} does not let {address.user} in with the key {address.key_file}.",
            still_works=STILL_WORKS,
            try_this="Check user and key_file in section [cluster] of the settings; the account may have ended with "
            "the beamtime or the reservation.",
        )
    if isinstance(error, (socket.gaierror, TimeoutError)) or not isinstance(error, paramiko.SSHException):
        return DispatchError(
            f"{name} cannot be reached: {error or type(error).__name__}.",
            still_works=STILL_WORKS,
            try_this="Check the network and that the reservation is still there.",
        )
    return DispatchError(
        f"The log-in at {name} failed: {error}.",
        still_works=STILL_WORKS,
        try_this=f"Try by hand: ssh -p {address.port} {address.user}@{address.host}",
    )
