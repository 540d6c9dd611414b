"""What a window is told while things break: every change of every job's row, with the moment it was shown."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from backend.publish.client import BackendClient
from backend.snapshot import JobRow

_LOOK_S = 0.05
SILENCE_S = 3.0
"""After so long a window says NO DATA."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A row as it was shown from ``at`` on (seconds since 1970)."""

    at: float
    row: JobRow


@dataclass
class Watcher:
    """Follows the snapshots of whichever backend lives, in a thread of its own.

    Attributes
    ----------
    history : dict of str to list of Shown
        By job, in the order in which it was shown.
    newest : dict of str to JobRow
        The rows of the last snapshot.
    silences : list of (float, float)
        From when to when no snapshot came although several were due: what stands on the screen then is dimmed.
    is_ready : threading.Event
        Set once a backend was ready for frames.
    """

    root: Path
    history: dict[str, list[Shown]] = field(default_factory=dict)
    newest: dict[str, JobRow] = field(default_factory=dict)
    silences: list[tuple[float, float]] = field(default_factory=list)
    is_ready: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin to listen."""
        self._heard_at = time.time()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End listening."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        client = BackendClient(self.root)
        try:
            while not self._stop.wait(_LOOK_S):
                snapshot = client.latest()
                if snapshot is not None:
                    self._take(snapshot.jobs)
                    if snapshot.backend.phase != "preparing":
                        self.is_ready.set()
        finally:
            client.close()

    def _take(self, rows: tuple[JobRow, ...]) -> None:
        now = time.time()
        if now - self._heard_at > SILENCE_S:
            self.silences.append((self._heard_at, now))
        self._heard_at = now
        for row in rows:
            shown = self.history.setdefault(row.job_id, [])
            if not shown or shown[-1].row != row:
                shown.append(Shown(now, row))
        self.newest = {row.job_id: row for row in rows}
