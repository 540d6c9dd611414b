"""The full correlation of recorded files gives the numbers of the live way, exactly."""

from __future__ import annotations

from pathlib import Path

import eiger_files
import h5py
import msgspec
import numpy as np
import pytest
from speckle_series import SETTINGS, batch_of, series_info, speckle_frames, write_speckle_series

from backend.acquisition.recorded_series import RecordedSeries
from backend.correlation_result import CorrelationResult
from backend.errors import SeriesError, SettingsError
from backend.frames import FrameBatch, SeriesEnded, SeriesStarted
from backend.full_correlation import correlate_series
from backend.series_run import SeriesRun
from backend.settings import Settings
from backend.snapshot import Verdict

FRAMES = speckle_frames(150, seed=4)


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speckle_series(tmp_path_factory.mktemp("raw"), FRAMES, per_file=40)


@pytest.fixture(scope="module")
def full(master: Path) -> CorrelationResult:
    return correlate_series(master, SETTINGS)


def _with_batches_of(frames: int) -> Settings:
    watch = SETTINGS.watch.model_copy(update={"frames_per_batch": frames})
    return SETTINGS.model_copy(update={"watch": watch})


def _live(master: Path, settings: Settings) -> tuple[SeriesRun, list[Verdict]]:
    source = RecordedSeries([master], settings)
    changes: list[Verdict] = []
    run: SeriesRun | None = None
    while not source.finished:
        for event in source.poll():
            if isinstance(event, SeriesStarted):
                run = SeriesRun(event.info, settings)
            elif run is not None and isinstance(event, FrameBatch):
                changes += run.add(event)
                # As the live display does: fits that later ones must not depend on.
                result = run.analysis.g2()
                if result is not None:
                    run.analysis.fits(result)
            elif run is not None and isinstance(event, SeriesEnded):
                changes += run.end(event)
    assert run is not None
    return run, changes


def test_any_batch_size_gives_the_same_numbers(master: Path, full: CorrelationResult) -> None:
    sequences = []
    for per_batch in (1, 7, 64):
        run, changes = _live(master, _with_batches_of(per_batch))
        sequences.append(changes)
        result = run.analysis.g2()
        assert result is not None and run.analysis.rings is not None
        assert result.lag_frames[1:].tolist() == full.lag_frames.tolist()
        assert result.g2[:, 1:].tobytes() == full.g2.tobytes()
        assert result.g2_err[:, 1:].tobytes() == full.g2_err.tobytes()
        assert run.analysis.rings.partition.q_inv_nm.tobytes() == full.q_inv_nm.tobytes()
        for fit, other in zip(run.analysis.fits(result), full.fits, strict=True):
            assert (fit is None) == (other is None)
            if fit is not None and other is not None:
                assert msgspec.structs.astuple(fit) == pytest.approx(msgspec.structs.astuple(other), rel=1e-9)
        assert (run.verdict.state, run.verdict.why) == (full.verdict, full.verdict_why)
    assert sequences[0] == sequences[1] == sequences[2]
    assert sequences[0]


def test_files_give_what_the_same_frames_give_in_memory(full: CorrelationResult) -> None:
    run = SeriesRun(series_info(len(FRAMES), saturation_value=60000), SETTINGS)
    run.add(batch_of(FRAMES))
    run.end(SeriesEnded("silica_00001", True, len(FRAMES), ""))
    result = run.analysis.g2()
    assert result is not None
    assert result.g2[:, 1:].tobytes() == full.g2.tobytes()


def test_the_result_describes_the_series(full: CorrelationResult) -> None:
    rings = len(full.q_inv_nm)
    assert (full.series, full.sample, full.detector, full.frames) == ("silica_00001", "silica", "e4m", 150)
    assert full.g2.shape == full.g2_err.shape == (rings, len(full.lag_frames))
    assert full.frame_numbers.tolist() == list(range(150))
    for ring in range(rings):
        inside = full.ring_map == ring + 1
        assert full.ring_pixels[ring] == inside.sum()
        assert full.ring_counts[:, ring].tolist() == FRAMES[:, inside].sum(axis=1).tolist()
        occurrences = np.bincount(np.minimum(FRAMES[:, inside], 7).ravel(), minlength=8)
        assert full.occurrences[ring].tolist() == occurrences.tolist()
    good = np.isfinite(full.mean_image)
    assert full.mean_image[good] == pytest.approx(FRAMES.mean(axis=0)[good], rel=1e-6)
    assert full.geometry == pytest.approx(
        {"distance_m": 5.0, "wavelength_m": 1.5e-10, "pixel_size_m": 75e-6, "beam_center_y_px": 37.0,
         "beam_center_x_px": 43.0}
    )  # fmt: skip
    assert full.settings_sha256 == SETTINGS.sha256
    assert np.all(np.diff(full.q_inv_nm) > 0)
    assert full.verdict == "GOOD"


