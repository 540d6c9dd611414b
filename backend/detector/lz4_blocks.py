"""LZ4 block decoding that stops early when the rest of a block only repeats.

The bit planes of a sparse frame end in many equal planes: all zero, or all with the same bits of gap pixels. LZ4 codes
them as one long back reference. Writing them out would cost more than all the photons. What is left are short
literals and short runs of zeros, so copies are done in whole machine words that may write a little too far: the target
has a margin on both sides for that.

Every read is checked against the end of the data and every write against the end of the target.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.machine_intrinsics import (
    copy_16_bytes,
    copy_bytes,
    count_trailing_zeros,
    load_word,
    repeat_16_bytes,
    shuffle_16_bytes,
    store_16_bytes,
)

DAMAGED = -1
MARGIN = 128

# Row d: where each of 16 bytes comes from when the last d bytes are repeated; a row 0 that nobody asks for, and 16.
_REPEATED = np.array([[i % max(d, 1) for i in range(16)] for d in range(17)], np.uint8).ravel()
# The longest part of 16 bytes that is whole repeats of d bytes.
_WHOLE_REPEATS = np.array([16 // max(d, 1) * d for d in range(17)], np.int64)


@numba.njit(nogil=True, cache=True)
def _long_length(source: np.ndarray, at: int, stop: int, length: int) -> tuple[int, int]:
    """Add the 255-continued bytes of an LZ4 length; position -1 when the data end too early."""
    while stop - at >= 8:
        # The last match of a block goes over many planes: dozens of bytes of 255.
        others = ~load_word(source, at)
        if others == np.uint64(0):
            length += 8 * 255
            at += 8
        else:
            full = count_trailing_zeros(others) >> 3
            return length + 255 * full + np.int64(source[at + full]), at + full + 1
    while at < stop:
        byte = np.int64(source[at])
        at += 1
        length += byte
        if byte != 255:
            return length, at
    return length, -1


@numba.njit(nogil=True, cache=True)
def _match_length(source: np.ndarray, at: int, stop: int, token: int) -> tuple[int, int]:
    """Length of a match, and where the next sequence begins; -1 when the data end too early.

    There is a byte at ``at``.
    """
    length = token & 15
    # One more byte of length is as frequent as none: it is read in any case.
    longer = np.int64(length == 15)
    more = np.int64(source[at]) & -longer
    if more == 255:
        length, at = _long_length(source, at, stop, length)
        return length + 4, at
    return length + more + 4, at + longer


@numba.njit(nogil=True, cache=True)
def _copy_literals(source: np.ndarray, at: int, literals: int, target: np.ndarray, out: int) -> None:
    """Copy literals; few of them in one go, which writes up to 16 bytes more."""
    if literals <= 16 and at + 16 <= source.size:
        copy_16_bytes(target, out, source, at)
    else:
        copy_bytes(target, out, source, at, literals)


@numba.njit(nogil=True, cache=True)
def _copy_match(target: np.ndarray, to: int, distance: int, length: int) -> None:
    """Repeat the last ``distance`` bytes before ``to``; writes up to 63 bytes more than ``length``.

    Nobody can guess whether a match is short or long, near or far. So there is one way for all, and 64 bytes at least:
    the first 16 are made with one byte shuffle, the others are those again, or what stands far enough before.
    """
    near = min(distance, 16)
    low, high = shuffle_16_bytes(target, to - distance, _REPEATED, 16 * near)
    # The pattern begins anew at every multiple of the distance.
    step = _WHOLE_REPEATS[near]
    repeats = distance < 16
    end = to + length
    store_16_bytes(target, to, low, high)
    if length <= 16:
        return
    while True:
        repeat_16_bytes(target, to + step, distance, repeats, low, high)
        repeat_16_bytes(target, to + 2 * step, distance, repeats, low, high)
        repeat_16_bytes(target, to + 3 * step, distance, repeats, low, high)
        to += 4 * step
        if to >= end:
            return
        repeat_16_bytes(target, to, distance, repeats, low, high)


@numba.njit(nogil=True, cache=True)
def _same_bytes(source: np.ndarray, at: int, target: np.ndarray, to: int, number: int) -> bool:
    """True when ``number`` bytes, at most 15, of both are equal."""
    if at + 16 > source.size:
        for i in range(number):
            if source[at + i] != target[to + i]:
                return False
        return True
    first = load_word(source, at) ^ load_word(target, to)
    second = load_word(source, at + 8) ^ load_word(target, to + 8)
    if number >= 8:
        return first == np.uint64(0) and second << np.uint64(8 * (16 - number)) == np.uint64(0)
    return number == 0 or first << np.uint64(8 * (8 - number)) == np.uint64(0)


@numba.njit(nogil=True, cache=True)
def _finish_repeating(
    source: np.ndarray,
    at: int,
    stop: int,
    target: np.ndarray,
    out: int,
    distance: int,
    literals: int,
    size: int,
    plane_bytes: int,
) -> int:
    """If the last match and the ``literals`` after it only repeat planes, write one of them.

    Returns the bytes written in all, or 0 if not.
    """
    if distance != plane_bytes and plane_bytes % distance != 0:
        return 0
    if literals > min(14, plane_bytes) or stop - at != literals + 1 or np.int64(source[at]) >> 4 != literals:
        return 0
    # From out - distance on the bytes repeat, so the first whole plane after that equals all that follow.
    needed = (-(-(out - MARGIN - distance) // plane_bytes) + 1) * plane_bytes
    if needed >= size:
        return 0
    if needed > out - MARGIN:
        _copy_match(target, out, distance, needed + MARGIN - out)
    # The last literals stand at the end of a plane.
    return needed if _same_bytes(source, at + 1, target, MARGIN + needed - literals, literals) else 0


@numba.njit(nogil=True, cache=True)
def lz4_decode_planes(
    source: np.ndarray, start: int, stop: int, target: np.ndarray, size: int, plane_bytes: int
) -> int:
    """Decode ``source[start:stop]`` into ``target[MARGIN:MARGIN + size]``; return how many bytes, or DAMAGED.

    Fewer than ``size`` bytes, always whole planes, mean that all further planes equal the last one written. With
    ``plane_bytes`` of 0 everything is written.

    source : ndarray, shape (byte,), uint8
        The LZ4 block format (sequences of literals and back references).
    target : ndarray, shape (at least size + 2 MARGIN,), uint8
        The margins may be overwritten.
    """
    at = start
    out = MARGIN
    end = MARGIN + size
    while at < stop:
        token = np.int64(source[at])
        at += 1
        literals = token >> 4
        if literals == 15:
            literals, at = _long_length(source, at, stop, literals)
            if at < 0:
                return DAMAGED
        if literals > stop - at or literals > end - out:
            return DAMAGED
        _copy_literals(source, at, literals, target, out)
        at += literals
        out += literals
        if at == stop:
            return size if out == end else DAMAGED
        # Two bytes of distance, and a token at least follows every match.
        if stop - at < 3:
            return DAMAGED
        distance = np.int64(source[at]) | (np.int64(source[at + 1]) << 8)
        length, at = _match_length(source, at + 2, stop, token)
        if at < 0 or distance == 0 or distance > out - MARGIN or length > end - out:
            return DAMAGED
        left = end - out - length
        if length > plane_bytes > 0 and left < 16:
            needed = _finish_repeating(source, at, stop, target, out, distance, left, size, plane_bytes)
            if needed > 0:
                return needed
        _copy_match(target, out, distance, length)
        out += length
    return DAMAGED
