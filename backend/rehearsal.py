"""A series that nobody measured, worked off before the first one comes, so that the first is as fast as later ones.

The system gives memory when it is first touched, and takes up to a second for what a series of a large detector needs.
Arrays leave their memory to those of the next series (:mod:`backend.sparse_memory`), and so does the C library: what
is touched here, the first series finds. It is a series of the largest detector at P10 and goes the way of all others.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from inspect import GEN_CLOSED, getgeneratorstate
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

from backend.frames import DetectorInfo, FrameBatch, SeriesInfo
from backend.freed_memory import keep_freed_memory
from backend.photon_words import WORD_FRAMES
from backend.series_run import SeriesRun
from backend.settings import Settings
from backend.settings_in_use import SettingsInUse
from backend.simulation.detector_model import EIGER_4M
from backend.snapshot_composer import SnapshotComposer

_MEMORY = Path("/proc/meminfo")
_FRAMES = 2 * WORD_FRAMES
_FRAMES_AT_ONCE = 16
_WAITING_FRAMES = 256
_DIFFERENT_FRAMES = 20
"""As many as the plan of a series is made from: a pixel that had a photon in each of them would be called hot."""
_PHOTONS_PER_PIXEL = 0.01
_FRAME_TIME_S = 1 / 750
_DTYPE = np.dtype(np.uint32)
_NEEDED_BYTES = 500_000_000
"""What a series of a 4M takes beyond what the backend has at its start."""
_LEAST_AVAILABLE_BYTES = 4 * _NEEDED_BYTES


class Rehearsal:
    """The series, worked off step by step, so that whoever has frames waits for one step at most.

    Freed memory is kept from now on, so this has to be made before threads are started. Nothing is done where little
    memory is available: to others it may be worth more.
    """

    def __init__(self, settings: Settings) -> None:
        self._steps = _steps(settings)
        if available_memory_bytes() < _LEAST_AVAILABLE_BYTES:
            self.stop()
        else:
            keep_freed_memory()

    @property
    def is_over(self) -> bool:
        """There is no step left: all were made, one failed, or it was stopped."""
        return getgeneratorstate(self._steps) == GEN_CLOSED

    def step(self) -> None:
        """Go on for some hundredths of a second, a few tenths where memory is slow; nothing when it is over."""
        next(self._steps, None)

    def stop(self) -> None:
        """Leave what was touched so far to others; no step may be under way."""
        self._steps.close()


def available_memory_bytes() -> int:
    """Memory that programs may still take before the system has to swap; 0 where it does not say so, as Linux does."""
    if not _MEMORY.exists():
        return 0
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _MEMORY.read_text(encoding="ascii"), re.MULTILINE)
    return 0 if found is None else 1024 * int(found.group(1))


def _steps(settings: Settings) -> Generator[None]:
    chunks: list[bytes] = []
    for chunk in _chunks():
        chunks.append(chunk)
        yield
    # Held until the end, as frames of a file wait while the first are worked off; copies take memory as those do.
    waiting = [bytes(bytearray(chunks[number % len(chunks)])) for number in range(_WAITING_FRAMES)]
    yield
    run = SeriesRun(_series(), settings)
    try:
        for first in range(0, _FRAMES, _FRAMES_AT_ONCE):
            run.add(_batch(waiting, first))
            yield
        _show(run)
        yield
    finally:
        run.break_off()


def _chunks() -> Generator[bytes]:
    """Compressed frames of frozen speckle as bright as half of the pixels; no photons in gaps and behind the stop."""
    random = np.random.default_rng(0)
    shape = EIGER_4M.shape_yx
    bright = (random.integers(0, 2, shape, np.uint8) > 0) & (EIGER_4M.pixel_mask() == 0)
    row, column = (round(center) for center in EIGER_4M.beam_center_yx_px)
    stop = round(EIGER_4M.beam_stop_radius_px)
    bright[row - stop : row + stop, column - stop : column + stop] = False
    frame = np.zeros((1, *shape), _DTYPE)
    with h5py.File("rehearsal", "w", driver="core", backing_store=False) as file:
        filtered = hdf5plugin.Bitshuffle(cname="lz4")
        data = file.create_dataset(
            "data", (_DIFFERENT_FRAMES, *shape), _DTYPE, chunks=frame.shape, **filtered
        )
        for number in range(_DIFFERENT_FRAMES):
            pixel = random.integers(0, frame.size, round(2 * _PHOTONS_PER_PIXEL * frame.size))
            pixel = pixel[bright.flat[pixel]]
            np.add.at(frame.reshape(-1), pixel, 1)
            data[number : number + 1] = frame
            frame.reshape(-1)[pixel] = 0
            yield bytes(data.id.read_direct_chunk((number, 0, 0))[1])


def _series() -> SeriesInfo:
    detector = DetectorInfo(
        EIGER_4M.folder, EIGER_4M.shape_yx, _DTYPE, EIGER_4M.pixel_size_m, EIGER_4M.distance_m, EIGER_4M.wavelength_m,
        EIGER_4M.beam_center_yx_px, EIGER_4M.pixel_mask() > 0,
    )  # fmt: skip
    return SeriesInfo(
        "rehearsal_00000",
        "rehearsal",
        0,
        Path("."),
        detector,
        expected_frames=_FRAMES,
        frame_time_s=_FRAME_TIME_S,
    )


def _batch(waiting: list[bytes], first: int) -> FrameBatch:
    numbers = np.arange(first, first + _FRAMES_AT_ONCE)
    chunks = tuple(waiting[first : first + _FRAMES_AT_ONCE])
    return FrameBatch("rehearsal_00000", numbers, chunks, "bslz4", _DTYPE, EIGER_4M.shape_yx, "rehearsal")


def _show(run: SeriesRun) -> None:
    """All parts of a snapshot, which nobody gets."""
    composer = SnapshotComposer(Path("."), SettingsInUse(run.analysis.settings, None))
    composer.new_series(run.info, 0.0)
    composer.frames_arrived(0.0)
    composer.compose(run, phase="measuring")
