"""Broken files under a running backend: each is told once, in words, and the next series is analysed as ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from program import Program, program_in
from recorded_detector import RecordedDetector, RecordedSeries

from backend.simulation.beamtime_tree import write_beamtime_skeleton
from backend.simulation.detector_model import DETECTORS
from backend.snapshot import RunRow, Snapshot

pytestmark = pytest.mark.system

TOLD_S = 20.0
IMAGE_SHAPE_YX = DETECTORS["eiger500k"].shape_yx
# Shorter waits than at the beamline. Jobs are left out here; they have tests of their own.
SETTINGS = """
[watch]
newest_poll_s = 0.1
full_sweep_s = 1.0
settle_s = 1.0
retry_for_s = 1.0

[dispatch]
recipes_at_series_end = []
"""


class Watched:
    """A backend on a beamtime folder, the series still to be measured, and what the backend says."""

    def __init__(self, program: Program, recordings: list[RecordedSeries]) -> None:
        self.program = program
        self.current = write_beamtime_skeleton(program.root)
        self._to_come = iter(recordings)
        settings = program.folder / "settings.toml"
        settings.write_text(SETTINGS)
        self.backend = program.start_backend("--settings", str(settings))

    def next_series(self) -> RecordedDetector:
        """A detector that is about to measure the next series."""
        return RecordedDetector(self.current / "raw", next(self._to_come))

    def until(self, condition: Callable[[Snapshot], bool], what: str) -> Snapshot:
        """The first snapshot for which ``condition`` holds."""
        with self.program.listen() as listener:
            return listener.until(condition, TOLD_S, what)

    def row_of(self, series: RecordedSeries) -> RunRow:
        """The line of a series in the run table once it is over."""

        def rows(snapshot: Snapshot) -> list[RunRow]:
            return [row for row in snapshot.runs if row.series == series.name and row.status != "running"]

        (row,) = rows(self.until(lambda snapshot: bool(rows(snapshot)), f"{series.name} is over"))
        return row

    def told(self, word: str) -> dict[str, Any]:
        """The one message with ``word``, as ``mento-gui status`` shows it."""
        self.until(
            lambda snapshot: any(word in message.what for message in snapshot.messages), f"message on {word}"
        )
        found = self.messages_on(word)
        assert len(found) == 1, found
        return found[0]

    def messages_on(self, word: str) -> list[dict[str, Any]]:
        """All messages with ``word``."""
        return [message for message in self.program.status()["messages"] if word in message["what"]]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, recordings: list[RecordedSeries]) -> Iterator[Watched]:
    with program_in(tmp_path_factory.mktemp("p")) as program:
        yield Watched(program, recordings)


@pytest.fixture(autouse=True)
def _the_watch_goes_on(watched: Watched) -> Iterator[None]:
    """After each test the same backend takes in a good series whole."""
    yield
    detector = watched.next_series()
    detector.begin()
    detector.finish()
    row = watched.row_of(detector.series)
    assert (row.status, row.frames) == ("complete", 40)
    assert watched.program.status()["backend"]["pid"] == watched.backend.pid
    assert "Traceback" not in watched.backend.error


def _is_in_words(message: dict[str, Any]) -> None:
    assert message["level"] in ("warning", "error")
    assert message["count"] == 1
    assert message["still_works"] and message["try_this"]
    assert "Error" not in message["what"] and "0x" not in message["what"]


def _data_file(scratch: Path, frames: np.ndarray) -> bytes:
    """Content of a detector data file with these frames."""
    with h5py.File(scratch, "w") as file:
        growing = (None, *frames.shape[1:])
        chunk = (1, *frames.shape[1:])
        file.create_dataset(
            "entry/data/data", data=frames, chunks=chunk, maxshape=growing, compression="gzip"
        )
    return scratch.read_bytes()


def test_a_truncated_data_file_among_good_ones(watched: Watched) -> None:
    detector = watched.next_series()
    detector.begin()
    broken = detector.series.data_files[1]
    whole = broken.read_bytes()
    detector.replace(broken, whole[: len(whole) // 2])
    detector.finish()
    row = watched.row_of(detector.series)
    assert (row.status, row.frames) == ("incomplete", 30)
    message = watched.told(detector.series.name)
    assert broken.name in message["what"]
    _is_in_words(message)


def test_a_master_that_is_garbage(watched: Watched) -> None:
    detector = watched.next_series()
    detector.detector_folder.mkdir(parents=True)
    detector.replace(detector.series.master, np.random.default_rng(1).bytes(4096))
    detector.begin()
    detector.finish()
    assert watched.row_of(detector.series).frames == 40
    message = watched.told(detector.series.master.name)
    _is_in_words(message)


@pytest.mark.parametrize("fault", ["no counts", "no frames"])
def test_a_data_file_of_another_form(watched: Watched, tmp_path: Path, fault: str) -> None:
    frames = {
        "no counts": np.zeros((10, *IMAGE_SHAPE_YX), np.float64),
        "no frames": np.zeros((0, *IMAGE_SHAPE_YX), np.uint32),
    }
    detector = watched.next_series()
    broken = detector.series.data_files[3]
    # Packing it takes longer than this backend waits for the first file of a series that has begun.
    content = _data_file(tmp_path / broken.name, frames[fault])
    detector.begin()
    detector.replace(broken, content)
    detector.finish()
    row = watched.row_of(detector.series)
    assert (row.status, row.frames) == ("incomplete", 30)
    message = watched.told(detector.series.name)
    assert broken.name in message["what"]
    _is_in_words(message)


def test_missing_then_doubled_then_broken_metadata(watched: Watched) -> None:
    (file,) = watched.current.glob("beamtime-metadata-*.json")
    text = file.read_text()
    file.unlink()
    _is_in_words(watched.told("metadata"))
    other = file.with_name("beamtime-metadata-11000001.json")
    file.write_text(text)
    other.write_text(json.dumps(json.loads(text) | {"beamtimeId": "11000001"}))
    doubled = watched.told(other.name)
    assert file.name in doubled["what"]
    _is_in_words(doubled)
    other.unlink()
    file.write_text("{ not json")
    _is_in_words(watched.told("JSON"))
    file.write_text(text)
    watched.until(
        lambda snapshot: (
            snapshot.backend.beamtime_id == "11000000"
            and not any("metadata" in message.key for message in snapshot.messages)
        ),
        "the beamtime is known again and nothing is said of it",
    )
