"""Streaming two-time correlation per ring with bounded memory: frames are summed into fewer than ``max_bins`` bins.

C(q, t1, t2) = N sum_p I_p(t1) I_p(t2) / (S(t1) S(t2)) over N pixels of the ring; the product of ring sums cancels
the incident intensity exactly. Summing neighbouring bins later gives the same numbers as binning from the start,
because products of sums are sums of products. The diagonal is left out: it would need I (I - 1).

The binned photons of all rings are kept, but products are formed only for the ring that is asked for, and only for
bins that are new since it was asked for last.

All bins have the same length: sudden changes are seen on equal axes, and a map with steps in its noise would look like
a change of the sample. Lags shorter than a bin, at each age, are in :mod:`backend.correlation.age_bands`.
"""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial

import numpy as np

from backend.correlation import two_time_kernels as kernels
from backend.correlation.chosen_positions import chosen_positions
from backend.correlation.two_time_kernels import BLOCK_BINS, GROUP_PIXELS, Bins
from backend.correlation.two_time_map import fill_map
from backend.correlation.two_time_products import multiply_bins, new_counters
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords
from backend.pixel_order import PixelOrder
from backend.sparse_memory import memory_when_touched, zeros_when_touched
from backend.worker_pool import share_out

_FIRST_PLANES = 16
"""Room for the binary digits of a bin at first; it doubles when needed."""

_SHARE_PIXELS = 256 * GROUP_PIXELS


