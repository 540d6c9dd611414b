"""Vectors of eight 64-bit words: 512 bits at a time, written once for all processors.

Arrays are contiguous uint64, indices count words. As with :mod:`backend.machine_intrinsics`, nothing checks its
arguments: the callers do.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_WIDE = ir.IntType(64)
_EIGHT = ir.VectorType(ir.IntType(64), 8)


def _eight_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _EIGHT.as_pointer())


def _load_eight(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    loaded = builder.load(_eight_pointer(context, builder, array_type, array, index))
    loaded.align = 8
    return loaded


def _store_eight(context: Any, builder: Any, array_type: Any, array: Any, index: Any, value: Any) -> None:
    builder.store(value, _eight_pointer(context, builder, array_type, array, index)).align = 8


def _splat_eight(builder: Any, number: Any) -> Any:
    eight = ir.Constant(ir.VectorType(number.type, 8), ir.Undefined)
    first = builder.insert_element(eight, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8))


@intrinsic
def store_common_bits(
    typing_context: Any, target: Any, to: Any, first: Any, at_first: Any, second: Any, at_second: Any
) -> Any:
    """``target[to:to + 8] = first[...] & second[...]``; returns a word with bit i set when the i-th is not zero."""
    signature = types.uint64(target, types.int64, first, types.int64, second, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left = _load_eight(context, builder, signature.args[2], arguments[2], arguments[3])
        right = _load_eight(context, builder, signature.args[4], arguments[4], arguments[5])
        common = builder.and_(left, right)
        _store_eight(context, builder, signature.args[0], arguments[0], arguments[1], common)
        return _non_zero(builder, common)

    return signature, generate


@intrinsic
def common_bits(typing_context: Any, first: Any, at_first: Any, second: Any, at_second: Any) -> Any:
    """A word with bit i set when ``first[at_first + i] & second[at_second + i]`` is not zero, i = 0..7."""
    signature = types.uint64(first, types.int64, second, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left = _load_eight(context, builder, signature.args[0], arguments[0], arguments[1])
        right = _load_eight(context, builder, signature.args[2], arguments[2], arguments[3])
        return _non_zero(builder, builder.and_(left, right))

    return signature, generate


def _non_zero(builder: Any, value: Any) -> Any:
    lanes = builder.icmp_unsigned("!=", value, ir.Constant(_EIGHT, [0] * 8))
    return builder.zext(builder.bitcast(lanes, ir.IntType(8)), ir.IntType(64))


def _add_three(builder: Any, first: Any, second: Any, third: Any) -> tuple[Any, Any]:
    """Sum and carry of three bits, for 512 places at once."""
    odd = builder.xor(first, second)
    carry = builder.or_(builder.and_(first, second), builder.and_(odd, third))
    return builder.xor(odd, third), carry


def add_bits(builder: Any, total: Any, values: list[Any]) -> tuple[Any, list[Any]]:
    """Add one bit, or an even number of them, to ``total``; returns it and the carries, half as many."""
    if len(values) == 1:
        return builder.xor(total, values[0]), [builder.and_(total, values[0])]
    carries = []
    for first, second in zip(values[::2], values[1::2], strict=True):
        total, carry = _add_three(builder, total, first, second)
        carries.append(carry)
    return total, carries


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
    """``target[to:to + 8] = first + table[row:row + 8]`` for a uint8 table and whole numbers of any kind."""
    signature = types.void(table, types.int64, target, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, row, target, to, first = arguments
        data = context.make_array(signature.args[0])(context, builder, table).data
        eight_bytes = ir.VectorType(ir.IntType(8), 8)
        lanes = builder.load(builder.bitcast(builder.gep(data, [row]), eight_bytes.as_pointer()))
        lanes.align = 1
        bits = signature.args[2].dtype.bitwidth
        firsts = _splat_eight(builder, builder.trunc(first, ir.IntType(bits)))
        numbers = builder.add(builder.zext(lanes, firsts.type), firsts)
        place = builder.gep(context.make_array(signature.args[2])(context, builder, target).data, [to])
        builder.store(numbers, builder.bitcast(place, numbers.type.as_pointer())).align = bits // 8
        return context.get_dummy_value()

    return signature, generate


_LANE_TABLE = _LANES.ravel()


@numba.njit(nogil=True, cache=True)
def list_lanes(target: np.ndarray, to: int, lanes: np.uint64, first: int) -> None:
    """Write ``first`` plus the number of each set bit of the lowest eight of ``lanes`` to ``target[to:]``, ascending.

    Always writes eight places; those behind the last set bit hold anything.

    target : ndarray, int64 or uint16
    """
    _store_lanes(_LANE_TABLE, np.int64(lanes) << 3, target, to, first)


@intrinsic
def add_numbers(
    typing_context: Any,
    target: Any,
    to: Any,
    target_stride: Any,
    bits: Any,
    first: Any,
    first_planes: Any,
    second: Any,
    second_planes: Any,
    stride: Any,
    carry: Any,
) -> Any:
    """Add two times 512 numbers, each stored as bit planes of eight words; the first have as many planes or more.

    The planes begin at ``bits[first]`` and ``bits[second]`` and are ``stride`` words apart. As many as the first have
    are written to ``target[to:]``, ``target_stride`` words apart. What is carried beyond them goes to ``carry[:8]``;
    returns 0 when that is nothing.
    """
    index = types.int64
    signature = types.uint64(target, index, index, bits, index, index, index, index, index, carry)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, to, target_stride, bits, first, first_planes, second, second_planes, stride, carry = arguments
        of_target, of_bits, of_carry = signature.args[0], signature.args[3], signature.args[9]
        nothing = ir.Constant(_EIGHT, [0] * 8)
        carried = cgutils.alloca_once_value(builder, nothing)
        builder.store(nothing, carried)

        def add_planes(begin: Any, end: Any, with_second: bool) -> None:
            with cgutils.for_range_slice(builder, begin, end, ir.Constant(_WIDE, 1), intp=_WIDE) as (
                plane,
                _,
            ):
                at = builder.mul(plane, stride)
                one = _load_eight(context, builder, of_bits, bits, builder.add(first, at))
                other = nothing
                if with_second:
                    other = _load_eight(context, builder, of_bits, bits, builder.add(second, at))
                total, more = _add_three(builder, one, other, builder.load(carried))
                place = builder.add(to, builder.mul(plane, target_stride))
                _store_eight(context, builder, of_target, target, place, total)
                builder.store(more, carried)

        add_planes(ir.Constant(_WIDE, 0), second_planes, True)
        add_planes(second_planes, first_planes, False)
        left = builder.load(carried)
        _store_eight(context, builder, of_carry, carry, ir.Constant(_WIDE, 0), left)
        return _non_zero(builder, left)

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
