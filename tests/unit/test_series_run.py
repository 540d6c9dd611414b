"""One series from frames to verdict: the same whatever the batches, and bad data said in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from speckle_series import SETTINGS, SHAPE_YX, batch_of, fed, poisson_frames, series_info, speckle_frames

from backend.dose_settings import DoseSettings
from backend.frames import SeriesEnded
from backend.series_analysis import SeriesAnalysis
from backend.series_numbers import record_of
from backend.series_run import SeriesRun
from backend.settings_in_use import SettingsInUse
from backend.snapshot import Verdict, VerdictState
from backend.snapshot_composer import SnapshotComposer

FRAMES = speckle_frames(160)
ENDED = SeriesEnded("silica_00001", True, len(FRAMES), "all there")


def _run(expected_frames: int | None = len(FRAMES), **changes: Any) -> SeriesRun:
    return SeriesRun(series_info(expected_frames, **changes), SETTINGS)


def _finished(run: SeriesRun, changes: list[Verdict]) -> tuple[SeriesRun, list[Verdict]]:
    return run, changes + run.end(ENDED)


def _snapshot(run: SeriesRun, tmp_path: Any) -> Any:
    composer = SnapshotComposer(tmp_path, SettingsInUse(SETTINGS, None))
    composer.new_series(run.info, 0.0)
    return composer.compose(run, phase="measuring")


@pytest.fixture(scope="module")
def at_once() -> tuple[SeriesRun, list[Verdict]]:
    run = _run()
    return _finished(run, run.add(batch_of(FRAMES)))


def test_a_steady_series_turns_good_after_its_reference(at_once: tuple[SeriesRun, list[Verdict]]) -> None:
    run, changes = at_once
    assert [(verdict.state, verdict.frame) for verdict in changes] == [(VerdictState.GOOD, 64)]
    assert run.analysis.frames == len(FRAMES)
    assert run.analysis.photons == FRAMES[:, run.analysis.plan.mask.good].sum()  # type: ignore[union-attr]
    row = run.row()
    assert (row.status, row.verdict, row.frames, row.expected_frames) == (
        "complete",
        VerdictState.GOOD,
        160,
        160,
    )


@examples(max_examples=6, deadline=None)
@given(st.lists(st.integers(0, len(FRAMES)), max_size=8))
def test_the_batches_do_not_matter(at_once: tuple[SeriesRun, list[Verdict]], cuts: list[int]) -> None:
    run, changes = _run(), []
    edges = [0, *sorted(cuts), len(FRAMES)]
    for first, last in zip(edges, edges[1:], strict=False):
        changes += run.add(batch_of(FRAMES[first:last], first))
    whole, whole_changes = at_once
    run, changes = _finished(run, changes)
    assert changes == whole_changes
    assert run.verdict == whole.verdict
    ours, theirs = run.analysis.g2(), whole.analysis.g2()
    assert ours is not None and theirs is not None
    assert ours.g2.tobytes() == theirs.g2.tobytes()
    assert ours.replicates.tobytes() == theirs.replicates.tobytes()
    for fit, other in zip(run.analysis.fits(ours), whole.analysis.fits(theirs), strict=True):
        assert fit == other
    assert run.analysis.rings is not None and whole.analysis.rings is not None
    assert run.analysis.rings.damage is not None and whole.analysis.rings.damage is not None
    assert run.analysis.rings.damage.assessments == whole.analysis.rings.damage.assessments


def test_the_plan_is_made_from_the_same_first_frames() -> None:
    plans = []
    for cut in (1, 19, 20, 21, 90):
        analysis = SeriesAnalysis(series_info(len(FRAMES)), SETTINGS)
        analysis.add(batch_of(FRAMES[:cut]))
        analysis.add(batch_of(FRAMES[cut:], cut))
        analysis.finish()
        assert analysis.plan is not None and analysis.plan.partition is not None
        plans.append((analysis.plan.partition.q_inv_nm.tobytes(), analysis.plan.speckle_area_px))
    assert len(set(plans)) == 1


def test_missing_frames_keep_the_time_right(at_once: tuple[SeriesRun, list[Verdict]]) -> None:
    kept = np.setdiff1d(np.arange(len(FRAMES)), [3, 44, 45, 46, 120])
    run = SeriesRun(series_info(len(FRAMES)), SETTINGS, keep_frames=True)
    run.add(batch_of(FRAMES[kept], numbers=kept))
    run.end(ENDED)
    assert (run.analysis.frames, run.analysis.frames_missing) == (len(kept), 5)
    record, rings = run.analysis.record, run.analysis.rings
    assert record is not None and rings is not None
    assert np.concatenate(record.numbers).tolist() == kept.tolist()
    counts = np.concatenate(record.ring_counts)
    ring_of_pixel = rings.partition.ring_map()
    for ring in range(rings.partition.rings):
        photons = FRAMES[kept][:, ring_of_pixel == ring + 1]
        assert np.array_equal(counts[:, ring], photons.sum(axis=1))
        # A missing frame is no frame without photons.
        assert np.array_equal(
            rings.multitau.occurrences[ring], np.bincount(np.minimum(photons, 7).ravel(), minlength=8)
        )
    ours, whole = run.analysis.g2(), at_once[0].analysis.g2()
    assert ours is not None and whole is not None
    assert ours.lag_frames.tolist() == whole.lag_frames.tolist()
    short = slice(1, 6)
    assert np.all(np.abs(ours.g2 - whole.g2)[:, short] < 4 * whole.g2_err[:, short])
    assert run.verdict.state is VerdictState.GOOD


def test_a_frame_that_comes_twice_counts_once(at_once: tuple[SeriesRun, list[Verdict]]) -> None:
    run = _run()
    run.add(batch_of(FRAMES[:70]))
    run.add(batch_of(FRAMES[60:], 60))
    run.end(ENDED)
    assert run.analysis.frames == len(FRAMES)
    assert run.analysis.set_aside.number == 10
    assert run.analysis.set_aside.first_reason == "frame 60 came twice; the first one counts"
    assert run.analysis.set_aside.last_reason == "frame 69 came twice; the first one counts"
    ours, whole = run.analysis.g2(), at_once[0].analysis.g2()
    assert ours is not None and whole is not None
    assert ours.g2.tobytes() == whole.g2.tobytes()


def test_an_absurd_jump_is_not_believed() -> None:
    run = _run()
    run.add(batch_of(FRAMES[:40]))
    run.add(batch_of(FRAMES[40:42], numbers=np.array([10**9, 10**9 + 1])))
    run.add(batch_of(FRAMES[42:60], 40))
    assert (run.analysis.frames, run.analysis.frames_missing) == (58, 0)
    assert "not believed" in run.analysis.set_aside.last_reason


def test_a_frame_that_cannot_be_decoded_is_set_aside() -> None:
    run = _run()
    batch = batch_of(FRAMES)
    broken = list(batch.chunks)
    for frame in (0, 19, 20, 101):
        broken[frame] = b"too short"
    run.add(replace(batch, chunks=tuple(broken)))
    run.end(ENDED)
    assert run.analysis.set_aside.number == 4
    assert run.analysis.set_aside.first_reason.startswith("frame 0 in memory")
    assert run.analysis.set_aside.last_reason.startswith("frame 101 in memory")
    assert run.analysis.frames == len(FRAMES) - 4
    assert run.verdict.state is VerdictState.GOOD


@pytest.mark.parametrize("other", ["dtype", "shape"])
def test_frames_of_another_form_are_set_aside_in_words(other: str) -> None:
    run = _run()
    run.add(batch_of(FRAMES[:60]))
    odd = FRAMES[60:80].astype(np.uint32) if other == "dtype" else FRAMES[60:80, :40]
    run.add(batch_of(odd, 60))
    run.add(batch_of(FRAMES[80:], 80))
    run.end(ENDED)
    assert (run.analysis.frames, run.analysis.frames_missing) == (140, 20)
    reason = run.analysis.set_aside.first_reason
    assert "the series began with 80x88 uint16" in reason
    assert ("uint32" if other == "dtype" else "40x88") in reason


@pytest.mark.parametrize("per_batch", [7, 64])
def test_when_no_frame_can_be_decoded_the_data_are_bad(per_batch: int) -> None:
    run = _run()
    batches = [
        replace(batch_of(FRAMES[first : first + per_batch], first)) for first in range(0, 60, per_batch)
    ]
    changes = [
        v for batch in batches for v in run.add(replace(batch, chunks=(b"broken",) * len(batch.chunks)))
    ]
    assert [verdict.state for verdict in changes] == [VerdictState.BAD_DATA]
    assert "No frame can be used" in changes[0].why
    run.end(ENDED)
    assert run.verdict.state is VerdictState.BAD_DATA


def test_without_geometry_the_data_are_bad_but_the_image_is_shown(tmp_path: Any) -> None:
    run = _run(geometry=False)
    changes = fed(run, FRAMES[:40], 8)
    assert [verdict.state for verdict in changes] == [VerdictState.BAD_DATA]
    for word in ("distance", "wavelength", "pixel size", "beam centre"):
        assert word in changes[0].why
    assert "geometry" in changes[0].do
    snapshot = _snapshot(run, tmp_path)
    assert snapshot.image is not None and snapshot.image.frames == 40
    assert snapshot.g2 is None and snapshot.missing["g2"] == changes[0].why
    run.end(ENDED)
    assert run.analysis.frames == 40


def test_saturation_is_told_with_its_limit(at_once: tuple[SeriesRun, list[Verdict]]) -> None:
    frames = FRAMES.copy()
    bright = np.zeros(SHAPE_YX, bool)
    bright[50:60, 50:60] = True
    # Not in every frame: pixels that always read the maximum are gaps, not saturation.
    frames[25:, bright] = 65535
    run = _run()
    run, changes = _finished(run, fed(run, frames, 64))
    assert [(verdict.state, verdict.frame) for verdict in changes] == [(VerdictState.BAD_DATA, 29)]
    assert "% of the pixels in q rings, limit 0.1 %" in run.verdict.why
    assert "absorber" in run.verdict.do


def test_without_speckle_the_data_are_bad() -> None:
    run = _run(400)
    run, changes = _finished(run, fed(run, poisson_frames(200, photons_per_pixel=10.0), 64))
    assert [verdict.state for verdict in changes] == [VerdictState.BAD_DATA]
    assert changes[0].why.startswith("No speckle contrast: ")
    assert "0.2 % is needed" in changes[0].why


def test_a_dark_start_is_no_beam_and_then_forgotten() -> None:
    frames = FRAMES.copy()
    frames[:30] = 0
    run = _run()
    run, changes = _finished(run, fed(run, frames, 16))
    assert changes[0].state is VerdictState.BAD_DATA
    assert run.verdict.state in (VerdictState.TOO_EARLY, VerdictState.GOOD)


@pytest.mark.parametrize("frames", [0, 1, 2, 9, 10, 11, 49])
def test_short_series_end_with_what_they_have(frames: int, tmp_path: Any) -> None:
    run = _run(frames)
    changes = fed(run, FRAMES[:frames], 64)
    assert run.analysis.frames + run.analysis.frames_waiting == frames
    run, changes = _finished(run, changes)
    assert (run.analysis.frames, run.analysis.frames_waiting) == (frames, 0)
    assert changes == []
    assert run.verdict.state is VerdictState.TOO_EARLY
    assert run.verdict.why == (
        f"Too short to tell: {frames} frames, 50 are needed before a change can be seen."
    )
    snapshot = _snapshot(run, tmp_path)
    assert (snapshot.image is not None) == (frames > 0)
    assert (snapshot.g2 is not None) == (frames > 1)
    assert snapshot.series.frames == frames


def test_the_end_may_come_without_a_beginning() -> None:
    run = _run()
    assert run.end(replace(ENDED, complete=False, reason="nothing came")) == []
    assert (run.status, run.end_reason) == ("incomplete", "nothing came")


def test_after_the_end_no_frames_are_taken() -> None:
    run = _run()
    run.add(batch_of(FRAMES[:40]))
    run.end(ENDED)
    with pytest.raises(RuntimeError, match="shutdown|ended"):
        run.add(batch_of(FRAMES[40:50], 40))


def test_a_frame_of_zero_photons_and_an_empty_batch_do_no_harm() -> None:
    run = _run()
    run.add(batch_of(FRAMES[:0]))
    run.add(batch_of(FRAMES[:30]))
    run.add(batch_of(FRAMES[30:30], 30))
    run.add(batch_of(np.zeros_like(FRAMES[:1]), 30))
    run.add(batch_of(FRAMES[31:], 31))
    run.end(ENDED)
    assert run.analysis.frames == len(FRAMES)
    assert run.verdict.state is VerdictState.GOOD


def test_a_transmission_in_the_settings_wins_over_the_files() -> None:
    info = replace(series_info(100), transmission=0.5)
    settings = SETTINGS.model_copy(update={"dose": DoseSettings(transmission=0.1)})
    assert SeriesRun(info, settings).info.transmission == 0.1
    assert SeriesRun(info, SETTINGS).info.transmission == 0.5


def test_lost_beam_adds_no_dose_and_a_monitor_is_weighed() -> None:
    dark = FRAMES.copy()
    dark[100:] = 0
    exposures = []
    monitor = np.full(len(FRAMES), 90.0)
    monitor[80:] = 45.0
    for frames, changes in ((FRAMES, {}), (dark, {}), (FRAMES, {"monitor": monitor})):
        run = SeriesRun(replace(series_info(len(FRAMES)), **changes), SETTINGS)
        fed(run, frames, 50)
        run.end(ENDED)
        exposures.append(record_of(run, dose_only=True).exposure_s)
    # A monitor that falls while the scattering stays has failed: together they tell a full beam.
    assert exposures == pytest.approx([160 * 0.02, 100 * 0.02, 160 * 0.02], rel=0.02)


def test_a_pixel_that_is_saturated_in_single_frames_is_not_counted_in_them() -> None:
    frames = FRAMES.copy()
    row, column = 12, 70
    frames[115:120, row, column] = 65535
    runs = []
    for of_run in (FRAMES, frames):
        run = SeriesRun(series_info(len(FRAMES)), SETTINGS)
        fed(run, of_run, 50)
        runs.append(run)
    rings = runs[0].analysis.rings
    assert rings is not None
    partition = rings.partition
    ring = partition.cell_of_pixel[row * SHAPE_YX[1] + column] // partition.sectors
    usual, less = (run.analysis.rings.damage.windows for run in runs if run.analysis.rings is not None)
    missing = (usual[23].exposure_frames - less[23].exposure_frames) * partition.ring_pixels
    # Five of its frames; that a pixel of its sector has its own share of the photons of the ring hardly matters.
    assert missing[ring] == pytest.approx(5, rel=0.2)
    assert np.delete(missing, ring) == pytest.approx(0)
    assert usual[22].exposure_frames == pytest.approx(less[22].exposure_frames)
