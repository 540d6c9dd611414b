"""Run as a program: tells as JSON by how many bytes two series of a 4M grew the process up to their first snapshots.

With the argument ``rehearsed`` a rehearsal is held before.
"""

from __future__ import annotations

import json
import mmap
import sys
from pathlib import Path

import numpy as np
from filter_chunks import filter_chunk

from backend.frames import DetectorInfo, FrameBatch, SeriesInfo
from backend.kernel_warm_up import warm_up
from backend.rehearsal import Rehearsal
from backend.series_run import SeriesRun
from backend.settings import Settings
from backend.settings_in_use import SettingsInUse
from backend.simulation.detector_model import EIGER_4M
from backend.snapshot_composer import SnapshotComposer

FRAMES = 64
DTYPE = np.dtype(np.uint32)


def resident_bytes() -> int:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE


def frames() -> FrameBatch:
    """Twenty frames of frozen speckle, brighter in the middle, again and again."""
    random = np.random.default_rng(1)
    size_y, size_x = EIGER_4M.shape_yx
    near = np.exp(-np.abs(np.linspace(-3, 3, size_y))[:, None] - np.abs(np.linspace(-3, 3, size_x)))
    mean = 0.1 * near * random.exponential(1.0, EIGER_4M.shape_yx) * (EIGER_4M.pixel_mask() == 0)
    chunks = [filter_chunk(random.poisson(mean).astype(DTYPE)) for _ in range(20)]
    again = tuple(chunks[number % 20] for number in range(FRAMES))
    return FrameBatch("s_00001", np.arange(FRAMES), again, "bslz4", DTYPE, EIGER_4M.shape_yx, "memory")


def growth_bytes(batch: FrameBatch, settings: Settings) -> int:
    """A series from its start to its first snapshot."""
    before = resident_bytes()
    detector = DetectorInfo(
        "e4m", EIGER_4M.shape_yx, DTYPE, pixel_size_m=75e-6, distance_m=5.0, wavelength_m=1.5e-10,
        beam_center_yx_px=(1100.0, 1000.0), pixel_mask=EIGER_4M.pixel_mask() > 0,
    )  # fmt: skip
    info = SeriesInfo("s_00001", "s", 1, Path("s"), detector, expected_frames=FRAMES, frame_time_s=0.001)
    run = SeriesRun(info, settings)
    composer = SnapshotComposer(Path("."), SettingsInUse(settings, None))
    composer.new_series(info, 0.0)
    run.add(batch)
    snapshot = composer.compose(run, phase="measuring")
    grown = resident_bytes() - before
    run.break_off()
    assert snapshot.g2 is not None
    assert snapshot.two_time is not None
    return grown


def main() -> None:
    """Print the growth of the first and of a second series."""
    settings = Settings()
    rehearsal = Rehearsal(settings)
    if "rehearsed" not in sys.argv:
        rehearsal.stop()
    batch = frames()
    warm_up()
    while not rehearsal.is_over:
        rehearsal.step()
    sys.stdout.write(json.dumps([growth_bytes(batch, settings) for _ in range(2)]))


if __name__ == "__main__":
    main()
