"""From a line in the settings file to the unit at the axis: the dose in gray."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from example_snapshots import example
from PyQt5.QtCore import Qt

from backend.frames import DetectorInfo, FrameBatch, SeriesInfo
from backend.series_run import SeriesRun
from backend.settings import load_settings
from backend.snapshot import Snapshot
from backend.snapshot_bytes import decode_snapshot, encode_snapshot
from backend.snapshot_parts import trend_part
from widgets.theme import DARK
from widgets.trend_view import TrendView

FRAMES = 150
SHAPE_YX = (80, 88)
IN_GRAY = (
    '[dose]\nflux_photons_per_s = 1e11\nbeam_width_um = 30.0\nbeam_height_um = 30.0\nmaterial = "water"\n'
)


def _measured(settings_file: Path) -> Snapshot:
    """A snapshot as the window receives it, its trend from a steady series at 8.4 keV."""
    detector = DetectorInfo(
        "e4m",
        SHAPE_YX,
        np.dtype(np.uint16),
        pixel_size_m=75e-6,
        distance_m=5.0,
        wavelength_m=1.476e-10,
        beam_center_yx_px=(37.0, 43.0),
    )
    info = SeriesInfo(
        "silica_00001", "silica", 1, Path("raw"), detector, expected_frames=FRAMES, frame_time_s=0.02
    )
    frames = np.random.default_rng(3).poisson(0.4, (FRAMES, *SHAPE_YX)).astype(np.uint16)
    chunks = tuple(frame.tobytes() for frame in frames)
    run = SeriesRun(info, load_settings(settings_file))
    run.add(FrameBatch(info.name, np.arange(FRAMES), chunks, "raw", frames.dtype, SHAPE_YX, "memory"))
    snapshot = msgspec.structs.replace(example(), trend=trend_part(run.analysis))
    return decode_snapshot(encode_snapshot(snapshot))


@pytest.mark.parametrize(
    ("text", "axis", "longest"),
    # 3 s of beam; 127.3 kGy/s in 30 x 30 um2 of water at 8.4 keV.
    [("", "dose (s of full beam)", 3.0), (IN_GRAY, "dose (kGy)", 382.0)],
    ids=["exposure", "gray"],
)
def test_the_axis_names_the_unit_of_the_dose(
    qtbot, keep, tmp_path: Path, text: str, axis: str, longest: float
) -> None:
    settings_file = tmp_path / "settings.toml"
    settings_file.write_text(text)
    view = TrendView()
    keep(view)
    view.set_theme(DARK)
    view.resize(520, 300)
    view.show()
    qtbot.waitExposed(view)
    view.show_snapshot(_measured(settings_file))
    assert view.evidence.getAxis("bottom").labelText == "frame"
    qtbot.mouseClick(view.over_dose, Qt.LeftButton)
    assert view.evidence.getAxis("bottom").labelText == axis
    assert view.evidence_line.getData()[0][-1] == pytest.approx(longest, rel=2e-3)
