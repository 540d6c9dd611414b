"""The real engine in a thread on a temporary beamtime folder, spoken to over the real wire."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from backend.engine import Engine
from backend.publish.client import BackendClient
from backend.requests import AnyRequest, Reply, Shutdown
from backend.settings import Settings
from backend.simulation.beamtime_tree import write_beamtime_skeleton
from backend.snapshot import Message, Snapshot

LONGEST_WAIT_S = 20.0


def quick_settings(recipes: tuple[str, ...] = ()) -> Settings:
    """Settings that look often, for a detector of a few thousand pixels."""
    return Settings.model_validate(
        {
            "watch": {"newest_poll_s": 0.05, "full_sweep_s": 1, "settle_s": 1, "retry_for_s": 0.2},
            "rings": {"count": 6, "sectors": 4},
            "publish": {"snapshots_per_s": 25},
            "dispatch": {"recipes_at_series_end": list(recipes)},
        }
    )


class RunningEngine:
    """Context in which an engine watches ``root``; leaving it asks the engine to shut down and waits for that."""

    def __init__(
        self, root: Path, settings: Settings | None = None, settings_file: Path | None = None
    ) -> None:
        self.root = root
        self._engine = Engine(root, settings or quick_settings(), settings_file)
        self.client = BackendClient(root)
        self._thread = threading.Thread(target=self._engine.run, name="engine", daemon=True)
        self._pause = threading.Event()
        self.newest: Snapshot | None = None
        self.sequences: list[int] = []

    def __enter__(self) -> RunningEngine:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self.ask(Shutdown())
        self.join()
        self.client.close()

    def join(self) -> None:
        """Wait for the end of the engine."""
        self._thread.join(LONGEST_WAIT_S)
        assert not self._thread.is_alive(), "the engine did not end"

    def ask(self, request: AnyRequest) -> Reply:
        return self.client.ask(request, timeout_s=LONGEST_WAIT_S)

    def look(self) -> Snapshot | None:
        """The newest snapshot so far."""
        arrived = self.client.latest()
        if arrived is not None:
            self.newest = arrived
            self.sequences.append(arrived.sequence)
        return self.newest

    def until(self, condition: Callable[[Snapshot], object], timeout_s: float = LONGEST_WAIT_S) -> Snapshot:
        """The first snapshot that fulfils the condition; while kernels are compiled the time does not count."""
        deadline = time.monotonic() + timeout_s
        while (snapshot := self.look()) is None or not condition(snapshot):
            if snapshot is not None and snapshot.backend.phase == "preparing":
                deadline = time.monotonic() + timeout_s
            if time.monotonic() > deadline:
                raise AssertionError(f"it never came; the last: {_told(snapshot)}")
            self._pause.wait(0.01)
        return snapshot

    def message(self, words: str) -> Message:
        """The message that holds these words, once it is there."""

        def with_words(snapshot: Snapshot) -> list[Message]:
            return [message for message in snapshot.messages if words in message.what]

        return with_words(self.until(with_words))[0]


def _told(snapshot: Snapshot | None) -> str:
    if snapshot is None:
        return "no snapshot at all"
    messages = [message.what for message in snapshot.messages]
    return f"{snapshot.backend.phase}, {snapshot.verdict}, {snapshot.series}, {messages}, {snapshot.jobs}"


def beamtime(root: Path) -> Path:
    """A beamtime folder without series; gives its raw folder."""
    return write_beamtime_skeleton(root) / "raw"
