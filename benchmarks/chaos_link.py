"""The network between the backend and the cluster, which can be cut as if somebody pulled the cable."""

from __future__ import annotations

import socket
import threading

_READ_BYTES = 65536
_LOOK_S = 0.5


class CuttableLink:
    """Passes TCP connections on to a port of this computer; while it is cut nothing moves and nothing is refused.

    Attributes
    ----------
    port : int
        Where to connect to instead.
    """

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._whole = threading.Event()
        self._whole.set()
        self._closed = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(_LOOK_S)
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, name="link", daemon=True).start()

    def cut(self) -> None:
        """From now on nothing gets through."""
        self._whole.clear()

    def mend(self) -> None:
        """What was on its way arrives."""
        self._whole.set()

    def close(self) -> None:
        """End all connections."""
        self._closed.set()
        self._whole.set()
        self._server.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                near, _ = self._server.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self._whole.wait()
        with near:
            try:
                far = socket.create_connection(("127.0.0.1", self._to_port))
            except OSError:
                # Nobody listens there now: who has called learns it as the connection ends.
                return
            with far:
                back = threading.Thread(target=self._pass_on, args=(far, near), daemon=True)
                back.start()
                self._pass_on(near, far)
                back.join()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(_READ_BYTES):
                self._whole.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            # One end was killed: the other learns it.
            for end in (source, target):
                _hang_up(end)


def _hang_up(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        # It had hung up itself.
        return
