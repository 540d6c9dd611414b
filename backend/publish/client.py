"""A client's end of the wire, without Qt: newest snapshot in, requests out."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import zmq

from backend.errors import BackendUnreachableError
from backend.publish.endpoint import endpoint_of, make_private
from backend.requests import AnyRequest, Ping, Reply
from backend.snapshot import Snapshot
from backend.snapshot_bytes import decode_snapshot


class BackendClient:
    """Listens to the backend of ``root``. All calls return at once; ZeroMQ reconnects by itself.

    Not thread-safe: one thread owns it.

    Raises
    ------
    BackendUnreachableError
        The folder of the sockets is not private to this user: somebody else could answer in it.
    """

    def __init__(self, root: Path) -> None:
        self.endpoint = endpoint_of(root)
        make_private(self.endpoint)
        self._context = zmq.Context(io_threads=1)
        self._snapshots = self._context.socket(zmq.SUB)
        # Only the newest snapshot is kept: a slow window is never shown the past.
        self._snapshots.setsockopt(zmq.CONFLATE, 1)
        self._snapshots.setsockopt(zmq.LINGER, 0)
        self._snapshots.setsockopt(zmq.RECONNECT_IVL, 100)
        self._snapshots.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        self._snapshots.setsockopt(zmq.SUBSCRIBE, b"")
        self._snapshots.connect(self.endpoint.snapshots)
        self._requests = self._context.socket(zmq.DEALER)
        self._requests.setsockopt(zmq.LINGER, 0)
        self._requests.setsockopt(zmq.RECONNECT_IVL, 100)
        self._requests.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        self._requests.connect(self.endpoint.requests)
        self._next_id = 1

    def latest(self) -> Snapshot | None:
        """The newest snapshot that was not returned before, or ``None``.

        Raises
        ------
        BackendUnreachableError
            What arrived is not a snapshot of this version.
        """
        try:
            data = self._snapshots.recv(flags=zmq.NOBLOCK)
        except zmq.Again:
            return None
        try:
            return decode_snapshot(data)
        except (msgspec.MsgspecError, ValueError) as error:
            raise BackendUnreachableError(
                f"The backend speaks another version: {error}.",
                still_works="The measurement and the backend go on.",
                try_this="Use a window and a backend of the same version.",
            ) from error

    def send(self, request: AnyRequest) -> int:
        """Queue a request and return its number, which comes back with the reply."""
        number = self._next_id
        self._next_id += 1
        try:
            self._requests.send_multipart(
                [number.to_bytes(8, "big"), msgspec.msgpack.encode(request)], flags=zmq.NOBLOCK
            )
        except zmq.Again as error:
            raise BackendUnreachableError(
                "The backend does not take requests.",
                still_works="The measurement is not affected.",
                try_this="Wait until the window is connected again.",
            ) from error
        return number

    def replies(self) -> list[tuple[int, Reply]]:
        """Replies that arrived since the last call, each with the number of its request."""
        arrived = []
        while self._requests.poll(0):
            number, body = self._requests.recv_multipart()
            arrived.append((int.from_bytes(number, "big"), msgspec.msgpack.decode(body, type=Reply)))
        return arrived

    def ask(self, request: AnyRequest, timeout_s: float) -> Reply:
        """Send a request and wait for its reply; for command lines, not for windows.

        Raises
        ------
        BackendUnreachableError
            No reply within ``timeout_s`` seconds.
        """
        number = self.send(request)
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            self._requests.poll(int(left_s * 1000) + 1)
            for answered, reply in self.replies():
                if answered == number:
                    return reply
        raise BackendUnreachableError(
            f"No backend answered within {timeout_s:g} s.",
            still_works="The acquisition itself does not depend on it.",
            try_this="Start one with: mento-gui --backend-only --root DIR",
        )

    def close(self) -> None:
        """Close the connection; requests that were not sent yet are dropped."""
        self._snapshots.close()
        self._requests.close()
        self._context.term()


def is_backend_alive(root: Path, timeout_s: float = 0.5) -> bool:
    """True when a backend for ``root`` answers on this host within ``timeout_s`` seconds."""
    if not endpoint_of(root).exists:
        return False
    try:
        client = BackendClient(root)
    except BackendUnreachableError:
        # Whoever listens in a folder that is not ours is no backend of ours.
        return False
    try:
        return client.ask(Ping(), timeout_s).ok
    except BackendUnreachableError:
        return False
    finally:
        client.close()
