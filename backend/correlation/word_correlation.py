"""Walk over the photon words: pixels that saw a photon are gathered into runs of one cell, and runs are multiplied.

Most pixels of a sparse series have no photon within 64 frames, most others a single one, so kinds are kept apart:
nothing (skipped), one plane, several planes. All photons are counted, but those that are alone have no products. Short
rests of runs wait until the rests of one cell are enough to be worth the while. All sums are integers: neither the
order nor the number of threads changes them.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.correlation.run_products import (
    Image,
    Lags,
    Room,
    Sums,
    add_to_image,
    count_photons,
    drop_lone_photons,
    multiply_run,
)
from backend.correlation.word_products import LONGEST_RUN
from backend.machine_intrinsics import count_set_bits
from backend.photon_word_kernels import LONGEST_SEGMENT, flag_of
from backend.word_vectors import lanes_with, list_lanes

_WORTH_THE_WHILE = 448
_GATHERED = 224
"""Positions whose words are gathered at once."""

_LOW_SEVEN = np.uint64(0x7F7F7F7F7F7F7F7F)
_BYTES_TO_BITS = np.uint64(0x0102040810204080)


@numba.njit(nogil=True, cache=True)
def _collect(position: np.ndarray, words: np.ndarray, run: np.ndarray) -> None:
    """Copy the words of some positions together."""
    for i in range(position.size):
        run[i] = words[np.uint64(position[i])]


@numba.njit(nogil=True, cache=True)
def _collect_flagged(
    position: np.ndarray, words: np.ndarray, many: np.ndarray, flag: np.uint8, run: np.ndarray
) -> bool:
    """The same of a higher plane: most words hold nothing, and looking at them would be waiting for the memory."""
    found = False
    for i in range(position.size):
        if many[np.uint64(position[i])] & flag:
            run[i] = words[np.uint64(position[i])]
            found = True
        else:
            run[i] = 0
    return found


@numba.njit(nogil=True, cache=True)
def _gather(
    position: np.ndarray,
    at: int,
    most: int,
    now: np.ndarray,
    before: np.ndarray,
    many: tuple[np.ndarray, np.ndarray],
    room: Room,
) -> int:
    """Copy the words of some positions to the run, from ``at`` on; returns the number of planes in use."""
    planes = 1
    end = at + position.size
    _collect(position, now[0], room.now[0, at:end])
    _collect(position, before[0], room.before[0, at:end])
    for plane in range(1, most):
        flag = flag_of(plane)
        found = _collect_flagged(position, now[plane], many[0], flag, room.now[plane, at:end])
        found |= _collect_flagged(position, before[plane], many[1], flag, room.before[plane, at:end])
        if found:
            planes = plane + 1
    # Three planes are looked at for the statistics of counts.
    for plane in range(most, 3):
        room.now[plane, at:end] = 0
    return planes


@numba.njit(nogil=True, cache=True)
def _add_runs(
    position: np.ndarray,
    cell: int,
    most: int,
    now: np.ndarray,
    before: np.ndarray,
    many: tuple[np.ndarray, np.ndarray],
    lags: Lags,
    room: Room,
    image: Image,
    sums: Sums,
) -> None:
    """Add positions of one cell; those that can have products are multiplied when they fill a run."""
    counts, fine_of_position = image
    run, planes = 0, 1
    for begin in range(0, position.size, _GATHERED):
        some = position[begin : begin + _GATHERED]
        found = _gather(some, run, most, now, before, many, room)
        count_photons(run, run + some.size, found, cell, lags, room, sums)
        if counts.size:
            add_to_image(some, run, found, lags.masks[0], room, counts, fine_of_position, sums.fine)
        if cell == lags.ring_of_cell.size:
            continue
        planes = max(planes, found)
        run = drop_lone_photons(run, run + some.size, room) if most == 1 else run + some.size
        if run > LONGEST_RUN - _GATHERED:
            multiply_run(run, planes, cell, lags, room, sums)
            run, planes = 0, 1
    if run > 0:
        multiply_run(run, planes, cell, lags, room, sums)


@numba.njit(nogil=True, cache=True)
def _add_rests(
    rests: np.ndarray,
    cell_of_rest: np.ndarray,
    most: int,
    now: np.ndarray,
    before: np.ndarray,
    many: tuple[np.ndarray, np.ndarray],
    lags: Lags,
    room: Room,
    image: Image,
    sums: Sums,
) -> None:
    """Sort the rests by cell and add them run by run."""
    start = np.zeros(lags.ring_of_cell.size + 2, np.int64)
    for cell in cell_of_rest:
        start[cell + 1] += 1
    start = np.cumsum(start)
    fill = start.copy()
    sorted_rests = np.empty_like(rests)
    for i in range(rests.size):
        sorted_rests[fill[cell_of_rest[i]]] = rests[i]
        fill[cell_of_rest[i]] += 1
    for cell in range(start.size - 1):
        if start[cell + 1] > start[cell]:
            same = sorted_rests[start[cell] : start[cell + 1]]
            _add_runs(same, cell, most, now, before, many, lags, room, image, sums)


@numba.njit(nogil=True, cache=True)
def _bytes_in_use(word: np.uint64) -> np.uint64:
    """A bit for each byte of the word that is not 0."""
    used = (((word & _LOW_SEVEN) + _LOW_SEVEN) | word) & ~_LOW_SEVEN
    return ((used >> np.uint64(7)) * _BYTES_TO_BITS) >> np.uint64(56)


@numba.njit(nogil=True, cache=True)
def _sort_out(
    begin: int,
    end: int,
    words: np.ndarray,
    many: np.ndarray,
    many_before: np.ndarray,
    mask: np.uint64,
    single: np.ndarray,
    several: np.ndarray,
) -> tuple[int, int]:
    """Positions with new photons: those with one plane only, and those with several; returns how many of each.

    Within eight positions without a branch, as nobody can guess where photons are.
    """
    singles = severals = 0
    flags, flags_before = many.view(np.uint64), many_before.view(np.uint64)
    # Segments begin at multiples of 8, and positions up to the next multiple belong to no pixel, so hold nothing.
    for first in range(begin, end, 8):
        active = lanes_with(words, first, mask)
        flagged = flags[first >> 3]
        if (flagged | flags_before[first >> 3]) != np.uint64(0):
            multiple = _bytes_in_use(flagged | flags_before[first >> 3])
            chosen = (active | _bytes_in_use(flagged)) & multiple
            list_lanes(several, severals, chosen, first)
            severals += count_set_bits(chosen)
            active &= ~multiple
        list_lanes(single, singles, active, first)
        singles += count_set_bits(active)
    return singles, severals


@numba.njit(nogil=True, cache=True)
def correlate_words(
    first: int,
    last: int,
    segments: tuple[np.ndarray, np.ndarray, np.ndarray],
    now: np.ndarray,
    before: np.ndarray,
    many: tuple[np.ndarray, np.ndarray],
    planes: int,
    lags: Lags,
    room: Room,
    image: Image,
    sums: Sums,
) -> None:
    """Add the products of the new frames of segments ``first`` to ``last`` (excluded) to ``sums``.

    Parameters
    ----------
    segments : tuple of ndarray
        Start, stop and cell of each segment.
    now, before : ndarray, shape (plane, position), uint64
    many : tuple of ndarray, shape (position,), uint8
        Flags of pixels with several planes, now and before.
    planes : int
        Planes that are in use at all.
    image : Image
        Gets the photons of every pixel, if it has room for them.
    """
    any_new = np.uint64(0)
    for mask in lags.masks:
        any_new |= mask
    # More than there can be: eight places are written to before it is known how many are taken.
    kinds = np.empty((2, LONGEST_SEGMENT + 8), np.int64)
    rests = np.empty((2, (last - first) * _WORTH_THE_WHILE), np.int64)
    cell_of_rest = np.empty_like(rests)
    number = np.zeros(2, np.int64)
    for segment in range(first, last):
        cell = segments[2][segment]
        begin, end = segments[0][segment], segments[1][segment]
        sizes = _sort_out(begin, end, now[0], many[0], many[1], any_new, kinds[0], kinds[1])
        for kind in range(2):
            size = sizes[kind]
            if size >= _WORTH_THE_WHILE:
                most = 1 if kind == 0 else planes
                _add_runs(kinds[kind, :size], cell, most, now, before, many, lags, room, image, sums)
                continue
            for i in range(size):
                rests[kind, number[kind]] = kinds[kind, i]
                cell_of_rest[kind, number[kind]] = cell
                number[kind] += 1
    for kind in range(2):
        most = 1 if kind == 0 else planes
        waiting = rests[kind, : number[kind]]
        _add_rests(
            waiting, cell_of_rest[kind, : number[kind]], most, now, before, many, lags, room, image, sums
        )
