"""Runs a scheduler's commands over one SSH connection that is watched, and made anew when it breaks."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Sequence

import paramiko

from backend.dispatch.backoff import Backoff
from backend.dispatch.ssh_login import CONNECT_S, STILL_WORKS, SshAddress, SshLogin, log_in
from backend.dispatch.transport import CommandResult, TransportError, shell_line
from backend.errors import DispatchError

_STEP_S = 0.2
_READ_BYTES = 65536
_LARGEST_OUTPUT_BYTES = 16 * 1024 * 1024


class SshTransport:
    """Transport over SSH with approved host keys only, without agent and without other keys.

    A broken connection is made anew at the next command, after a pause that grows with every failure; until the pause
    is over :meth:`run` refuses at once.
    """

    def __init__(self, address: SshAddress, backoff: Backoff | None = None) -> None:
        self._address = address
        self._backoff = backoff or Backoff()
        self._lock = threading.Lock()
        self._login: SshLogin | None = None
        self._failure = ""
        self._problem: DispatchError | None = None
        self._closed = False

    @property
    def place(self) -> str:
        """User and host."""
        return self._address.place

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

    def open_sftp(self) -> paramiko.SFTPClient:
        """Access to the files there; ends with the connection.

        Raises
        ------
        TransportError
            There is no connection, or no access to files.
        """
        channel = self._open_channel()
        try:
            channel.settimeout(CONNECT_S)
            channel.invoke_subsystem("sftp")
            return paramiko.SFTPClient(channel)
        except (OSError, EOFError, paramiko.SSHException) as error:
            channel.close()
            self._drop_if_broken()
            raise TransportError(
                f"{self.place} gives no access to its files (SFTP): {error}.",
                still_works=STILL_WORKS,
                try_this="It is tried again; if this lasts, ask the people who run it.",
            ) from error

    def close(self) -> None:
        """End the connection for good; a command under way ends with an unknown fate."""
        with self._lock:
            self._closed = True
            login, self._login = self._login, None
        if login is not None:
            login.close()

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
            self._remember_failure(f"{self.place} opens no channel: {error}", None)
            raise self._unreachable() from error

    def _connected(self) -> paramiko.Transport:
        with self._lock:
            login = self._login
        if login is not None and (transport := login.transport) is not None:
            return transport
        self._drop()
        if self._backoff.wait_s > 0:
            raise self._unreachable() from self._problem
        try:
            login = log_in(self._address)
        except DispatchError as problem:
            self._remember_failure(problem.what.rstrip("."), problem)
            raise self._unreachable() from problem
        with self._lock:
            if self._closed:
                login.close()
                raise TransportError(f"The connection to {self.place} was closed.")
            self._login = login
        self._backoff.succeeded()
        transport = login.transport
        if transport is None:
            raise self._unreachable()
        return transport

    def _remember_failure(self, what: str, problem: DispatchError | None) -> None:
        self._failure = what
        self._problem = problem
        self._backoff.failed()

    def _unreachable(self) -> TransportError:
        # The same words for as long as the trouble lasts: they are stored with every job that waits.
        return TransportError(
            f"{self._failure or f'{self.place} cannot be reached'}; it is tried again.",
            still_works=STILL_WORKS,
            try_this="" if self._problem is None else self._problem.try_this,
        )

    def _drop_if_broken(self) -> None:
        with self._lock:
            login = self._login
        if login is None or login.transport is None:
            self._drop()

    def _drop(self) -> None:
        with self._lock:
            login, self._login = self._login, None
        if login is not None:
            login.close()


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
