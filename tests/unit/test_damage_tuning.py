"""Other settings on stored series: what changes, and how often undamaged series like them are called damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy.stats import binom
from speckle_series import (
    FRAME_TIME_S,
    SETTINGS,
    batch_of,
    fed,
    poisson_frames,
    radius_px,
    series_info,
    speckle_frames,
    write_speckle_series,
)

from backend.damage_tuning import JudgedSeries, SeriesComparison, TunedSeries, tune, tuning_sum
from backend.errors import SeriesError
from backend.false_alarm_rate import (
    UndamagedOutcome,
    false_alarms,
    judge_many_undamaged,
    judge_undamaged,
    undamaged_like,
)
from backend.frames import SeriesEnded, SourceNotice
from backend.series_run import SeriesRun
from backend.settings import settings_to_toml
from backend.settings_changes import with_changes
from backend.simulation.ring_speckle import simulate_ring_speckle
from backend.snapshot import VerdictState
from mento_gui.command_line import main

FRAMES = 400
STEADY = speckle_frames(FRAMES, seed=8)


def _damaged() -> np.ndarray:
    """From frame 150 on more and more photons at low q."""
    growth = np.clip((np.arange(FRAMES) - 150) / 100, 0, 1)[:, None, None]
    more = np.random.default_rng(5).poisson(growth * np.where(radius_px() < 20, STEADY.mean(axis=0), 0))
    return (STEADY + more).astype(np.uint16)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("raw")
    write_speckle_series(raw, STEADY, "gel_00001")
    write_speckle_series(raw, _damaged(), "gel_00002")
    return raw


@pytest.fixture(scope="module")
def settings_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("settings") / "p10.toml"
    path.write_text(settings_to_toml(SETTINGS))
    return path


def _tuned(
    raw: Path, *changes: str, with_undamaged: bool = False
) -> tuple[list[TunedSeries], list[SourceNotice]]:
    told: list[SourceNotice] = []
    after = with_changes(SETTINGS, changes)
    return list(tune([raw], SETTINGS, after, told.append, with_undamaged=with_undamaged)), told


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["tune", *(str(argument) for argument in arguments)])


def _analysed(frames: np.ndarray) -> SeriesRun:
    run = SeriesRun(series_info(len(frames)), SETTINGS, keep_frames=True)
    fed(run, frames, 50)
    run.end(SeriesEnded("silica_00001", True, len(frames), "complete"))
    return run


def test_an_alarm_is_lost_when_more_change_is_tolerated(raw: Path) -> None:
    (steady, damaged), _ = _tuned(
        raw, "damage.structure_tolerance_percent=900", "damage.contrast_tolerance_percent=900",
        "damage.dynamics_tolerance_percent=900",
    )  # fmt: skip
    assert steady.comparison.before == steady.comparison.after
    assert steady.comparison.after.state is VerdictState.GOOD
    compared = damaged.comparison
    assert (compared.before.state, compared.after.state) == (VerdictState.DAMAGING, VerdictState.WATCH)
    assert (compared.alarm_lost, compared.alarm_gained) == (True, False)
    assert compared.before.damaging_frame is not None and compared.before.damaging_frame > 150
    assert (compared.damaging.frames, compared.damaging.seconds) == (None, None)
    # What is said before the alarm does not depend on what is tolerated.
    assert (compared.watch.frames, compared.watch.seconds) == (0, 0.0)
    total = tuning_sum([steady.comparison, compared])
    assert (total.series, total.verdicts_changed, total.alarms_lost, total.alarms_gained) == (2, 1, 1, 0)


def test_longer_windows_delay_the_alarm_in_frames_and_seconds(raw: Path) -> None:
    tuned, told = _tuned(raw, "damage.window_frames=32", "damage.min_reference_windows=8")
    shift = tuned[1].comparison.damaging
    assert shift.before_frame is not None and shift.after_frame is not None
    assert shift.frames == shift.after_frame - shift.before_frame
    assert shift.seconds == pytest.approx(FRAME_TIME_S * shift.frames)
    assert (shift.after_frame + 1) % 32 == 0
    assert told == []


def test_an_alarm_can_be_gained() -> None:
    never = JudgedSeries("a", Path("a"), 10, None, VerdictState.GOOD, "", None, None)
    early = JudgedSeries("a", Path("a"), 10, None, VerdictState.DAMAGING, "", 3, 5)
    late = JudgedSeries("a", Path("a"), 10, None, VerdictState.DAMAGING, "", 3, 7)
    assert SeriesComparison(never, early).alarm_gained
    assert (
        SeriesComparison(early, late).damaging.frames,
        SeriesComparison(early, late).damaging.seconds,
    ) == (2, None)
    found = tuning_sum(SeriesComparison(*pair) for pair in ((never, early), (early, late), (late, early)))
    assert (found.alarms_gained, found.alarms_earlier, found.alarms_later) == (1, 1, 1)


def test_the_undamaged_series_is_like_the_measured_one() -> None:
    run = _analysed(STEADY)
    like = undamaged_like(run)
    assert (like.frame_time_s, like.expected_frames, like.pixels_used) == (FRAME_TIME_S, FRAMES, 1.0)
    assert like.exposure_s == pytest.approx(FRAMES * FRAME_TIME_S)
    assert run.analysis.rings is not None and run.analysis.record is not None
    np.testing.assert_array_equal(like.speckle.pixels, run.analysis.rings.partition.ring_pixels)
    measured = np.concatenate(run.analysis.record.ring_counts)
    np.testing.assert_allclose(
        (like.speckle.photons * like.speckle.pixels).sum(axis=1), measured.sum(axis=1), rtol=1e-9
    )
    lags = np.array([1, 2, 4])
    sums = simulate_ring_speckle(like.speckle, lags, seed=4)
    np.testing.assert_allclose(sums.counts.mean(axis=0), measured.mean(axis=0), rtol=0.03)
    result = run.analysis.g2()
    assert result is not None
    for index, lag in enumerate(lags):
        pairs = (sums.counts[lag:] * sums.counts[:-lag]).sum(axis=0) / like.speckle.pixels
        g2 = sums.products[:, :, index].sum(axis=0) / pairs
        np.testing.assert_allclose(g2.mean(), result.g2[:, lag].mean(), atol=0.015)


def test_frames_that_could_not_be_used_are_dark() -> None:
    run = SeriesRun(series_info(150), SETTINGS, keep_frames=True)
    fed(run, STEADY[:128], 50)
    broken = batch_of(STEADY[128:140], 128)
    run.add(replace(broken, chunks=(b"",) * 12))
    run.end(SeriesEnded("silica_00001", False, 140, "stopped"))
    like = undamaged_like(run)
    assert len(like.speckle.photons) == 128
    assert like.speckle.photons.all()

    run = SeriesRun(series_info(150), SETTINGS, keep_frames=True)
    fed(run, STEADY[:100], 50)
    run.add(batch_of(STEADY[110:150], 110))
    run.end(SeriesEnded("silica_00001", False, 150, "stopped"))
    dark = ~undamaged_like(run).speckle.photons.any(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(dark), np.arange(100, 110))


def test_large_rings_are_simulated_in_part() -> None:
    like = undamaged_like(_analysed(STEADY[:150]), most_pixels_per_ring=200)
    assert like.pixels_used < 0.5
    assert like.speckle.pixels.mean() == pytest.approx(200, rel=0.01)
    assert (like.speckle.speckles < like.speckle.pixels).all()


def test_without_speckle_nothing_is_simulated() -> None:
    with pytest.raises(SeriesError, match="no ring could be fitted"):
        undamaged_like(_analysed(poisson_frames(150)))
    run = SeriesRun(series_info(100), SETTINGS, keep_frames=True)
    run.add(batch_of(STEADY[:10]))
    with pytest.raises(SeriesError, match="without q rings and frames"):
        undamaged_like(run)


def test_undamaged_series_are_not_called_damaged_and_can_be_repeated() -> None:
    like = undamaged_like(_analysed(STEADY))
    outcomes = list(judge_many_undamaged(like, SETTINGS.damage, 8))
    assert all(outcome.told for outcome in outcomes)
    assert not any(outcome.alarmed for outcome in outcomes)
    assert outcomes[3] == judge_undamaged(like, SETTINGS.damage, 3)
    found = false_alarms(like, outcomes)
    assert (found.series, found.alarms, found.share, found.per_100_h) == (8, 0, 0.0, 0.0)


def test_bounds_are_exact_and_hold_for_100_hours() -> None:
    like = undamaged_like(_analysed(STEADY))
    outcomes = [UndamagedOutcome(told=True, watched=n < 5, alarmed=n < 3) for n in range(200)]
    found = false_alarms(like, outcomes)
    assert (found.alarms, found.watched, found.told) == (3, 5, 200)
    low, high = found.share_bounds
    assert binom.sf(2, 200, low) == pytest.approx(0.025, rel=1e-6)
    assert binom.cdf(3, 200, high) == pytest.approx(0.025, rel=1e-6)
    per_100_h = 360_000 / like.exposure_s
    assert found.per_100_h == pytest.approx(0.015 * per_100_h)
    assert found.per_100_h_bounds == pytest.approx((low * per_100_h, high * per_100_h))


def test_the_command_says_it_in_words(raw: Path, settings_file: Path) -> None:
    result = _run(
        "--on", raw / "gel_00001", raw / "gel_00002", "--settings", settings_file,
        "--set", "damage.structure_tolerance_percent=900", "--set", "damage.contrast_tolerance_percent=900",
        "--set", "damage.dynamics_tolerance_percent=900",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "gel_00001 (400 frames, 8 s): GOOD -> GOOD"
    assert "gel_00002 (400 frames, 8 s): DAMAGING -> WATCH; alarm lost" in lines
    assert lines[-1].startswith("In sum: 2 series, verdict changed in 1; alarms gained 0, lost 1")


def test_the_command_says_it_in_json_with_false_alarms(raw: Path, settings_file: Path) -> None:
    result = _run(
        "--on", raw / "gel_00001", "--settings", settings_file, "--nulls", "3", "--pixels", "300", "--json"
    )
    assert result.exit_code == 0, result.output
    series, alarms, total = (json.loads(line) for line in result.stdout.splitlines())
    assert [part["event"] for part in (series, alarms, total)] == ["series", "false_alarms", "sum"]
    assert series["before"] == series["after"]
    assert (series["watch"]["before_frame"], series["alarm_gained"]) == (None, False)
    assert alarms["false_alarms"]["series"] == 3
    assert alarms["false_alarms"]["pixels_used"] < 1
    assert total["sum"]["series"] == 1


def test_the_command_says_how_far_it_is(raw: Path, settings_file: Path) -> None:
    result = _run(
        "--on", raw / "gel_00001", "--settings", settings_file, "--set", "damage.window_frames=16",
        "--nulls", "2", "--pixels", "300", "--json", "--progress",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    progress = [line for line in lines if line["event"] == "progress"]
    phases = list(dict.fromkeys(line["doing"] for line in progress))
    assert phases == [
        "Replaying gel_00001 with the present settings, 1 of 1",
        "Replaying gel_00001 with the changed settings, 1 of 1",
        "Simulating 2 undamaged series like gel_00001",
    ]
    for phase in phases:
        shares = [line["share"] for line in progress if line["doing"] == phase]
        assert shares == sorted(shares) and shares[-1] == 1.0
    assert [line["event"] for line in lines if line not in progress] == ["series", "false_alarms", "sum"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--set", "rings.number=3"],
            "There is no setting 'rings.number'. Nothing was changed. Known ones: rings.count",
        ),
        (["--set", "rings.count=1"], "rings.count=1: Input should be greater than or equal to 2"),
        (["--settings", "gone.toml"], "gone.toml cannot be read"),
    ],
)
def test_the_command_refuses_in_words(raw: Path, arguments: list[str], words: str) -> None:
    result = _run("--on", raw, *arguments)
    assert result.exit_code == 1
    assert words in result.output


def test_the_command_refuses_a_folder_without_series(tmp_path: Path) -> None:
    result = _run("--on", tmp_path)
    assert (result.exit_code, "holds no series" in result.output) == (1, True)
