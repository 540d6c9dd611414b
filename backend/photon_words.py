"""Photons turned on their side: for every pixel one 64-bit word holds 64 frames.

Bit t of plane k is bit k of the pixel's count in frame t of the word. What a correlator does to single frames becomes
work on whole words: a shift is a lag, AND with a popcount is a sum of products over 64 frames. Pixels stand in an
order of their own (:class:`PixelOrder`), in which neighbours belong to the same cell of the ring partition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

WORD_FRAMES = 64
PLANES = 16
HIGHEST_COUNT = (1 << PLANES) - 1

LONGEST_SEGMENT = 4096
_ALIGNMENT = 16


@dataclass(frozen=True, slots=True)
class PixelOrder:
    """Where each pixel stands, so that pixels of one cell follow each other within each tile of the detector.

    Attributes
    ----------
    position_of_pixel : ndarray, shape (pixel,), uint32
        Place of each flat detector pixel; some positions between segments stay empty.
    positions : int
        Number of positions.
    segment_start, segment_stop : ndarray, shape (segment,), int64
        Runs of positions that belong to one cell, ascending.
    segment_cell : ndarray, shape (segment,), int64
        Cell of each segment; ``cells`` for pixels outside all rings.
    cells : int
        Number of cells of the partition.
    """

    position_of_pixel: np.ndarray
    positions: int
    segment_start: np.ndarray
    segment_stop: np.ndarray
    segment_cell: np.ndarray
    cells: int

    @property
    def segments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Start, stop and cell of all segments."""
        return self.segment_start, self.segment_stop, self.segment_cell

    def shares(self, number: int) -> list[tuple[int, int]]:
        """About equal ranges of segments, for threads: (first, last excluded)."""
        targets = np.linspace(0, self.positions, number + 1)[1:-1]
        edges = np.searchsorted(self.segment_start, targets)
        bounds = np.unique(np.concatenate([[0], edges, [self.segment_start.size]])).tolist()
        return list(zip(bounds[:-1], bounds[1:], strict=True))

    def positions_of(self, share: tuple[int, int]) -> tuple[int, int]:
        """First position and last (excluded) of a range of segments; both multiples of 16, some belong to no pixel."""
        last = self.positions if share[1] == self.segment_start.size else self.segment_start[share[1]]
        return int(self.segment_start[share[0]]), int(last)

    def to_pixels(self, values: np.ndarray) -> np.ndarray:
        """``values``, shape (position,), in the order of the detector; shape (pixel,)."""
        return values[self.position_of_pixel]


def order_pixels(cell_of_pixel: np.ndarray, cells: int, tile_pixels: int) -> PixelOrder:
    """Order in which the pixels of each cell stand together within tiles of ``tile_pixels`` flat pixels.

    Tiles keep neighbours of the detector near each other in memory: photons of one compressed block are scattered
    over a piece that fits into a fast cache.

    cell_of_pixel : ndarray, shape (pixel,), int16; negative outside all rings.
    """
    segments = _count_segments(cell_of_pixel, cells, tile_pixels)
    start, stop, cell = (np.empty(segments, np.int64) for _ in range(3))
    position = np.empty(cell_of_pixel.size, np.uint32)
    positions = _place(cell_of_pixel, cells, tile_pixels, position, start, stop, cell)
    return PixelOrder(position, positions, start, stop, cell, cells)


@numba.njit(nogil=True, cache=True)
def _cell_sizes(cell_of_pixel: np.ndarray, first: int, last: int, sizes: np.ndarray) -> None:
    sizes[:] = 0
    outside = sizes.size - 1
    for pixel in range(first, last):
        cell = np.int64(cell_of_pixel[pixel])
        sizes[cell if cell >= 0 else outside] += 1


