"""Kernels of the higher multi-tau levels: samples as bit planes, and their products cell by cell.

A sample holds one number per pixel: the photons of many frames. Plane k has bit k of all numbers, in blocks of eight
words for 512 positions (position 8 i + w is bit i of word w). A block uses as many planes as its largest number needs,
most of them few, so a product is a few popcounts for 512 pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from backend.bit_transpose import transposed_bits
from backend.correlation.bit_counters import carry_on, count_rows
from backend.machine_intrinsics import count_set_bits, count_trailing_zeros
from backend.photon_word_kernels import BLOCK_POSITIONS, flag_of
from backend.sorted_photons import frame_of, photons_between, position_of
from backend.word_vectors import add_numbers, add_plane_products, common_bits, lanes_with, list_lanes

BLOCK_WORDS = BLOCK_POSITIONS // 64
MOST_PLANES = 32
_FEW_PIXELS = 48
"""So many pixels of a block are added one by one: that is less work than turning the bits of all."""
_DIGITS_OF_PHOTONS = 12
"""Up to 63 photons are listed of each of 64 frames."""


class Samples(NamedTuple):
    """The newest samples of one level.

    Attributes
    ----------
    bits : ndarray, shape (plane, slot, block, BLOCK_WORDS), uint64
        Planes beyond those in use hold anything.
    planes : ndarray, shape (slot, block), uint8
        Planes in use.
    """

    bits: np.ndarray
    planes: np.ndarray


@numba.njit(nogil=True, cache=True)
def _flagged(flags: np.ndarray, found: np.ndarray) -> tuple[int, int]:
    """Places in a block whose flag is set: how many, and all flags together."""
    eights = flags.view(np.uint64)
    number, together = 0, np.uint8(0)
    for eight in range(eights.size):
        if eights[eight] != np.uint64(0):
            for i in range(8 * eight, 8 * eight + 8):
                found[number] = i
                number += flags[i] != 0
                together |= flags[i]
    return number, together


@numba.njit(nogil=True, cache=True)
def _lit(row: np.ndarray, first: int, found: np.ndarray) -> int:
    """Places in a block whose word is not 0; stops when they are more than a few. Returns how many were found."""
    number = 0
    for eight in range(0, BLOCK_POSITIONS, 8):
        lanes = lanes_with(row, first + eight, ~np.uint64(0))
        list_lanes(found, number, lanes, eight)
        number += count_set_bits(lanes)
        if number > _FEW_PIXELS:
            break
    return number


@numba.njit(nogil=True, cache=True)
def _rows_of_samples(first_frame: int, width: int, number: int) -> np.ndarray:
    """Rows that belong to each sample; filled up to whole eights with the empty one, row 64.

    Returns shape (sample * max(width, 8),), uint16.
    """
    listed = np.full((number, max(width, 8)), 64, np.uint16)
    for sample in range(number):
        for frame in range(width):
            listed[sample, frame] = first_frame + sample * width + frame
    return listed.reshape(-1)


@numba.njit(nogil=True, cache=True)
def _add_rows(
    rows: np.ndarray,
    listed: np.ndarray,
    at: int,
    eights: int,
    numbers: np.ndarray,
    to: int,
    carry: np.ndarray,
) -> None:
    """Add some rows to the numbers of a block, from the digit at ``to`` on."""
    if count_rows(numbers, to, 8, rows, 0, listed, at, eights, carry, BLOCK_WORDS):
        carry_on(numbers, to + 64, 8, carry)


@numba.njit(nogil=True, cache=True)
def _add_one(place: int, numbers: np.ndarray, digit: int) -> None:
    """Add one to a digit of the number of one place of a block, and what is carried to the next."""
    bit = np.uint64(1) << np.uint64(place >> 3)
    at = digit + (place & 7)
    while numbers[at] & bit:
        numbers[at] ^= bit
        at += 8
    numbers[at] |= bit


@numba.njit(nogil=True, cache=True)
def _planes_in_use(numbers: np.ndarray, start: int, planes: int) -> int:
    """Without the empty planes at the top, of ``planes``."""
    while planes > 0 and not common_bits(
        numbers, start + 8 * (planes - 1), numbers, start + 8 * (planes - 1)
    ):
        planes -= 1
    return planes


@numba.njit(nogil=True, cache=True)
def _keep(numbers: np.ndarray, start: int, planes: int, bits: np.ndarray, slot: int, block: int) -> None:
    for plane in range(planes):
        for word in range(8):
            bits[plane, slot, block, word] = numbers[start + 8 * plane + word]


@numba.njit(nogil=True, cache=True)
def _keep_all(numbers: np.ndarray, digits: int, slots: np.ndarray, block: int, samples: Samples) -> int:
    """Keep the numbers of a block, so many digits for each sample, where they fit; returns the planes they need."""
    needed = 0
    for i in range(slots.size):
        used = _planes_in_use(numbers, 8 * i * digits, digits)
        needed = max(needed, used)
        if used <= samples.bits.shape[0]:
            samples.planes[slots[i], block] = used
            _keep(numbers, 8 * i * digits, used, samples.bits, slots[i], block)
    return needed


@numba.njit(nogil=True, cache=True)
def samples_of_words(
    blocks: tuple[int, int],
    words: np.ndarray,
    many: np.ndarray,
    planes: int,
    frames: tuple[int, int],
    slots: np.ndarray,
    samples: Samples,
) -> int:
    """Set samples to the photons of some frames; returns the planes they need, which may be more than there are.

    Parameters
    ----------
    blocks : (int, int)
        First block and last (excluded).
    words, many : ndarray
        Photon words, shape (plane, position), and flags of higher planes, of which ``planes`` are in use.
    frames : (int, int)
        First frame of the word, and frames per sample, a power of two.
    slots : ndarray, int64
        Where the samples belong, one after the other.
    """
    first_frame, width = frames
    listed = _rows_of_samples(first_frame, width, slots.size)
    eights = listed.size // slots.size >> 3
    rows, carry = np.zeros(65 * 8, np.uint64), np.empty(8, np.uint64)
    flagged, lit = np.empty(BLOCK_POSITIONS + 1, np.int64), np.empty(_FEW_PIXELS + 16, np.int64)
    # Eight digits are added to at once; more than 64 times the largest count there cannot be.
    digits = planes + 8
    numbers = np.empty(slots.size * digits * 8, np.uint64)
    needed = 0
    for block in range(blocks[0], blocks[1]):
        first = block * BLOCK_POSITIONS
        size, flags = _flagged(many[first : first + BLOCK_POSITIONS], flagged)
        few = size <= _FEW_PIXELS
        lit_size = _lit(words[0], first, lit)
        few_lit = lit_size <= _FEW_PIXELS
        numbers[:] = 0
        for plane in range(planes):
            if (plane == 0 and not few_lit) or (plane > 0 and not few and flags & flag_of(plane)):
                transposed_bits(words, plane * words.shape[1] + first, rows, 0)
                for i in range(slots.size):
                    to = 8 * (i * digits + plane)
                    _add_rows(rows, listed, 8 * eights * i, eights, numbers, to, carry)
        if few_lit:
            _add_listed(lit[:lit_size], first, words, (0, 1), frames, slots.size, numbers, 8 * digits)
        if few:
            _add_listed(flagged[:size], first, words, (1, planes), frames, slots.size, numbers, 8 * digits)
        needed = max(needed, _keep_all(numbers, digits, slots, block, samples))
    return needed


@numba.njit(nogil=True, cache=True)
def samples_of_photons(
    blocks: tuple[int, int], photons: np.ndarray, frames: tuple[int, int], slots: np.ndarray, samples: Samples
) -> int:
    """As :func:`samples_of_words`, from the sorted photons of the word."""
    first_frame, width = frames
    level = count_trailing_zeros(np.uint64(width))
    numbers = np.empty(slots.size * _DIGITS_OF_PHOTONS * 8, np.uint64)
    needed = 0
    found = photons_between(photons, blocks[0] * BLOCK_POSITIONS, blocks[1] * BLOCK_POSITIONS)
    at = 0
    for block in range(blocks[0], blocks[1]):
        numbers[:] = 0
        end = (block + 1) * BLOCK_POSITIONS
        while at < found.size and position_of(found[at]) < end:
            sample = (frame_of(found[at]) - first_frame) >> level
            if 0 <= sample < slots.size:
                place = position_of(found[at]) & (BLOCK_POSITIONS - 1)
                _add_one(place, numbers, sample * 8 * _DIGITS_OF_PHOTONS)
            at += 1
        needed = max(needed, _keep_all(numbers, _DIGITS_OF_PHOTONS, slots, block, samples))
    return needed


@numba.njit(nogil=True, cache=True)
def _add_listed(
    places: np.ndarray,
    first: int,
    words: np.ndarray,
    planes: tuple[int, int],
    frames: tuple[int, int],
    samples: int,
    numbers: np.ndarray,
    step: int,
) -> None:
    """Add some planes of some pixels, photon by photon; the numbers of samples are ``step`` words apart."""
    first_frame, width = frames
    level = count_trailing_zeros(np.uint64(width))
    mask = (~np.uint64(0) >> np.uint64(64 - samples * width)) << np.uint64(first_frame)
    for place in places:
        for plane in range(planes[0], planes[1]):
            left = words[plane, first + place] & mask
            while left != np.uint64(0):
                sample = (count_trailing_zeros(left) - first_frame) >> level
                left &= left - np.uint64(1)
                _add_one(place, numbers, sample * step + 8 * plane)


@numba.njit(nogil=True, cache=True)
def sums_of_two(
    blocks: tuple[int, int], below: Samples, samples: Samples, first_index: int, last_index: int
) -> int:
    """Make samples ``first_index`` to ``last_index`` (excluded), each of two of the level below.

    Returns the planes they need; where they do not fit, some number larger than there are.
    """
    carry = np.empty(BLOCK_WORDS, np.uint64)
    planes_of, planes_below = samples.planes, below.planes
    room, slots, below_slots = samples.bits.shape[0], samples.bits.shape[1], below.bits.shape[1]
    bits, below_bits = samples.bits.reshape(-1), below.bits.reshape(-1)
    sample = planes_of.shape[1] * BLOCK_WORDS
    needed = 0
    for index in range(first_index, last_index):
        slot, one, two = index % slots, 2 * index % below_slots, (2 * index + 1) % below_slots
        for block in range(blocks[0], blocks[1]):
            more, fewer = one, two
            if planes_below[one, block] < planes_below[two, block]:
                more, fewer = two, one
            used = np.int64(planes_below[more, block])
            if used <= room:
                place = block * BLOCK_WORDS
                to = slot * sample + place
                first, second = more * sample + place, fewer * sample + place
                second_planes = np.int64(planes_below[fewer, block])
                steps = slots * sample, below_slots * sample
                # The highest plane in use is in use in the sum as well, or something is carried beyond it.
                if add_numbers(
                    bits, to, steps[0], below_bits, first, used, second, second_planes, steps[1], carry
                ):
                    if used < room:
                        for word in range(BLOCK_WORDS):
                            bits[to + used * steps[0] + word] = carry[word]
                    used += 1
                if used <= room:
                    planes_of[slot, block] = used
            needed = max(needed, used)
    return needed


@numba.njit(nogil=True, cache=True)
def add_products(
    share: tuple[int, int],
    segments: tuple[np.ndarray, np.ndarray, np.ndarray],
    samples: Samples,
    first_index: int,
    last_index: int,
    lags: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Add the sums over pixels of the products of samples with earlier ones, for a range of segments.

    first_index, last_index : int
        Numbers of the samples.
    lags : ndarray, shape (lag,), int64
        Ascending; a sample is multiplied with those that are so many before it, if there are.
    sums : ndarray, shape (lag, cell), int64
    """
    totals = np.zeros(lags.size * 8, np.uint64)
    for index in range(first_index, last_index):
        reached = np.searchsorted(lags, index, "right")
        for segment in range(share[0], share[1]):
            cell = segments[2][segment]
            if cell < sums.shape[1] and reached > 0:
                totals[:] = 0
                begin, end = segments[0][segment], segments[1][segment]
                _multiply_segment(begin, end, samples.bits, samples.planes, index, lags[:reached], totals)
                for row in range(reached):
                    for word in range(8):
                        sums[row, cell] += np.int64(totals[8 * row + word])


