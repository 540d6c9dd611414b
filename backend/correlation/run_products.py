"""All products of a run: pixels of one cell whose words have been gathered.

The words of the run lie one behind the other; every sum over its pixels and frames is added to :class:`Sums`.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from backend.correlation import word_products as products
from backend.correlation.word_products import DIGIT_PLANES, LONGEST_RUN, MOST_COUNTED
from backend.photon_words import PLANES

VALUES = 8
"""Counts 0 to 6 and, as the last, 7 and more are told apart."""

FINE_TURNS = 4

_ALL_FRAMES = ~np.uint64(0)


class Sums(NamedTuple):
    """What one share of the pixels adds up to.

    Attributes
    ----------
    products : ndarray, shape (level, lag, cell), int64
    squares : ndarray, shape (cell,), int64
        Sum of n^2.
    counts : ndarray, shape (cell + 1, 64), int64
        Photons per frame, in the order of ``count_by_frame``; the last row is for pixels outside all rings.
    cell_products : ndarray, shape (kept lag, cell, part), int64
        Products of single frames, for each part of the new frames; n (n - 1) of each frame at lag 0.
    occurrences : ndarray, shape (ring, VALUES), int64
        How often a pixel had this many photons in a frame; 0 is not counted.
    fine : ndarray, shape (fine ring + 1, FINE_TURNS), int64
        Photons per fine ring, to be added up; the last is for pixels outside all of them.
    """

    products: np.ndarray
    squares: np.ndarray
    counts: np.ndarray
    cell_products: np.ndarray
    occurrences: np.ndarray
    fine: np.ndarray


class Image(NamedTuple):
    """Sums over all frames.

    Attributes
    ----------
    counts : ndarray, shape (position,), uint32
        Photons per pixel; empty when nobody wants them.
    fine_of_position : ndarray, shape (position,), int16
        Fine ring of each pixel.
    """

    counts: np.ndarray
    fine_of_position: np.ndarray


NO_IMAGE = Image(np.empty(0, np.uint32), np.empty(0, np.int16))


class Lags(NamedTuple):
    """What to multiply.

    Attributes
    ----------
    of_frames, of_levels : ndarray, int64
        Lags of single frames; lags of every higher level in its own units.
    kept : ndarray, shape (frame lag,), int64
        Row of ``cell_products`` for a lag of single frames, or -1.
    kept_within : int
        Row of ``cell_products`` for lag 0, or -1.
    masks : ndarray, shape (level,), uint64
        New frames in the words at each level: only whole sums of 2^level frames.
    parts : ndarray, shape (part,), uint64
        The new frames in parts that are told apart in ``cell_products``.
    ring_of_cell : ndarray, shape (cell,), int64
    """

    of_frames: np.ndarray
    of_levels: np.ndarray
    kept: np.ndarray
    kept_within: int
    masks: np.ndarray
    parts: np.ndarray
    ring_of_cell: np.ndarray


class Room(NamedTuple):
    """Scratch of one thread, all uint64.

    Attributes
    ----------
    now, before : ndarray, shape (PLANES, LONGEST_RUN)
        Words of a run.
    sums_now, sums_before : ndarray, shape (2 digits, LONGEST_RUN)
        Their sums over several frames, as bytes.
    current, past : ndarray, shape (LONGEST_RUN,)
    counters : ndarray, shape (8,)
    """

    now: np.ndarray
    before: np.ndarray
    sums_now: np.ndarray
    sums_before: np.ndarray
    current: np.ndarray
    past: np.ndarray
    counters: np.ndarray


def new_room() -> Room:
    """Scratch for one thread."""
    sizes = (PLANES, PLANES, 2 * PLANES // DIGIT_PLANES, 2 * PLANES // DIGIT_PLANES)
    tables = (np.zeros((size, LONGEST_RUN), np.uint64) for size in sizes)
    runs = (np.zeros(LONGEST_RUN, np.uint64) for _ in range(2))
    return Room(*tables, *runs, np.zeros(8, np.uint64))


def new_sums(levels: int, lags: Lags, kept: int, fine_rings: int = 0) -> Sums:
    """Sums of nothing."""
    cells = lags.ring_of_cell.size
    rings = int(lags.ring_of_cell.max(initial=-1)) + 1
    most = max(lags.of_frames.size, lags.of_levels.size)
    shapes = (
        (levels, most, cells), (cells,), (cells + 1, 64), (kept, cells, lags.parts.size), (rings, VALUES),
        (fine_rings + 1, FINE_TURNS),
    )  # fmt: skip
    return Sums(*(np.zeros(shape, np.int64) for shape in shapes))


@numba.njit(nogil=True, cache=True)
def _add_by_frame(words: np.ndarray, counters: np.ndarray, plane: int, row: np.ndarray) -> int:
    """Add 2^plane times the bits of each frame to a row of 64; returns what was added."""
    total = np.int64(0)
    counts = counters.view(np.uint8)
    for begin in range(0, words.size, MOST_COUNTED):
        products.count_by_frame(words[begin : begin + MOST_COUNTED], counters)
        for i in range(64):
            value = np.int64(counts[i]) << plane
            row[i] += value
            total += value
    return total


@numba.njit(nogil=True, cache=True)
def add_values(
    first: int, last: int, planes: int, mask: np.uint64, room: Room, occurrences: np.ndarray
) -> int:
    """Count how often each number of photons occurs; returns the sum of squares."""
    if planes == 1:
        ones = products.frame_products(room.now[0, first:last], room.now[0, first:last], mask)
        occurrences[1] += ones
        return ones
    for i in range(first, last):
        one, two, four = room.now[0, i] & mask, room.now[1, i] & mask, room.now[2, i] & mask
        more = np.uint64(0)
        for plane in range(3, planes):
            more |= room.now[plane, i] & mask
        low = ~more
        occurrences[1] += products.count_set_bits(one & ~two & ~four & low)
        occurrences[2] += products.count_set_bits(~one & two & ~four & low)
        occurrences[3] += products.count_set_bits(one & two & ~four & low)
        occurrences[4] += products.count_set_bits(~one & ~two & four & low)
        occurrences[5] += products.count_set_bits(one & ~two & four & low)
        occurrences[6] += products.count_set_bits(~one & two & four & low)
        occurrences[7] += products.count_set_bits((one & two & four) | more)
    squares = np.int64(0)
    for k in range(planes):
        for other in range(planes):
            now, again = room.now[k, first:last], room.now[other, first:last]
            squares += products.frame_products(now, again, mask) << (k + other)
    return squares


@numba.njit(nogil=True, cache=True)
def _add_frame_products(run: int, planes: int, cell: int, lags: Lags, room: Room, sums: Sums) -> None:
    mask = lags.masks[0]
    past = room.past[:run]
    for column in range(lags.of_frames.size):
        for other in range(planes):
            products.shift_back(room.now[other, :run], room.before[other, :run], lags.of_frames[column], past)
            for plane in range(planes):
                now = room.now[plane, :run]
                if lags.kept[column] < 0:
                    found = products.frame_products(now, past, mask) << (plane + other)
                    sums.products[0, column, cell] += found
                    continue
                for part in range(lags.parts.size):
                    found = products.frame_products(now, past, lags.parts[part]) << (plane + other)
                    sums.cell_products[lags.kept[column], cell, part] += found
                    sums.products[0, column, cell] += found


@numba.njit(nogil=True, cache=True)
def _add_pairs_within_frames(run: int, planes: int, cell: int, lags: Lags, room: Room, sums: Sums) -> None:
    """n (n - 1) of the photons that a pixel counts in one frame; a single plane has none."""
    for part in range(lags.parts.size):
        mask = lags.parts[part]
        pairs = np.int64(0)
        for plane in range(planes):
            now = room.now[plane, :run]
            pairs += products.frame_products(now, now, mask) * ((1 << (2 * plane)) - (1 << plane))
            for other in range(plane):
                found = products.frame_products(now, room.now[other, :run], mask)
                pairs += found << (plane + other + 1)
        sums.cell_products[lags.kept_within, cell, part] += pairs


@numba.njit(nogil=True, cache=True)
def _add_pair_products(run: int, planes: int, cell: int, lags: Lags, room: Room, sums: Sums) -> None:
    past = room.past[:run]
    for column in range(lags.of_levels.size):
        for other in range(planes):
            frames = 2 * lags.of_levels[column]
            products.shift_back(room.now[other, :run], room.before[other, :run], frames, past)
            for plane in range(planes):
                found = products.pair_products(room.now[plane, :run], past, lags.masks[1])
                sums.products[1, column, cell] += found << (plane + other)


@numba.njit(nogil=True, cache=True)
def _sum_quadruples(run: int, planes: int, room: Room) -> None:
    """Sums over four frames of every digit of the counts: rows 2 d (even) and 2 d + 1 (odd) of ``room.sums*``."""
    for plane in range(planes):
        digit, inside = divmod(plane, DIGIT_PLANES)
        for words, sums in ((room.now, room.sums_now), (room.before, room.sums_before)):
            even, odd = sums[2 * digit, :run], sums[2 * digit + 1, :run]
            if inside == 0:
                even[:] = 0
                odd[:] = 0
            products.add_quadruples(words[plane, :run], inside, even, odd)


@numba.njit(nogil=True, cache=True)
def _products_of_bytes(run: int, row: int, past_row: int, back: int, mask: np.uint64, room: Room) -> int:
    """Sum of products of one row of byte sums with another ``back`` bytes ago."""
    current, past = room.sums_now[row, :run], room.past[:run]
    if mask != _ALL_FRAMES:
        products.keep(current, mask, room.current[:run])
        current = room.current[:run]
    products.shift_back(room.sums_now[past_row, :run], room.sums_before[past_row, :run], 8 * back, past)
    return products.byte_products(current.view(np.uint8), past.view(np.uint8))


@numba.njit(nogil=True, cache=True)
def _add_quadruple_products(run: int, planes: int, cell: int, lags: Lags, room: Room, sums: Sums) -> None:
    """Level 2: sums of four frames."""
    even_mask, odd_mask = products.quadruple_masks(lags.masks[2])
    digits = -(-planes // DIGIT_PLANES)
    for column in range(lags.of_levels.size):
        # An odd lag takes even quadruples to odd ones.
        half, parity = divmod(lags.of_levels[column], 2)
        for digit in range(digits):
            for other in range(digits):
                past_even = 2 * other + parity
                found = _products_of_bytes(run, 2 * digit, past_even, half + parity, even_mask, room)
                past_odd = 2 * other + 1 - parity
                found += _products_of_bytes(run, 2 * digit + 1, past_odd, half, odd_mask, room)
                sums.products[2, column, cell] += found << (DIGIT_PLANES * (digit + other))


@numba.njit(nogil=True, cache=True)
def _add_octet_products(run: int, planes: int, cell: int, lags: Lags, room: Room, sums: Sums) -> None:
    """Level 3: sums of eight frames. The sums over four are no longer needed and are overwritten."""
    digits = -(-planes // DIGIT_PLANES)
    for digit in range(digits):
        for bytes_of in (room.sums_now, room.sums_before):
            for i in range(run):
                bytes_of[2 * digit, i] += bytes_of[2 * digit + 1, i]
    for column in range(lags.of_levels.size):
        for digit in range(digits):
            for other in range(digits):
                back = lags.of_levels[column]
                found = _products_of_bytes(run, 2 * digit, 2 * other, back, lags.masks[3], room)
                sums.products[3, column, cell] += found << (DIGIT_PLANES * (digit + other))


@numba.njit(nogil=True, cache=True)
def count_photons(first: int, last: int, planes: int, cell: int, lags: Lags, room: Room, sums: Sums) -> None:
    """Add the photons of each frame and the statistics of counts of pixels ``first`` to ``last`` of the run."""
    mask = lags.masks[0]
    chosen = room.past[: last - first]
    for plane in range(planes):
        products.keep(room.now[plane, first:last], mask, chosen)
        _add_by_frame(chosen, room.counters, plane, sums.counts[cell])
    if cell < lags.ring_of_cell.size:
        occurrences = sums.occurrences[lags.ring_of_cell[cell]]
        sums.squares[cell] += add_values(first, last, planes, mask, room, occurrences)


@numba.njit(nogil=True, cache=True)
def add_to_image(
    position: np.ndarray,
    first: int,
    planes: int,
    mask: np.uint64,
    room: Room,
    counts: np.ndarray,
    fine_of_position: np.ndarray,
    fine: np.ndarray,
) -> None:
    """Add the photons of some pixels, whose words stand from ``first`` on in the run, to image and fine rings."""
    for i in range(position.size):
        found = products.count_set_bits(room.now[0, first + i] & mask)
        for plane in range(1, planes):
            found += products.count_set_bits(room.now[plane, first + i] & mask) << plane
        counts[position[i]] += found
        # Neighbours are mostly of one ring: they take turns, so that none has to wait for the sum of the last.
        fine[fine_of_position[position[i]], i & (FINE_TURNS - 1)] += found


@numba.njit(nogil=True, cache=True)
def drop_lone_photons(first: int, last: int, room: Room) -> int:
    """Keep of the pixels ``first`` to ``last`` of a run of one plane those that can have products; returns the new end.

    One photon in the words of now and none in those before: no two times at which it could be multiplied.
    """
    now, before = room.now[0], room.before[0]
    kept = first
    # Without a branch, as nobody can guess.
    for i in range(first, last):
        word, old = now[i], before[i]
        now[kept], before[kept] = word, old
        kept += ((word & (word - np.uint64(1))) | old) != np.uint64(0)
    return kept


@numba.njit(nogil=True, cache=True)
def multiply_run(run: int, planes: int, cell: int, lags: Lags, room: Room, sums: Sums) -> None:
    """Add the products of a run of pixels of one cell, whose words are in ``room``."""
    _add_frame_products(run, planes, cell, lags, room, sums)
    if lags.kept_within >= 0 and planes > 1:
        _add_pairs_within_frames(run, planes, cell, lags, room, sums)
    levels = lags.masks.size
    if levels > 1 and lags.masks[1] != np.uint64(0):
        _add_pair_products(run, planes, cell, lags, room, sums)
    if levels > 2 and lags.masks[2] != np.uint64(0):
        _sum_quadruples(run, planes, room)
        _add_quadruple_products(run, planes, cell, lags, room, sums)
        # Whole sums of eight frames are whole sums of four as well.
        if levels > 3 and lags.masks[3] != np.uint64(0):
            _add_octet_products(run, planes, cell, lags, room, sums)
