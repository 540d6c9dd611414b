"""Higher multi-tau levels: sums of many frames as numbers in bit planes, so that few photons take few bits.

A level has as many planes as its numbers need; nobody has to know beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from backend.correlation.count_kernels import (
    BLOCK_WORDS,
    MOST_PLANES,
    Samples,
    add_products,
    samples_of_photons,
    samples_of_words,
    sums_of_two,
)
from backend.photon_word_kernels import BLOCK_POSITIONS
from backend.photon_words import WORD_FRAMES, PhotonWords
from backend.pixel_order import PixelOrder
from backend.sparse_memory import zeros_when_touched

_FIRST_PLANES = 16

Share = tuple[int, int]
"""Range of segments."""


@dataclass(frozen=True, slots=True)
class NewSamples:
    """What one range of segments adds, level by level.

    Attributes
    ----------
    planes : list of int
        Planes that the new samples need.
    products : list of ndarray, shape (lag, cell), int64
        Up to the first level whose samples did not fit.
    """

    planes: list[int]
    products: list[np.ndarray]


class CountLevel:
    """One level: its newest samples and the sums of their products.

    Parameters
    ----------
    order : PixelOrder
        Places of the pixels.
    lags : ndarray, int64, ascending
        Lags in units of samples.
    most_new : int
        Most samples that come at once.

    Attributes
    ----------
    samples : Samples
    products : ndarray, shape (lag, cell), int64
    filled : int
        Samples so far.
    """

    def __init__(self, order: PixelOrder, lags: np.ndarray, most_new: int) -> None:
        self._order = order
        self._lags = lags
        # All new samples are written before the first of them is multiplied with the earliest one that it needs.
        self._slots = int(lags[-1]) + most_new
        blocks = order.positions // BLOCK_POSITIONS
        # The system gives memory when it is first touched: planes that nobody needs cost nothing.
        bits = zeros_when_touched((_FIRST_PLANES, self._slots, blocks, BLOCK_WORDS), np.uint64)
        self.samples = Samples(bits, np.zeros((self._slots, blocks), np.uint8))
        self.products = np.zeros((lags.size, order.cells), np.int64)
        self.filled = 0

    @property
    def room(self) -> int:
        """Planes that there is room for."""
        return int(self.samples.bits.shape[0])

    def make_room(self, planes: int) -> None:
        """Have at least this many planes.

        Raises
        ------
        OverflowError
            More than numbers may have.
        """
        if planes > MOST_PLANES:
            raise OverflowError(
                f"a pixel collected {2**MOST_PLANES} photons or more in one sample of a multi-tau level"
            )
        if planes > self.room:
            old = self.samples.bits
            wider = zeros_when_touched((planes, *old.shape[1:]), np.uint64)
            wider[: self.room] = old
            self.samples = Samples(wider, self.samples.planes)

    def slots(self, new: int) -> np.ndarray:
        """Where the next samples belong; only the newest are kept."""
        return np.arange(self.filled, self.filled + new) % self._slots

    def multiply(self, new: int, share: Share) -> np.ndarray:
        """Products of the next samples with earlier ones, of a range of segments; shape (lag, cell), int64."""
        products = np.zeros_like(self.products)
        last = self.filled + new
        add_products(share, self._order.segments, self.samples, self.filled, last, self._lags, products)
        return products


class CountLevels:
    """All levels above those of single words, each of sums of two samples of the one below.

    Parameters
    ----------
    order, lags
        As of :class:`CountLevel`.
    frames_per_sample : int
        Of the lowest level here; a power of two, at most 64.
    """

    def __init__(self, order: PixelOrder, lags: np.ndarray, frames_per_sample: int) -> None:
        self._order = order
        self._lags = lags
        self._frames_per_sample = frames_per_sample
        self._new: list[int] = []
        self.levels: list[CountLevel] = []

    def begin(self, words: PhotonWords, first: int, last: int) -> Callable[[Share], NewSamples]:
        """Work that adds what the frames ``first`` to ``last`` (excluded) of the word complete.

        To be done for all ranges of segments, one after the other or side by side; :meth:`take` takes what it makes.
        """
        width = self._frames_per_sample
        self._new = self._new_samples(last // width - first // width)
        return partial(self.add_share, words, first // width * width, self._new)

    def take(self, parts: list[NewSamples]) -> bool:
        """Count the new samples, unless there is no room for them: then there is now, and all has to be done again.

        Only a number that is there tells how many planes it needs.
        """
        if any(len(part.products) < len(self._new) for part in parts):
            for part in parts:
                for level, planes in zip(self.levels, part.planes, strict=False):
                    level.make_room(planes)
            return False
        for part in parts:
            for level, products in zip(self.levels, part.products, strict=False):
                level.products += products
        for level, number in zip(self.levels, self._new, strict=False):
            level.filled += number
        self._new = []
        return True

    def _new_samples(self, new: int) -> list[int]:
        """How many samples each level gets when the lowest gets ``new``; there are levels for all of them."""
        found: list[int] = []
        while new:
            number = len(found)
            if number == len(self.levels):
                most_new = max(1, WORD_FRAMES // self._frames_per_sample >> number)
                self.levels.append(CountLevel(self._order, self._lags, most_new))
            found.append(new)
            filled = self.levels[number].filled
            new = (filled + new) // 2 - filled // 2
        return found

    def add_share(self, words: PhotonWords, begin: int, new: list[int], share: Share) -> NewSamples:
        """What :meth:`begin` returns, for one range of segments."""
        first, last = self._order.positions_of(share)
        blocks = first // BLOCK_POSITIONS, last // BLOCK_POSITIONS
        made = NewSamples([], [])
        for number, samples in enumerate(new):
            level = self.levels[number]
            if number:
                below = self.levels[number - 1].samples
                planes = sums_of_two(blocks, below, level.samples, level.filled, level.filled + samples)
            else:
                slots = level.slots(samples)
                frames = begin, self._frames_per_sample
                planes = _samples(blocks, words, frames, slots, level.samples)
            made.planes.append(planes)
            if planes > level.room:
                break
            made.products.append(level.multiply(samples, share))
        return made


def _samples(
    blocks: Share, words: PhotonWords, frames: tuple[int, int], slots: np.ndarray, samples: Samples
) -> int:
    """Samples of frames of the newest word, from the photons if they are listed."""
    if words.photons_now is not None:
        return samples_of_photons(blocks, words.photons_now, frames, slots, samples)
    return samples_of_words(blocks, words.now, words.many_now, words.planes, frames, slots, samples)