def test_sectors_scatter_around_the_ring_and_stand_where_they_are(full: CorrelationResult) -> None:
    sectors = SETTINGS.rings.sectors
    assert full.sector_g2.shape == (sectors, *full.g2.shape)
    assert full.sector_azimuth_deg.shape == (sectors, len(full.q_inv_nm))
    shortest, errors = full.sector_g2[:, :, 0].mean(axis=0), full.g2_err[:, 0]
    assert np.all(np.abs(shortest - full.g2[:, 0]) < 4 * errors)
    assert np.all((full.sector_azimuth_deg >= 0) & (full.sector_azimuth_deg < 360))
    # The rings go all the way around, so sectors are about evenly spread.
    gaps = np.diff(np.sort(full.sector_azimuth_deg[:, 0]))
    assert np.all(np.abs(gaps - 360 / sectors) < 0.5 * 360 / sectors)


def test_contrast_and_rate_come_out_as_they_were_made(full: CorrelationResult) -> None:
    """Four modes: contrast 1/4; one rate for all rings: 1 / (8 frames of 20 ms)."""
    assert np.all(np.abs(full.contrast - 0.25) < 4 * full.contrast_err)
    rates = [(fit.gamma_per_s, fit.gamma_err_per_s) for fit in full.fits if fit is not None]
    assert len(rates) >= 3
    for rate, error in rates:
        assert abs(rate - 1 / (8 * 0.02)) < 4 * error


def test_progress_reaches_the_planned_frames(master: Path) -> None:
    told: list[tuple[int, int | None]] = []
    correlate_series(
        master, _with_batches_of(64), progress=lambda done, planned: told.append((done, planned))
    )
    assert [planned for _, planned in told] == [150] * len(told)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == 150


def test_a_mask_file_takes_pixels_out(master: Path, full: CorrelationResult, tmp_path: Path) -> None:
    good = np.ones(full.ring_map.shape, np.uint8)
    good[20:30] = 0
    np.save(tmp_path / "mask.npy", good)
    masked = correlate_series(master, SETTINGS, tmp_path / "mask.npy")
    assert np.all(masked.ring_map[20:30] == 0)
    assert np.all(np.isnan(masked.mean_image[20:30]))
    assert masked.ring_pixels.sum() < full.ring_pixels.sum()


def test_a_mask_file_that_was_asked_for_is_used_or_refused(master: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.ones((3, 3), bool))
    with pytest.raises(SettingsError, match="mask.npy has the shape"):
        correlate_series(master, SETTINGS, tmp_path / "mask.npy")


def test_a_mask_file_of_the_settings_that_cannot_be_used_is_a_notice(
    master: Path, full: CorrelationResult, tmp_path: Path
) -> None:
    np.save(tmp_path / "mask.npy", np.ones((3, 3), bool))
    mask = SETTINGS.mask.model_copy(update={"file": tmp_path / "mask.npy"})
    with_notice = correlate_series(master, SETTINGS.model_copy(update={"mask": mask}))
    assert any("mask.npy" in notice for notice in with_notice.notices)
    assert with_notice.g2.tobytes() == full.g2.tobytes()


def test_a_series_without_frames_or_geometry_is_refused_in_words(tmp_path: Path) -> None:
    empty = write_speckle_series(tmp_path, FRAMES[:0], "empty_00001", nimages=10)
    with pytest.raises(SeriesError, match="holds no frames that could be read"):
        correlate_series(empty, SETTINGS)
    single = write_speckle_series(tmp_path, FRAMES[:1], "single_00001")
    with pytest.raises(SeriesError, match="too few frames"):
        correlate_series(single, SETTINGS)
    blind = write_speckle_series(tmp_path, FRAMES[:30], "blind_00001", distance=None)
    with pytest.raises(SeriesError, match="distance") as caught:
        correlate_series(blind, SETTINGS)
    assert "[geometry]" in caught.value.try_this
    given = SETTINGS.model_copy(update={"geometry": SETTINGS.geometry.model_copy(update={"distance_m": 5.0})})
    assert correlate_series(blind, given).frames == 30


def test_a_missing_data_file_is_a_notice_and_the_rest_is_used(tmp_path: Path) -> None:
    master = write_speckle_series(tmp_path, FRAMES, per_file=50)
    (master.parent / "silica_00001_data_000002.h5").unlink()
    result = correlate_series(master, SETTINGS)
    assert result.frame_numbers.tolist() == [*range(50), *range(100, 150)]
    assert result.notices


def test_frames_that_cannot_be_decoded_are_told_in_the_notices(tmp_path: Path) -> None:
    master = write_speckle_series(tmp_path, FRAMES, per_file=50)
    with h5py.File(master.parent / "silica_00001_data_000002.h5", "r+") as file:
        data = file["entry/data/data"].id
        _, chunk = data.read_direct_chunk((7, 0, 0))
        data.write_direct_chunk((7, 0, 0), chunk[:16] + b"\xff" * (len(chunk) - 16))
    result = correlate_series(master, SETTINGS)
    assert result.frame_numbers.tolist() == [frame for frame in range(150) if frame != 57]
    (notice,) = result.notices
    assert notice.startswith("1 frames are set aside; the last: frame 57 in ")


def test_a_file_of_another_pixel_type_is_told_in_the_notices(tmp_path: Path) -> None:
    master = write_speckle_series(tmp_path, FRAMES, per_file=50)
    last = master.parent / "silica_00001_data_000003.h5"
    eiger_files.write_data_file(last, FRAMES[100:].astype(np.uint32))
    result = correlate_series(master, SETTINGS)
    assert result.frames == 100
    assert any(last.name in notice and "uint32" in notice for notice in result.notices), result.notices
