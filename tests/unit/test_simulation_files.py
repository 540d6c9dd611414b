"""The written series opens in the tools of the field and grows on disk as a real one does."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import fabio
import h5py
import hdf5plugin  # noqa: F401  (registers the decompression filter)
import numpy as np
import pytest
import silx.io

from backend.errors import FeedbackError
from backend.simulation.beamtime_tree import (
    SeriesProgress,
    WrittenSeries,
    next_series_number,
    write_beamtime_skeleton,
    write_series,
)
from backend.simulation.detector_model import EIGER_500K, DetectorModel
from backend.simulation.pace import StopRequest
from backend.simulation.series_plan import SeriesPlan
from backend.simulation.speckle import SpeckleMovie

CLOCK_FORMAT = "%a %b %d %H:%M:%S %Y"
SMALL = DetectorModel(
    name="small",
    folder="e500",
    description="part of a detector",
    shape_yx=(60, 80),
    module_yx=(28, 80),
    gap_yx=(4, 1),
    distance_m=10.0,
    beam_center_yx_px=(-20.5, 41.25),
    beam_stop_radius_px=0.0,
    noisy_pixels=3,
    dead_pixels=2,
)
PLAN = SeriesPlan(
    detector=SMALL, sample="gel", number=7, frames=23, frames_per_file=5, photons_per_pixel=1.0, seed=4
)


def _frames(plan: SeriesPlan) -> np.ndarray:
    movie = SpeckleMovie(plan)
    return np.stack([movie.next_frame() for _ in range(plan.frames)])


@pytest.fixture(params=["uint16", "uint32"])
def plan(request: pytest.FixtureRequest) -> SeriesPlan:
    return replace(PLAN, dtype=request.param)


@pytest.fixture
def written(plan: SeriesPlan, tmp_path: Path) -> WrittenSeries:
    return write_series(tmp_path, plan)


def test_fabio_reads_the_same_frames_across_the_files(plan: SeriesPlan, written: WrittenSeries) -> None:
    expected = _frames(plan)
    with fabio.open(str(written.master)) as image:
        assert image.nframes == plan.frames
        for index in range(plan.frames):
            assert np.array_equal(image.getframe(index).data, expected[index])


def test_silx_reads_through_the_links(plan: SeriesPlan, written: WrittenSeries) -> None:
    expected = _frames(plan)
    with silx.io.open(str(written.master)) as file:
        data = file["/entry/data"]
        assert sorted(data) == [f"data_{number:06d}" for number in range(1, 6)]
        assert np.array_equal(np.concatenate([data[name][()] for name in sorted(data)]), expected)


def test_data_files_have_one_compressed_frame_per_chunk(plan: SeriesPlan, written: WrittenSeries) -> None:
    sizes = []
    for number in range(1, 6):
        with h5py.File(written.master.with_name(f"gel_00007_data_{number:06d}.h5"), "r") as file:
            dataset = file["/entry/data/data"]
            assert dataset.chunks == (1, 60, 80)
            assert dataset.dtype == plan.dtype
            assert "32008" in dataset._filters, "bitshuffle"
            assert dataset.attrs["image_nr_low"] == 5 * (number - 1) + 1
            assert dataset.attrs["image_nr_high"] == 5 * (number - 1) + len(dataset)
            sizes.append(len(dataset))
    assert sizes == [5, 5, 5, 5, 3]


def test_master_states_geometry_timing_and_mask_with_units(plan: SeriesPlan, written: WrittenSeries) -> None:
    with h5py.File(written.master, "r") as file:
        detector = file["/entry/instrument/detector"]
        for name, value, units in (
            ("frame_time", 0.05, "s"),
            ("count_time", 0.05 - 1e-5, "s"),
            ("detector_readout_time", 1e-5, "s"),
            ("x_pixel_size", 75e-6, "m"),
            ("y_pixel_size", 75e-6, "m"),
            ("detector_distance", 10.0, "m"),
            ("beam_center_x", 41.25, "pixel"),
            ("beam_center_y", -20.5, "pixel"),
        ):
            assert detector[name][()] == pytest.approx(value, rel=1e-6)
            assert detector[name].attrs["units"] == units
        wavelength = file["/entry/instrument/beam/incident_wavelength"]
        assert wavelength[()] == pytest.approx(12.39842 / 8.4)
        assert wavelength.attrs["units"] == "angstrom"
        assert detector["bit_depth_image"][()] == 8 * np.dtype(plan.dtype).itemsize
        assert detector["saturation_value"][()] == np.iinfo(plan.dtype).max - 1
        specific = detector["detectorSpecific"]
        assert specific["nimages"][()] == 23
        assert specific["ntrigger"][()] == 1
        assert np.array_equal(specific["pixel_mask"][()], SMALL.pixel_mask())
        assert file.attrs["default"] == "entry"
        assert file["entry"].attrs["NX_class"] == "NXentry"
        assert file["/entry/data"].attrs["signal"] == "data_000001"


def test_text_files_are_in_the_form_of_p10(written: WrittenSeries) -> None:
    fio = (written.folder / "gel_00007.fio").read_text()
    sections = re.findall(r"!\n! (\w+)\n!\n%\w\n", fio)
    assert sections == ["Comments", "Parameter", "Data"]
    command, started = fio.split("%c\n")[1].splitlines()[:2]
    assert command == ""
    found = re.fullmatch(r"user p10user Acquisition started at (.+)", started)
    assert found is not None
    datetime.strptime(found[1], CLOCK_FORMAT)
    assert "\nfmbenergy = 8400.0\n" in fio
    ended = re.search(r"! Acquisition ended at (.+)\n\Z", fio)
    assert ended is not None
    datetime.strptime(ended[1], CLOCK_FORMAT)

    batch_text = (written.folder / "e500" / "gel_00007.batchinfo").read_text()
    batch = dict(re.findall(r"(\w+): (.+)\n", batch_text))
    datetime.strptime(batch["start_time"], CLOCK_FORMAT)
    assert ast.literal_eval(batch["ndataend"]) == [23]
    assert float(batch["x0"]) == 42.25, "counted from 1"
    assert float(batch["y0"]) == -19.5


def test_truth_lies_beside_the_series(written: WrittenSeries) -> None:
    truth = json.loads((written.folder / "truth.json").read_text())
    assert truth["series"] == "gel_00007"
    assert truth["seed"] == 4
    assert truth["geometry"]["distance_m"] == 10.0


def test_files_appear_whole_and_the_master_first(tmp_path: Path) -> None:
    seen: list[tuple[str, int, list[str], str]] = []

    def look(progress: SeriesProgress) -> None:
        folder = progress.folder / "e500"
        names = sorted(path.name for path in folder.glob("*.h5") if not path.name.startswith("."))
        for name in names:
            if "_data_" in name:
                with h5py.File(folder / name, "r") as file:
                    assert len(file["/entry/data/data"]) in (5, 3)
        fio = (progress.folder / "gel_00007.fio").read_text()
        seen.append((progress.step, progress.frames_written, names, fio))

    write_series(tmp_path, PLAN, progress=look)
    steps = [(step, written) for step, written, _, _ in seen]
    assert steps == [("started", 0), *(("file", n) for n in (5, 10, 15, 20, 23)), ("ended", 23)]
    assert seen[0][2] == ["gel_00007_master.h5"]
    assert [len(names) for _, _, names, _ in seen] == [1, 2, 3, 4, 5, 6, 6]
    assert ["Acquisition ended" in fio for _, _, _, fio in seen] == [False] * 6 + [True]
    assert not list(tmp_path.rglob("*.part"))


def test_links_of_the_master_dangle_until_the_files_come(tmp_path: Path) -> None:
    def look(progress: SeriesProgress) -> None:
        if progress.step == "started":
            with h5py.File(progress.folder / "e500" / "gel_00007_master.h5", "r") as file:
                assert len(file["/entry/data"]) == 5
                with pytest.raises(KeyError):
                    file["/entry/data/data_000001"]

    write_series(tmp_path, PLAN, progress=look)


def test_pace_keeps_the_time_and_changes_no_frame(tmp_path: Path) -> None:
    arrived: list[float] = []

    def note(progress: SeriesProgress) -> None:
        if progress.step == "file":
            arrived.append(progress.elapsed_s)

    paced = write_series(tmp_path / "paced", PLAN, pace=2.0, progress=note)
    for index, elapsed_s in enumerate(arrived):
        # Never before the last frame of the file was exposed; how late depends on the machine.
        assert elapsed_s >= min(23, 5 * (index + 1)) * 0.05 / 2.0
    with fabio.open(str(paced.master)) as image:
        assert np.array_equal(image.getframe(22).data, _frames(PLAN)[22])


def test_a_stop_publishes_the_frames_so_far_and_ends_the_wait_at_once(tmp_path: Path) -> None:
    slow = replace(PLAN, frame_time_s=0.1, frames=100_000, frames_per_file=1000)
    with StopRequest() as stop:
        timer = threading.Timer(0.35, stop.request)
        timer.start()
        before = time.monotonic()
        written = write_series(tmp_path, slow, pace=1.0, stop=stop)
        assert time.monotonic() - before < 20
    assert not written.complete
    assert 1 <= written.frames < 100_000
    with h5py.File(written.master.with_name("gel_00007_data_000001.h5"), "r") as file:
        assert len(file["/entry/data/data"]) == written.frames
    assert "Acquisition ended" not in (written.folder / "gel_00007.fio").read_text()
    assert not list(tmp_path.rglob("*.part"))


def test_a_full_disk_is_told_in_words_and_leaves_whole_files_only(tmp_path: Path) -> None:
    # A limit on the size of a file fails a write half-way, like a full disk.
    program = (
        "import resource, signal;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000));"
        "from mento_gui.commands.simulate import simulate; simulate()"
    )
    arguments = "--frames 40 --frames-per-file 20 --sample full --number 1"
    done = subprocess.run(
        [sys.executable, "-c", program, "--to", str(tmp_path), *arguments.split()],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    names = {path.name for path in (tmp_path / "full_00001" / "e500").iterdir()}
    assert names == {"full_00001_master.h5", "full_00001.batchinfo"}


def test_an_existing_series_is_not_touched(tmp_path: Path) -> None:
    first = write_series(tmp_path, PLAN)
    before = sorted((path, path.stat().st_mtime_ns) for path in first.folder.rglob("*"))
    with pytest.raises(FeedbackError, match="exists already"):
        write_series(tmp_path, replace(PLAN, seed=99))
    assert before == sorted((path, path.stat().st_mtime_ns) for path in first.folder.rglob("*"))
    assert next_series_number(tmp_path) == 8


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FeedbackError, match="cannot be written"):
        write_series(tmp_path / "file", PLAN)
    with pytest.raises(FeedbackError, match="cannot be written"):
        write_beamtime_skeleton(tmp_path / "file")


@pytest.mark.parametrize("pace", [0.0, -1.0, float("nan")])
def test_an_impossible_pace_is_refused(pace: float, tmp_path: Path) -> None:
    with pytest.raises(FeedbackError, match="pace"):
        write_series(tmp_path, PLAN, pace=pace)


def test_skeleton_has_the_folders_and_one_metadata_file(tmp_path: Path) -> None:
    current = write_beamtime_skeleton(tmp_path)
    assert current == write_beamtime_skeleton(tmp_path) == tmp_path / "current"
    folders = sorted(path.name for path in current.iterdir() if path.is_dir())
    assert folders == ["processed", "raw", "scratch_bl", "shared"]
    (metadata,) = current.glob("*metadata*.json")
    content = json.loads(metadata.read_text())
    assert metadata.name == f"beamtime-metadata-{content['beamtimeId']}.json"
    assert content["beamline"] == "p10"
    assert content["corePath"].endswith(content["beamtimeId"])


def test_sigterm_ends_the_command_in_good_order(tmp_path: Path) -> None:
    command = "from mento_gui.commands.simulate import simulate; simulate()"
    arguments = (
        "--frames 100000 --frame-time 0.02 --frames-per-file 4 --pace 1 --json --sample long --number 1"
    )
    with subprocess.Popen(
        [sys.executable, "-c", command, "--to", str(tmp_path), *arguments.split()],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "file-written":
                break
        process.send_signal(signal.SIGTERM)
        rest = [json.loads(line) for line in process.stdout]
        assert process.wait(timeout=30) == 143
    assert rest[-1]["event"] == "series-ended"
    assert rest[-1]["complete"] is False
    folder = tmp_path / "long_00001"
    assert "Acquisition ended" not in (folder / "long_00001.fio").read_text()
    assert not list(folder.rglob("*.part"))
    frames = 0
    for path in sorted((folder / EIGER_500K.folder).glob("*_data_*.h5")):
        with h5py.File(path, "r") as file:
            frames += len(file["/entry/data/data"])
    assert frames == rest[-1]["frames_written"]


def test_a_listener_that_goes_away_is_not_called_a_broken_disk(tmp_path: Path) -> None:
    command = "from mento_gui.commands.simulate import simulate; simulate()"
    arguments = "--frames 100000 --frames-per-file 1 --photons 0.001 --json"
    with subprocess.Popen(
        [sys.executable, "-c", command, "--to", str(tmp_path), *arguments.split()],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=30) == 1
        assert process.stderr.read() == ""
