"""Which computers may be talked to: their host keys, approved once by a person and kept in a file of our own."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from pathlib import Path

import paramiko
import platformdirs

from backend.errors import DispatchError

_ANSWER_S = 10.0


def default_known_hosts() -> Path:
    """The file of approved host keys of the account that runs the program."""
    return platformdirs.user_config_path("mento-gui") / "known_hosts"


def host_entry(host: str, port: int) -> str:
    """How a known_hosts file names a host: bare on port 22, else with its port."""
    return host if port == 22 else f"[{host}]:{port}"


def fingerprint(key: paramiko.PKey) -> str:
    """SHA-256 fingerprint as ``ssh-keygen -l`` prints it."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def fetch_host_key(host: str, port: int, connection: paramiko.Channel | None = None) -> paramiko.PKey:
    """The key a host shows now; nothing but the key exchange takes place.

    ``connection`` is a channel to it through a jump host, where it cannot be reached directly; it is closed at the end.

    Raises
    ------
    DispatchError
        The host does not answer, or not as an SSH server.
    """
    try:
        with connection or socket.create_connection((host, port), timeout=_ANSWER_S) as stream:
            transport = paramiko.Transport(stream)
            try:
                transport.banner_timeout = _ANSWER_S
                transport.start_client(timeout=_ANSWER_S)
                return transport.get_remote_server_key()
            finally:
                transport.close()
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise DispatchError(
            f"{host_entry(host, port)} does not answer as an SSH server: {error}.",
            still_works="Nothing was stored.",
            try_this="Check the name and the port, and that this computer may reach it.",
        ) from error


def read_known_hosts(path: Path) -> paramiko.HostKeys:
    """Approved host keys; none when the file does not exist.

    Raises
    ------
    DispatchError
        The file cannot be read.
    """
    keys = paramiko.HostKeys()
    try:
        keys.load(str(path))
    except FileNotFoundError:
        return keys
    except (OSError, UnicodeDecodeError, paramiko.SSHException) as error:
        raise DispatchError(
            f"The approved host keys in {path} cannot be read: {error}.",
            still_works="Nothing was sent to the cluster.",
            try_this="Mend or remove the file, then approve the host again: mento-gui trust HOST",
        ) from error
    return keys


def approve_host(path: Path, host: str, port: int, key: paramiko.PKey) -> None:
    """Store the key as the only one of this host; the file is for its owner alone and is replaced in one step.

    Raises
    ------
    DispatchError
        The file cannot be read or written.
    """
    keys = read_known_hosts(path)
    name = host_entry(host, port)
    if name in keys:
        del keys[name]
    keys.add(name, key.get_name(), key)
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(part, "w", encoding="utf-8", opener=_open_for_owner) as file:
            for entry_name, of_type in keys.items():
                file.writelines(
                    f"{entry_name} {kind} {known.get_base64()}\n" for kind, known in of_type.items()
                )
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DispatchError(
            f"The host key cannot be stored in {path}: {error.strerror or error}.",
            still_works="Hosts that were approved before stay so.",
            try_this="Check that you may write there and that the disk is not full.",
        ) from error


def check_private_key(path: Path) -> None:
    """Refuse a private key that is not there or that others may read; it is not opened.

    Raises
    ------
    DispatchError
        Says which, and how to mend it.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise DispatchError(
            f"The private key {path} cannot be used: {error.strerror or error}.",
            still_works="Nothing was sent to the cluster; live pictures, the verdict and local jobs go on.",
            try_this="Ask the beamline staff whether the beamtime was started with online analysis; key_file in "
            "section [cluster] of the settings names another key.",
        ) from error
    if mode & 0o077:
        raise DispatchError(
            f"The private key {path} can be read by others (mode {mode & 0o777:04o}), so it is not used.",
            still_works="Nothing was sent to the cluster; live pictures, the verdict and local jobs go on.",
            try_this=f"Its owner types: chmod 600 {path}",
        )


def _open_for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
