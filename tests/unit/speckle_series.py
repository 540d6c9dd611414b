"""Small speckle series as the detector delivers them: in memory as frames, or as files."""

from __future__ import annotations

from pathlib import Path

import eiger_files
import numpy as np
from speckle_movie import SpeckleMovie

from backend.frames import DetectorInfo, FrameBatch, SeriesInfo
from backend.series_run import SeriesRun
from backend.settings import Settings
from backend.snapshot import Verdict

SHAPE_YX = (80, 88)
CENTER_YX = (37.0, 43.0)
FRAME_TIME_S = 0.02
SETTINGS = Settings.model_validate(
    {"rings": {"count": 6, "sectors": 4}, "dispatch": {"recipes_at_series_end": []}}
)


def radius_px() -> np.ndarray:
    """Distance of each pixel from the beam, shape (y, x)."""
    rows, columns = np.indices(SHAPE_YX)
    return np.hypot(rows - CENTER_YX[0], columns - CENTER_YX[1])


def speckle_frames(
    frames: int, *, photons_per_pixel: float = 0.4, modes: int = 4, tau_frames: float = 8.0, seed: int = 1
) -> np.ndarray:
    """Frames of relaxing speckle whose intensity falls off with q; shape (frame, y, x), uint16."""
    mean = photons_per_pixel / (1 + (radius_px() / 25) ** 2)
    mean *= photons_per_pixel / mean.mean()
    movie = SpeckleMovie(mean, 1 / tau_frames, modes, np.random.default_rng(seed), speckle_sigma_px=0.6)
    return np.stack(list(movie.frames(frames, i0_noise=0.02))).astype(np.uint16)


def poisson_frames(frames: int, *, photons_per_pixel: float = 0.4, seed: int = 2) -> np.ndarray:
    """The same without any speckle."""
    mean = photons_per_pixel / (1 + (radius_px() / 25) ** 2)
    return np.random.default_rng(seed).poisson(mean, size=(frames, *SHAPE_YX)).astype(np.uint16)


def series_info(expected_frames: int | None, *, geometry: bool = True, **changes: object) -> SeriesInfo:
    """Identity of a series in memory; ``changes`` are detector fields."""
    known = {
        "pixel_size_m": 75e-6,
        "distance_m": 5.0,
        "wavelength_m": 1.5e-10,
        "beam_center_yx_px": CENTER_YX,
    }
    detector = DetectorInfo("e4m", SHAPE_YX, np.dtype(np.uint16), **((known if geometry else {}) | changes))
    return SeriesInfo(
        "silica_00001",
        "silica",
        1,
        Path("raw/silica_00001"),
        detector,
        expected_frames=expected_frames,
        frame_time_s=FRAME_TIME_S,
    )


def batch_of(frames: np.ndarray, first: int = 0, numbers: np.ndarray | None = None) -> FrameBatch:
    """Plain frames as a batch, numbered from ``first`` on."""
    numbers = np.arange(first, first + len(frames)) if numbers is None else numbers
    chunks = tuple(np.ascontiguousarray(frame).tobytes() for frame in frames)
    return FrameBatch("silica_00001", numbers, chunks, "raw", frames.dtype, frames.shape[1:], "memory")


def fed(run: SeriesRun, frames: np.ndarray, per_batch: int) -> list[Verdict]:
    """Feed frames in batches of this size; gives the verdict changes."""
    return [
        verdict
        for first in range(0, len(frames), per_batch)
        for verdict in run.add(batch_of(frames[first : first + per_batch], first))
    ]


def write_speckle_series(
    raw: Path, frames: np.ndarray, name: str = "silica_00001", *, per_file: int = 50, **changes: object
) -> Path:
    """A finished series of these frames as files; gives its master. ``changes`` are fields of the master."""
    folder = raw / name / "e4m"
    fields: dict[str, object] = {
        "nimages": len(frames),
        "frame_time": (FRAME_TIME_S, "s"),
        "count_time": (FRAME_TIME_S * 0.9, "s"),
        "wavelength": (1.5, "angstrom"),
        "beam_center_x": (CENTER_YX[1], "pixel"),
        "beam_center_y": (CENTER_YX[0], "pixel"),
        "pixel_mask": np.zeros(SHAPE_YX, np.uint32),
    }
    files = -(-len(frames) // per_file)
    master = folder / f"{name}_master.h5"
    eiger_files.write_master(master, links=files, **(fields | changes))
    for number in range(files):
        part = frames[number * per_file : (number + 1) * per_file]
        eiger_files.write_data_file(folder / f"{name}_data_{number + 1:06d}.h5", part)
    eiger_files.write_run_file(raw / name / f"{name}.fio")
    return master
