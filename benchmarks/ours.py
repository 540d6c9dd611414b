"""Our side of every comparison, and the only file here that knows how the engine is called."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from backend.batch_pieces import pieces_within
from backend.correlation.multitau import MultiTau
from backend.correlation.two_time import TwoTime
from backend.detector.event_decoder import EventDecoder
from backend.detector.word_decoder import WordDecoder
from backend.frames import FrameBatch
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords
from backend.pixel_order import TILE_PIXELS, PixelOrder, order_pixels
from backend.series_analysis import SeriesAnalysis
from benchmarks.movies import SETTINGS, Movie


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
    """Compressed chunks in, g2 of all rings and I(q, t) out at any time. Use with ``with``."""

    def __init__(self, movie: Movie, threads: int) -> None:
        self._movie = movie
        self._pool = ThreadPoolExecutor(threads)
        self._decoder = EventDecoder(movie.good, movie.info.detector.dtype, threads=threads)
        self._multitau = MultiTau(movie.partition, pool=self._pool)
        self._ring_counts: list[np.ndarray] = []
        self.frames = 0

    def __enter__(self) -> Chain:
        """The chain itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads."""
        self._decoder.close()
        self._pool.shutdown()

    def feed(self, piece: FrameBatch) -> None:
        """Add the frames of a piece."""
        events = self._decoder.decode(piece)
        if events.set_aside:
            raise RuntimeError(events.set_aside[0][1])
        counts, _ = self._multitau.add_frames([events.frame(i) for i in range(len(events.frame_numbers))])
        self._ring_counts.append(counts)
        self.frames += len(piece.chunks)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Lags from 1 and g2 of all rings so far."""
        result = self._multitau.result()
        lagged = result.lag_frames > 0
        return result.lag_frames[lagged], result.g2[:, lagged]

    def ring_counts(self) -> np.ndarray:
        """I(q, t), shape (ring, frame), int64."""
        return np.concatenate(self._ring_counts).T


def run_chain(movie: Movie, threads: int, *, from_files: bool = False) -> ChainResult:
    """The whole movie through a new chain; g2 is read after every piece."""
    with Chain(movie, threads) as chain:
        pieces = movie.from_files() if from_files else movie.pieces
        start = time.perf_counter()
        for piece in pieces:
            chain.feed(piece)
            lag_frames, g2 = chain.read()
        seconds = time.perf_counter() - start
        return ChainResult(lag_frames, g2, chain.ring_counts(), chain.frames, seconds)


def run_decode(movie: Movie, threads: int) -> float:
    """Seconds to decode all chunks of the movie into what the chain goes on with."""
    with EventDecoder(movie.good, movie.info.detector.dtype, threads=threads) as decoder:
        start = time.perf_counter()
        for piece in movie.pieces:
            decoder.decode(piece)
        return time.perf_counter() - start


def run_preview(movie: Movie) -> float:
    """Seconds per frame of everything the program shows: the whole analysis, read after every piece.

    The first piece is not timed: the search for mask and rings in it is made once per series. Threads: one per
    processor, as the program has it.
    """
    analysis = SeriesAnalysis(movie.info, SETTINGS)
    _feed_preview(analysis, movie.pieces[0])
    frames = analysis.frames
    start = time.perf_counter()
    for piece in movie.pieces[1:]:
        _feed_preview(analysis, piece)
    seconds = time.perf_counter() - start
    analysis.finish()
    return seconds / (analysis.frames - frames)


def run_long_preview(movie: Movie, frames: int) -> None:
    """The movie over and over through the whole analysis, up to this many frames."""
    analysis = SeriesAnalysis(movie.info, SETTINGS)
    for piece in movie.again_and_again(frames):
        _feed_preview(analysis, piece)
    analysis.finish()


def _feed_preview(analysis: SeriesAnalysis, piece: FrameBatch) -> None:
    """Add a piece and ask for what the window shows: g2 with errors, the map of the middle ring, I(q)."""
    analysis.add(piece)
    result = analysis.g2()
    if result is None or analysis.rings is None:
        raise RuntimeError("the movie has no rings")
    result.g2_err.sum()
    analysis.rings.two_time.result(analysis.rings.partition.rings // 2)
    analysis.rings.radial.newest()


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
    partition, detector = movie.partition, movie.info.detector
    order = order_pixels(partition.cell_of_pixel, partition.rings * partition.sectors, TILE_PIXELS)
    decoded: list[tuple[PhotonWords, int]] = []
    with ThreadPoolExecutor() as pool:
        decoder = WordDecoder(movie.good, order, detector.dtype, detector.saturation_value, pool)
        for batch in movie.pieces:
            for piece in pieces_within(batch, WORD_FRAMES):
                first = int(piece.frame_numbers[0]) % WORD_FRAMES
                words, frames = decoded.pop() if first else (PhotonWords(order), 0)
                if not decoder.decode(piece, first, words).usable.all():
                    raise RuntimeError("a frame of the movie cannot be decoded")
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


def stage_seconds(movie: Movie) -> dict[str, float]:
    """Seconds in each stage of the chain over the whole movie, in one thread, without waiting for another."""
    seconds = dict.fromkeys(("read files", "decode", "correlate", "read g2"), 0.0)
    with EventDecoder(movie.good, movie.info.detector.dtype, threads=1) as decoder:
        multitau = MultiTau(movie.partition)
        pieces = movie.from_files()
        while True:
            times = [time.perf_counter()]
            piece = next(pieces, None)
            if piece is None:
                return seconds
            times.append(time.perf_counter())
            events = decoder.decode(piece)
            times.append(time.perf_counter())
            multitau.add_frames([events.frame(i) for i in range(len(events.frame_numbers))])
            times.append(time.perf_counter())
            multitau.result()
            times.append(time.perf_counter())
            for name, spent in zip(seconds, np.diff(times).tolist(), strict=True):
                seconds[name] += spent
