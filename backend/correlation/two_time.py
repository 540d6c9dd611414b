"""Streaming two-time correlation per ring with bounded memory: frames are summed into fewer than ``max_bins`` bins.

C(q, t1, t2) = N sum_p I_p(t1) I_p(t2) / (S(t1) S(t2)) over N pixels of the ring; the product of ring sums cancels
the incident intensity exactly. Summing neighbouring bins later gives the same numbers as binning from the start,
because products of sums are sums of products. The diagonal is left out: it would need I (I - 1).

The binned photons of all rings are kept, but products are formed only for the ring that is asked for, and only for
bins that are new since it was asked for last.
"""

from __future__ import annotations

import numpy as np

from backend.correlation import two_time_kernels as kernels
from backend.correlation.two_time_kernels import BLOCK_BINS
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords
from backend.pixel_order import PixelOrder


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
        self, partition: RingPartition, order: PixelOrder, max_bins: int, pixels_per_ring: int
    ) -> None:
        self._max_bins = max_bins // 2 * 2
        chosen = _chosen_pixels(partition, pixels_per_ring)
        # In the order of the words: the sum over pixels is the same, and memory is read in one direction.
        places = [np.sort(order.position_of_pixel[pixels]) for pixels in chosen]
        self._position = np.concatenate([np.empty(0, np.uint32), *places])
        self._start = np.cumsum([0, *(pixels.size for pixels in chosen)]).tolist()
        self._pixels = np.array([pixels.size for pixels in chosen])
        self.pixel_fraction = self._pixels / partition.ring_pixels
        blocks = -(-self._max_bins // BLOCK_BINS)
        self._bits = np.zeros((1, blocks, self._position.size), np.uint64)
        self._planes = 0
        self._words: PhotonWords | None = None
        self.frames_per_bin = 1
        self.frames = 0
        self._shown = _ShownRing(-1, 0, 0, blocks)

    def add(self, words: PhotonWords, frames: int) -> None:
        """Add the newest frames of the word; those before it in the word were added before.

        ``frames`` must not go beyond the word. The frames that were added have to stay in ``words`` until the word
        is turned: a word that is not full yet is looked at only when a map is asked for.
        """
        first = self.frames % WORD_FRAMES
        if first + frames > WORD_FRAMES:
            raise ValueError(f"{frames} frames after {first} do not fit into a word of {WORD_FRAMES}")
        self._words = words
        self.frames += frames
        while self.frames // self.frames_per_bin >= self._max_bins:
            self._halve()
        if frames and self.frames % WORD_FRAMES == 0:
            self._take(words, WORD_FRAMES, 0, self._position.size)

    def _halve(self) -> None:
        self._make_room(self._planes + 1)
        self._planes = kernels.halve(self._bits, self._planes)
        self.frames_per_bin *= 2
        self._shown.known = 0

    def _make_room(self, planes: int) -> None:
        """Have at least this many planes; the system gives their memory when it is first touched."""
        if planes > len(self._bits):
            wider = np.zeros((planes, *self._bits.shape[1:]), np.uint64)
            wider[: self._planes] = self._bits[: self._planes]
            self._bits = wider

    def _take(self, words: PhotonWords, frames: int, first_pixel: int, last_pixel: int) -> None:
        """Add the first frames of the current word to the bins of some pixels.

        Bins of up to 64 frames are written anew, so a word may be taken once more when it has more frames. Longer
        bins are added to, so this must be done once, when the word is full.
        """
        begin = (self.frames - 1) // WORD_FRAMES * WORD_FRAMES
        block, bit = divmod(begin // self.frames_per_bin, BLOCK_BINS)
        level = min(self.frames_per_bin, WORD_FRAMES).bit_length() - 1
        field = _mask(WORD_FRAMES >> level) << bit if self.frames_per_bin <= WORD_FRAMES else 0
        most = ((1 << words.planes) - 1) << level
        self._make_room(max(self._planes, most.bit_length()) + 1)
        self._planes = kernels.take_words(
            words.now,
            words.planes,
            np.uint64(_mask(frames)),
            self._position,
            (first_pixel, last_pixel),
            level,
            (block, bit),
            np.uint64(field),
            self._bits,
            self._planes,
        )

    def result(self, ring: int, gradient: float = 1.0) -> np.ndarray:
        """Map of one ring, shape (bin, bin), float32; diagonal and bins without photons are nan."""
        first, last = self._start[ring], self._start[ring + 1]
        begun = self.frames % WORD_FRAMES
        if self._words is not None and begun >= self.frames_per_bin:
            self._take(self._words, begun, first, last)
        if ring != self._shown.ring:
            self._shown = _ShownRing(ring, first, last, self._bits.shape[1])
        bins = self.frames // self.frames_per_bin
        self._shown.multiply(self._bits[: self._planes], bins)
        sums = self._shown.sums(bins)
        return kernels.normalise(self._shown.products, sums, float(self._pixels[ring]), gradient)


class _ShownRing:
    """Products of the bins of one ring; bins that were multiplied once are not multiplied again."""

    def __init__(self, ring: int, first_pixel: int, last_pixel: int, blocks: int) -> None:
        self.ring = ring
        self.known = 0
        bins = blocks * BLOCK_BINS
        self.products = np.zeros((bins, bins), np.int64)
        self._pixels = (first_pixel, last_pixel)
        self._words = kernels.row_words(last_pixel - first_pixel)
        self._rows = np.zeros((bins, 1, self._words), np.uint64)
        self._ones = np.zeros((bins, 1), np.int64)

    def multiply(self, bits: np.ndarray, bins: int) -> None:
        """Form all products of the first ``bins`` bins that are not known yet."""
        planes = len(bits)
        if planes > self._ones.shape[1]:
            self._rows = np.zeros((len(self._rows), planes, self._words), np.uint64)
            self._ones = np.zeros((len(self._rows), planes), np.int64)
            turned = 0
        else:
            turned = self.known // BLOCK_BINS
        for block in range(turned, -(-bins // BLOCK_BINS)):
            kernels.rows_of_block(bits, planes, block, self._pixels, self._rows, self._ones)
        kernels.multiply_rows(self._rows, self._ones, self.known, bins, self.products)
        self.known = bins

    def sums(self, bins: int) -> np.ndarray:
        """Photons per bin, shape (bin,), float64."""
        weights = 2.0 ** np.arange(self._ones.shape[1])
        photons: np.ndarray = self._ones[:bins] @ weights
        return photons


def _mask(bits: int) -> int:
    """The lowest bits of a word."""
    return (1 << bits) - 1


def _chosen_pixels(partition: RingPartition, pixels_per_ring: int) -> list[np.ndarray]:
    """Flat pixels of each ring: every k-th where a ring has too many."""
    inside = partition.cell_of_pixel >= 0
    ring_of_pixel = np.where(inside, partition.cell_of_pixel // partition.sectors, -1)
    chosen = []
    for ring in range(partition.rings):
        members = np.flatnonzero(ring_of_pixel == ring)
        if members.size > pixels_per_ring:
            members = members[np.linspace(0, members.size - 1, pixels_per_ring).astype(np.int64)]
        chosen.append(members)
    return chosen
