"""LZ4 block decoding that stops early when the rest of a block only repeats.

The bit planes of a sparse frame end in many equal planes: all zero, or all with the same bits of gap pixels. LZ4 codes
them as one long back reference. Writing them out would cost more than all the photons.

Every read is checked against the end of the data and every write against the end of the target.
"""

from __future__ import annotations

import numba
import numpy as np

from backend.detector.machine_intrinsics import copy_bytes, fill_bytes

DAMAGED = -1


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
    """Repeat the last ``distance`` bytes before ``to`` until ``length`` bytes are written."""
    start = to - distance
    if distance == 1:
        fill_bytes(target, to, target[start], length)
        return
    # What is already repeated may be copied too, so each copy is as long as all before it and none overlaps.
    done = 0
    while done < length:
        piece = min(distance + done, length - done)
        copy_bytes(target, to + done, target, start, piece)
        done += piece


@numba.njit(nogil=True, cache=True)
def _ends_as_it_repeats(
    source: np.ndarray,
    at: int,
    stop: int,
    target: np.ndarray,
    out: int,
    distance: int,
    matched: int,
    size: int,
) -> bool:
    """True when the last literals of the block, after a match of ``matched`` bytes, go on with its repetition."""
    literals = size - out - matched
    if literals >= 15 or stop - at != literals + 1 or np.int64(source[at]) >> 4 != literals:
        return False
    for i in range(literals):
        if source[at + 1 + i] != target[out - distance + (matched + i) % distance]:
            return False
    return True


@numba.njit(nogil=True, cache=True)
def lz4_decode_planes(
    source: np.ndarray, start: int, stop: int, target: np.ndarray, size: int, plane_bytes: int
) -> int:
    """Decode ``source[start:stop]`` into ``target[:size]``; return how many bytes were written, or DAMAGED.

    Fewer than ``size`` bytes, always whole planes, mean that all further planes equal the last one written. With
    ``plane_bytes`` of 0 everything is written.

    source, target : ndarray, uint8. The LZ4 block format (sequences of literals and back references).
    """
    at = start
    out = 0
    while at < stop:
        token = np.int64(source[at])
        at += 1
        literals = token >> 4
        if literals == 15:
            literals, at = _long_length(source, at, stop, literals)
            if at < 0:
                return DAMAGED
        if literals > stop - at or literals > size - out:
            return DAMAGED
        copy_bytes(target, out, source, at, literals)
        at += literals
        out += literals
        if at == stop:
            return size if out == size else DAMAGED
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
        if distance == 0 or distance > out or length > size - out:
            return DAMAGED
        if length > plane_bytes > 0 and plane_bytes % distance == 0:
            # From out - distance on the bytes repeat, so the first whole plane after that equals all that follow.
            needed = (-(-(out - distance) // plane_bytes) + 1) * plane_bytes
            if needed < size and _ends_as_it_repeats(source, at, stop, target, out, distance, length, size):
                if needed > out:
                    _copy_match(target, out, distance, needed - out)
                return needed
        _copy_match(target, out, distance, length)
        out += length
    return DAMAGED


@numba.njit(nogil=True, cache=True)
def lz4_decode_block(source: np.ndarray, start: int, stop: int, target: np.ndarray, size: int) -> bool:
    """Decode ``source[start:stop]`` into ``target[:size]``; True when exactly ``size`` bytes came out."""
    return lz4_decode_planes(source, start, stop, target, size, 0) == size
