"""Runs a scheduler's commands over one SSH connection that is watched, and made anew when it breaks."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType

from backend.dispatch.backoff import Backoff
from backend.dispatch.host_keys import check_private_key, fingerprint, host_entry, read_known_hosts
from backend.dispatch.transport import CommandResult, TransportError, shell_line
from backend.errors import DispatchError

CONNECT_S = 10.0
"""Longest wait for each of: the network connection, the banner, the log-in, a new channel."""
_KEEPALIVE_S = 15
_STEP_S = 0.2
_READ_BYTES = 65536
_LARGEST_OUTPUT_BYTES = 16 * 1024 * 1024
_STILL_WORKS = "Live pictures, the verdict and local jobs go on; jobs for the cluster wait."


@dataclass(frozen=True, slots=True)
class SshAddress:
    """Whom to log in as where, with which key; the key is read at each log-in and never kept or logged."""

    host: str
    port: int
    user: str
    key_file: Path
    known_hosts: Path


class SshTransport:
    """Transport over SSH with approved host keys only, without agent and without other keys.

    A broken connection is made anew at the next command, after a pause that grows with every failure; until the pause
    is over :meth:`run` refuses at once.
    """

    def __init__(self, address: SshAddress, backoff: Backoff | None = None) -> None:
        self._address = address
        self._backoff = backoff or Backoff()
        self._lock = threading.Lock()
        self._client: paramiko.SSHClient | None = None
        self._failure = ""
        self._closed = False

    @property
    def place(self) -> str:
        """User and host."""
        return f"{self._address.user}@{host_entry(self._address.host, self._address.port)}"

    def run(self, command: Sequence[str], *, stdin: str = "", timeout_s: float = 30.0) -> CommandResult:
        """Run a command; when the connection breaks or the time is over its fate is unknown."""
        channel = self._open_channel()
        try:
            channel.settimeout(CONNECT_S)
            channel.exec_command(shell_line(command))
            if stdin:
                channel.sendall(stdin.encode())
            channel.shutdown_write()
            return _collect(channel, time.monotonic() + timeout_s, timeout_s)
        except (OSError, EOFError, paramiko.SSHException) as error:
            return CommandResult(None, "", f"the connection broke: {error}")
        finally:
            channel.close()
            self._drop_if_broken()

    def close(self) -> None:
        """End the connection for good; a command under way ends with an unknown fate."""
        with self._lock:
            self._closed = True
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open_channel(self) -> paramiko.Channel:
        transport = self._connected()
        try:
            return transport.open_session(timeout=CONNECT_S)
        except (OSError, EOFError, paramiko.SSHException):
            # The connection had died unnoticed: nothing was asked for yet, so a new one may ask.
            self._drop()
        transport = self._connected()
        try:
            return transport.open_session(timeout=CONNECT_S)
        except (OSError, EOFError, paramiko.SSHException) as error:
            self._drop()
            self._remember_failure(f"{self.place} opens no channel: {error}")
            raise self._unreachable() from error

    def _connected(self) -> paramiko.Transport:
        with self._lock:
            client = self._client
        if client is not None and (transport := client.get_transport()) is not None and transport.is_active():
            return transport
        self._drop()
        if self._backoff.wait_s > 0:
            raise self._unreachable()
        try:
            client = _log_in(self._address)
        except DispatchError as problem:
            self._remember_failure(problem.what.rstrip("."))
            raise TransportError(
                problem.what, still_works=problem.still_works, try_this=problem.try_this
            ) from problem
        with self._lock:
            if self._closed:
                client.close()
                raise TransportError(f"The connection to {self.place} was closed.")
            self._client = client
        self._backoff.succeeded()
        transport = client.get_transport()
        if transport is None:
            raise self._unreachable()
        return transport

    def _remember_failure(self, what: str) -> None:
        self._failure = what
        self._backoff.failed()

    def _unreachable(self) -> TransportError:
        return TransportError(
            f"{self._failure or f'{self.place} cannot be reached'}; it is tried again.",
            still_works=_STILL_WORKS,
        )

    def _drop_if_broken(self) -> None:
        with self._lock:
            client = self._client
        transport = None if client is None else client.get_transport()
        if transport is None or not transport.is_active():
            self._drop()

    def _drop(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


def _log_in(address: SshAddress) -> paramiko.SSHClient:
    """A connection to the host whose key was approved; nothing of ours is sent to any other.

    Raises
    ------
    DispatchError
        Says what stood in the way and what to do.
    """
    check_private_key(address.key_file)
    key = _read_key(address.key_file)
    client = paramiko.SSHClient()
    client.get_host_keys().update(read_known_hosts(address.known_hosts))
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    try:
        _check_is_known(client, address)
        client.connect(
            address.host,
            address.port,
            address.user,
            pkey=key,
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
    except DispatchError:
        client.close()
        raise
    except (OSError, EOFError, ValueError, paramiko.SSHException) as error:
        client.close()
        raise _explain(address, error) from error
    return client


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
            still_works=_STILL_WORKS,
            try_this="Ask the beamline staff for a new key.",
        ) from None


def _check_is_known(client: paramiko.SSHClient, address: SshAddress) -> None:
    name = host_entry(address.host, address.port)
    if client.get_host_keys().lookup(name) is None:
        port = "" if address.port == 22 else f" --port {address.port}"
        raise DispatchError(
            f"The host key of {name} was never approved, so nothing was sent to it.",
            still_works=_STILL_WORKS,
            try_this=f"Staff compare its fingerprint once: mento-gui trust {address.host}{port}",
        )


def _explain(address: SshAddress, error: Exception) -> DispatchError:
    name = host_entry(address.host, address.port)
    if isinstance(error, paramiko.BadHostKeyException):
        port = "" if address.port == 22 else f" --port {address.port}"
        return DispatchError(
            f"{name} shows another host key than the approved one, so nothing was sent to it. It shows "
            f"{fingerprint(error.key)}, approved is {fingerprint(error.expected_key)}.",
            still_works=_STILL_WORKS,
            try_this="Ask the people who run it whether its key was changed. If so, approve the new one: "
            f"mento-gui trust {address.host}{port}",
        )
    if isinstance(error, paramiko.AuthenticationException):
        return DispatchError(
            f"{name} does not let {address.user} in with the key {address.key_file}.",
            still_works=_STILL_WORKS,
            try_this="Check user and key_file in section [cluster] of the settings; the account may have ended with "
            "the beamtime or the reservation.",
        )
    if isinstance(error, (socket.gaierror, TimeoutError)) or not isinstance(error, paramiko.SSHException):
        return DispatchError(
            f"{name} cannot be reached: {error or type(error).__name__}.",
            still_works=_STILL_WORKS,
            try_this="Check the network and that the reservation is still there.",
        )
    return DispatchError(
        f"The log-in at {name} failed: {error}.",
        still_works=_STILL_WORKS,
        try_this="Try by hand: ssh " + f"-p {address.port} {address.user}@{address.host}",
    )


def _collect(channel: paramiko.Channel, deadline: float, timeout_s: float) -> CommandResult:
    """Read both streams to their end, side by side, so that neither fills up and stops the command."""
    output, error = bytearray(), bytearray()
    while True:
        moved = False
        while channel.recv_ready() and (piece := channel.recv(_READ_BYTES)):
            output += piece
            moved = True
        while channel.recv_stderr_ready() and (piece := channel.recv_stderr(_READ_BYTES)):
            error += piece
            moved = True
        if len(output) + len(error) > _LARGEST_OUTPUT_BYTES:
            return CommandResult(None, "", "it answered more than anybody can have asked for")
        # The status may come before the last of the output does.
        if not moved and (channel.closed or (channel.exit_status_ready() and channel.eof_received)):
            break
        if time.monotonic() >= deadline:
            # Keepalives do not notice a dead peer in time; without this connection the next command makes a new one.
            channel.get_transport().close()
            return CommandResult(None, "", f"no answer within {timeout_s:g} s")
        if not moved:
            _wait_for_news(channel)
    code = channel.recv_exit_status()
    text = output.decode(errors="replace"), error.decode(errors="replace")
    # Without a status the connection was cut: nobody knows how far the command came.
    return CommandResult(code if code >= 0 else None, *text)


def _wait_for_news(channel: paramiko.Channel) -> None:
    if channel.eof_received:
        channel.status_event.wait(_STEP_S)
    else:
        select.select([channel.fileno()], [], [], _STEP_S)
