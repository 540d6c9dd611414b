from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import eiger_files
import pytest
from folder_watching import Watching, begin_beamtime, data_path, ended, notices, numbers, started

from backend.acquisition.folder_watch import FolderWatch
from backend.frames import FrameBatch, SourceEvent
from backend.settings import Settings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return begin_beamtime(tmp_path)


def test_a_series_is_followed_while_it_grows(root: Path) -> None:
    watching = Watching(root)
    assert watching.run(2) == []
    assert "Waiting for P10 run files in" in watching.source.description
    folder = root / "current/raw/silica_00001/e4m"
    eiger_files.write_master(folder / "silica_00001_master.h5", nimages=12)
    assert started(watching.run(1)) == ["silica_00001"]
    for number in range(3):
        eiger_files.write_data_file(data_path(folder, number + 1), eiger_files.frames_of(number * 4, 4))
        assert numbers(watching.run(1)) == list(range(number * 4, number * 4 + 4))
    assert ended(watching.run(3)) == []
    eiger_files.write_run_file(folder.parent / "silica_00001.fio")
    assert ended(watching.run(1)) == [("silica_00001", True, 12)]
    assert notices(watching.events) == []


def test_an_acquisition_that_stops_early_ends_incomplete(root: Path) -> None:
    watching = Watching(root)
    eiger_files.write_series(root / "current/raw", files=2, nimages=100)
    watching.run(10)
    assert ended(watching.events) == []
    watching.run(10)
    assert ended(watching.events) == [("silica_00001", False, 8)]


