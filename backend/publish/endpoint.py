"""Where the backend of one root folder listens: two ipc sockets in a private folder of the user."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from backend.errors import BackendUnreachableError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """ZeroMQ addresses of one backend and the folder (mode 0700) that holds the sockets."""

    folder: Path

    @property
    def snapshots(self) -> str:
        """Address of the PUB socket that sends snapshots."""
        return f"ipc://{self.folder}/snapshots"

    @property
    def requests(self) -> str:
        """Address of the ROUTER socket that answers requests."""
        return f"ipc://{self.folder}/requests"

    @property
    def exists(self) -> bool:
        """True when a backend has bound here at some time; it may be dead."""
        return (self.folder / "requests").exists()


def endpoint_of(root: Path) -> Endpoint:
    """Endpoint for the backend that watches ``root``; nothing is created.

    The same root gives the same endpoint for every process of a user on a host, so a window finds the backend
    without configuration. The name is a hash because a socket path must stay below 108 characters.
    """
    name = hashlib.sha256(os.path.abspath(root).encode()).hexdigest()[:16]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    base = Path(runtime) if runtime else Path(tempfile.gettempdir()) / _temporary_name()
    return Endpoint(base / "mento-gui" / name)


def make_private(endpoint: Endpoint) -> None:
    """Create the folder of the endpoint with mode 0700.

    Raises
    ------
    BackendUnreachableError
        The folder belongs to somebody else or others may enter it: talking there would not be safe. Or it cannot be
        made.
    """
    folders = (endpoint.folder.parent.parent, endpoint.folder.parent, endpoint.folder)
    try:
        for folder in folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BackendUnreachableError(
            f"The folder {endpoint.folder} for the connection to the backend cannot be made: "
            f"{error.strerror or error}.",
            still_works="The measurement is not affected.",
            try_this="Set XDG_RUNTIME_DIR to a folder of your own with mode 0700, then start again.",
        ) from error
    # The outermost folder is ours only below the folder for temporary files, where anybody may make folders.
    for folder in folders if folders[0].name == _temporary_name() else folders[1:]:
        info = folder.stat(follow_symlinks=False)
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
            raise BackendUnreachableError(
                f"The folder {folder} for the connection to the backend is not private to this user.",
                still_works="The measurement is not affected.",
                try_this=f"Remove {folder} or set its owner and mode 0700, then start again.",
            )


def _temporary_name() -> str:
    return f"mento-gui-{os.getuid()}"
