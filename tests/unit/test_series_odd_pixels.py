"""A pixel that becomes hot in the middle of a series: told in words, in the snapshot, and masked the next time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from speckle_series import SETTINGS, batch_of, fed, series_info, speckle_frames, write_speckle_series

from backend.detector.mask import load_mask_file
from backend.errors import SettingsError
from backend.frames import SeriesEnded, SourceNotice
from backend.full_correlation import correlate_series
from backend.results.result_file import write_result
from backend.series_notices import series_notices
from backend.series_run import SeriesRun
from backend.snapshot import VerdictState
from backend.snapshot_parts import pixels_part

HOT, DEAD = (12, 70), (55, 40)
FRAMES = 400
ENDED = SeriesEnded("silica_00001", True, FRAMES, "")


@pytest.fixture(scope="module")
def good() -> np.ndarray:
    return speckle_frames(FRAMES, photons_per_pixel=0.8, tau_frames=3.0)


@pytest.fixture(scope="module")
def damaged(good: np.ndarray) -> np.ndarray:
    frames = good.copy()
    frames[200:, *HOT] = 30
    frames[:, *DEAD] = 0
    return frames


def run_of(frames: np.ndarray, per_batch: int = 64) -> SeriesRun:
    run = SeriesRun(series_info(len(frames)), SETTINGS)
    fed(run, frames, per_batch)
    run.end(ENDED)
    return run


def told(run: SeriesRun) -> list[SourceNotice]:
    return [notice for notice in series_notices(run.analysis) if notice.what]


def test_a_pixel_that_becomes_hot_and_a_dead_one_are_told(damaged: np.ndarray) -> None:
    run = run_of(damaged)
    hot, dead, sector = told(run)
    assert "with a few pixels far brighter than the others in frames 200 to 399" in sector.what
    assert hot.what.startswith(
        "1 pixel in the q rings is far too bright after 400 frames, 0 of them flashing"
    )
    assert "row 12, column 70: 6" in hot.what and hot.level == "warning"
    assert "[mask]" in hot.try_this and "still count" in hot.still_works
    assert "row 55, column 40" in dead.what
    part = pixels_part(run.analysis)
    assert part is not None
    assert (part.frames, part.hot, part.flashing, part.dead) == (400, 1, 0, 1)
    assert part.worst_yx.tolist() == [list(HOT)]
    assert part.worst_photons[0] == damaged[:, *HOT].sum() > 10 * part.worst_expected[0]
    assert 0.005 < part.ring_share.max() < 0.5


def test_a_pixel_that_becomes_hot_is_no_damage(good: np.ndarray, damaged: np.ndarray) -> None:
    verdicts = [run_of(frames).verdict for frames in (good, damaged)]
    assert [verdict.state for verdict in verdicts] == [VerdictState.GOOD] * 2
    assert verdicts[1].log10_evidence < 1


def test_a_good_series_is_not_mentioned_and_the_batches_do_not_matter(
    good: np.ndarray, damaged: np.ndarray
) -> None:
    assert told(run_of(good)) == []
    assert told(run_of(damaged, 7)) == told(run_of(damaged, 400)) == told(run_of(damaged))


def test_they_are_told_while_the_series_runs(damaged: np.ndarray) -> None:
    run = SeriesRun(series_info(None), SETTINGS)
    run.add(batch_of(damaged[:64]))
    assert run.analysis.odd_pixels is None
    run.add(batch_of(damaged[64:390], 64))
    assert run.analysis.odd_pixels is not None
    # Five seconds of 20 ms, at the end of a word; the next look comes five seconds later.
    assert run.analysis.odd_pixels.frames == 256
    assert run.analysis.odd_pixels.found_after.tolist() == [256]


def test_the_result_file_is_a_mask_for_the_next_series(damaged: np.ndarray, tmp_path: Path) -> None:
    master = write_speckle_series(tmp_path, damaged)
    result = correlate_series(master, SETTINGS)
    columns = damaged.shape[2]
    assert result.hot_pixels.tolist() == [HOT[0] * columns + HOT[1]]
    assert result.dead_pixels.tolist() == [DEAD[0] * columns + DEAD[1]]
    assert any("far too bright" in notice for notice in result.notices)
    path = tmp_path / "r.h5"
    write_result(path, result)
    mask = load_mask_file(path, damaged.shape[1:])
    assert mask.dtype == bool and not mask[HOT] and not mask[DEAD]
    again = correlate_series(master, SETTINGS, path)
    assert again.hot_pixels.size == again.dead_pixels.size == 0
    assert again.ring_pixels.sum() == result.ring_pixels.sum() - 2
    assert not any("bright" in notice for notice in again.notices)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_mask_file(master, damaged.shape[1:])
