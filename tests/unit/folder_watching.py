"""A watch on a folder tree with a clock set by the test, and what its events say."""

from __future__ import annotations

import json
from pathlib import Path

from backend.acquisition.folder_watch import FolderWatch
from backend.frames import FrameBatch, SeriesEnded, SeriesStarted, SourceEvent, SourceNotice
from backend.settings import Settings


def begin_beamtime(folder: Path) -> Path:
    """Make an open beamtime in the folder; returns the folder."""
    current = folder / "current"
    (current / "raw").mkdir(parents=True)
    (current / "beamtime-metadata-11001234.json").write_text(json.dumps({"beamtimeId": "11001234"}))
    return folder


class Watching:
    """A watch on a folder tree with a clock set by the test."""

    def __init__(self, root: Path, last_alive: float | None = None, **watch: object) -> None:
        self.time_s = 0.0
        self.events: list[SourceEvent] = []
        self.source = FolderWatch(
            root,
            Settings.model_validate({"watch": watch}),
            clock=lambda: self.time_s,
            last_alive=lambda _: last_alive,
        )

    def run(self, for_s: float, step_s: float = 0.5) -> list[SourceEvent]:
        """Poll for a time of the test's clock; gives the events of that time."""
        seen: list[SourceEvent] = []
        end_s = self.time_s + for_s
        while self.time_s < end_s:
            for _ in range(5):
                seen.extend(self.source.poll())
            self.time_s += step_s
        self.events.extend(seen)
        return seen


def started(events: list[SourceEvent]) -> list[str]:
    return [event.info.name for event in events if isinstance(event, SeriesStarted)]


def ended(events: list[SourceEvent]) -> list[tuple[str, bool, int]]:
    return [
        (event.series, event.complete, event.frames) for event in events if isinstance(event, SeriesEnded)
    ]


def numbers(events: list[SourceEvent]) -> list[int]:
    return [int(n) for event in events if isinstance(event, FrameBatch) for n in event.frame_numbers]


def notices(events: list[SourceEvent], begins: str = "") -> list[SourceNotice]:
    return [event for event in events if isinstance(event, SourceNotice) and event.key.startswith(begins)]


def data_path(folder: Path, number: int) -> Path:
    return folder / f"{folder.parent.name}_data_{number:06d}.h5"
