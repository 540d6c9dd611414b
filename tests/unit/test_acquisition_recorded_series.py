from __future__ import annotations

from pathlib import Path

import eiger_files
import h5py
import numpy as np
import pytest

from backend.acquisition.recorded_series import RecordedSeries
from backend.errors import SeriesError
from backend.frames import FrameBatch, SeriesEnded, SeriesStarted, SourceEvent, SourceNotice
from backend.settings import Settings


def read_all(path: Path, settings: Settings | None = None) -> list[SourceEvent]:
    source = RecordedSeries([path], settings or Settings())
    events: list[SourceEvent] = []
    while not source.finished:
        events.extend(source.poll())
    return events


def numbers_of(events: list[SourceEvent]) -> list[int]:
    return [int(n) for event in events if isinstance(event, FrameBatch) for n in event.frame_numbers]


def end_of(events: list[SourceEvent]) -> SeriesEnded:
    (end,) = [event for event in events if isinstance(event, SeriesEnded)]
    return end


def notices_of(events: list[SourceEvent]) -> list[SourceNotice]:
    return [event for event in events if isinstance(event, SourceNotice)]


@pytest.mark.parametrize("which", ["master", "detector", "series", "raw", "data"])
def test_every_kind_of_path_gives_the_whole_series(tmp_path: Path, which: str) -> None:
    detector = eiger_files.write_series(tmp_path / "raw")
    path = {
        "master": detector / "silica_00001_master.h5",
        "data": detector / "silica_00001_data_000002.h5",
        "detector": detector,
        "series": detector.parent,
        "raw": tmp_path / "raw",
    }[which]
    events = read_all(path)
    assert isinstance(events[0], SeriesStarted)
    info = events[0].info
    assert (info.name, info.sample, info.number, info.expected_frames) == ("silica_00001", "silica", 1, 12)
    assert numbers_of(events) == list(range(12))
    assert end_of(events) == SeriesEnded("silica_00001", True, 12, "All 12 planned frames are there.")
    assert notices_of(events) == []


def test_two_series_come_one_after_the_other(tmp_path: Path) -> None:
    eiger_files.write_series(tmp_path, "a_00002", files=1)
    eiger_files.write_series(tmp_path, "a_00001", files=1)
    kinds = [
        (type(event).__name__, event.info.name if isinstance(event, SeriesStarted) else event.series)
        for event in read_all(tmp_path)
        if not isinstance(event, SourceNotice)
    ]
    assert [name for _, name in kinds] == ["a_00001"] * 3 + ["a_00002"] * 3


def test_two_detectors_of_one_series_have_two_names(tmp_path: Path) -> None:
    eiger_files.write_series(tmp_path, files=1)
    eiger_files.write_data_file(
        tmp_path / "silica_00001/e500/silica_00001_data_000001.h5", eiger_files.frames_of(0, 2)
    )
    infos = [event.info for event in read_all(tmp_path) if isinstance(event, SeriesStarted)]
    assert [(info.name, info.detector.name) for info in infos] == [
        ("silica_00001", "e4m"),
        ("silica_00001_e500", "e500"),
    ]


def test_small_batches_keep_order(tmp_path: Path) -> None:
    eiger_files.write_series(tmp_path)
    settings = Settings.model_validate({"watch": {"frames_per_batch": 3}})
    events = read_all(tmp_path, settings)
    batches = [event for event in events if isinstance(event, FrameBatch)]
    assert max(len(batch.chunks) for batch in batches) <= 3
    assert numbers_of(events) == list(range(12))


def test_broken_file_in_the_middle_is_named_and_the_numbers_jump(tmp_path: Path) -> None:
    detector = eiger_files.write_series(tmp_path)
    (detector / "silica_00001_data_000002.h5").write_bytes(b"no HDF5 at all" * 100)
    events = read_all(tmp_path)
    assert numbers_of(events) == [0, 1, 2, 3, 8, 9, 10, 11]
    (notice,) = notices_of(events)
    assert "silica_00001_data_000002.h5" in notice.what and "not an HDF5 file" in notice.what
    assert notice.still_works and notice.try_this
    end = end_of(events)
    assert not end.complete and end.frames == 8 and "4 of 12 frames could not be read" in end.reason


def test_missing_files_in_the_middle(tmp_path: Path) -> None:
    detector = eiger_files.write_series(tmp_path, files=5)
    for number in (2, 3):
        (detector / f"silica_00001_data_{number:06d}.h5").unlink()
    events = read_all(tmp_path)
    assert numbers_of(events) == [0, 1, 2, 3, *range(12, 20)]
    (notice,) = notices_of(events)
    assert "data files 2 to 3 are missing" in notice.what


