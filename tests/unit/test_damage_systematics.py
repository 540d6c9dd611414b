"""Slow systematics of the shape of I(q): what was put in is found, and nothing where nothing was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from speckle_series import poisson_frames, write_speckle_series

from backend.damage.systematics import ReferenceSeries, measure_systematics
from backend.damage.windows import Window
from backend.errors import SeriesError, SettingsError
from backend.settings import DamageSettings, Settings, load_settings
from backend.settings_changes import write_into_file
from backend.simulation.ring_speckle import RingSpecklePlan, simulate_ring_speckle
from backend.systematics_reference import MeasuredSystematics, measure_on
from mento_gui.command_line import main

RINGS, WINDOW_FRAMES, FRAME_TIME_S = 8, 10, 0.05
LAGS = np.array([1, 2, 4])
Q_INV_NM = 0.02 * 1.2 ** np.arange(RINGS)
TIME_S = 4.0


def _tilt(windows: int, rms: float, time_s: float, rng: np.random.Generator) -> np.ndarray:
    """ln of a factor on I(q), shape (window, ring); the lowest against the highest ring wanders by ``rms``."""
    memory = np.exp(-WINDOW_FRAMES * FRAME_TIME_S / time_s)
    path = rng.normal(size=windows)
    for window in range(1, windows):
        path[window] = memory * path[window - 1] + np.sqrt(1 - memory**2) * path[window]
    return rms * np.outer(path, np.linspace(0.5, -0.5, RINGS))


def _water(
    seed: int, rms: float, windows: int = 80, time_s: float = TIME_S, counts: float = 2e5
) -> ReferenceSeries:
    """No speckle, a beam that wanders by 3 %, counting noise."""
    rng = np.random.default_rng(seed)
    beam = 1 + 0.03 * rng.normal(size=(windows, 1))
    mean = counts * np.geomspace(2, 0.5, RINGS) * beam * np.exp(_tilt(windows, rms, time_s, rng))
    expected = np.full((RINGS, len(LAGS)), counts**2 / 1e5)
    made = tuple(
        Window(
            WINDOW_FRAMES * (number + 1) - 1,
            WINDOW_FRAMES,
            float(number),
            rng.poisson(row).astype(float),
            np.full(RINGS, float(WINDOW_FRAMES)),
            rng.poisson(expected).astype(float),
            expected,
        )
        for number, row in enumerate(mean)
    )
    return ReferenceSeries(f"water_{seed:05d}", FRAME_TIME_S, made, Q_INV_NM, np.full(RINGS, 1e4), LAGS)


@pytest.mark.parametrize("rms_percent", [0.3, 1.0])
def test_systematics_are_recovered_within_their_errors(rms_percent: float) -> None:
    found = measure_systematics([_water(seed, rms_percent / 100) for seed in range(4)])
    assert found.seen
    assert found.label == "lowest against highest q"
    low, high = found.rms_bounds_percent
    assert low < found.rms_percent < high < 2 * low
    assert abs(found.rms_percent - rms_percent) < 3 * (high - low) / 2
    fast, slow = found.time_bounds_s
    assert abs(np.log(found.time_s / TIME_S)) < 3 * np.log(slow / fast) / 2
    assert found.largest_percent > rms_percent
    assert not found.too_slow


def test_the_bounds_hold_in_most_series() -> None:
    """One sigma: two thirds of the series; fewer than three of eight is a chance of two in a hundred."""
    inside = 0
    for seed in range(8):
        low, high = measure_systematics([_water(100 + seed, 0.005, windows=60)]).rms_bounds_percent
        inside += low <= 0.5 <= high
    assert inside >= 3


def test_where_there_are_none_none_are_seen() -> None:
    for seed in range(3):
        found = measure_systematics([_water(200 + seed, 0.0)])
        assert not found.seen
        # Counting noise of a window is 0.3 %.
        assert found.largest_percent < 0.3


def test_speckle_that_relaxes_is_not_taken_for_systematics() -> None:
    frames, pixels = 600, np.full(RINGS, 600)
    shape = (frames, RINGS)
    plan = RingSpecklePlan(
        np.broadcast_to(np.linspace(1.5, 0.8, RINGS), shape), np.full(shape, 0.02), np.full(shape, 0.2), pixels, pixels
    )  # fmt: skip
    sums = simulate_ring_speckle(plan, LAGS, 3)
    windows = []
    for first in range(0, frames, WINDOW_FRAMES):
        part = slice(first, first + WINDOW_FRAMES)
        expected = np.zeros((RINGS, len(LAGS)))
        for index, lag in enumerate(LAGS):
            for frame in range(max(first, lag), first + WINDOW_FRAMES):
                expected[:, index] += sums.counts[frame] * sums.counts[frame - lag] / pixels
        windows.append(
            Window(first + WINDOW_FRAMES - 1, WINDOW_FRAMES, float(first), sums.counts[part].sum(axis=0).astype(float),
                   np.full(RINGS, float(WINDOW_FRAMES)), sums.products[part].sum(axis=0).astype(float), expected)
        )  # fmt: skip
    series = ReferenceSeries("silica", FRAME_TIME_S, tuple(windows), Q_INV_NM, pixels.astype(float), LAGS)
    assert not measure_systematics([series]).seen
    # The same numbers without speckle would be systematics of more than a percent.
    without = replace(series, speckles=np.full(RINGS, 1e9))
    assert measure_systematics([without]).seen


def test_a_drift_as_slow_as_the_series_is_not_believed() -> None:
    found = measure_systematics([_water(5, 0.02, time_s=200.0)])
    assert found.too_slow
    measured = MeasuredSystematics(found, ("water_00005",), 60.0, ())
    assert "Measure five times as long" in measured.problem
    assert measured.changes(DamageSettings()) == {}


def test_what_follows_for_the_settings() -> None:
    seen = measure_systematics([_water(seed, 0.01) for seed in range(3)])
    changes = MeasuredSystematics(seen, ("a",), 60.0, ()).changes(DamageSettings())
    assert set(changes) == {"systematic_rms_percent", "systematic_time_s"}
    assert changes["systematic_rms_percent"] == pytest.approx(seen.rms_percent, rel=0.05)
    none = measure_systematics([_water(200, 0.0)])
    assert MeasuredSystematics(none, ("a",), 60.0, ()).changes(DamageSettings(systematic_rms_percent=1)) == {
        "systematic_rms_percent": float(f"{none.largest_percent:.2g}")
    }
    # A short look does not make the program believe in a better beamline than before.
    assert (
        MeasuredSystematics(none, ("a",), 60.0, ()).changes(DamageSettings(systematic_rms_percent=0.01)) == {}
    )
    unsteady = MeasuredSystematics(seen, ("a",), 60.0, ("a",))
    assert "not steady" in unsteady.problem
    assert unsteady.changes(DamageSettings()) == {}


def test_a_series_of_few_windows_is_refused() -> None:
    with pytest.raises(SeriesError, match="too short: 30 windows"):
        measure_systematics([_water(1, 0.01, windows=30)])


def test_a_series_of_few_photons_is_refused() -> None:
    with pytest.raises(SeriesError, match="too few photons"):
        measure_systematics([_water(1, 0.0, counts=5.0)])


def test_the_settings_file_keeps_everything_else(tmp_path: Path) -> None:
    path = tmp_path / "p10.toml"
    path.write_text(
        "# ours\n[rings]\ncount = 7 # seven\n\n[damage]\nwindow_frames = 20\nsystematic_time_s = 9 # old\n"
    )
    values = {"systematic_rms_percent": 0.25, "systematic_time_s": 3.5}
    write_into_file(path, {"damage": values}, "measured by me")
    assert path.read_text() == (
        "# ours\n[rings]\ncount = 7 # seven\n\n[damage]\nwindow_frames = 20\n"
        "systematic_time_s = 3.5 # measured by me\nsystematic_rms_percent = 0.25 # measured by me\n"
    )
    new = tmp_path / "new.toml"
    write_into_file(new, {"damage": values}, "measured by me")
    assert load_settings(new).damage.systematic_rms_percent == 0.25
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new.toml", "p10.toml"]


@pytest.mark.parametrize(
    ("text", "name", "value", "words"),
    [
        ("[damage", "systematic_time_s", 1.0, "is not valid TOML"),
        ("[damage]", "systematic_time_s", -1.0, "values that cannot be used"),
        ("[damage]", "systematic_time", 1.0, "There is no setting 'damage.systematic_time'"),
        ("damage = 3", "systematic_time_s", 1.0, "is no section"),
    ],
)
def test_a_file_that_cannot_be_used_is_left_alone(
    tmp_path: Path, text: str, name: str, value: float, words: str
) -> None:
    path = tmp_path / "p10.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=words):
        write_into_file(path, {"damage": {name: value}}, "measured")
    assert path.read_text() == text


@pytest.fixture(scope="module")
def water(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("raw")
    write_speckle_series(raw, poisson_frames(450, photons_per_pixel=1.0), "water_00001")
    return raw / "water_00001"


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["measure-systematics", *(str(argument) for argument in arguments)])


def test_the_command_says_what_it_found_and_writes_it(water: Path, tmp_path: Path) -> None:
    path = tmp_path / "p10.toml"
    path.write_text("[rings]\ncount = 6\nsectors = 4\n[damage]\nsystematic_rms_percent = 5 # guessed\n")
    result = _run("--on", water, "--settings", path)
    assert result.exit_code == 0, result.output
    assert "water_00001: 9 s" in result.stdout
    assert "No slow drift of the shape of I(q) is seen; at most" in result.stdout
    assert "--write does it" in result.stdout
    assert "guessed" in path.read_text()
    result = _run("--on", water, "--settings", path, "--write", "--author", "anna")
    assert result.exit_code == 0, result.output
    text = path.read_text()
    assert "# measured by anna, 20" in text and "on water_00001 (9 s): none seen" in text
    assert 0 < load_settings(path).damage.systematic_rms_percent < 2
    # A second look at the same series says nothing new.
    again = _run("--on", water, "--settings", path, "--write")
    assert "it stays" in again.output
    assert path.read_text() == text


def test_the_command_answers_in_json(water: Path, tmp_path: Path) -> None:
    path = tmp_path / "p10.toml"
    path.write_text("[rings]\ncount = 6\nsectors = 4\n")
    result = _run("--on", water, "--settings", path, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["series"] == ["water_00001"]
    assert answer["found"]["seen"] is False
    assert answer["problem"] == ""


def test_a_series_that_changes_is_no_reference(tmp_path: Path) -> None:
    frames = poisson_frames(450, photons_per_pixel=1.0)
    rows = np.arange(frames.shape[1])[:, None]
    frames[200:] += (
        np.random.default_rng(1).random(frames[200:].shape) < 0.3 * (abs(rows - 37) < 15)
    ).astype(np.uint16)
    write_speckle_series(tmp_path, frames, "gel_00001")
    settings = Settings.model_validate({"rings": {"count": 6, "sectors": 4}})
    measured = measure_on([tmp_path / "gel_00001"], settings, lambda notice: None)
    assert measured.problem
    assert measured.changes(settings.damage) == {}


def test_the_command_refuses_in_words(tmp_path: Path, water: Path) -> None:
    result = _run("--on", water, "--write")
    assert (result.exit_code, "--write needs the settings file" in result.output) == (2, True)
    result = _run("--on", tmp_path)
    assert (result.exit_code, "holds no series" in result.output) == (1, True)
