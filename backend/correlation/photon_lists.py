"""All photons of many frames, pixel by pixel: what has to be kept when every frame is held against every other.

A list is made of the new frames of a word. Two lists that follow each other can be joined, and the photons of one be
multiplied with those of another. Kernels work on a range of positions each, so threads can share them.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numba
import numpy as np

from backend.machine_intrinsics import count_set_bits, count_trailing_zeros
from backend.photon_words import PhotonWords
from backend.pixel_order import PixelOrder
from backend.worker_pool import share_out

MOST_FRAMES = 1 << 16
"""The number of a frame and the photons of a pixel share 32 bits."""

Shares = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class PhotonList:
    """Photons of consecutive frames in all q rings.

    Attributes
    ----------
    frames : int
        Frames that went in.
    offset : ndarray, shape (position + 1,), uint32
        Entries of position i are ``offset[i]:offset[i + 1]``.
    entries : ndarray, shape (entry,), uint32
        Number of the frame times 65536 plus the photons of the pixel in it; ascending for each pixel.
    """

    frames: int
    offset: np.ndarray
    entries: np.ndarray


def list_photons(
    words: PhotonWords,
    order: PixelOrder,
    bits: range,
    first_frame: int,
    shares: Shares,
    pool: Executor | None = None,
) -> PhotonList:
    """Photons of the frames that stand in these bits of the newest words; the first one has this number."""
    mask = np.uint64((1 << bits.stop) - (1 << bits.start))
    source = (words.now, words.many_now, words.planes, mask)
    offset = np.zeros(order.positions + 1, np.uint32)
    share_out(pool, lambda share: _count(*share, order.segments, order.cells, *source, offset), shares)
    np.cumsum(offset, dtype=np.uint32, out=offset)
    entries = np.empty(int(offset[-1]), np.uint32)
    shift = first_frame - bits.start
    whole = (*source, shift, offset, entries)
    share_out(pool, lambda share: _fill(*share, order.segments, order.cells, *whole), shares)
    return PhotonList(len(bits), offset, entries)


def join(
    first: PhotonList, then: PhotonList, order: PixelOrder, shares: Shares, pool: Executor | None = None
) -> PhotonList:
    """Both lists as one; the frames of ``then`` follow those of ``first``."""
    offset = first.offset + then.offset
    entries = np.empty(first.entries.size + then.entries.size, np.uint32)

    def work(share: tuple[int, int]) -> None:
        _join(
            *order.positions_of(share),
            first.offset,
            first.entries,
            then.offset,
            then.entries,
            offset,
            entries,
        )

    share_out(pool, work, shares)
    return PhotonList(first.frames + then.frames, offset, entries)


@numba.njit(nogil=True, cache=True)
def _hits(position: int, words: np.ndarray, many: np.ndarray, planes: int, mask: np.uint64) -> np.uint64:
    """Frames in which the pixel had any photon, as bits."""
    found = words[0, position]
    if many[position]:
        for plane in range(1, planes):
            found |= words[plane, position]
    return found & mask


@numba.njit(nogil=True, cache=True)
def _count(
    first: int,
    last: int,
    segments: tuple[np.ndarray, np.ndarray, np.ndarray],
    cells: int,
    words: np.ndarray,
    many: np.ndarray,
    planes: int,
    mask: np.uint64,
    counts: np.ndarray,
) -> None:
    """Frames with photons of each position of the segments from ``first`` to ``last``, one place further on."""
    start, stop, cell = segments
    for segment in range(first, last):
        if cell[segment] == cells:
            continue
        for position in range(start[segment], stop[segment]):
            counts[position + 1] = count_set_bits(_hits(position, words, many, planes, mask))


@numba.njit(nogil=True, cache=True)
def _fill(
    first: int,
    last: int,
    segments: tuple[np.ndarray, np.ndarray, np.ndarray],
    cells: int,
    words: np.ndarray,
    many: np.ndarray,
    planes: int,
    mask: np.uint64,
    shift: int,
    offset: np.ndarray,
    entries: np.ndarray,
) -> None:
    """Write the entries; the frame of a bit is its number plus ``shift``."""
    start, stop, cell = segments
    for segment in range(first, last):
        if cell[segment] == cells:
            continue
        for position in range(start[segment], stop[segment]):
            at = np.int64(offset[position])
            left = _hits(position, words, many, planes, mask)
            while left != np.uint64(0):
                bit = np.int64(count_trailing_zeros(left))
                count = np.int64(words[0, position] >> np.uint64(bit) & np.uint64(1))
                if many[position]:
                    for plane in range(1, planes):
                        count |= np.int64(words[plane, position] >> np.uint64(bit) & np.uint64(1)) << plane
                entries[at] = (bit + shift) << 16 | count
                at += 1
                left &= left - np.uint64(1)


@numba.njit(nogil=True, cache=True)
def _join(
    begin: int,
    end: int,
    first_offset: np.ndarray,
    first: np.ndarray,
    then_offset: np.ndarray,
    then: np.ndarray,
    offset: np.ndarray,
    entries: np.ndarray,
) -> None:
    for position in range(begin, end):
        at = np.int64(offset[position])
        for i in range(first_offset[position], first_offset[position + 1]):
            entries[at] = first[i]
            at += 1
        for i in range(then_offset[position], then_offset[position + 1]):
            entries[at] = then[i]
            at += 1


@numba.njit(nogil=True, cache=True)
def add_products(
    first: int,
    last: int,
    segments: tuple[np.ndarray, np.ndarray, np.ndarray],
    now: tuple[np.ndarray, np.ndarray],
    before: tuple[np.ndarray, np.ndarray],
    same: bool,
    first_frame: int,
    bin_of_pair: np.ndarray,
    products: np.ndarray,
) -> None:
    """Add the products of the photons of two frames each, for the pixels of the segments from ``first`` to ``last``.

    Parameters
    ----------
    now, before : (offset, entries)
        Photons of the later and of the earlier frames; ``same`` = one list with itself, each pair of frames once.
    first_frame : int
        Number of the first frame of ``now``.
    bin_of_pair : ndarray, shape (frame of now, frame from the first of the series on), int16
        Where the product of two frames belongs.
    products : ndarray, shape (cell, bin), int64
    """
    start, stop, cell = segments
    now_offset, now_entries = now
    before_offset, before_entries = before
    for segment in range(first, last):
        if cell[segment] == products.shape[0]:
            continue
        sums = products[cell[segment]]
        for position in range(start[segment], stop[segment]):
            begin = np.int64(before_offset[position])
            end = np.int64(before_offset[position + 1])
            for i in range(now_offset[position], now_offset[position + 1]):
                frame = np.int64(now_entries[i] >> np.uint32(16)) - first_frame
                count = np.int64(now_entries[i] & np.uint32(0xFFFF))
                row = bin_of_pair[frame]
                for j in range(begin, i if same else end):
                    entry = before_entries[j]
                    here = row[np.int64(entry >> np.uint32(16))]
                    sums[here] += count * np.int64(entry & np.uint32(0xFFFF))