@numba.njit(nogil=True, cache=True)
def _count_segments(cell_of_pixel: np.ndarray, cells: int, tile_pixels: int) -> int:
    sizes = np.empty(cells + 1, np.int64)
    segments = 0
    for first in range(0, cell_of_pixel.size, tile_pixels):
        _cell_sizes(cell_of_pixel, first, min(first + tile_pixels, cell_of_pixel.size), sizes)
        for size in sizes:
            segments += -(-size // LONGEST_SEGMENT)
    return segments


@numba.njit(nogil=True, cache=True)
def _place(
    cell_of_pixel: np.ndarray,
    cells: int,
    tile_pixels: int,
    position: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    segment_cell: np.ndarray,
) -> int:
    """Fill position, start, stop and cell; returns the number of positions."""
    sizes = np.empty(cells + 1, np.int64)
    following = np.empty(cells + 1, np.int64)
    segment = 0
    free = 0
    for first in range(0, cell_of_pixel.size, tile_pixels):
        last = min(first + tile_pixels, cell_of_pixel.size)
        _cell_sizes(cell_of_pixel, first, last, sizes)
        for cell in range(cells + 1):
            following[cell] = free
            for at in range(free, free + sizes[cell], LONGEST_SEGMENT):
                start[segment] = at
                stop[segment] = min(at + LONGEST_SEGMENT, free + sizes[cell])
                segment_cell[segment] = cell
                segment += 1
            free += -(-sizes[cell] // _ALIGNMENT) * _ALIGNMENT
        for pixel in range(first, last):
            cell = np.int64(cell_of_pixel[pixel])
            group = cell if cell >= 0 else cells
            position[pixel] = following[group]
            following[group] += 1
    return free


class PhotonWords:
    """The newest word of every pixel and the one before it.

    Frames are written into bits of :attr:`now`, one after the other; after the 64th, :meth:`turn` makes it the word
    before. Planes above the first are touched only where a pixel had two photons or more, so they cost memory only
    there.

    Parameters
    ----------
    order : PixelOrder
        Places of the pixels.

    Attributes
    ----------
    now, before : ndarray, shape (plane, position), uint64
        Counts in bits; bit 0 is the first frame of the word.
    many_now, many_before : ndarray, shape (position,), uint8
        1 where any plane but the first has a bit.
    """

    def __init__(self, order: PixelOrder) -> None:
        self.order = order
        # The system gives memory when it is first touched.
        self.now, self.before = (np.zeros((PLANES, order.positions), np.uint64) for _ in range(2))
        self.many_now, self.many_before = (np.zeros(order.positions, np.uint8) for _ in range(2))
        self._planes_now = self._planes_before = 1
        self._void = False

    @property
    def planes(self) -> int:
        """Planes that are in use in either word."""
        return max(self._planes_now, self._planes_before)

    def turn(self) -> None:
        """The word is full: it becomes the word before, and a new empty one begins."""
        if self._void:
            # No frame came at all for a whole word.
            self.now[0] = 0
        self.now, self.before = self.before, self.now
        self.many_now, self.many_before = self.many_before, self.many_now
        _clear_higher_planes(self.now, self.many_now, self._planes_before)
        self._planes_before, self._planes_now = self._planes_now, 1
        self._void = True

    def begin_writing(self) -> bool:
        """True when the first plane is void: then all positions of pixels have to be written, whatever they held."""
        void, self._void = self._void, False
        return void

    def note_planes(self, planes: int) -> None:
        """Tell that this many planes were written to."""
        self._planes_now = max(self._planes_now, planes)

    def put(self, bit: int, pixel: np.ndarray, count: np.ndarray) -> None:
        """Write a frame, given as photon events of flat detector pixels; counts up to HIGHEST_COUNT."""
        if self.begin_writing():
            self.now[0] = 0
        self.note_planes(int(count.max(initial=0)).bit_length())
        _put(bit, self.order.position_of_pixel[pixel], count, self.now, self.many_now)

    def forget(self, bits: int) -> None:
        """Take frames out again; ``bits`` has a 1 for each."""
        _forget(np.uint64(bits), self.now, self.many_now, self._planes_now)


@numba.njit(nogil=True, cache=True)
def _clear_higher_planes(words: np.ndarray, many: np.ndarray, planes: int) -> None:
    flags = many.view(np.uint64)
    for eight in range(flags.size):
        if flags[eight] == np.uint64(0):
            continue
        flags[eight] = 0
        for plane in range(1, planes):
            words[plane, 8 * eight : 8 * eight + 8] = 0


@numba.njit(nogil=True, cache=True)
def _forget(bits: np.uint64, words: np.ndarray, many: np.ndarray, planes: int) -> None:
    for position in range(many.size):
        words[0, position] &= ~bits
        if many[position]:
            for plane in range(1, planes):
                words[plane, position] &= ~bits


@numba.njit(nogil=True, cache=True)
def _put(bit: int, position: np.ndarray, count: np.ndarray, words: np.ndarray, many: np.ndarray) -> None:
    here = np.uint64(1) << np.uint64(bit)
    for i in range(position.size):
        left = np.uint64(count[i])
        if left > np.uint64(1):
            many[position[i]] = 1
        plane = 0
        while left != np.uint64(0):
            if left & np.uint64(1):
                words[plane, position[i]] |= here
            left >>= np.uint64(1)
            plane += 1
