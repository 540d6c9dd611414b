"""Run files and batch descriptions that come while a series runs are taken at once, for the whole series."""

from __future__ import annotations

from pathlib import Path

import eiger_files
import pytest
from folder_watching import Watching, begin_beamtime, data_path, notices, numbers

from backend.frames import SeriesDescribed, SeriesEnded, SeriesStarted, SourceEvent


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return begin_beamtime(tmp_path)


def described(events: list[SourceEvent]) -> list[SeriesDescribed]:
    return [event for event in events if isinstance(event, SeriesDescribed)]


def test_a_run_file_that_comes_after_the_start_is_taken(root: Path) -> None:
    watching = Watching(root)
    folder = root / "current/raw/silica_00001/e4m"
    eiger_files.write_master(folder / "silica_00001_master.h5", nimages=12, wavelength=(1.5498, "angstrom"))
    (info,) = [event.info for event in watching.run(1) if isinstance(event, SeriesStarted)]
    assert info.transmission is None
    eiger_files.write_data_file(data_path(folder, 1), eiger_files.frames_of(0, 4))
    assert numbers(watching.run(1)) == [0, 1, 2, 3] and described(watching.events) == []
    run_file = folder.parent / "silica_00001.fio"
    run_file.write_text("%p\nabs1z = 2.0\nabs2")
    (half,) = described(watching.run(1))
    assert half.transmission is None and dict(half.side_numbers) == {"abs1z": 2.0}
    run_file.write_text("%p\nabs1z = 2.0\nabs2z = 0\nsamx = 1.5\n")
    (whole,) = described(watching.run(1))
    # 100 um of silicon at 8 keV.
    assert whole.transmission == pytest.approx(0.2217, rel=3e-3) and whole.side_numbers["samx"] == 1.5
    # The end mark says nothing new of the series; a file that is gone takes nothing back.
    run_file.write_text(run_file.read_text() + "! Acquisition ended at Mon Nov 23 10:20:00 2026\n")
    assert described(watching.run(2)) == []
    run_file.unlink()
    assert described(watching.run(2)) == [] and notices(watching.events) == []


def test_a_run_file_that_comes_with_the_end_is_told_before_it(root: Path) -> None:
    watching = Watching(root)
    folder = eiger_files.write_series(root / "current/raw", files=1)
    run_file = folder.parent / "silica_00001.fio"
    run_file.unlink()
    watching.run(1)
    run_file.write_text("%p\nsamx = 2\n! Acquisition ended at Mon Nov 23 10:20:00 2026\n")
    said = [event for event in watching.run(2) if isinstance(event, SeriesDescribed | SeriesEnded)]
    assert [type(event) for event in said] == [SeriesDescribed, SeriesEnded]


def test_the_beam_of_a_run_file_that_grew_to_a_row_per_frame_is_told_before_the_end(root: Path) -> None:
    watching = Watching(root)
    folder = root / "current/raw/silica_00001/e4m"
    frames = 4
    eiger_files.write_master(folder / "silica_00001_master.h5", nimages=frames)
    run_file = folder.parent / "silica_00001.fio"
    rows = [f" {number} {100 - number}" for number in range(frames)]
    head = ["%p", "samx = 2", "%d", " Col 1 samx DOUBLE", " Col 2 curpetra DOUBLE"]
    watching.run(1)
    run_file.write_text("\n".join([*head, *rows[:3]]) + "\n")
    assert [event.monitor for event in described(watching.run(1))] == [None]
    eiger_files.write_data_file(data_path(folder, 1), eiger_files.frames_of(0, frames))
    run_file.write_text("\n".join([*head, *rows, "! Acquisition ended at Mon Nov 23 10:20:00 2026"]) + "\n")
    told, ended = [event for event in watching.run(2) if isinstance(event, SeriesDescribed | SeriesEnded)]
    assert isinstance(told, SeriesDescribed) and isinstance(ended, SeriesEnded)
    assert told.monitor is not None and told.monitor.tolist() == [100.0 - number for number in range(frames)]


def test_what_a_late_file_states_oddly_is_told(root: Path) -> None:
    watching = Watching(root)
    folder = root / "current/raw/silica_00001/e4m"
    eiger_files.write_master(folder / "silica_00001_master.h5", nimages=12)
    watching.run(1)
    (folder.parent / "silica_00001.fio").write_text("%p\nabs1z = 1.5\nabs2z = 0\n")
    (folder / "silica_00001.batchinfo").write_text("x0: 90\ny0: 90\n")
    watching.run(2)
    (notice,) = notices(watching.events, "side-files:")
    assert "abs1z = 1.5, abs2z = 0" in notice.what and "beam centre" in notice.what
