"""What a thread that copies has for itself: a connection, so that commands never wait behind data; pace, patience."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from backend.beamtime.path_map import PathMap
from backend.dispatch.backoff import Backoff
from backend.dispatch.pace import Pace
from backend.dispatch.ssh_transport import SshTransport

_END_S = 5.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0


class CopyLine:
    """One connection and one thread that copies over it.

    Parameters
    ----------
    connection : SshTransport
        Used by the thread alone.
    paths : PathMap
        From the beamtime folder here to its copy there.
    bytes_per_s : float
        Highest rate.
    clock : callable
        Seconds from any origin, never going back.

    Attributes
    ----------
    stop : threading.Event
        Set when copying is to end.
    pace : Pace
        Holds the rate.
    backoff : Backoff
        Pause after a failure.
    """

    def __init__(
        self,
        connection: SshTransport,
        paths: PathMap,
        bytes_per_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.connection = connection
        self.paths = paths
        self.clock = clock
        self.stop = threading.Event()
        self.pace = Pace(bytes_per_s, self.stop, clock)
        self.backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S, clock)
        self._thread: threading.Thread | None = None

    def start(self, run: Callable[[], None], name: str) -> None:
        """Let the thread run, if it does not yet and was not stopped."""
        if self._thread is None and not self.stop.is_set():
            self._thread = threading.Thread(target=run, name=name, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the connection and wait for the thread."""
        self.stop.set()
        self.connection.close()
        if self._thread is not None:
            # It ends at the next thing it tries; only a log-in under way takes longer, and may be left alone.
            self._thread.join(_END_S)
