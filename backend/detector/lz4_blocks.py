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

from backend.machine_intrinsics import copy_16_bytes, copy_bytes, shuffle_16_bytes, store_16_bytes

DAMAGED = -1
MARGIN = 64

# Row d: where each of 16 bytes comes from when the last d bytes are repeated; a row 0 that nobody asks for, and 16.
_REPEATED = np.array([[i % max(d, 1) for i in range(16)] for d in range(17)], np.uint8).ravel()
# The longest part of 16 bytes that is whole repeats of d bytes.
_WHOLE_REPEATS = np.array([16 // max(d, 1) * d for d in range(17)], np.int64)


@numba.njit(nogil=True, cache=True)
def _long_length(source: np.ndarray, at: int, stop: int, length: int) -> tuple[int, int]:
    """Add the 255-continued bytes of an LZ4 length; position -1 when the data end too early."""
    while True:
        if at >= stop:
            return length, -1
        byte = np.int64(source[at])
        at += 1
        length += byte
        if byte != 255:
            return length, at


@numba.njit(nogil=True, cache=True)
def _copy_match(target: np.ndarray, to: int, distance: int, length: int) -> None:
    """Repeat the last ``distance`` bytes before ``to``; writes up to 15 bytes more than ``length``.

    Most matches are short and most distances small, and nobody can guess which: the first 16 bytes are made without
    a branch.
    """
    near = min(distance, 16)
    low, high = shuffle_16_bytes(target, to - distance, _REPEATED, 16 * near)
    store_16_bytes(target, to, low, high)
    if length <= 16:
        return
    done = 16
    if distance < 16:
        # The pattern begins anew at every multiple of the distance.
        step = _WHOLE_REPEATS[near]
        done = step
        while done < length:
            store_16_bytes(target, to + done, low, high)
            done += step
        return
    while done < length:
        copy_16_bytes(target, to + done, target, to - distance + done)
        done += 16


@numba.njit(nogil=True, cache=True)
def _ends_as_it_repeats(
    source: np.ndarray,
    at: int,
    stop: int,
    target: np.ndarray,
    out: int,
    distance: int,
    matched: int,
    end: int,
) -> bool:
    """True when the last literals of the block, after a match of ``matched`` bytes, go on with its repetition."""
    literals = end - out - matched
    if literals >= 15 or stop - at != literals + 1 or np.int64(source[at]) >> 4 != literals:
        return False
    for i in range(literals):
        if source[at + 1 + i] != target[out - distance + (matched + i) % distance]:
            return False
    return True


@numba.njit(nogil=True, cache=True)
def _finish_repeating(
    source: np.ndarray,
    at: int,
    stop: int,
    target: np.ndarray,
    out: int,
    distance: int,
    length: int,
    size: int,
    plane_bytes: int,
) -> int:
    """If the last match and the literals after it only repeat planes, write one of them; bytes in all, or 0 if not."""
    if plane_bytes % distance != 0:
        return 0
    # From out - distance on the bytes repeat, so the first whole plane after that equals all that follow.
    needed = (-(-(out - MARGIN - distance) // plane_bytes) + 1) * plane_bytes
    end = MARGIN + size
    if needed >= size or not _ends_as_it_repeats(source, at, stop, target, out, distance, length, end):
        return 0
    if needed > out - MARGIN:
        _copy_match(target, out, distance, needed + MARGIN - out)
    return needed


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
        if literals <= 16 and at + 16 <= source.size:
            copy_16_bytes(target, out, source, at)
        else:
            copy_bytes(target, out, source, at, literals)
        at += literals
        out += literals
        if at == stop:
            return size if out == end else DAMAGED
        if stop - at < 2:
            return DAMAGED
        distance = np.int64(source[at]) | (np.int64(source[at + 1]) << 8)
        at += 2
        length = token & 15
        if length == 15:
            length, at = _long_length(source, at, stop, length)
            if at < 0:
                return DAMAGED
        length += 4
        if distance == 0 or distance > out - MARGIN or length > end - out:
            return DAMAGED
        if length > plane_bytes > 0 and end - out - length < 16:
            needed = _finish_repeating(source, at, stop, target, out, distance, length, size, plane_bytes)
            if needed > 0:
                return needed
        _copy_match(target, out, distance, length)
        out += length
    return DAMAGED
