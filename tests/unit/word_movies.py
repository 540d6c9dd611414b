"""Movies of photon counts put into photon words, and any division of frames into pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle

import numpy as np
from speckle_movie import events_of

from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords
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


def put_frames(words: PhotonWords, movie: np.ndarray, piece: slice) -> None:
    """Write some frames of a movie; the word is turned before the first frame of the next."""
    for number in range(piece.start, piece.stop):
        if number and number % WORD_FRAMES == 0:
            words.turn()
        words.put(number % WORD_FRAMES, *events_of(movie[number]))
