"""Movies of photon counts put into photon words, and any division of frames into pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from itertools import cycle

import numpy as np
from speckle_movie import block_partition, events_of

from backend.correlation.multitau import MultiTau, NewFrames
from backend.correlation.two_time import TwoTime
from backend.photon_events import RingPartition
from backend.photon_word_kernels import flag_of
from backend.photon_words import HIGHEST_COUNT, WORD_FRAMES, PhotonWords
from backend.pixel_order import TILE_PIXELS, PixelOrder, order_pixels


def order_of(partition: RingPartition, tile_pixels: int = TILE_PIXELS) -> PixelOrder:
    """Pixels in the order of the cells of a partition."""
    return order_pixels(partition.cell_of_pixel, partition.rings * partition.sectors, tile_pixels)


def pieces(frames: int, longest: Sequence[int] = (WORD_FRAMES,)) -> Iterator[slice]:
    """Frames in pieces no longer than each of ``longest`` in turn, none beyond the end of a word."""
    first = 0
    for most in cycle(longest):
        if first >= frames:
            return
        last = min(first + most, frames, (first // WORD_FRAMES + 1) * WORD_FRAMES)
        yield slice(first, last)
        first = last


def put_frame(words: PhotonWords, bit: int, pixel: np.ndarray, count: np.ndarray) -> None:
    """Write one frame, given as flat pixels, each once, and their counts; as the decoder would."""
    if words.begin_writing():
        words.now[0] = 0
    planes = int(count.max(initial=0)).bit_length()
    words.note_planes(planes)
    position = words.order.position_of_pixel[pixel]
    for plane in range(planes):
        some = position[count >> plane & 1 > 0]
        words.now[plane, some] |= np.uint64(1 << bit)
        if plane:
            words.many_now[some] |= flag_of(plane)


def put_frames(words: PhotonWords, movie: Sequence[np.ndarray], piece: slice) -> None:
    """Write some frames of a movie; the word is turned before the first frame of the next."""
    for number in range(piece.start, piece.stop):
        if number and number % WORD_FRAMES == 0:
            words.turn()
        put_frame(words, number % WORD_FRAMES, *events_of(movie[number]))


def random_partition(
    generator: np.random.Generator, shape_yx: tuple[int, int], rings: int, sectors: int
) -> RingPartition:
    """Every pixel in any cell or none; cells may be empty."""
    plain = block_partition(shape_yx, rings, sectors)
    cell = generator.integers(-1, rings * sectors, shape_yx[0] * shape_yx[1]).astype(np.int16)
    pixels = np.bincount(cell[cell >= 0], minlength=rings * sectors).reshape(rings, sectors)
    return replace(plain, cell_of_pixel=cell, cell_pixels=pixels)


def random_counts(generator: np.random.Generator, frames: int, pixels: int, mean: float) -> np.ndarray:
    """Photons of pixels of which some are much brighter than others; up to HIGHEST_COUNT; uint32."""
    brightness = generator.choice([0.2, 1.0, 3.0], pixels)
    return np.minimum(generator.poisson(mean * brightness, (frames, pixels)), HIGHEST_COUNT).astype(np.uint32)


def add_frames(
    multitau: MultiTau,
    words: PhotonWords,
    movie: Sequence[np.ndarray],
    longest: Sequence[int] = (WORD_FRAMES,),
    part_frames: int = WORD_FRAMES,
) -> Iterator[tuple[slice, NewFrames]]:
    """Add a whole movie in pieces; tells what each piece added up to, products in parts of so many frames."""
    for piece in pieces(len(movie), longest):
        put_frames(words, movie, piece)
        frames = piece.stop - piece.start
        yield piece, multitau.add(words, frames, part_ends=[*range(part_frames, frames, part_frames), frames])


def correlate(
    movie: Sequence[np.ndarray],
    partition: RingPartition,
    lags_per_level: int = 8,
    longest: Sequence[int] = (WORD_FRAMES,),
    *,
    kept_lags: tuple[int, ...] = (),
    pool: Executor | None = None,
    tile_pixels: int = TILE_PIXELS,
) -> MultiTau:
    """A whole movie, frames of any shape, put into words and correlated."""
    order = order_of(partition, tile_pixels)
    multitau = MultiTau(partition, order, lags_per_level, kept_lags, pool)
    for _ in add_frames(multitau, PhotonWords(order), movie, longest):
        pass
    return multitau


def two_time_of(
    partition: RingPartition,
    movie: np.ndarray,
    max_bins: int,
    *,
    pixels_per_ring: int = 10**6,
    longest_pieces: Sequence[int] = (WORD_FRAMES,),
    asked_rings: Sequence[int] = (),
) -> TwoTime:
    """A whole movie in pieces; after each, maps of some rings are asked for."""
    order = order_of(partition)
    words = PhotonWords(order)
    two_time = TwoTime(partition, order, max_bins, pixels_per_ring)
    for piece in pieces(len(movie), longest_pieces):
        put_frames(words, movie, piece)
        two_time.add(words, piece.stop - piece.start)
        for ring in asked_rings:
            two_time.result(ring)
    return two_time
