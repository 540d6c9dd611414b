"""Our side of every comparison, and the only file here that knows how the engine is called."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np

from backend.batch_pieces import pieces_within
from backend.correlation.multitau import MultiTau
from backend.correlation.two_time import TwoTime
from backend.detector.word_decoder import WordDecoder
from backend.frames import FrameBatch
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords
from backend.pixel_order import TILE_PIXELS, PixelOrder, order_pixels
from backend.series_run import SeriesRun
from backend.settings import DamageSettings
from backend.settings_in_use import SettingsInUse
from backend.snapshot import Snapshot
from backend.snapshot_composer import SnapshotComposer
from benchmarks.movies import SETTINGS, Movie

# The reference of these windows is longer than any series here: nothing is ever judged, all else is as it is.
_NO_VERDICTS = SETTINGS.model_copy(
    update={
        "damage": DamageSettings(window_frames=1000, min_reference_windows=200, max_reference_windows=400)
    }
)


_SETTLING_FRAMES = 256


@dataclass(frozen=True, slots=True)
class ChainResult:
    """What the chain knows at the end.

    Attributes
    ----------
    lag_frames : ndarray, shape (lag,), int64
        Ascending, from 1.
    g2 : ndarray, shape (ring, lag), float64
    ring_counts : ndarray, shape (ring, frame), int64
        I(q, t).
    frames : int
    seconds : float
        From the first compressed chunk to the last g2.
    """

    lag_frames: np.ndarray
    g2: np.ndarray
    ring_counts: np.ndarray
    frames: int
    seconds: float


class Chain:
    """Compressed chunks in, g2 of all rings and I(q, t) out at any time. Use with ``with``.

    Attributes
    ----------
    order : PixelOrder
    words : PhotonWords
        The newest frames; a full word is turned when the next frame comes.
    frames : int
        Frames so far.
    """

    def __init__(self, movie: Movie, threads: int) -> None:
        partition, detector = movie.partition, movie.info.detector
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self.order = _order(movie)
        self.words = PhotonWords(self.order)
        self._decoder = WordDecoder(
            movie.good, self.order, detector.dtype, detector.saturation_value, self._pool
        )
        lags = SETTINGS.correlation.lags_per_level
        self._multitau = MultiTau(partition, self.order, lags, (), self._pool)
        self._ring_counts: list[np.ndarray] = []
        self.frames = 0

    def __enter__(self) -> Chain:
        """The chain itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def feed(self, batch: FrameBatch) -> None:
        """Add frames; their numbers follow those of the frames before."""
        for piece in pieces_within(batch, WORD_FRAMES):
            first = self.frames % WORD_FRAMES
            if self.frames and first == 0:
                self.words.turn()
            _decode(self._decoder, piece, self.words)
            self._ring_counts.append(self._multitau.add(self.words, len(piece.chunks)).ring_counts)
            self.frames += len(piece.chunks)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Lags from 1 and g2 of all rings so far."""
        result = self._multitau.result()
        lagged = result.lag_frames > 0
        return result.lag_frames[lagged], result.g2[:, lagged]

    def ring_counts(self) -> np.ndarray:
        """I(q, t), shape (ring, frame), int64."""
        return np.concatenate(self._ring_counts).T


def _order(movie: Movie) -> PixelOrder:
    partition = movie.partition
    return order_pixels(partition.cell_of_pixel, partition.rings * partition.sectors, TILE_PIXELS)


def _decode(decoder: WordDecoder, piece: FrameBatch, words: PhotonWords) -> None:
    """Decode frames, not beyond a word, into their bits; all frames of a movie are good."""
    decoded = decoder.decode(piece, int(piece.frame_numbers[0]) % WORD_FRAMES, words)
    if decoded.set_aside:
        raise RuntimeError(decoded.set_aside[0][1])


def run_chain(movie: Movie, threads: int, *, from_files: bool = False) -> ChainResult:
    """The whole movie through a new chain; g2 is read after every piece.

    The system gives memory when it is first touched, which on a virtual machine may take longer than the work itself.
    The first frames of a long movie do that and are not timed; the seconds are those of all frames at the pace of the
    others.
    """
    with Chain(movie, threads) as chain:
        pieces = movie.from_files() if from_files else movie.pieces
        settling = _SETTLING_FRAMES if movie.kind.frames > 2 * _SETTLING_FRAMES else 0
        start, before = time.perf_counter(), 0
        for piece in pieces:
            chain.feed(piece)
            lag_frames, g2 = chain.read()
            if before < chain.frames <= settling:
                start, before = time.perf_counter(), chain.frames
        seconds = (time.perf_counter() - start) / (chain.frames - before) * chain.frames
        return ChainResult(lag_frames, g2, chain.ring_counts(), chain.frames, seconds)


def run_decode(movie: Movie) -> float:
    """Seconds to decode all chunks of the movie, in one thread, into what the chain goes on with."""
    detector = movie.info.detector
    order = _order(movie)
    words = PhotonWords(order)
    decoder = WordDecoder(movie.good, order, detector.dtype, detector.saturation_value)
    pieces = [piece for batch in movie.pieces for piece in pieces_within(batch, WORD_FRAMES)]

    def decode_all() -> None:
        for piece in pieces:
            if piece.frame_numbers[0] % WORD_FRAMES == 0:
                words.turn()
            _decode(decoder, piece, words)

    # Once to touch the memory, as the peer's buffers have been touched.
    decode_all()
    start = time.perf_counter()
    decode_all()
    return time.perf_counter() - start


class Preview:
    """The program without its files, window and network: fits, all parts of a snapshot, and verdicts if wanted.

    Snapshots are made as often as in the program, which makes their costly parts twice a second. Threads: one per
    processor that the process may use.
    """

    def __init__(self, movie: Movie, frames: int, *, verdicts: bool) -> None:
        settings = SETTINGS if verdicts else _NO_VERDICTS
        self._run = SeriesRun(replace(movie.info, expected_frames=frames), settings)
        self._composer = SnapshotComposer(movie.folder, SettingsInUse(SETTINGS, None))
        self._composer.new_series(self._run.info, time.time())
        self._composed_at = 0.0

    @property
    def frames(self) -> int:
        """Frames so far."""
        return self._run.analysis.frames

    def feed(self, piece: FrameBatch) -> None:
        """Add frames, and make a snapshot when one is due."""
        self._run.add(piece)
        self._composer.frames_arrived(time.time())
        now = time.monotonic()
        if now - self._composed_at >= 1 / SETTINGS.publish.snapshots_per_s:
            self._composed_at = now
            self._compose()

    def finish(self) -> None:
        """End the work in the background; complain if a snapshot would not have all parts."""
        self._composer.series_changed()
        snapshot = self._compose()
        self._run.break_off()
        # Fits and the trend of damage come later and are not there in a short run.
        if snapshot.g2 is None or snapshot.two_time is None or snapshot.image is None:
            raise RuntimeError(f"the preview is incomplete: {snapshot.missing}")

    def _compose(self) -> Snapshot:
        return self._composer.compose(self._run, phase="measuring")


def run_preview(movie: Movie, frames: int, *, verdicts: bool) -> float:
    """Seconds per frame of everything the program shows, over the movie again and again up to ``frames`` frames.

    The first piece is not timed: the search for mask and rings in it is made once per series.
    """
    preview = Preview(movie, frames, verdicts=verdicts)
    pieces = movie.again_and_again(frames)
    preview.feed(next(pieces))
    first = preview.frames
    start = time.perf_counter()
    for piece in pieces:
        preview.feed(piece)
    seconds = time.perf_counter() - start
    frames = preview.frames - first
    preview.finish()
    return seconds / frames


@dataclass(frozen=True, slots=True)
class DecodedMovie:
    """Photon words of all frames, for what begins after the decoder.

    Attributes
    ----------
    words : list of (PhotonWords, int)
        Each full word, and how many frames it holds.
    """

    order: PixelOrder
    words: list[tuple[PhotonWords, int]]


def decode_words(movie: Movie) -> DecodedMovie:
    """All frames of the movie, decoded; as many threads as processors."""
    detector = movie.info.detector
    order = _order(movie)
    decoded: list[tuple[PhotonWords, int]] = []
    with ThreadPoolExecutor() as pool:
        decoder = WordDecoder(movie.good, order, detector.dtype, detector.saturation_value, pool)
        for batch in movie.pieces:
            for piece in pieces_within(batch, WORD_FRAMES):
                begun = int(piece.frame_numbers[0]) % WORD_FRAMES
                words, frames = decoded.pop() if begun else (PhotonWords(order), 0)
                _decode(decoder, piece, words)
                decoded.append((words, frames + len(piece.chunks)))
    return DecodedMovie(order, decoded)


@dataclass(frozen=True, slots=True)
class TwoTimeRun:
    """Maps of all rings, shape (ring, frame, frame), float32, nan on the diagonal; and how long they took."""

    maps: np.ndarray
    seconds: float


def run_two_time(decoded: DecodedMovie, partition: RingPartition, frames: int, threads: int) -> TwoTimeRun:
    """Full maps of all rings from photon words, no binning, every pixel; up to ``threads`` threads."""
    with ThreadPoolExecutor(threads) as pool:
        # More bins than frames: at the limit neighbours would be summed.
        two_time = TwoTime(partition, decoded.order, frames + 2, partition.cell_of_pixel.size, pool)
        start = time.perf_counter()
        for words, number in decoded.words:
            two_time.add(words, number)
        maps = two_time.results()
        return TwoTimeRun(maps, time.perf_counter() - start)