class TwoTime:
    """Two-time maps, one ring at a time.

    Memory: one bit per chosen pixel, bin and binary digit of the photons of a bin (0.25 GB for 4 million pixels, 64
    bins and 8 digits; the usual 400,000 pixels with 256 bins take 13 MB per digit), whatever the length of the series.

    Parameters
    ----------
    partition : RingPartition
        Rings.
    order : PixelOrder
        Places of the pixels in the words.
    max_bins : int
        Largest edge of a map (even); when it is reached, neighbouring bins are summed.
    pixels_per_ring : int
        At most this many pixels per ring are used, evenly spread, so that cost and memory stay bounded.
    pool : Executor or None
        Threads that share the work; ``None`` = the calling thread alone. The numbers do not depend on it.

    Attributes
    ----------
    pixel_fraction : ndarray, shape (ring,), float64
        Share of the pixels of each ring that is used.
    frames_per_bin : int
        A power of two.
    frames : int
        Frames added so far.
    """

    def __init__(
        self,
        partition: RingPartition,
        order: PixelOrder,
        max_bins: int,
        pixels_per_ring: int,
        pool: Executor | None = None,
    ) -> None:
        self._pool = pool
        self._max_bins = max_bins // 2 * 2
        self._position, self._pixels = chosen_positions(
            order, partition.rings, partition.sectors, pixels_per_ring
        )
        self._start = [0, *np.cumsum(self._pixels).tolist()]
        self.pixel_fraction = self._pixels / partition.ring_pixels
        blocks = -(-self._max_bins // BLOCK_BINS)
        self._bits = zeros_when_touched((_FIRST_PLANES, blocks, self._position.size), np.uint64, full=2)
        self._pixel_planes = np.ones(self._position.size, np.uint8)
        self._planes = 0
        self._words: PhotonWords | None = None
        self._begun: tuple[int, int] | None = None
        self.frames_per_bin = 1
        self.frames = 0
        self._products: dict[int, _RingProducts] = {}

    def add(self, words: PhotonWords, frames: int) -> None:
        """Add the newest frames of the word; those before it in the word were added before.

        ``frames`` must not go beyond the word. The frames that were added have to stay in ``words`` until the word
        is turned: a word that is not full yet is looked at only when a map is asked for.
        """
        first = self.frames % WORD_FRAMES
        if first + frames > WORD_FRAMES:
            raise ValueError(f"{frames} frames after {first} do not fit into a word of {WORD_FRAMES}")
        self._take_back()
        self._words = words
        self.frames += frames
        while self.frames // self.frames_per_bin >= self._max_bins:
            self._halve()
        if frames and self.frames % WORD_FRAMES == 0:
            self._take(words, WORD_FRAMES, (0, self._position.size))

    def _halve(self) -> None:
        self._make_room(self._planes + 1)
        self._planes = kernels.halve((self._bits, self._pixel_planes), self._planes)
        self.frames_per_bin *= 2
        self._products.clear()

    def _make_room(self, planes: int) -> None:
        """Have at least this many planes; the system gives their memory when it is first touched."""
        if planes > len(self._bits):
            most = max(planes, 2 * len(self._bits))
            wider = zeros_when_touched((most, *self._bits.shape[1:]), np.uint64, full=1)
            wider[: self._planes] = self._bits[: self._planes]
            self._bits = wider

    def _place(self) -> tuple[int, int]:
        """Block and bit of the first bin of the current word."""
        begin = (self.frames - 1) // WORD_FRAMES * WORD_FRAMES
        return divmod(begin // self.frames_per_bin, BLOCK_BINS)

    def _take(self, words: PhotonWords, frames: int, pixels: tuple[int, int]) -> None:
        """Add the first frames of the current word to the bins of some pixels."""
        level = min(self.frames_per_bin, WORD_FRAMES).bit_length() - 1
        most = ((1 << words.planes) - 1) << level
        self._make_room(max(self._planes, most.bit_length()) + 1)
        take = partial(
            kernels.take_words,
            (words.now[: words.planes], words.many_now),
            np.uint64(_mask(frames)),
            self._position,
            level,
            self._place(),
            (self._bits, self._pixel_planes),
            self._planes,
        )
        self._planes = max(share_out(self._pool, take, _cut(*pixels)), default=self._planes)

    def _take_begun(self, pixels: tuple[int, int]) -> None:
        """Let some pixels have the frames of the current word although it is not full."""
        frames = self.frames % WORD_FRAMES
        if self._words is not None and frames >= self.frames_per_bin and pixels != self._begun:
            self._take_back()
            self._take(self._words, frames, pixels)
            self._begun = pixels

    def _take_back(self) -> None:
        """Empty the bins of the current word again."""
        if self._begun is not None:
            block, bit = self._place()
            field = np.uint64(_mask(WORD_FRAMES // self.frames_per_bin) << bit)
            kernels.clear_bins(self._bits, self._planes, block, field, self._begun)
            self._begun = None

    def result(self, ring: int, gradient: float = 1.0) -> np.ndarray:
        """Map of one ring, shape (bin, bin), float32; diagonal and bins without photons are nan.

        gradient : float
            <I>-map factor of the ring, as in :meth:`backend.correlation.multitau.MultiTau.result`.
        """
        first, last = self._start[ring], self._start[ring + 1]
        self._take_begun((first, last))
        if ring not in self._products:
            self._products = self._new_products([ring])
        bins = self.frames // self.frames_per_bin
        values = np.empty((bins, bins), np.float32)
        self._fill_map(ring, gradient, values)
        return values

    def results(self, gradient: np.ndarray | None = None) -> np.ndarray:
        """Maps of all rings, shape (ring, bin, bin), float32, as :meth:`result` gives them.

        The products are kept, so that when asked again, only new bins are multiplied. Memory: 2 to 3 bytes for every
        ring and pair of bins, beside what is returned.

        gradient : ndarray or None, shape (ring,)
        """
        self._take_begun((0, self._position.size))
        rings = self._pixels.size
        bins = self.frames // self.frames_per_bin
        factors = np.ones(rings) if gradient is None else gradient
        self._products |= self._new_products([ring for ring in range(rings) if ring not in self._products])
        maps = memory_when_touched((rings, bins, bins), np.float32)
        # The largest first, so that threads end together.
        order = np.argsort(-self._pixels, kind="stable").tolist()
        share_out(self._pool, lambda ring: self._fill_map(ring, factors[ring], maps[ring]), order)
        return maps

    def _new_products(self, rings: list[int]) -> dict[int, _RingProducts]:
        bins = self._bits.shape[1] * BLOCK_BINS
        counters, step = new_counters(len(rings), bins)
        return {
            ring: _RingProducts((self._start[ring], self._start[ring + 1]), bins, some, step)
            for ring, some in zip(rings, counters, strict=True)
        }

    def _fill_map(self, ring: int, gradient: float, values: np.ndarray) -> None:
        products = self._products[ring]
        products.multiply((self._bits[: self._planes], self._pixel_planes), len(values))
        products.normalise(gradient, values)


def warm_up() -> None:
    """Compile, or load from the disk, the kernels that a short series does not come to."""
    bits = np.zeros((2, 1, 1), np.uint64)
    kernels.halve((bits, np.ones(1, np.uint8)), 1)
    kernels.clear_bins(bits, 1, 0, np.uint64(1), (0, 1))


class _RingProducts:
    """Products of the bins of one ring; bins that were multiplied once are not multiplied again."""

    def __init__(self, pixels: tuple[int, int], bins: int, counters: np.ndarray, step: int) -> None:
        self._pixels = pixels
        self._counters = counters
        self._layout = (bins, step)
        self._sums = np.zeros(bins, np.int64)
        self._known = 0
        self._digits = 0

    def multiply(self, photons: Bins, bins: int) -> None:
        """Form all products of the first ``bins`` bins that are not known yet."""
        if bins == self._known:
            return
        new = (self._known, bins)
        used = multiply_bins(photons, self._pixels, new, self._counters, self._layout, self._sums)
        self._digits = max(self._digits, used)
        self._known = bins

    def normalise(self, gradient: float, values: np.ndarray) -> None:
        """Write the map of the first bins."""
        sums = self._sums[: len(values)].astype(np.float64)
        number = float(self._pixels[1] - self._pixels[0])
        fill_map(self._counters, (*self._layout, self._digits), sums, number, float(gradient), values)


def _mask(bits: int) -> int:
    """The lowest bits of a word."""
    return (1 << bits) - 1


def _cut(first: int, last: int) -> list[tuple[int, int]]:
    """A range of pixels in ranges that are worth a thread."""
    edges = [*range(first, last, _SHARE_PIXELS), last]
    return list(zip(edges, edges[1:], strict=False))