def test_first_file_missing(tmp_path: Path) -> None:
    detector = eiger_files.write_series(tmp_path)
    (detector / "silica_00001_data_000001.h5").unlink()
    events = read_all(tmp_path)
    assert numbers_of(events) == list(range(4, 12))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (eiger_files.frames_of(0, 4).astype(np.float32), "float32"),
        (eiger_files.frames_of(0, 4).astype(np.int32), "int32"),
        (eiger_files.frames_of(0, 4)[:0], "no frames"),
        (eiger_files.frames_of(0, 4, shape=(10, 12)), "10 x 12"),
        (eiger_files.frames_of(0, 4, dtype=np.uint32), "uint32"),
    ],
)
def test_a_file_of_another_form_is_one_notice(tmp_path: Path, images: np.ndarray, words: str) -> None:
    detector = eiger_files.write_series(tmp_path)
    how = "bslz4" if len(images) else "contiguous"
    eiger_files.write_data_file(detector / "silica_00001_data_000002.h5", images, how)
    events = read_all(tmp_path)
    assert numbers_of(events) == [0, 1, 2, 3, 8, 9, 10, 11]
    (notice,) = notices_of(events)
    assert words in notice.what and "data_000002" in notice.what


def test_a_foreign_first_file_does_not_overrule_the_master(tmp_path: Path) -> None:
    detector = eiger_files.write_series(tmp_path)
    eiger_files.write_data_file(
        detector / "silica_00001_data_000001.h5", eiger_files.frames_of(0, 4, shape=(10, 12))
    )
    events = read_all(tmp_path)
    assert numbers_of(events) == list(range(4, 12))
    (notice,) = notices_of(events)
    assert "data_000001.h5 holds frames of 10 x 12" in notice.what


def test_master_without_data(tmp_path: Path) -> None:
    eiger_files.write_series(tmp_path, files=0, nimages=10)
    events = read_all(tmp_path)
    (notice,) = notices_of(events)
    assert "no frames" in notice.what
    assert end_of(events).frames == 0 and not end_of(events).complete


def test_data_without_master(tmp_path: Path) -> None:
    detector = eiger_files.write_series(tmp_path)
    (detector / "silica_00001_master.h5").unlink()
    events = read_all(tmp_path)
    assert isinstance(events[0], SeriesStarted)
    info = events[0].info
    assert info.master is None and info.detector.shape_yx == (eiger_files.ROWS, eiger_files.COLUMNS)
    assert any("no master" in notice for notice in info.notices)
    assert numbers_of(events) == list(range(12))


def test_broken_master_is_reported_and_frames_still_come(tmp_path: Path) -> None:
    detector = eiger_files.write_series(tmp_path)
    (detector / "silica_00001_master.h5").write_bytes(b"")
    events = read_all(tmp_path)
    (notice,) = notices_of(events)
    assert "_master.h5" in notice.what and "empty" in notice.what
    assert numbers_of(events) == list(range(12))


def test_nothing_readable_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "x_00001" / "e4m"
    folder.mkdir(parents=True)
    (folder / "x_00001_master.h5").write_bytes(b"")
    (folder / "x_00001_data_000001.h5").write_bytes(b"rubbish")
    events = read_all(tmp_path)
    (notice,) = events
    assert isinstance(notice, SourceNotice) and "could not be shown" in notice.what


def test_frames_inside_the_master(tmp_path: Path) -> None:
    folder = tmp_path / "x_00001" / "e4m"
    master = eiger_files.write_master(folder / "x_00001_master.h5", nimages=4)
    with h5py.File(master, "a") as file:
        file.create_dataset("entry/data/data_000001", data=eiger_files.frames_of(0, 4))
    events = read_all(tmp_path)
    assert numbers_of(events) == [0, 1, 2, 3]
    assert end_of(events).complete


def test_paths_without_a_series_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match="holds no series"):
        RecordedSeries([tmp_path], Settings())
    with pytest.raises(SeriesError, match="cannot be looked at"):
        RecordedSeries([tmp_path / "nowhere"], Settings())
    (tmp_path / "x.h5").write_bytes(b"")
    with pytest.raises(SeriesError, match="holds no series"):
        RecordedSeries([tmp_path / "x.h5"], Settings())
