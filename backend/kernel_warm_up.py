"""Compiles or loads all kernels before the first frame comes, on a tiny made-up series."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from backend.correlation import two_time
from backend.detector.event_decoder import EventDecoder
from backend.frames import DetectorInfo, FrameBatch, SeriesInfo
from backend.series_analysis import SeriesAnalysis
from backend.settings import Settings
from backend.snapshot_parts import two_time_part

_SHAPE_YX = (72, 72)
_FRAMES = 24
# An empty 8-pixel frame: header (16 bytes in blocks of 16) and one LZ4 block of a run of zeros.
_EMPTY_CHUNK = bytes([0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 16, 0, 0, 0, 10, 0x16, 0, 1, 0, 0x50, 0, 0, 0, 0, 0])


def warm_up() -> None:
    """Run every kernel once; takes seconds the first time on a machine and a moment from the cache afterwards."""
    # Many photons make counts wide at the higher levels; every width has kernels of its own.
    for dtype, photons_per_pixel in ((np.uint16, 3000.0), (np.uint32, 0.01)):
        analysis = SeriesAnalysis(_series(np.dtype(dtype)), Settings())
        analysis.add(_frames(np.dtype(dtype), photons_per_pixel))
        analysis.finish()
        result = analysis.g2()
        if result is not None:
            two_time_part(analysis, 0, result)
    two_time.warm_up()
    with EventDecoder(np.ones((1, 8), bool), np.dtype(np.uint16), threads=1) as decoder:
        decoder.decode(
            FrameBatch(
                "warm-up", np.zeros(1, np.int64), (_EMPTY_CHUNK,), "bslz4", np.dtype(np.uint16), (1, 8)
            )
        )


def _series(dtype: np.dtype) -> SeriesInfo:
    detector = DetectorInfo(
        "warm-up", _SHAPE_YX, dtype, pixel_size_m=75e-6, distance_m=5.0, wavelength_m=1.5e-10,
        beam_center_yx_px=(36.0, 36.0),
    )  # fmt: skip
    return SeriesInfo(
        "warm-up_00000", "warm-up", 0, Path("."), detector,
        expected_frames=_FRAMES, frame_time_s=0.01, started_at=datetime.now(UTC),
    )  # fmt: skip


def _frames(dtype: np.dtype, photons_per_pixel: float) -> FrameBatch:
    frames = np.random.default_rng(0).poisson(photons_per_pixel, size=(_FRAMES, *_SHAPE_YX)).astype(dtype)
    chunks = tuple(frame.tobytes() for frame in frames)
    return FrameBatch("warm-up_00000", np.arange(_FRAMES), chunks, "raw", dtype, _SHAPE_YX, "warm-up")
