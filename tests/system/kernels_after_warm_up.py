"""Run as a program: warms up, analyses series of all kinds, and tells as JSON what was compiled when."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
from filter_chunks import filter_chunks
from numba.core.registry import CPUDispatcher

from backend.frames import DetectorInfo, FrameBatch, SeriesEnded, SeriesInfo
from backend.full_correlation import result_of
from backend.kernel_warm_up import warm_up
from backend.series_run import SeriesRun
from backend.settings import Settings
from backend.settings_in_use import SettingsInUse
from backend.snapshot_composer import SnapshotComposer

# Not a multiple of eight pixels: the last ones stand behind the compressed blocks.
SHAPE_YX = (75, 71)
SETTINGS = Settings.model_validate({"two_time": {"max_bins": 64}, "rings": {"count": 4, "sectors": 4}})
BATCHES = (7, 64, 1, 100, 33, 150, 45)


def kernels() -> dict[str, CPUDispatcher]:
    """All kernels of the backend by name."""
    found = {}
    for name, module in sys.modules.items():
        if name.startswith("backend.") and isinstance(module, ModuleType):
            for value in vars(module).values():
                if isinstance(value, CPUDispatcher) and value.__module__.startswith("backend."):
                    found[f"{value.__module__}.{value.__name__}"] = value
    return found


def signatures() -> set[str]:
    """Every kernel with every combination of argument types that it was compiled for."""
    return {f"{name}{types}" for name, kernel in kernels().items() for types in kernel.signatures}


def photons(brightness: list[float], dtype: type) -> np.ndarray:
    """Frames of frozen speckle that get brighter or darker every 100."""
    random = np.random.default_rng(0)
    speckle = random.exponential(1.0, SHAPE_YX)
    frames = np.concatenate([random.poisson(mean * speckle, (100, *SHAPE_YX)) for mean in brightness])
    return np.minimum(frames, np.iinfo(dtype).max).astype(dtype)


def analyse(frames: np.ndarray, codec: str, frame_start_s: np.ndarray | None = None) -> None:
    """A series as the backend sees it, with missing and broken frames, pictures in between, and its result."""
    detector = DetectorInfo(
        "e4m", SHAPE_YX, frames.dtype, pixel_size_m=75e-6, distance_m=5.0, wavelength_m=1.5e-10,
        beam_center_yx_px=(30.0, 40.0),
    )  # fmt: skip
    info = SeriesInfo(
        "s_00001", "s", 1, Path("s"), detector, expected_frames=len(frames), frame_time_s=0.001,
        frame_start_s=frame_start_s,
    )  # fmt: skip
    chunks = filter_chunks(frames) if codec == "bslz4" else [frame.tobytes() for frame in frames]
    chunks[70] = b"broken"
    run = SeriesRun(info, SETTINGS, keep_frames=True)
    composer = SnapshotComposer(Path("."), SettingsInUse(SETTINGS, None))
    composer.new_series(info, 0.0)
    first = 0
    for size in BATCHES:
        numbers = np.setdiff1d(np.arange(first, min(first + size, len(frames))), [90, 91])
        batch = tuple(chunks[number] for number in numbers)
        run.add(FrameBatch(info.name, numbers, batch, codec, frames.dtype, SHAPE_YX, "memory"))
        composer.compose(run, phase="measuring")
        first += size
    run.end(SeriesEnded(info.name, True, len(frames), ""))
    result_of(run)


def main() -> None:
    """Print seconds of the warm-up, misses of the cache in it, and what was compiled after it."""
    started = time.perf_counter()
    warm_up()
    warm_up_s = time.perf_counter() - started
    misses = [name for name, kernel in kernels().items() if kernel.stats.cache_misses]
    before = signatures()
    for codec in ("raw", "bslz4"):
        analyse(photons([0.01, 0.5, 0.01, 0.01], np.uint8), codec)
        analyse(photons([200.0, 0.01, 3000.0, 0.0], np.uint16), codec)
        analyse(photons([0.01, 30_000.0, 0.01, 30.0], np.uint32), codec)
        analyse(photons([0.01, 0.5, 0.01, 3.0], np.uint16), codec, np.geomspace(0.001, 1.0, 400))
    after = signatures() - before
    answer = {"warm_up_s": warm_up_s, "kernels": len(before), "misses": misses, "new": sorted(after)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
