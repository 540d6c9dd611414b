"""The commands without a window as a person types them: help, wrong options, results, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from engine_in_thread import RunningEngine, beamtime
from speckle_series import SETTINGS, speckle_frames, write_speckle_series

from backend.publish.endpoint import endpoint_of, make_private
from backend.results.result_file import read_result
from backend.settings import settings_to_toml
from mento_gui.command_line import main
from mento_gui.exit_codes import ANOTHER_BACKEND_RUNS

FRAMES = speckle_frames(150, seed=8)
COMMANDS = (
    "demo",
    "simulate",
    "correlate",
    "replay",
    "tune",
    "status",
    "jobs",
    "submit",
    "recipe",
    "series-file",
)


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("raw")
    write_speckle_series(raw, FRAMES, "gel_00001")
    write_speckle_series(raw, FRAMES[:40], "gel_00002")
    return raw


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    path = tmp_path / "p10.toml"
    path.write_text(settings_to_toml(SETTINGS))
    return path


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=["mento-gui", *COMMANDS])
def test_help_explains_and_shows_an_example(command: tuple[str, ...]) -> None:
    result = _run(*command, "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert " ".join(("mento-gui", *command)) in result.output
    if not command:
        assert all(name in result.output for name in COMMANDS)


def test_the_version_is_that_of_the_package() -> None:
    result = _run("--version")
    assert (result.exit_code, "0.1.0" in result.output) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], "No such command 'fly'"),
        (["correlate"], "Missing argument 'MASTER'"),
        (["correlate", "/nowhere/x_master.h5", "--to", "r.h5"], "does not exist"),
        (["correlate", "."], "Missing option '--to'"),
        (["replay"], "Missing argument 'PATH...'"),
        (["replay", ".", "--speed", "0"], "0 is neither a positive number nor 'max'"),
        (["replay", ".", "--speed", "fast"], "fast is neither"),
        (["replay", ".", "--speed", "nan"], "nan is neither"),
        (["demo", "--scenario", "flood"], "'flood' is not one of"),
        (["demo", "--speed", "-1"], "-1.0 is not in the range"),
        (["status", "--loud"], "No such option"),
    ],
)
def test_wrong_use_is_said_in_words(arguments: list[str], words: str) -> None:
    result = _run(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


def test_correlate_writes_what_others_can_read(raw: Path, settings_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "result.h5"
    master = raw / "gel_00001" / "e4m" / "gel_00001_master.h5"
    result = _run("correlate", master, "--to", target, "--settings", settings_file)
    assert result.exit_code == 0, result.output
    assert f"gel_00001: 150 frames, 5 q rings, GOOD. {target}" in result.stdout
    assert "progress 1.00" in result.stderr
    read = read_result(target)
    assert (read.series, read.frames, read.settings_sha256) == ("gel_00001", 150, SETTINGS.sha256)
    with h5py.File(target) as file:
        multitau = file["/xpcs/multitau"]
        g2 = multitau["normalized_g2"][:]
        assert g2.shape == multitau["normalized_g2_err"].shape == (len(multitau["delay_list"]), 5)
        assert multitau["delay_list"][0] == 1
        np.testing.assert_array_equal(g2.T, read.g2)
        roi = file["/xpcs/qmap/dynamic_roi_map"]
        assert roi.shape == FRAMES.shape[1:]
        assert set(np.unique(roi)) == set(range(6))
    assert not [path for path in tmp_path.iterdir() if path not in (target, settings_file)]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--settings", "gone.toml"], "gone.toml cannot be read"),
        (["--settings", "{raw}"], "is a directory"),
        (["--mask", "gone.npy"], "does not exist"),
    ],
)
def test_correlate_refuses_files_it_cannot_use(
    raw: Path, tmp_path: Path, more: list[str], words: str
) -> None:
    target = tmp_path / "result.h5"
    result = _run("correlate", raw / "gel_00001", "--to", target, *(part.format(raw=raw) for part in more))
    assert result.exit_code in (1, 2)
    assert words in result.output
    assert not target.exists()


def test_correlate_without_a_series_or_a_folder_for_the_result(raw: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = _run("correlate", empty, "--to", tmp_path / "result.h5")
    assert (nothing.exit_code, "holds no series" in nothing.output) == (1, True)
    nowhere = _run("correlate", raw / "gel_00001", "--to", tmp_path / "gone" / "result.h5")
    assert nowhere.exit_code == 1
    assert "Error: " in nowhere.output and "Traceback" not in nowhere.output


def _lines(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_replay_counts_broken_frames_and_names_the_first(settings_file: Path, tmp_path: Path) -> None:
    write_speckle_series(tmp_path, FRAMES[:40], "gel_00003")
    (data, *_) = sorted(tmp_path.rglob("*_data_*.h5"))
    with h5py.File(data, "r+") as file:
        frames = file["entry/data/data"].id
        for number in (2, 5):
            skipped, chunk = frames.read_direct_chunk((number, 0, 0))
            frames.write_direct_chunk((number, 0, 0), bytes(chunk)[: len(chunk) // 2], skipped)
    result = _run("replay", tmp_path, "--settings", settings_file)
    assert result.exit_code == 0, result.output
    assert (
        "2 frames are set aside; the first: frame 2 in gel_00003_data_000001.h5: the chunk" in result.stderr
    )
    assert "(38 frames" in result.stdout


def test_replay_prints_each_change_and_a_summary(raw: Path, settings_file: Path) -> None:
    lines = _lines(_run("replay", raw, "--json", "--settings", settings_file))
    assert [(line["event"], line["series"]) for line in lines] == [
        ("verdict", "gel_00001"),
        ("summary", "gel_00001"),
        ("summary", "gel_00002"),
    ]
    verdict, first, second = lines
    assert (verdict["state"], verdict["frame"]) == ("GOOD", 69)
    assert (first["status"], first["frames"], first["verdict"]) == ("complete", 150, "GOOD")
    assert (second["frames"], second["verdict"], second["frames_set_aside"]) == (40, "TOO EARLY", 0)
    fits = first["fits"]
    assert isinstance(fits, list) and len(fits) == 5
    assert {"q_inv_nm", "fit", "reason"} == set(fits[0])
    assert all((entry["fit"] is None) == bool(entry["reason"]) for entry in fits)
    assert "rate_law" in first


def test_replay_in_words_gives_the_same_verdicts_at_any_speed(raw: Path, settings_file: Path) -> None:
    whole = _run("replay", raw / "gel_00001", "--settings", settings_file)
    paced = _run("replay", raw / "gel_00001", "--settings", settings_file, "--speed", "20")
    assert whole.exit_code == paced.exit_code == 0
    assert whole.stdout == paced.stdout
    assert "gel_00001 frame 69: GOOD. Steady over 70 frames" in whole.stdout
    assert "(150 frames, complete: " in whole.stdout


def test_replay_is_no_faster_than_asked(raw: Path, settings_file: Path) -> None:
    began = time.monotonic()
    _run("replay", raw / "gel_00002", "--settings", settings_file, "--speed", "2")
    # 40 frames of 20 ms, twice as fast as measured.
    assert time.monotonic() - began >= 0.4


def test_replay_tells_an_absurd_geometry(settings_file: Path, tmp_path: Path) -> None:
    master = write_speckle_series(tmp_path, FRAMES[:40], "gel_00003")
    with h5py.File(master, "r+") as file:
        file["entry/instrument/detector/detector_distance"][...] = 1e9
    told = _run("replay", tmp_path / "gel_00003", "--settings", settings_file)
    assert "gel_00003: detector_distance in gel_00003_master.h5 is 1e+09 m, which cannot be" in told.stderr
    assert told.exit_code == 0


def test_replay_tells_broken_files_and_goes_on(raw: Path, settings_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "raw" / "gel_00001" / "e4m"
    broken.mkdir(parents=True)
    (broken / "gel_00001_master.h5").write_bytes(b"no HDF5")
    (broken / "gel_00001_data_000001.h5").write_bytes(b"no HDF5")
    write_speckle_series(tmp_path / "raw", FRAMES[:40], "gel_00002")
    result = _run("replay", tmp_path / "raw", "--json", "--settings", settings_file)
    assert [line["series"] for line in _lines(result) if line["event"] == "summary"][-1] == "gel_00002"
    assert "gel_00001" in result.stderr
    alone = _run("replay", broken, "--json")
    assert alone.exit_code == 1
    assert "Error: " in alone.stderr


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    return tmp_path / "gpfs"


def test_status_without_a_backend_says_how_to_start_one(root: Path) -> None:
    result = _run("status", "--root", root)
    assert result.exit_code == 1
    assert f"No backend runs for {root} on this host" in result.output
    assert f"mento-gui --backend-only --root {root}" in result.output


def test_status_of_a_dead_backend_is_said_in_words(root: Path) -> None:
    make_private(endpoint_of(root))
    (endpoint_of(root).folder / "requests").touch()
    result = _run("status", "--root", root)
    assert result.exit_code == 1
    assert "No backend answered within 3 s" in result.output


def test_status_of_a_running_backend(root: Path) -> None:
    raw = beamtime(root)
    with RunningEngine(root) as engine:
        write_speckle_series(raw, FRAMES)
        engine.until(lambda snapshot: snapshot.series is not None and snapshot.series.status == "complete")
        words = _run("status", "--root", root)
        state = json.loads(_run("status", "--root", root, "--json").stdout)
    assert words.exit_code == 0, words.output
    assert words.output.startswith("GOOD  Steady over 150 frames")
    assert "Series silica_00001 (complete): 150 of 150 frames" in words.output
    assert (state["verdict"]["state"], state["series"]["frames"]) == ("GOOD", 150)


def test_a_second_backend_is_refused_with_an_exit_code_of_its_own(root: Path) -> None:
    beamtime(root)
    with RunningEngine(root):
        result = _run("--backend-only", "--root", root)
    assert result.exit_code == ANOTHER_BACKEND_RUNS
    assert "Another backend is at work here" in result.output


def test_backend_and_window_refuse_bad_settings(root: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[rings]\ncount = 1\n")
    for arguments in (("--backend-only",), ()):
        result = _run(*arguments, "--root", root, "--settings", bad)
        assert result.exit_code == 1
        assert "rings.count" in result.output


def test_without_a_screen_the_window_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    result = _run("--root", root)
    assert result.exit_code == 1
    assert "There is no screen for the window" in result.output


_ENGINE_ONLY = """
import sys, threading
from pathlib import Path
import mento_gui.command_line
from backend.engine import Engine
from backend.settings import Settings
engine = Engine(Path(sys.argv[1]), Settings())
threading.Timer(0.5, engine.stop).start()
engine.run()
"""
_HELP_ONLY = """
import sys
from mento_gui.command_line import main
for arguments in (["--help"], ["--version"], ["correlate", "--help"], ["status", "--help"], ["replay", "--help"]):
    main(arguments, standalone_mode=False)
"""
_LOADED = "\nprint('LOADED', *(name for name in sys.argv[2:] if name in sys.modules))"


def _loaded(script: str, root: Path, *names: str) -> list[str]:
    """Which of these modules are loaded at the end of a script in a fresh Python."""
    process = subprocess.run(
        [sys.executable, "-c", script + _LOADED, str(root), *names],
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.splitlines()[-1].split()[1:]


def test_the_backend_loads_no_qt(root: Path) -> None:
    beamtime(root)
    names = ("PyQt5", "PyQt5.QtCore", "pyqtgraph", "qtawesome", "qtpy", "widgets", "numba")
    assert _loaded(_ENGINE_ONLY, root, *names) == ["numba"]


def test_help_loads_nothing_heavy(root: Path) -> None:
    names = ("numba", "h5py", "PyQt5", "pyqtgraph", "scipy", "numpy", "pydantic", "zmq", "click")
    assert _loaded(_HELP_ONLY, root, *names) == ["click"]