@numba.njit(nogil=True, cache=True)
def _multiply_segment(
    begin: int,
    end: int,
    bits: np.ndarray,
    planes_of: np.ndarray,
    index: int,
    lags: np.ndarray,
    totals: np.ndarray,
) -> None:
    """Add the products of one segment, eight words for each lag."""
    slots = bits.shape[1]
    sample = planes_of.shape[1] * BLOCK_WORDS
    stride = slots * sample
    flat = bits.reshape(-1)
    for block in range(begin // BLOCK_POSITIONS, (end - 1) // BLOCK_POSITIONS + 1):
        planes = np.int64(planes_of[index % slots, block])
        if planes == 0:
            continue
        mask = _bits_of_positions(begin, end, block)
        at = index % slots * sample + block * BLOCK_WORDS
        for row in range(lags.size):
            slot = (index - lags[row]) % slots
            past = slot * sample + block * BLOCK_WORDS
            past_planes = np.int64(planes_of[slot, block])
            add_plane_products(totals, 8 * row, flat, at, planes, past, past_planes, stride, mask)


@numba.njit(nogil=True, cache=True)
def _bits_of_positions(begin: int, end: int, block: int) -> np.uint64:
    """The bits of every word of a block that belong to a segment.

    Segments begin at multiples of 16, and positions up to the next one belong to nobody: the same bits in all words.
    """
    start = block * BLOCK_POSITIONS
    low = max(begin - start, 0) >> 3
    high = (min(end - start, BLOCK_POSITIONS) + 7) >> 3
    return (~np.uint64(0) >> np.uint64(64 - (high - low))) << np.uint64(low)
