from __future__ import annotations

import os
import struct
import threading
import time
from pathlib import Path

import eiger_files
import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.acquisition.data_file import inspect_data_file, read_frames
from backend.acquisition.hdf5_file import FileChangedError, UnusableFileError, open_hdf5
from backend.errors import SeriesError

ENOUGH_BYTES = 1 << 30


def decoded(codec: str, chunk: bytes, images: np.ndarray, scratch: Path) -> np.ndarray:
    """A chunk as an independent reader sees it: written back into a dataset, or taken as plain pixels."""
    if codec == "raw":
        return np.frombuffer(chunk, images.dtype).reshape(images.shape[1:])
    with h5py.File(scratch, "w") as file:
        one = (1, *images.shape[1:])
        dataset = file.create_dataset(
            "x", one, images.dtype, chunks=one, **hdf5plugin.Bitshuffle(cname="lz4")
        )
        dataset.id.write_direct_chunk((0, 0, 0), chunk)
    with h5py.File(scratch, "r") as file:
        return file["x"][0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize(
    ("how", "codec"),
    [
        ("bslz4", "bslz4"),
        ("four-d", "bslz4"),
        ("bszstd", "raw"),
        ("lz4", "raw"),
        ("gzip", "raw"),
        ("plain", "raw"),
        ("several-per-chunk", "raw"),
        ("contiguous", "raw"),
    ],
)
def test_every_layout_gives_the_frames_that_were_written(
    tmp_path: Path, how: str, codec: str, dtype: type
) -> None:
    images = eiger_files.frames_of(0, 7, dtype)
    path = eiger_files.write_data_file(tmp_path / "x_data_000001.h5", images, how)
    data_file = inspect_data_file(path)
    assert (data_file.frames, data_file.shape_yx, data_file.dtype, data_file.codec) == (
        7,
        images.shape[1:],
        dtype,
        codec,
    )
    part = read_frames(data_file, 2, 3, ENOUGH_BYTES)
    (run,) = part.runs
    assert (run.first, run.codec, part.next_frame, part.damaged) == (2, codec, 5, ())
    for chunk, image in zip(run.chunks, images[2:5], strict=True):
        np.testing.assert_array_equal(decoded(run.codec, chunk, images, tmp_path / "scratch.h5"), image)


def test_big_endian_pixels_come_in_native_order(tmp_path: Path) -> None:
    images = eiger_files.frames_of(0, 2).astype(">u2")
    data_file = inspect_data_file(eiger_files.write_data_file(tmp_path / "x_data_000001.h5", images))
    (run,) = read_frames(data_file, 0, 2, ENOUGH_BYTES).runs
    assert (run.codec, data_file.dtype) == ("raw", np.uint16)
    np.testing.assert_array_equal(
        np.frombuffer(run.chunks[1], np.uint16).reshape(images.shape[1:]), images[1]
    )


def test_a_chunk_that_left_out_the_compression_comes_as_plain_frame(tmp_path: Path) -> None:
    images = eiger_files.frames_of(0, 3)
    path = eiger_files.write_data_file(tmp_path / "x_data_000001.h5", images)
    with h5py.File(path, "a") as file:
        file["entry/data/data"].id.write_direct_chunk((1, 0, 0), images[1].tobytes(), filter_mask=1)
    part = read_frames(inspect_data_file(path), 0, 3, ENOUGH_BYTES)
    assert [(run.first, run.codec, len(run.chunks)) for run in part.runs] == [
        (0, "bslz4", 1),
        (1, "raw", 1),
        (2, "bslz4", 1),
    ]
    assert part.runs[1].chunks[0] == images[1].tobytes()


def test_damaged_and_unwritten_frames_are_left_out_and_named(tmp_path: Path) -> None:
    images = eiger_files.frames_of(0, 4)
    path = tmp_path / "x_data_000001.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            "entry/data/data",
            (5, *images.shape[1:]),
            np.uint16,
            chunks=(1, *images.shape[1:]),
            **hdf5plugin.Bitshuffle(),
        )
        dataset[:4] = images
        dataset.id.write_direct_chunk((2, 0, 0), struct.pack(">QI", 17, 8192) + b"rubbish")
    part = read_frames(inspect_data_file(path), 0, 5, ENOUGH_BYTES)
    assert [frame for run in part.runs for frame in range(run.first, run.first + len(run.chunks))] == [
        0,
        1,
        3,
    ]
    assert part.damaged == (2, 4) and part.reason


def test_memory_of_one_read_is_bounded(tmp_path: Path) -> None:
    for how in ("bslz4", "plain"):
        path = eiger_files.write_data_file(
            tmp_path / f"{how}_data_000001.h5", eiger_files.frames_of(0, 6), how
        )
        part = read_frames(inspect_data_file(path), 0, 6, 1)
        assert part.next_frame == 1


@pytest.mark.parametrize("change", ["rename", "append", "remove"])
def test_a_change_after_the_first_look_is_noticed(tmp_path: Path, change: str) -> None:
    path = eiger_files.write_data_file(tmp_path / "x_data_000001.h5", eiger_files.frames_of(0, 4))
    data_file = inspect_data_file(path)
    if change == "rename":
        eiger_files.write_data_file(path, eiger_files.frames_of(50, 4))
    elif change == "append":
        with path.open("ab") as file:
            file.write(b"more")
    else:
        path.unlink()
    with pytest.raises(SeriesError) as caught:
        read_frames(data_file, 0, 1, ENOUGH_BYTES)
    assert isinstance(caught.value, FileChangedError) == (change != "remove")
    assert "x_data_000001.h5" in caught.value.what


