"""One file that names all frames of a series, as programs of others read it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from speckle_series import SETTINGS, speckle_frames, write_speckle_series

from backend.errors import SeriesError
from backend.full_correlation import correlate_series
from backend.results.result_file import write_result
from backend.series_file import write_series_file
from backend.settings import Settings, settings_to_toml
from mento_gui.command_line import main

FRAMES = speckle_frames(150, seed=4)


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("raw")
    write_speckle_series(raw, FRAMES, "gel_00001")
    (found,) = raw.rglob("*_master.h5")
    return found


def test_all_frames_and_the_rings_of_the_live_analysis(master: Path, tmp_path: Path) -> None:
    settings_file = tmp_path / "p10.toml"
    settings_file.write_text(settings_to_toml(SETTINGS))
    file = tmp_path / "gel.h5"
    told = CliRunner().invoke(
        main, ["series-file", str(master), "--to", str(file), "--settings", str(settings_file)]
    )
    assert told.exit_code == 0 and "150 frames" in told.output, told.output
    write_result(tmp_path / "own.h5", correlate_series(master, SETTINGS))
    with h5py.File(file) as series, h5py.File(tmp_path / "own.h5") as own:
        assert series["/entry/data/data"].is_virtual
        np.testing.assert_array_equal(series["/entry/data/data"][()], FRAMES)
        for name in ("dynamic_roi_map", "static_roi_map", "dynamic_v_list_dim0", "static_v_list_dim0"):
            np.testing.assert_array_equal(series[f"/qmap/{name}"][()], own[f"/xpcs/qmap/{name}"][()])
        good = series["/qmap/mask"][()] == 1
        assert good.any() and (series["/qmap/dynamic_roi_map"][()][good] > 0).all()
        assert series["/entry/instrument/detector_1/frame_time"][()] > 0
    assert file.stat().st_size < FRAMES.nbytes


def test_what_cannot_be_named_is_said(master: Path, tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match="cannot be written"):
        write_series_file(master, tmp_path / "no" / "gel.h5", SETTINGS)
    with pytest.raises(SeriesError, match="no series"):
        write_series_file(tmp_path, tmp_path / "gel.h5", SETTINGS)
    no_rings = Settings.model_validate({"geometry": {"distance_m": 1e-6, "override": True}})
    with pytest.raises(SeriesError, match="no q rings"):
        write_series_file(master, tmp_path / "gel.h5", no_rings)
    assert list(tmp_path.iterdir()) == []
