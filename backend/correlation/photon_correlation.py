"""Walk over sorted photons: the sums of :mod:`backend.correlation.word_correlation` where photons are few.

Most photons are the only one of their pixel within the word and the one before: they are counted, and that is all. The
few others are taken pair by pair. Words are made only for pixels with more, since n photons have n^2 / 2 pairs. All
sums are integers, and the same as those from words.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from backend.correlation.run_products import (
    FINE_TURNS,
    VALUES,
    Image,
    Lags,
    Room,
    Sums,
    add_values,
    multiply_run,
)
from backend.correlation.word_products import LONGEST_RUN
from backend.sorted_photons import (
    LISTED_PLANES,
    add_to_words,
    end_of_pixel,
    frame_of,
    photons_between,
    position_of,
)

_FEW_PHOTONS = 8
"""Of a pixel in two words: so many are multiplied pair by pair."""


@numba.njit(nogil=True, cache=True)
def _mark(photons: np.ndarray, begin: int, marks: np.ndarray) -> None:
    """Set the bit of each position that has a photon, counted from ``begin`` on."""
    for photon in photons:
        place = position_of(photon) - begin
        marks[place >> 6] |= np.uint64(1) << np.uint64(place & 63)


@numba.njit(nogil=True, cache=True)
def _count_segment(
    new: np.ndarray,
    at: int,
    stop: int,
    begin: int,
    mask: np.uint64,
    marks: np.ndarray,
    counts: np.ndarray,
    others: np.ndarray,
) -> tuple[int, int, int]:
    """Count the new photons of the positions up to ``stop`` (excluded), and find those that are not alone.

    Returns where the next photon stands, how many of ``others`` were found, and how many new photons are alone.
    """
    number = alone = 0
    size, last = new.size, -1
    position = position_of(new[at]) if at < size else stop
    while position < stop:
        following = position_of(new[at + 1]) if at + 1 < size else stop
        frame, place = frame_of(new[at]), position - begin
        fresh: Any = np.int64((mask >> np.uint64(frame)) & np.uint64(1))
        counts[(frame & 7) * 8 + (frame >> 3)] += fresh
        marked: Any = np.int64((marks[place >> 6] >> np.uint64(place & 63)) & np.uint64(1))
        # Without a branch, as nobody can guess.
        more = marked | np.int64(position == last) | np.int64(position == following)
        others[number] = at
        number += more
        alone += fresh & (1 - more)
        last, position = position, following
        at += 1
    return at, number, alone


@numba.njit(nogil=True, cache=True)
def _add_to_image(
    photons: np.ndarray, mask: np.uint64, counts: np.ndarray, fine_of_position: np.ndarray, fine: np.ndarray
) -> None:
    """Add the new photons to image and fine rings."""
    for i in range(photons.size):
        fresh = np.int64((mask >> np.uint64(frame_of(photons[i]))) & np.uint64(1))
        position = position_of(photons[i])
        counts[position] += fresh
        # Neighbours are mostly of one ring: they take turns, so that none has to wait for the sum of the last.
        fine[fine_of_position[position], i & (FINE_TURNS - 1)] += fresh


@numba.njit(nogil=True, cache=True)
def _columns_of(lags: Lags) -> np.ndarray:
    """Column of every lag in units of 2^level frames, -1 where there is none; shape (level, 128), int64."""
    columns = np.full((lags.masks.size, 128), -1, np.int64)
    for level in range(lags.masks.size):
        wanted = lags.of_levels if level > 0 else lags.of_frames
        for column in range(wanted.size):
            columns[level, wanted[column]] = column
    return columns


@numba.njit(nogil=True, cache=True, inline="always")
def _add_pair(frame: int, earlier: int, cell: int, lags: Lags, columns: np.ndarray, sums: Sums) -> None:
    """Add the product of two photons of a pixel, at all levels; the earlier frame may be one of the word before."""
    for level in range(columns.shape[0]):
        column = columns[level, (frame >> level) - (earlier >> level)]
        if column >= 0 and (lags.masks[level] >> np.uint64(frame)) & np.uint64(1):
            sums.products[level, column, cell] += 1
    column = columns[0, frame - earlier]
    if column >= 0 and lags.kept[column] >= 0:
        for part in range(lags.parts.size):
            if (lags.parts[part] >> np.uint64(frame)) & np.uint64(1):
                sums.cell_products[lags.kept[column], cell, part] += 1


@numba.njit(nogil=True, cache=True, inline="always")
def _add_squares(new: np.ndarray, at: int, stop: int, cell: int, lags: Lags, sums: Sums) -> None:
    """Add the squares of the new counts of one pixel, and how often each occurs."""
    while at < stop:
        frame, count = frame_of(new[at]), 1
        while at + count < stop and frame_of(new[at + count]) == frame:
            count += 1
        if (lags.masks[0] >> np.uint64(frame)) & np.uint64(1):
            sums.squares[cell] += count * count
            sums.occurrences[lags.ring_of_cell[cell], min(count, VALUES - 1)] += 1
        if lags.kept_within >= 0 and count > 1:
            for part in range(lags.parts.size):
                if (lags.parts[part] >> np.uint64(frame)) & np.uint64(1):
                    sums.cell_products[lags.kept_within, cell, part] += count * (count - 1)
        at += count


@numba.njit(nogil=True, cache=True, inline="always")
def _add_pairs(
    new: np.ndarray,
    at: int,
    stop: int,
    old: np.ndarray,
    at_old: int,
    stop_old: int,
    cell: int,
    lags: Lags,
    columns: np.ndarray,
    sums: Sums,
) -> None:
    """Add squares and products of a pixel photon by photon."""
    _add_squares(new, at, stop, cell, lags, sums)
    for later in range(at, stop):
        frame = frame_of(new[later])
        for earlier in range(at, later):
            _add_pair(frame, frame_of(new[earlier]), cell, lags, columns, sums)
        for earlier in range(at_old, stop_old):
            _add_pair(frame, frame_of(old[earlier]) - 64, cell, lags, columns, sums)


@numba.njit(nogil=True, cache=True)
def _put_words(new: np.ndarray, at: int, stop: int, words: np.ndarray, pixel: int) -> int:
    """Set the words of one pixel to some photons; returns the planes they need, at least 1."""
    for plane in range(LISTED_PLANES):
        words[plane, pixel] = 0
    planes = 1
    for photon in range(at, stop):
        planes = max(planes, add_to_words(new[photon], words, pixel))
    return planes


@numba.njit(nogil=True, cache=True)
def _multiply_words(pixels: int, planes: int, cell: int, lags: Lags, room: Room, sums: Sums) -> None:
    """Add squares and products of pixels whose words are in ``room``."""
    occurrences = sums.occurrences[lags.ring_of_cell[cell]]
    sums.squares[cell] += add_values(0, pixels, planes, lags.masks[0], room, occurrences)
    multiply_run(pixels, planes, cell, lags, room, sums)


@numba.njit(nogil=True, cache=True)
def _multiply_others(
    new: np.ndarray,
    others: np.ndarray,
    number: int,
    old: np.ndarray,
    at_old: int,
    cell: int,
    lags: Lags,
    columns: np.ndarray,
    room: Room,
    sums: Sums,
) -> int:
    """Multiply the pixels of the first ``number`` of the photons ``others``, all those of several pixels of a cell.

    Returns how far it went in ``old``.
    """
    pixels, planes, other = 0, 1, 0
    while other < number:
        at = others[other]
        position = position_of(new[at])
        stop = end_of_pixel(new, at, position)
        other += stop - at
        while at_old < old.size and position_of(old[at_old]) < position:
            at_old += 1
        stop_old = end_of_pixel(old, at_old, position)
        if stop - at + stop_old - at_old <= _FEW_PHOTONS:
            _add_pairs(new, at, stop, old, at_old, stop_old, cell, lags, columns, sums)
        else:
            planes = max(planes, _put_words(new, at, stop, room.now, pixels))
            planes = max(planes, _put_words(old, at_old, stop_old, room.before, pixels))
            pixels += 1
            if pixels == LONGEST_RUN:
                _multiply_words(pixels, planes, cell, lags, room, sums)
                pixels, planes = 0, 1
        at_old = stop_old
    if pixels > 0:
        _multiply_words(pixels, planes, cell, lags, room, sums)
    return at_old


@numba.njit(nogil=True, cache=True)
def correlate_photons(
    first: int,
    last: int,
    segments: tuple[np.ndarray, np.ndarray, np.ndarray],
    now: np.ndarray,
    before: np.ndarray,
    lags: Lags,
    room: Room,
    image: Image,
    sums: Sums,
) -> None:
    """As :func:`backend.correlation.word_correlation.correlate_words`, from sorted photons.

    now, before : ndarray, shape (photon,), uint32
        All photons of the word and of the word before.
    """
    begin, end = segments[0][first], segments[1][last - 1]
    new, old = photons_between(now, begin, end), photons_between(before, begin, end)
    mask, cells = lags.masks[0], lags.ring_of_cell.size
    if image.counts.size:
        _add_to_image(new, mask, image.counts, image.fine_of_position, sums.fine)
    marks = np.zeros(((end - begin) >> 6) + 1, np.uint64)
    _mark(old, begin, marks)
    others = np.empty(new.size + 1, np.int64)
    columns = _columns_of(lags)
    at = at_old = 0
    for segment in range(first, last):
        cell, stop = segments[2][segment], segments[1][segment]
        at, number, alone = _count_segment(new, at, stop, begin, mask, marks, sums.counts[cell], others)
        if cell < cells:
            sums.squares[cell] += alone
            sums.occurrences[lags.ring_of_cell[cell], 1] += alone
            at_old = _multiply_others(new, others, number, old, at_old, cell, lags, columns, room, sums)
