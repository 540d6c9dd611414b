"""Cuts at a few ages on their way into the snapshot."""

from __future__ import annotations

import dataclasses

import numpy as np
from speckle_series import SETTINGS, batch_of, series_info, speckle_frames

from backend.series_run import SeriesRun
from backend.snapshot import TwoTimePart
from backend.snapshot_parts import two_time_part

FRAMES = speckle_frames(200, seed=4)
RING = 1


def part_after(frames: int, *, uneven: bool = False) -> tuple[TwoTimePart, SeriesRun]:
    info = series_info(frames)
    if uneven:
        info = dataclasses.replace(info, frame_start_s=info.frame_time_s * np.arange(frames) ** 1.5)
    run = SeriesRun(info, SETTINGS)
    run.add(batch_of(FRAMES[:frames]))
    result = run.analysis.g2()
    assert result is not None
    part = two_time_part(run.analysis, RING, result)
    assert part is not None
    return part, run


def test_the_cuts_of_the_bands_are_in_the_snapshot_in_seconds() -> None:
    part, run = part_after(200)
    cuts, rings = part.ages, run.analysis.rings
    assert cuts is not None and rings is not None and rings.ages is not None
    frame_time_s = run.info.frame_time_s
    np.testing.assert_allclose(cuts.first_s, np.array([0, 64, 128]) * frame_time_s)
    np.testing.assert_allclose(cuts.last_s, np.array([64, 128, 192]) * frame_time_s)
    assert cuts.g2.shape == cuts.g2_err.shape == (3, cuts.lag_s.size)
    gradient = float(rings.radial.gradient()[RING])
    for row, cut in enumerate(rings.ages.cuts(RING, 5, gradient)):
        reached = slice(0, cut.lag_frames.size)
        np.testing.assert_array_equal(cuts.lag_s[reached], cut.lag_frames * frame_time_s)
        np.testing.assert_array_equal(cuts.g2[row, reached], cut.g2)
        np.testing.assert_array_equal(cuts.g2_err[row, reached], cut.g2_err)
        assert np.isnan(cuts.g2[row, cut.lag_frames.size :]).all()
    # Within the first band nothing is longer ago than its start.
    assert np.isnan(cuts.g2[0, cuts.lag_s >= 64 * frame_time_s]).all()
    assert np.isfinite(cuts.g2[2, cuts.lag_s <= 64 * frame_time_s]).all()


def test_there_are_none_before_two_bands_and_none_of_uneven_frames() -> None:
    assert part_after(127)[0].ages is None
    assert part_after(128)[0].ages is not None
    assert part_after(200, uneven=True)[0].ages is None
