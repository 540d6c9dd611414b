"""A series of bursts from its files to g2, fits, messages and result: lags are seconds, never frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from speckle_movie import SpeckleMovie
from speckle_series import SETTINGS, SHAPE_YX, batch_of, fed, radius_px, series_info, write_speckle_series

from backend.correlation import irregular_times
from backend.frame_times import with_given_times
from backend.frames import SeriesEnded
from backend.full_correlation import correlate_series
from backend.results.result_file import read_result, write_result
from backend.series_notices import series_notices
from backend.series_run import SeriesRun
from backend.snapshot import VerdictState
from backend.snapshot_parts import g2_part

STEP_S = 0.001
RATE_PER_S = 40.0
BURSTS, BURST_FRAMES, BURST_STEPS = 18, 10, 47
ENDED = SeriesEnded("silica_00001", True, BURSTS * BURST_FRAMES, "")


@pytest.fixture(scope="module")
def start_s() -> np.ndarray:
    """Ten frames 1 ms apart, every 47 ms."""
    return STEP_S * np.add.outer(BURST_STEPS * np.arange(BURSTS), np.arange(BURST_FRAMES)).ravel()


@pytest.fixture(scope="module")
def frames(start_s: np.ndarray) -> np.ndarray:
    mean = 0.8 / (1 + (radius_px() / 25) ** 2)
    film = SpeckleMovie(mean, RATE_PER_S * STEP_S, 4, np.random.default_rng(3), speckle_sigma_px=0.6)
    steps = np.round(start_s / STEP_S).astype(int)
    return np.stack([frame for step, frame in enumerate(film.frames(int(steps[-1]) + 1)) if step in steps])


def run_of(frames: np.ndarray, start_s: np.ndarray, per_batch: int) -> SeriesRun:
    frame_time_s = float(np.diff(start_s).mean())
    info = replace(series_info(len(frames)), frame_start_s=start_s, frame_time_s=frame_time_s)
    run = SeriesRun(info, SETTINGS)
    fed(run, frames.astype(np.uint16), per_batch)
    run.end(ENDED)
    return run


def test_bursts_give_lags_in_seconds_and_the_rate_they_were_made_with(
    frames: np.ndarray, start_s: np.ndarray
) -> None:
    run = run_of(frames, start_s, 64)
    result = run.analysis.g2()
    assert result is not None
    part = g2_part(run.analysis, result)
    assert part.lag_s[:9] == pytest.approx(STEP_S * np.arange(1, 10), rel=0.06)
    assert not ((part.lag_s > 0.0095) & (part.lag_s < 0.0375)).any()
    assert part.lag_s[-1] > 0.5
    fits = [fit for fit in part.fits if fit is not None]
    assert len(fits) >= 4
    for fit in fits:
        assert abs(fit.gamma_per_s - RATE_PER_S) < 4 * fit.gamma_err_per_s
        assert abs(fit.contrast - 0.25) < 4 * fit.contrast_err
    assert np.abs(result.g2[:, 0] - 1.25).max() < 0.1
    assert [notice.key for notice in series_notices(run.analysis) if notice.what] == [
        "uneven-frames-silica_00001"
    ]


def test_the_batches_do_not_matter(frames: np.ndarray, start_s: np.ndarray) -> None:
    whole, single = (run_of(frames, start_s, per_batch).analysis.g2() for per_batch in (180, 7))
    assert whole is not None and single is not None
    assert whole.lag_frames.tobytes() == single.lag_frames.tobytes()
    assert whole.g2.tobytes() == single.g2.tobytes()
    assert whole.replicates.tobytes() == single.replicates.tobytes()


def test_files_and_result_tell_the_same(frames: np.ndarray, start_s: np.ndarray, tmp_path: Path) -> None:
    master = write_speckle_series(
        tmp_path, frames.astype(np.uint16), frame_starts=(1e3 * start_s, "ms"), frame_time=(STEP_S, "s")
    )
    result = correlate_series(master, SETTINGS)
    live = run_of(frames, start_s, 64).analysis.g2()
    assert live is not None
    mean_s = float(np.diff(start_s).mean())
    assert result.frame_time_s == pytest.approx(mean_s)
    lag_s = result.lag_frames * result.frame_time_s
    np.testing.assert_allclose(lag_s, live.lag_frames[1:] * mean_s, rtol=1e-9)
    np.testing.assert_allclose(result.g2, live.g2[:, 1:], rtol=1e-9)
    assert any("not evenly spaced" in notice for notice in result.notices)
    write_result(tmp_path / "r.h5", result)
    read = read_result(tmp_path / "r.h5")
    assert read.lag_frames.dtype == np.float64 and np.array_equal(read.lag_frames, result.lag_frames)


@pytest.mark.parametrize("name", ["times.npy", "times.txt"])
def test_a_list_of_times_in_the_settings_does_the_same(
    frames: np.ndarray, start_s: np.ndarray, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    np.save(path, start_s) if name.endswith("npy") else np.savetxt(path, start_s)
    given = SETTINGS.correlation.model_copy(update={"frame_times": path})
    run = SeriesRun(series_info(len(frames)), SETTINGS.model_copy(update={"correlation": given}))
    run.add(batch_of(frames.astype(np.uint16)))
    run.end(ENDED)
    assert run.info.frame_time_s == pytest.approx(np.diff(start_s).mean())
    ours, expected = run.analysis.g2(), run_of(frames, start_s, 64).analysis.g2()
    assert ours is not None and expected is not None
    np.testing.assert_allclose(ours.lag_frames, expected.lag_frames, rtol=1e-9)
    assert ours.g2.tobytes() == expected.g2.tobytes()
    # The master knows better.
    own_s = 0.5 * np.arange(9)
    stated = replace(series_info(9), frame_start_s=own_s)
    assert with_given_times(stated, SETTINGS.model_copy(update={"correlation": given})) is stated


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no list of times"),
        ("0\n1\n1\n", "does not ascend"),
        ("0\nx\n", "cannot be read"),
        (None, "cannot be"),
    ],
)
def test_a_list_of_times_that_cannot_be_used_is_a_notice(tmp_path: Path, text: str | None, why: str) -> None:
    path = tmp_path / "times.txt"
    if text is not None:
        path.write_text(text)
    given = SETTINGS.correlation.model_copy(update={"frame_times": path})
    info = with_given_times(series_info(9), SETTINGS.model_copy(update={"correlation": given}))
    assert info.frame_start_s is None and why in info.notices[-1] and "evenly" in info.notices[-1]


def test_even_times_change_nothing(frames: np.ndarray) -> None:
    plain = SeriesRun(series_info(len(frames)), SETTINGS)
    timed = SeriesRun(replace(plain.info, frame_start_s=0.02 * np.arange(len(frames))), SETTINGS)
    for run in (plain, timed):
        run.add(batch_of(frames.astype(np.uint16)))
        run.end(ENDED)
    one, other = plain.analysis.g2(), timed.analysis.g2()
    assert one is not None and other is not None
    assert one.lag_frames.dtype == other.lag_frames.dtype == np.int64
    assert one.g2.tobytes() == other.g2.tobytes()
    assert series_notices(timed.analysis) == series_notices(plain.analysis)


def test_distances_that_grow_are_no_damage() -> None:
    """By frame numbers the speckle seems to move faster and faster."""
    start_s = np.geomspace(0.01, 3.0, 260)
    film = SpeckleMovie(np.full(SHAPE_YX, 0.8), 0.0, 4, np.random.default_rng(5), speckle_sigma_px=0.6)
    frames = []
    for distance_s in np.diff(start_s):
        film.relax_by(RATE_PER_S * distance_s)
        frames.extend(film.frames(1))
    movie = np.stack(frames)
    by_number = run_of(movie, np.arange(len(movie)) * 0.012, 64)
    assert by_number.verdict.state in (VerdictState.WATCH, VerdictState.DAMAGING)
    by_time = run_of(movie, start_s[:-1], 64)
    assert by_time.verdict.state in (VerdictState.GOOD, VerdictState.TOO_EARLY)
    assert by_time.verdict.family == "structure"


def test_frames_without_room_are_told(
    frames: np.ndarray, start_s: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(irregular_times.IrregularTimes.__init__, "__defaults__", (8, None, 100, 10**9))
    run = run_of(frames, start_s, 64)
    (notice,) = [one for one in series_notices(run.analysis) if one.key.startswith("unpaired")]
    assert notice.what.startswith("Only the first 100 frames are in g2")
    assert run.analysis.frames == 180
