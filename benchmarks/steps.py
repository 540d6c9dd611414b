"""CPU seconds in each step of our chain, in one thread: parts of kernels are run again alone on the very same words.

A profiler sees functions of Python only. What happens within a kernel is told by the same kernel with less to do: the
difference of two runs is the step that the second one leaves out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from cProfile import Profile
from types import CodeType

import numba
import numpy as np

from backend.correlation.count_levels import CountLevels
from backend.correlation.multitau import MultiTau
from backend.correlation.photon_correlation import correlate_photons
from backend.correlation.ring_sums import RingSums
from backend.correlation.run_products import NO_IMAGE, Lags, new_room, new_sums
from backend.correlation.word_correlation import correlate_words
from backend.detector.bitshuffle_chunk import MAX_BLOCK_BYTES, OK, blocks_of, check_header
from backend.detector.lz4_blocks import MARGIN, lz4_decode_planes
from backend.detector.word_decoder import WordDecoder
from backend.detector.word_kernels import index_chunks
from backend.frames import FrameBatch
from backend.machine_intrinsics import address_as_pointer, prefetch
from backend.photon_words import WORD_FRAMES, PhotonWords
from benchmarks.movies import SETTINGS, Movie
from benchmarks.ours import Chain

_ALL_FRAMES = 2**WORD_FRAMES - 1
_WORD_LEVELS = 4
_SHARES = 16
_FRAMES_AHEAD = 3

# Each is the one before and one thing more; level 0 is the first with lags.
_FIRST_LEVEL = 2
_CORRELATION_STEPS = (
    "sort pixels out, gather their words, photons per frame",
    "squares and how often each count occurs",
    *(f"level {level}: products of words" for level in range(_WORD_LEVELS)),
)


def step_seconds(movie: Movie, passes: int) -> list[dict[str, float]]:
    """CPU seconds of each step of the chain in each pass over the movie, after one pass that only warms up.

    Raises
    ------
    ValueError
        The movie does not fill its last word.
    """
    frames = movie.kind.frames
    if frames % WORD_FRAMES:
        raise ValueError(f"the profile needs movies of a multiple of {WORD_FRAMES} frames, not {frames}")
    with Chain(movie, 1) as chain:
        kernels = _Kernels(movie, chain)
        pieces = movie.again_and_again((passes + 1) * frames)
        found = [_one_pass(chain, kernels, pieces, frames) for _ in range(passes + 1)]
    return found[1:]


def _one_pass(chain: Chain, kernels: _Kernels, pieces: Iterator[FrameBatch], frames: int) -> dict[str, float]:
    profile = Profile(time.thread_time)
    lz4_s = 0.0
    cumulative_s = np.zeros(len(_CORRELATION_STEPS))
    last = chain.frames + frames
    while chain.frames < last:
        piece = next(pieces)
        with profile:
            chain.feed(piece)
            chain.read()
        lz4_s += kernels.decompress(piece)
        if chain.frames % WORD_FRAMES == 0:
            # The word is turned when the next frame comes: it is still there.
            cumulative_s += kernels.correlate()
    return _steps(profile, lz4_s, cumulative_s)


def _steps(profile: Profile, lz4_s: float, cumulative_s: np.ndarray) -> dict[str, float]:
    seconds = {
        entry.code: entry.totaltime for entry in profile.getstats() if isinstance(entry.code, CodeType)
    }

    def within(*functions: Callable[..., object]) -> float:
        return sum(seconds.get(function.__code__, 0.0) for function in functions)

    steps = {
        "LZ4 alone": lz4_s,
        "bit planes to rows, rows to columns, write words": within(WordDecoder.decode) - lz4_s,
        "clear the words of before": within(PhotonWords.turn),
    }
    steps |= zip(_CORRELATION_STEPS, np.diff(cumulative_s, prepend=0.0).tolist(), strict=True)
    steps["higher levels"] = within(CountLevels.begin, CountLevels.add_share, CountLevels.take)
    steps["ring sums: the normaliser"] = within(RingSums.add)
    known = float(cumulative_s[-1]) + steps["higher levels"] + steps["ring sums: the normaliser"]
    steps["rest of the correlator: adding up shares, Python"] = within(MultiTau.add) - known
    steps["read g2"] = within(MultiTau.result)
    return steps


class _Kernels:
    """Kernels of the chain, alone, on what the chain has just worked on."""

    def __init__(self, movie: Movie, chain: Chain) -> None:
        self._movie = movie
        self._chain = chain
        self._scratch = np.zeros(MAX_BLOCK_BYTES + 2 * MARGIN, np.uint8)
        self._room = new_room()
        partition = movie.partition
        ring_of_cell = np.arange(partition.rings * partition.sectors) // partition.sectors
        most = SETTINGS.correlation.lags_per_level // 2 * 2
        none, frame_lags = np.empty(0, np.int64), np.arange(1, most + 1)
        level_lags = np.arange(most // 2 + 1, most + 1)
        self._work = []
        for step in range(len(_CORRELATION_STEPS)):
            lags = none if step < _FIRST_LEVEL else frame_lags
            masks = np.full(max(step - _FIRST_LEVEL, 0) + 1, _ALL_FRAMES, np.uint64)
            kept = np.full(lags.size, -1, np.int64)
            self._work.append(Lags(lags, level_lags, kept, -1, masks, masks[:1], ring_of_cell))

    def correlate(self) -> np.ndarray:
        """CPU seconds of the products of the current word up to and with each of the steps."""
        return np.array([self._correlate(step, lags) for step, lags in enumerate(self._work)])

    def _correlate(self, step: int, lags: Lags) -> float:
        words, order = self._chain.words, self._chain.order
        start, stop, cell = order.segments
        if step == 0:
            # Of pixels outside all rings only the photons are counted.
            cell = np.full_like(cell, order.cells)
        sums = new_sums(_WORD_LEVELS, lags, 0)
        rest = (lags, self._room, NO_IMAGE, sums)
        segments = (start, stop, cell)
        if words.photons_now is not None and words.photons_before is not None:
            photons = words.photons_now, words.photons_before
            begin = time.thread_time()
            for share in order.shares(_SHARES):
                correlate_photons(*share, segments, *photons, *rest)
            return time.thread_time() - begin
        many = (words.many_now, words.many_before)
        source = words.now, words.before, many, words.planes
        begin = time.thread_time()
        for share in order.shares(_SHARES):
            correlate_words(*share, segments, *source, *rest)
        return time.thread_time() - begin

    def decompress(self, piece: FrameBatch) -> float:
        """CPU seconds of LZ4 alone for all blocks of some frames, in the order in which the decoder takes them."""
        held = [np.frombuffer(chunk, np.uint8) for chunk in piece.chunks]
        chunks = np.array([part.ctypes.data for part in held]), np.array([part.size for part in held])
        frame_pixels, element_bytes = self._movie.good.size, np.dtype(piece.dtype).itemsize
        status, block_pixels = check_header(held[0], frame_pixels, element_bytes)
        edges = np.zeros((len(held), blocks_of(frame_pixels, block_pixels) + 1), np.int64)
        problems = np.full(len(held), status, np.int64)
        sizes = (block_pixels, frame_pixels, element_bytes)
        index_chunks(chunks, (0, len(held)), *sizes, edges, problems)
        begin = time.thread_time()
        decoded = _decompress(chunks, edges, *sizes, self._scratch)
        seconds = time.thread_time() - begin
        if (problems != OK).any() or decoded < 0:
            raise RuntimeError("a frame of the movie cannot be decoded")
        return seconds


@numba.njit(nogil=True)
def _decompress(
    chunks: tuple[np.ndarray, np.ndarray],
    edges: np.ndarray,
    block_pixels: int,
    frame_pixels: int,
    element_bytes: int,
    scratch: np.ndarray,
) -> int:
    """Decode every block of every frame into the same room; returns the bytes, or a negative number for damage."""
    total = 0
    for block in range(edges.shape[1] - 1):
        size = min(block_pixels, frame_pixels // 8 * 8 - block * block_pixels)
        for frame in range(edges.shape[0]):
            ahead = frame + _FRAMES_AHEAD
            if ahead < edges.shape[0]:
                address = chunks[0][ahead] + edges[ahead, block]
                prefetch(address)
                prefetch(address + 64)
            source = numba.carray(address_as_pointer(chunks[0][frame]), chunks[1][frame], np.uint8)
            start, stop = edges[frame, block] + 4, edges[frame, block + 1]
            done = lz4_decode_planes(source, start, stop, scratch, size * element_bytes, size >> 3)
            if done < 0:
                return done
            total += done
    return total
