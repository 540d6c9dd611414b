"""Speckle movies with module gaps, made once by the simulation and kept; chunks stand compressed in memory."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import numpy as np

from backend.acquisition.recorded_series import RecordedSeries
from backend.batch_pieces import part_of
from backend.first_frames import plan_series
from backend.frames import FrameBatch, SeriesEnded, SeriesInfo, SeriesStarted, SourceNotice
from backend.photon_events import RingPartition
from backend.settings import RingSettings, Settings, WatchSettings
from backend.simulation.beamtime_tree import write_series
from backend.simulation.detector_model import DETECTORS
from backend.simulation.series_plan import PixelType, SeriesPlan

PIECE_FRAMES = 64
RINGS = 20
SETTINGS = Settings(rings=RingSettings(count=RINGS), watch=WatchSettings(frames_per_batch=PIECE_FRAMES))
_FIRST_FRAMES = 20
# At 750 Hz; with this diffusion the outer rings of the 4M relax within a few frames, the inner ones in hundreds.
_FRAME_TIME_S = 0.00133
_DIFFUSION_NM2_PER_S = 3000.0
_SEED = 3


@dataclass(frozen=True, slots=True)
class MovieKind:
    """What a movie is like; the same kind is always the same movie."""

    detector: str
    photons_per_pixel: float
    frames: int
    dtype: PixelType = "uint32"

    @property
    def name(self) -> str:
        """Name of the movie's folder."""
        photons = f"{self.photons_per_pixel:g}".replace(".", "_")
        return f"{self.detector}_{self.dtype}_{photons}_{self.frames}"

    @property
    def words(self) -> str:
        """As it stands in the table."""
        return f"{self.detector} {self.dtype}, {self.photons_per_pixel:g} photons/pixel, T = {self.frames}"


@dataclass(frozen=True, slots=True)
class Movie:
    """One movie, ready to be fed.

    Attributes
    ----------
    pieces : tuple of FrameBatch
        All frames, compressed, in memory, at most PIECE_FRAMES each.
    good : ndarray, shape (y, x), bool
    folder : Path
        Series folder.
    """

    kind: MovieKind
    info: SeriesInfo
    pieces: tuple[FrameBatch, ...]
    good: np.ndarray
    partition: RingPartition
    folder: Path

    @property
    def data_files(self) -> list[str]:
        """Files that hold the frames, in order."""
        return sorted(str(path) for path in self.folder.rglob("*_data_*.h5"))

    @property
    def ring_of_pixel(self) -> np.ndarray:
        """Ring of each pixel, shape (y, x), int16, -1 outside."""
        return (self.partition.ring_map() - 1).astype(np.int16)

    def from_files(self) -> Iterator[FrameBatch]:
        """The same pieces, read from the files as the program reads them."""
        return _read_pieces(self.folder)

    def again_and_again(self, frames: int) -> Iterator[FrameBatch]:
        """Pieces up to this many frames: the movie over and over, with frame numbers that go on."""
        start = 0
        for piece in cycle(self.pieces):
            if start >= frames:
                return
            numbers = np.arange(start, start + len(piece.chunks), dtype=np.int64)
            part = part_of(replace(piece, frame_numbers=numbers), 0, frames - start)
            yield part
            start += len(part.chunks)


def movie_parameters() -> dict[str, object]:
    """What all movies and analyses have in common, to repeat a run; the rest is in the words of each case."""
    return {
        "seed": _SEED,
        "frame_time_s": _FRAME_TIME_S,
        "diffusion_nm2_per_s": _DIFFUSION_NM2_PER_S,
        "piece_frames": PIECE_FRAMES,
        "settings": SETTINGS.model_dump(mode="json"),
    }


def load_movie(kind: MovieKind, scratch: Path) -> Movie:
    """The movie of this kind; made first if it is not in the scratch folder yet."""
    folder = _made(kind, scratch / "movies")
    info = _info_of(folder)
    pieces = tuple(_read_pieces(folder))
    plan = plan_series(info, SETTINGS, [part_of(pieces[0], 0, _FIRST_FRAMES)])
    if plan.partition is None:
        raise plan.no_rings or RuntimeError(f"{folder} has no rings")
    return Movie(kind, info, pieces, plan.mask.good, plan.partition, folder)


def _made(kind: MovieKind, parent: Path) -> Path:
    plan = SeriesPlan(
        detector=DETECTORS[kind.detector],
        sample=re.sub(r"\W", "_", kind.name),
        frames=kind.frames,
        frame_time_s=_FRAME_TIME_S,
        photons_per_pixel=kind.photons_per_pixel,
        diffusion_nm2_per_s=_DIFFUSION_NM2_PER_S,
        seed=_SEED,
        dtype=kind.dtype,
    )
    folder = parent / plan.name
    if not folder.exists():
        parent.mkdir(parents=True, exist_ok=True)
        # Made beside and then renamed: half a movie is never taken for a whole one.
        with tempfile.TemporaryDirectory(dir=parent) as unfinished:
            write_series(Path(unfinished), plan).folder.rename(folder)
    return folder


def _info_of(folder: Path) -> SeriesInfo:
    source = RecordedSeries([folder], SETTINGS)
    while not source.finished:
        for event in source.poll():
            if isinstance(event, SeriesStarted):
                return event.info
    raise RuntimeError(f"{folder} holds no series")


def _read_pieces(folder: Path) -> Iterator[FrameBatch]:
    source = RecordedSeries([folder], SETTINGS)
    while not source.finished:
        for event in source.poll():
            if isinstance(event, FrameBatch):
                yield event
            elif isinstance(event, SourceNotice) and event.what:
                raise RuntimeError(event.what)
            elif isinstance(event, SeriesEnded) and not event.complete:
                raise RuntimeError(event.reason)
