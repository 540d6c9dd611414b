"""Instructions on vectors of eight 64-bit words that numba does not offer. None checks its arguments: the callers do.

Arrays are contiguous uint64, indices count words.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from backend.machine_intrinsics import _EIGHT, _add_three, _load_eight, _non_zero, _splat_eight, _store_eight

_WIDE = ir.IntType(64)


def _count_bits_of_eight(builder: Any, value: Any) -> Any:
    kind = ir.FunctionType(_EIGHT, [_EIGHT])
    return builder.call(builder.module.declare_intrinsic("llvm.ctpop.v8i64", [], kind), [value])


@intrinsic
def add_plane_products(
    typing_context: Any,
    totals: Any,
    to: Any,
    bits: Any,
    first: Any,
    first_planes: Any,
    second: Any,
    second_planes: Any,
    stride: Any,
    mask: Any,
) -> Any:
    """Add the products of two times 512 numbers, each stored as bit planes of eight words.

    ``totals[to:to + 8] += sum_kl 2^(k + l) popcount(first plane k & second plane l & mask)``, word by word. The planes
    begin at ``bits[first]`` and ``bits[second]`` and are ``stride`` words apart; ``mask`` chooses bits of every word.
    """
    index = types.int64
    signature = types.void(totals, index, bits, index, index, index, index, index, types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        totals, to, bits, first, first_planes, second, second_planes, stride, mask = arguments
        of_totals, of_bits = signature.args[0], signature.args[2]
        masks = _splat_eight(builder, mask)
        total = cgutils.alloca_once_value(builder, _load_eight(context, builder, of_totals, totals, to))
        with cgutils.for_range(builder, first_planes, intp=_WIDE) as outer:
            at = builder.add(first, builder.mul(outer.index, stride))
            chosen = builder.and_(_load_eight(context, builder, of_bits, bits, at), masks)
            row = cgutils.alloca_once_value(builder, ir.Constant(_EIGHT, [0] * 8))
            builder.store(ir.Constant(_EIGHT, [0] * 8), row)
            with cgutils.for_range(builder, second_planes, intp=_WIDE) as inner:
                other = builder.add(second, builder.mul(inner.index, stride))
                both = builder.and_(chosen, _load_eight(context, builder, of_bits, bits, other))
                weight = _splat_eight(builder, inner.index)
                counted = builder.shl(_count_bits_of_eight(builder, both), weight)
                builder.store(builder.add(builder.load(row), counted), row)
            weighted = builder.shl(builder.load(row), _splat_eight(builder, outer.index))
            builder.store(builder.add(builder.load(total), weighted), total)
        _store_eight(context, builder, of_totals, totals, to, builder.load(total))
        return context.get_dummy_value()

    return signature, generate


_LANES = np.zeros((256, 8), np.uint8)
for _byte in range(256):
    _set = [_lane for _lane in range(8) if _byte >> _lane & 1]
    _LANES[_byte, : len(_set)] = _set


@intrinsic
def lanes_with(typing_context: Any, words: Any, at: Any, mask: Any) -> Any:
    """A word with bit i set when ``words[at + i] & mask`` is not zero, i = 0..7."""
    signature = types.uint64(words, types.int64, types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        words, at, mask = arguments
        chosen = builder.and_(
            _load_eight(context, builder, signature.args[0], words, at), _splat_eight(builder, mask)
        )
        return _non_zero(builder, chosen)

    return signature, generate


@intrinsic
def _store_lanes(typing_context: Any, table: Any, row: Any, target: Any, to: Any, first: Any) -> Any:
    """``target[to:to + 8] = first + table[row:row + 8]`` for a uint8 table and int64 numbers."""
    signature = types.void(table, types.int64, target, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, row, target, to, first = arguments
        data = context.make_array(signature.args[0])(context, builder, table).data
        eight_bytes = ir.VectorType(ir.IntType(8), 8)
        lanes = builder.load(builder.bitcast(builder.gep(data, [row]), eight_bytes.as_pointer()))
        lanes.align = 1
        numbers = builder.add(builder.zext(lanes, _EIGHT), _splat_eight(builder, first))
        _store_eight(context, builder, signature.args[2], target, to, numbers)
        return context.get_dummy_value()

    return signature, generate


_LANE_TABLE = _LANES.ravel()


@numba.njit(nogil=True, cache=True)
def list_lanes(target: np.ndarray, to: int, lanes: np.uint64, first: int) -> None:
    """Write ``first`` plus the number of each set bit of the lowest eight of ``lanes`` to ``target[to:]``, ascending.

    Always writes eight places; those behind the last set bit hold anything.

    target : ndarray, int64
    """
    _store_lanes(_LANE_TABLE, np.int64(lanes) << 3, target, to, first)


@intrinsic
def add_with_carry(
    typing_context: Any,
    target: Any,
    to: Any,
    first: Any,
    at_first: Any,
    second: Any,
    at_second: Any,
    carry: Any,
) -> Any:
    """Add three bits in 512 places: ``first[at_first:]``, ``second[at_second:]`` and ``carry``, eight words each.

    The sum goes to ``target[to:to + 8]``, what is carried to ``carry[:8]``.
    """
    index = types.int64
    signature = types.void(target, index, first, index, second, index, carry)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, to, first, at_first, second, at_second, carry = arguments
        start = ir.Constant(_WIDE, 0)
        of = signature.args
        total, carried = _add_three(
            builder,
            _load_eight(context, builder, of[2], first, at_first),
            _load_eight(context, builder, of[4], second, at_second),
            _load_eight(context, builder, of[6], carry, start),
        )
        _store_eight(context, builder, of[0], target, to, total)
        _store_eight(context, builder, of[6], carry, start, carried)
        return context.get_dummy_value()

    return signature, generate


def _exchange(builder: Any, low: Any, high: Any, distance: int) -> tuple[Any, Any]:
    """Exchange every second field of ``distance`` bits of one vector with the others of another."""
    field = (1 << distance) - 1
    mask = sum(field << at for at in range(0, 64, 2 * distance))
    shift = ir.Constant(_EIGHT, [distance] * 8)
    changed = builder.and_(builder.xor(builder.lshr(low, shift), high), ir.Constant(_EIGHT, [mask] * 8))
    return builder.xor(low, builder.shl(changed, shift)), builder.xor(high, changed)


def _exchange_among_eight(builder: Any, rows: list[Any], distances: tuple[int, int, int]) -> list[Any]:
    """Three steps of turning a matrix of bits: rows 4, 2 and 1 apart exchange fields of these many bits."""
    for apart, distance in zip((4, 2, 1), distances, strict=True):
        for first in range(8):
            if not first & apart:
                rows[first], rows[first + apart] = _exchange(
                    builder, rows[first], rows[first + apart], distance
                )
    return rows


@intrinsic
def turn_eight_rows(
    typing_context: Any, source: Any, at: Any, target: Any, to: Any, step: Any, distances: Any
) -> Any:
    """Half of turning 64 x 64 bits, for eight of 64 rows of eight words: see :mod:`backend.bit_transpose`.

    Reads ``source[at + step * j:][:8]``, j = 0..7, and writes ``target[to + step * j:][:8]``; what is read may be
    overwritten. ``distances`` is 32 for rows that are 8 apart, and 4 for neighbours; a number known when compiling.
    """
    if not isinstance(distances, types.IntegerLiteral):
        return None
    wanted = distances.literal_value
    steps = (wanted, wanted // 2, wanted // 4)
    signature = types.void(source, types.int64, target, types.int64, types.int64, distances)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, at, target, to, step, _ = arguments
        places = [builder.mul(step, ir.Constant(_WIDE, row)) for row in range(8)]
        rows = [
            _load_eight(context, builder, signature.args[0], source, builder.add(at, place))
            for place in places
        ]
        for place, row in zip(places, _exchange_among_eight(builder, rows, steps), strict=True):
            _store_eight(context, builder, signature.args[2], target, builder.add(to, place), row)
        return context.get_dummy_value()

    return signature, generate