def test_a_file_still_being_copied_is_waited_for(root: Path) -> None:
    watching = Watching(root, retry_for_s=20)
    folder = eiger_files.write_series(root / "current/raw", files=2)
    whole = data_path(folder, 1).read_bytes()
    data_path(folder, 1).write_bytes(whole[: len(whole) // 2])
    assert numbers(watching.run(10)) == []
    data_path(folder, 1).write_bytes(whole)
    watching.run(2)
    assert numbers(watching.events) == list(range(8))
    assert notices(watching.events) == [] and ended(watching.events) == [("silica_00001", True, 8)]


def test_a_file_that_stays_broken_is_reported_once_and_passed_over(root: Path) -> None:
    watching = Watching(root, retry_for_s=20)
    folder = eiger_files.write_series(root / "current/raw", files=3)
    whole = data_path(folder, 2).read_bytes()
    data_path(folder, 2).write_bytes(whole[:-100])
    watching.run(15)
    assert numbers(watching.events) == [0, 1, 2, 3] and notices(watching.events) == []
    watching.run(10)
    (notice,) = notices(watching.events)
    assert "silica_00001_data_000002.h5" in notice.what and "cut off" in notice.what
    assert numbers(watching.events) == [0, 1, 2, 3, 8, 9, 10, 11]
    assert ended(watching.events) == [("silica_00001", False, 8)]


def test_several_broken_files_are_waited_for_at_the_same_time(root: Path) -> None:
    watching = Watching(root)
    folder = eiger_files.write_series(root / "current/raw", files=5)
    for number in (2, 3, 4):
        data_path(folder, number).write_bytes(b"broken")
    watching.run(25)
    assert numbers(watching.events) == [0, 1, 2, 3, 16, 17, 18, 19]
    assert len(notices(watching.events)) == 3


def test_a_broken_last_file_that_is_repaired_clears_its_notice(root: Path) -> None:
    watching = Watching(root, retry_for_s=2, settle_s=60)
    folder = eiger_files.write_series(root / "current/raw", files=2, nimages=12)
    whole = data_path(folder, 2).read_bytes()
    data_path(folder, 2).write_bytes(b"broken")
    watching.run(5)
    (notice,) = notices(watching.events)
    data_path(folder, 2).write_bytes(whole)
    watching.run(2)
    assert numbers(watching.events) == list(range(8))
    assert [(n.key, n.what) for n in notices(watching.events)][1:] == [(notice.key, "")]


def test_a_file_replaced_between_two_reads_goes_on_with_the_new_content(root: Path) -> None:
    watching = Watching(root, frames_per_batch=2)
    folder = eiger_files.write_series(root / "current/raw", files=1, per_file=6)
    first = watching.source.poll()
    assert numbers(first) == [0, 1]
    eiger_files.write_data_file(data_path(folder, 1), eiger_files.frames_of(0, 6))
    watching.run(3)
    assert numbers(first + watching.events) == list(range(6))
    (notice,) = notices(watching.events)
    assert "replaced" in notice.what
    assert ended(watching.events) == [("silica_00001", True, 6)]


def test_the_rest_of_the_older_series_comes_before_the_newer(root: Path) -> None:
    watching = Watching(root)
    raw = root / "current/raw"
    old = eiger_files.write_series(raw, "a_00001", files=1, nimages=100)
    (old.parent / "a_00001.fio").unlink()
    watching.run(1)
    eiger_files.write_data_file(data_path(old, 2), eiger_files.frames_of(4, 4))
    eiger_files.write_series(raw, "a_00002", files=1)
    watching.run(3)
    names = [event.series for event in watching.events if isinstance(event, FrameBatch)]
    assert names == ["a_00001", "a_00001", "a_00002"]
    assert ended(watching.events) == [("a_00001", False, 8), ("a_00002", True, 4)]


def test_a_newer_series_without_data_does_not_cut_the_older_short(root: Path) -> None:
    watching = Watching(root)
    raw = root / "current/raw"
    old = eiger_files.write_series(raw, "a_00001", files=1, nimages=8)
    watching.run(1)
    eiger_files.write_master(raw / "a_00002/e4m/a_00002_master.h5")
    assert ended(watching.run(2)) == []
    eiger_files.write_data_file(data_path(old, 2), eiger_files.frames_of(4, 4))
    watching.run(2)
    assert ended(watching.events) == [("a_00001", True, 8)]


@pytest.mark.parametrize(
    ("history", "names"), [("newest", ["a_00003"]), ("all", ["a_00003", "a_00001", "a_00002"])]
)
def test_series_from_before_the_start(root: Path, history: str, names: list[str]) -> None:
    for number in (1, 2, 3):
        folder = eiger_files.write_series(root / "current/raw", f"a_{number:05d}", files=1)
        os.utime(folder.parent, (1000 + number, 1000 + number))
    watching = Watching(root, history=history)
    watching.run(130)
    assert started(watching.events) == names
    assert [complete for _, complete, _ in ended(watching.events)] == [True] * len(names)


def _written_at(root: Path, number: int, at: float) -> None:
    """A whole series, begun a minute before its last file came at the moment ``at``."""
    detector = eiger_files.write_series(root / "current/raw", f"a_{number:05d}", files=1)
    os.utime(detector, (at, at))
    os.utime(detector.parent, (at - 60, at - 60))


def test_series_that_ended_while_no_backend_ran_are_read_the_newest_first(root: Path) -> None:
    for number, at in enumerate((1000, 2000, 3000, 4000, 5000), start=1):
        _written_at(root, number, at)
    # The third was being written when it died.
    watching = Watching(root, last_alive=2970.0)
    watching.run(130)
    assert started(watching.events) == ["a_00005", "a_00004", "a_00003"]
    assert notices(watching.events, "series-left-out") == []


def test_more_than_can_be_caught_up_with_are_told(root: Path) -> None:
    for number in range(1, 26):
        _written_at(root, number, 1000.0 * number)
    watching = Watching(root, last_alive=1500.0)
    watching.run(130)
    assert started(watching.events) == [f"a_{number:05d}" for number in range(25, 5, -1)]
    (told,) = notices(watching.events, "series-left-out")
    assert told.what.startswith("4 series were measured while no backend ran") and "history" in told.try_this
    first = Watching(root)
    first.run(10)
    (told,) = notices(first.events, "series-left-out")
    assert told.what.startswith("24 series were measured before the first start")


def test_files_that_return_after_the_end_bring_the_series_back(root: Path) -> None:
    watching = Watching(root)
    folder = eiger_files.write_series(root / "current/raw", files=1, nimages=8)
    watching.run(20)
    assert ended(watching.events) == [("silica_00001", False, 4)]
    eiger_files.write_data_file(data_path(folder, 2), eiger_files.frames_of(4, 4))
    watching.run(200)
    assert ended(watching.events) == [("silica_00001", False, 4), ("silica_00001", True, 8)]
    assert len(notices(watching.events, "returned:")) == 1


def test_the_beamtime_appears_goes_and_comes_back(tmp_path: Path) -> None:
    watching = Watching(tmp_path)
    watching.run(2)
    (notice,) = notices(watching.events)
    assert notice.key == "beamtime-folder" and "no beamtime" in notice.what and notice.try_this
    assert "Waiting for a beamtime" in watching.source.description
    commissioning = tmp_path / "commissioning"
    eiger_files.write_series(commissioning / "raw", "c_00001", files=1)
    watching.run(2)
    assert ended(watching.events) == [("c_00001", True, 4)]
    assert watching.source.folder is not None and watching.source.folder.kind == "commissioning"
    eiger_files.write_series(tmp_path / "current/raw", "u_00001", files=1)
    watching.run(2)
    assert started(watching.events) == ["c_00001", "u_00001"]
    shutil.rmtree(tmp_path / "current")
    shutil.rmtree(commissioning)
    gone = watching.run(2)
    assert [n.what == "" for n in notices(gone, "beamtime-folder")] == [False]
    (tmp_path / "current/raw").mkdir(parents=True)
    assert [n.what for n in notices(watching.run(2), "beamtime-folder")] == [""]


def test_a_series_whose_folder_vanishes_ends_incomplete(root: Path) -> None:
    watching = Watching(root)
    eiger_files.write_series(root / "current/raw", files=1, nimages=100)
    watching.run(1)
    shutil.rmtree(root / "current")
    assert ended(watching.run(5)) == []
    watching.run(20)
    assert ended(watching.events) == [("silica_00001", False, 4)]


def test_missing_doubled_and_broken_metadata_are_said_and_frames_still_come(root: Path) -> None:
    (root / "current/beamtime-metadata-11001234.json").write_text("{not json")
    eiger_files.write_series(root / "current/raw", files=1)
    watching = Watching(root, full_sweep_s=5)
    watching.run(2)
    (notice,) = notices(watching.events, "beamtime-metadata")
    assert "not JSON" in notice.what and "Frames are watched" in notice.still_works
    assert ended(watching.events) == [("silica_00001", True, 4)]
    (root / "current/beamtime-metadata-2.json").write_text("{}")
    (second,) = notices(watching.run(6), "beamtime-metadata")
    assert "2 metadata files" in second.what
    (root / "current/beamtime-metadata-2.json").unlink()
    (root / "current/beamtime-metadata-11001234.json").write_text('{"id": "tag1"}')
    (cleared,) = notices(watching.run(6), "beamtime-metadata")
    assert cleared.what == "" and watching.source.beamtime is not None


def test_odd_things_in_raw_do_not_stop_the_watch(root: Path) -> None:
    raw = root / "current/raw"
    (raw / "a_00001").symlink_to(raw / "nowhere")
    (raw / "b_00001").symlink_to(raw / "b_00001")
    (raw / "c_00001").write_text("a file named like a folder")
    (raw / "SPOCK").mkdir()
    (raw / "d_00001" / "e4m").mkdir(parents=True)
    (raw / "d_00001" / "e4m" / "notes.txt").write_text("x")
    eiger_files.write_series(raw, files=1)
    watching = Watching(root)
    watching.run(3)
    assert ended(watching.events) == [("silica_00001", True, 4)]
    assert notices(watching.events) == []


def test_a_slow_series_is_waited_for_before_its_first_file(root: Path) -> None:
    folder = root / "current/raw/slow_00001/e4m"
    eiger_files.write_master(
        folder / "slow_00001_master.h5", nimages=100, frame_time=(1.0, "s"), bit_depth_image=None
    )
    watching = Watching(root)
    assert watching.run(100) == []
    eiger_files.write_data_file(data_path(folder, 1), eiger_files.frames_of(0, 100))
    watching.run(20)
    assert ended(watching.events) == [("slow_00001", True, 100)]


def test_a_master_whose_data_never_come_is_one_notice(root: Path) -> None:
    watching = Watching(root)
    eiger_files.write_series(root / "current/raw", files=0, nimages=10)
    watching.run(30)
    (notice,) = notices(watching.events)
    assert "no frames that can be read" in notice.what
    assert ended(watching.events) == [("silica_00001", False, 0)]


def test_a_sweep_over_many_folders_comes_to_its_end(root: Path) -> None:
    raw = root / "current/raw"
    for number in range(300):
        (raw / f"a_{number:05d}").mkdir()
    watching = Watching(root, full_sweep_s=1)
    watching.run(5)
    # Neither among the newest folders nor near the beginning of the sweep.
    eiger_files.write_series(raw, "a_00250", files=1)
    watching.run(10)
    assert ended(watching.events) == [("a_00250", True, 4)]


def test_no_file_handle_is_kept(root: Path) -> None:
    watching = Watching(root)
    eiger_files.write_series(root / "current/raw", files=2, nimages=100)
    watching.run(2)
    assert len(numbers(watching.events)) == 8
    links = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.exists(entry.path)]
    assert [link for link in links if str(root) in link] == []


def _write_slowly(raw: Path, name: str, files: int, go_on: Callable[[float], bool]) -> None:
    folder = raw / name / "e4m"
    eiger_files.write_master(folder / f"{name}_master.h5", nimages=files * 5)
    for number in range(files):
        go_on(0.05)
        eiger_files.write_data_file(
            folder / f"{name}_data_{number + 1:06d}.h5", eiger_files.frames_of(number * 5, 5)
        )
    eiger_files.write_run_file(raw / name / f"{name}.fio")


def test_another_process_writes_two_series_while_they_are_read(root: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    never = spawn.Event()
    writers = [
        spawn.Process(target=_write_slowly, args=(root / "current/raw", name, 8, never.wait))
        for name in ("a_00001", "a_00002")
    ]
    source = FolderWatch(
        root, Settings.model_validate({"watch": {"newest_poll_s": 0.05, "frames_per_batch": 3}})
    )
    events: list[SourceEvent] = []
    for writer in writers:
        writer.start()
        deadline = time.monotonic() + 40
        done = len(ended(events)) + 1
        while len(ended(events)) < done and time.monotonic() < deadline:
            events.extend(source.poll())
        writer.join(10)
        assert writer.exitcode == 0
    assert ended(events) == [("a_00001", True, 40), ("a_00002", True, 40)]
    assert numbers(events) == list(range(40)) * 2
    assert notices(events) == []
