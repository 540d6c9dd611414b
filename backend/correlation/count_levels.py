"""Higher multi-tau levels: sums of many frames as plain numbers, one per pixel and sample.

Most pixels have photons here, so whole arrays are multiplied. The number of bytes per count is chosen from the data:
one while no sum exceeds 255, then two, then four; a level is widened before a sum could overflow.
"""

from __future__ import annotations

import numpy as np

from backend.correlation.count_kernels import (
    add_byte_products,
    add_count_products,
    add_samples,
    bits_in_use,
    samples_of_words,
)
from backend.photon_words import PhotonWords
from backend.pixel_order import PixelOrder

WIDTHS = (np.uint8, np.uint16, np.uint32)


def width_for(highest: int) -> type:
    """Smallest type of count that holds ``highest``."""
    for width in WIDTHS:
        if highest <= np.iinfo(width).max:
            return width
    raise OverflowError(
        f"a pixel collected {highest} photons in one sample of a multi-tau level; 4294967295 fit"
    )


class CountLevel:
    """One level: its newest samples and the sums of their products.

    Parameters
    ----------
    order : PixelOrder
        Places of the pixels.
    lags : ndarray, int64, ascending
        Lags in units of samples.
    cells : int
        Number of cells.
    most_new : int
        Most samples that come at once.

    Attributes
    ----------
    products : ndarray, shape (lag, cell), int64
    filled : int
        Samples so far.
    highest : int
        No pixel had more in a sample so far.
    """

    def __init__(self, order: PixelOrder, lags: np.ndarray, cells: int, most_new: int) -> None:
        self._order = order
        self._lags = lags
        # All new samples are written before the first of them is multiplied with the earliest one that it needs.
        self._samples = np.zeros((int(lags[-1]) + most_new, order.positions), np.uint8)
        self.products = np.zeros((lags.size, cells), np.int64)
        self.filled = 0
        self.highest = 0

    def make_room(self, highest: int) -> None:
        """Widen the counts if samples up to ``highest`` do not fit."""
        width = width_for(highest)
        if np.dtype(width).itemsize > self._samples.itemsize:
            # The system gives the memory of an empty level when it is first touched.
            empty = self.filled == 0
            self._samples = np.zeros(self._samples.shape, width) if empty else self._samples.astype(width)

    def add_words(
        self, words: PhotonWords, masks: np.ndarray, share: tuple[int, int]
    ) -> tuple[np.ndarray, int]:
        """Add one sample per mask (frames of the word) for a range of segments; returns products and highest count."""
        begin, end = self._order.positions_of(share)
        slots = np.arange(self.filled, self.filled + masks.size) % len(self._samples)
        samples_of_words(begin, end, words.now, words.many_now, words.planes, masks, self._samples, slots)
        return self._products(masks.size, share)

    def add_sums(self, below: CountLevel, new: int, share: tuple[int, int]) -> tuple[np.ndarray, int]:
        """Add ``new`` samples, each the sum of two of the level below, for a range of segments; returns the same."""
        here = slice(*self._order.positions_of(share))
        for index in range(self.filled, self.filled + new):
            first, second = below.sample(2 * index), below.sample(2 * index + 1)
            add_samples(first[here], second[here], self.sample(index)[here])
        return self._products(new, share)

    def take(self, new: int, parts: list[tuple[np.ndarray, int]]) -> None:
        """All ranges of segments have been added: count the samples."""
        self.filled += new
        for products, highest in parts:
            self.products += products
            self.highest = max(self.highest, highest)

    def sample(self, index: int) -> np.ndarray:
        """Sample number ``index``, shape (position,); only the newest are kept."""
        return self._samples[index % len(self._samples)]

    def _products(self, new: int, share: tuple[int, int]) -> tuple[np.ndarray, int]:
        """Products of the new samples with earlier ones, and a bound of their counts, for a range of segments."""
        multiply = add_byte_products if self._samples.itemsize == 1 else add_count_products
        here = slice(*self._order.positions_of(share))
        products = np.zeros_like(self.products)
        highest = 0
        for index in range(self.filled, self.filled + new):
            highest = max(highest, upper_bound(self.sample(index)[here]))
            reached = self._lags[self._lags <= index]
            earlier = (index - reached) % len(self._samples)
            multiply(
                *share, self._order.segments, self._samples, index % len(self._samples), earlier, products
            )
        return products, highest


def upper_bound(sample: np.ndarray) -> int:
    """A number that no count of the sample exceeds, less than twice the highest; the size fills whole words."""
    lanes = np.array([bits_in_use(sample.view(np.uint64))]).view(sample.dtype)
    return (1 << int(np.bitwise_or.reduce(lanes)).bit_length()) - 1