@pytest.mark.parametrize("change", ["rename", "append"])
@pytest.mark.parametrize("fault", [False, True])
def test_a_change_during_a_read_voids_the_read(tmp_path: Path, change: str, fault: bool) -> None:
    path = eiger_files.write_data_file(tmp_path / "x_data_000001.h5", eiger_files.frames_of(0, 4))
    with pytest.raises(FileChangedError, match="x_data_000001.h5"), open_hdf5(path):
        if change == "rename":
            eiger_files.write_data_file(path, eiger_files.frames_of(50, 4))
        else:
            with path.open("ab") as file:
                file.write(b"more")
        if fault:
            raise OSError("what the library says when bytes change under it")


def test_frames_of_a_file_that_is_replaced_again_and_again_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "x_data_000001.h5"
    versions = [eiger_files.frames_of(first, 5) for first in (100, 200)]
    eiger_files.write_data_file(path, versions[0], "plain")
    stop = threading.Event()

    def replace_until_stopped() -> None:
        while not stop.is_set():
            for version in versions:
                eiger_files.write_data_file(path, version, "plain")

    writer = threading.Thread(target=replace_until_stopped)
    writer.start()
    try:
        read = changed = 0
        deadline = time.monotonic() + 30
        while not (read and changed) and time.monotonic() < deadline:
            try:
                data_file = inspect_data_file(path)
                first, second = (read_frames(data_file, begin, 2, ENOUGH_BYTES) for begin in (0, 2))
            except FileChangedError:
                changed += 1
                continue
            chunks = first.runs[0].chunks + second.runs[0].chunks
            stamps = [np.frombuffer(chunk, np.uint16)[0] for chunk in chunks]
            assert stamps in ([100, 101, 102, 103], [200, 201, 202, 203])
            read += 1
    finally:
        stop.set()
        writer.join()
    assert read and changed


def test_files_that_are_no_use_say_why(tmp_path: Path) -> None:
    for number, (path_inside, data, words) in enumerate(
        [
            ("entry/data/data", np.zeros((4, 5), np.uint16), "no stack of frames"),
            ("entry/other", np.zeros((2, 4, 5), np.uint16), "no group"),
            ("entry/data/data", np.zeros((2, 4, 5), np.float64), "float64"),
            ("entry/data/data", np.zeros((0, 4, 5), np.uint16), "no frames"),
        ]
    ):
        path = tmp_path / f"x_data_{number:06d}.h5"
        with h5py.File(path, "w") as file:
            file[path_inside] = data
        with pytest.raises(UnusableFileError, match=words):
            inspect_data_file(path)


def test_absurd_frame_size_is_refused_without_allocating(tmp_path: Path) -> None:
    path = tmp_path / "x_data_000001.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("entry/data/data", (10, 2**20, 2**20), np.uint32, chunks=(1, 64, 64))
    with pytest.raises(UnusableFileError, match="larger than any detector"):
        inspect_data_file(path)


def test_links_to_other_files_are_not_followed(tmp_path: Path) -> None:
    eiger_files.write_data_file(tmp_path / "other.h5", eiger_files.frames_of(0, 2))
    path = tmp_path / "x_data_000001.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = h5py.ExternalLink("other.h5", "entry/data/data")
    with pytest.raises(UnusableFileError, match="no stack of frames"):
        inspect_data_file(path)


def test_empty_missing_and_circular_files(tmp_path: Path) -> None:
    (tmp_path / "empty.h5").write_bytes(b"")
    (tmp_path / "loop.h5").symlink_to(tmp_path / "loop.h5")
    (tmp_path / "dangling.h5").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.h5").mkdir()
    for name, words in [
        ("empty.h5", "is empty"),
        ("missing.h5", "is not there"),
        ("loop.h5", "symbolic links"),
        ("dangling.h5", "is not there"),
        ("folder.h5", "cannot be read"),
    ]:
        with pytest.raises(SeriesError, match=words) as caught:
            inspect_data_file(tmp_path / name)
        assert name in caught.value.what


def test_forbidden_file_is_said_in_words(tmp_path: Path) -> None:
    path = eiger_files.write_data_file(tmp_path / "x_data_000001.h5", eiger_files.frames_of(0, 2))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(SeriesError, match="not permitted"):
        inspect_data_file(path)


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "x_data_000001.h5"
    return eiger_files.write_data_file(path, eiger_files.frames_of(0, 5)).read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_off_anywhere_is_refused_in_words(tmp_path: Path, whole_file: bytes, share: float) -> None:
    path = tmp_path / "cut_data_000001.h5"
    path.write_bytes(whole_file[: int(share * len(whole_file))])
    with pytest.raises(SeriesError) as caught:
        inspect_data_file(path)
    assert "cut_data_000001.h5" in caught.value.what and caught.value.try_this


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=3000), signature=st.booleans())
def test_rubbish_is_refused_in_words(tmp_path: Path, content: bytes, signature: bool) -> None:
    path = tmp_path / "rubbish_data_000001.h5"
    path.write_bytes((b"\x89HDF\r\n\x1a\n" if signature else b"") + content)
    with pytest.raises(SeriesError, match="rubbish_data_000001.h5"):
        inspect_data_file(path)
