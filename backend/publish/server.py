"""The backend's end of the wire: snapshots out (latest only), requests in, one reply each."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import zmq

from backend.errors import BackendUnreachableError, FeedbackError
from backend.publish.endpoint import Endpoint
from backend.requests import AnyRequest, Reply
from backend.snapshot import Snapshot
from backend.snapshot_bytes import encode_snapshot

_MAX_REQUEST_BYTES = 64 * 1024
_MAX_REQUESTS_PER_TURN = 64


class SnapshotServer:
    """PUB socket for snapshots and ROUTER socket for requests, both on private ipc addresses.

    Not thread-safe: the engine's thread owns it. The folder of the endpoint must be private to the user.

    Raises
    ------
    BackendUnreachableError
        The sockets cannot be made there.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._context = zmq.Context(io_threads=1)
        self._snapshots = self._context.socket(zmq.PUB)
        # A client that does not read must never make the backend hold old snapshots.
        self._snapshots.set_hwm(2)
        self._snapshots.setsockopt(zmq.LINGER, 0)
        self._requests = self._context.socket(zmq.ROUTER)
        self._requests.setsockopt(zmq.LINGER, 200)
        self._requests.setsockopt(zmq.MAXMSGSIZE, _MAX_REQUEST_BYTES)
        self._decoder = msgspec.msgpack.Decoder(AnyRequest)
        try:
            self._snapshots.bind(self.endpoint.snapshots)
            self._requests.bind(self.endpoint.requests)
        except zmq.ZMQError as error:
            self.close()
            raise BackendUnreachableError(
                f"The backend cannot listen in {self.endpoint.folder}: {error.strerror}.",
                still_works="The measurement is not affected.",
                try_this="Set XDG_RUNTIME_DIR to a folder of your own with a short path, then start again.",
            ) from error

    def publish(self, snapshot: Snapshot) -> None:
        """Send a snapshot to whoever listens; never blocks."""
        self._snapshots.send(encode_snapshot(snapshot), flags=zmq.NOBLOCK, copy=False)

    def answer_requests(self, handle: Callable[[AnyRequest], Reply], *, wait_s: float = 0.0) -> int:
        """Answer the waiting requests with ``handle`` and return how many there were.

        ``wait_s`` is how long to wait for the first one. A request that cannot be read, or that ``handle`` refuses
        with a FeedbackError, is answered with the reason.
        """
        answered = 0
        timeout_ms = int(wait_s * 1000)
        while answered < _MAX_REQUESTS_PER_TURN and self._requests.poll(timeout_ms if answered == 0 else 0):
            frames = self._requests.recv_multipart()
            if len(frames) == 3:
                reply = self._reply_to(frames[2], handle)
                self._requests.send_multipart([frames[0], frames[1], msgspec.msgpack.encode(reply)])
            answered += 1
        return answered

    def _reply_to(self, body: bytes, handle: Callable[[AnyRequest], Reply]) -> Reply:
        try:
            return handle(self._decoder.decode(body))
        except msgspec.DecodeError as error:
            return Reply(
                ok=False,
                message=f"The backend does not understand this request: {error}.",
                try_this="Use a window and a backend of the same version.",
            )
        except FeedbackError as error:
            return Reply(ok=False, message=error.what, try_this=error.try_this)

    def close(self) -> None:
        """Close both sockets and remove their files."""
        self._snapshots.close()
        self._requests.close()
        self._context.term()
        for name in ("snapshots", "requests"):
            (self.endpoint.folder / name).unlink(missing_ok=True)
