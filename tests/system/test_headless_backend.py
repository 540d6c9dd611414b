"""``mento-gui --backend-only`` as a process: it answers, is alone, loads no Qt, is quick, and ends when told."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from program import Program
from recorded_detector import RecordedDetector, RecordedSeries

from backend.snapshot import Snapshot
from mento_gui.exit_codes import ANOTHER_BACKEND_RUNS

pytestmark = pytest.mark.system

SERIES_S = 30.0
LATENCY_LIMIT_S = 2.5
"""One second and one look at the folder, and a margin for a busy computer."""


def _frames(snapshot: Snapshot, series: str) -> int:
    part = snapshot.series
    return part.frames if part is not None and part.name == series else 0


def test_status_tells_who_watches_what_and_where_the_series_stands(
    program: Program, raw: Path, recordings: list[RecordedSeries]
) -> None:
    backend = program.start_backend()
    detector = RecordedDetector(raw, recordings[0])
    detector.begin()
    detector.write(3)
    with program.listen() as listener:
        listener.until(lambda snapshot: _frames(snapshot, detector.series.name) == 30, SERIES_S, "30 frames")
    status = program.status()
    assert status["backend"]["pid"] == backend.pid
    assert status["backend"]["host"] == socket.gethostname()
    assert status["backend"]["beamtime_id"] == "11000000"
    assert status["backend"]["phase"] == "measuring"
    series = status["series"]
    assert series["name"] == detector.series.name
    # The recording was made once for all tests; by now its planned end may lie more than a minute back.
    assert series["status"] in ("running", "being read again")
    assert (series["frames"], series["expected_frames"]) == (30, 40)
    assert status["verdict"]["state"] == "TOO EARLY"
    assert status["messages"] == []
    words = program.run("status", "--root", str(program.root))
    assert "TOO EARLY" in words.output and str(backend.pid) in words.output


def test_status_without_a_backend_says_how_to_start_one(program: Program) -> None:
    asked = program.run("status", "--json", "--root", str(program.root))
    assert asked.process.returncode == 1
    assert asked.output == ""
    assert "No backend runs" in asked.error and "--backend-only" in asked.error
    assert "Traceback" not in asked.error


def test_no_qt_library_is_mapped(program: Program, raw: Path, recordings: list[RecordedSeries]) -> None:
    backend = program.start_backend()
    detector = RecordedDetector(raw, recordings[0])
    detector.begin()
    detector.finish()
    with program.listen() as listener:
        listener.until(
            lambda snapshot: any(job.state == "done" for job in snapshot.jobs),
            SERIES_S,
            "series and job are over",
        )
    mapped = Path(f"/proc/{backend.pid}/maps").read_text()
    assert "hdf5" in mapped.lower()
    assert [line for line in mapped.splitlines() if "qt" in line.rpartition("/")[2].lower()] == []


def test_a_second_backend_refuses_in_words_and_the_first_goes_on(program: Program, raw: Path) -> None:
    first = program.start_backend()
    second = program.run("--backend-only", "--root", str(program.root))
    assert second.process.returncode == ANOTHER_BACKEND_RUNS
    assert "Another backend" in second.error and str(first.pid) in second.error
    assert "Traceback" not in second.error
    assert program.status()["backend"]["pid"] == first.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order_in_the_middle_of_a_series(
    program: Program, raw: Path, recordings: list[RecordedSeries], number: signal.Signals
) -> None:
    backend = program.start_backend()
    detector = RecordedDetector(raw, recordings[0])
    detector.begin()
    detector.write(2)
    with program.listen() as listener:
        listener.until(lambda snapshot: _frames(snapshot, detector.series.name) == 20, SERIES_S, "20 frames")
    os.kill(backend.pid, number)
    assert backend.wait(10.0) == 0
    assert backend.error == ""
    assert program.living() == {}
    # The lock is free again.
    program.start_backend()


def test_the_last_file_is_seen_within_a_second_of_its_rename(
    program: Program, raw: Path, long_recording: RecordedSeries, record_property
) -> None:
    program.start_backend()
    detector = RecordedDetector(raw, long_recording)
    detector.begin()
    latencies_s = []
    with program.listen() as listener:
        files = len(long_recording.data_files)
        half = files // 2
        for file in range(half, files + 1):
            detector.write(half if file == half else 1)
            written_at = time.monotonic()
            listener.until(
                lambda snapshot, frames=10 * file: _frames(snapshot, long_recording.name) == frames,
                SERIES_S,
                f"{10 * file} frames",
            )
            latencies_s.append(time.monotonic() - written_at)
    later = sorted(latencies_s[1:])
    record_property("latency_s", later)
    sys.stdout.write(
        f"file in place -> snapshot: first {latencies_s[0]:.2f} s, median {later[len(later) // 2]:.2f} s, "
        f"longest {later[-1]:.2f} s\n"
    )
    assert latencies_s[-1] < LATENCY_LIMIT_S
    assert later[len(later) // 2] < LATENCY_LIMIT_S / 2
