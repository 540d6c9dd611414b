"""Counters side by side as bits, and the numbers they hold: vector instructions for the products of two-time maps.

Bit k of 64 counters is one word, that of 256 or 512 counters is a row of them, the k-th digit; digits stand ``step``
words apart. To add a row of bits takes a few AND and XOR for all counters at once. As in :mod:`backend.word_vectors`,
vectors are written in the compiler's own language, and nothing checks its arguments.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from backend.word_vectors import add_bits

SQUARE = 16
"""Edge of the squares that :func:`store_turned` turns."""

_WIDE, _NARROW = ir.IntType(64), ir.IntType(32)
_NUMBERS = ir.VectorType(_NARROW, 64)
_BYTES = ir.VectorType(ir.IntType(8), 64)
_FLOATS = ir.VectorType(ir.FloatType(), SQUARE)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any, vector: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _load(builder: Any, pointer: Any, align: int) -> Any:
    loaded = builder.load(pointer)
    loaded.align = align
    return loaded


def _places_of_eight_rows(builder: Any, numbers: Any, start: Any, width: int) -> list[Any]:
    """Where the rows with these numbers begin."""
    loaded = [builder.load(builder.gep(numbers, [ir.Constant(_WIDE, i)])) for i in range(8)]
    words = [builder.mul(builder.zext(number, _WIDE), ir.Constant(_WIDE, width)) for number in loaded]
    return [builder.add(start, some) for some in words]


@intrinsic
def count_rows(
    typing_context: Any,
    counters: Any,
    to: Any,
    step: Any,
    rows: Any,
    start: Any,
    numbers: Any,
    at: Any,
    eights: Any,
    carry: Any,
    row_words: Any,
) -> Any:
    """Count the bits of 8 to 128 rows in as many counters as a row has bits; returns 0 unless some counter overflows.

    Row n is ``rows[start + w n:start + w n + w]`` with w = ``row_words``, a number known when compiling, up to 8; the
    numbers of the rows are ``numbers[at:at + 8 * eights]``, uint16. Digit k of the counters is
    ``counters[to + step k:to + step k + w]``, k = 0..7; what overflows them is left in ``carry[:w]``. Meanwhile the
    counters stay in registers, if the processor has eight and as many again for a row of this length.
    """
    if not isinstance(row_words, types.IntegerLiteral):
        return None
    width = row_words.literal_value
    row_type = ir.VectorType(_WIDE, width)
    index = types.int64
    signature = types.uint64(counters, index, index, rows, index, numbers, index, index, carry, row_words)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counters, to, step, rows, start, numbers, at, eights, carry, _ = arguments
        nothing = ir.Constant(row_type, [0] * width)
        listed = context.make_array(signature.args[5])(context, builder, numbers).data
        places = [
            _pointer(
                context, builder, signature.args[0], counters,
                builder.add(to, builder.mul(step, ir.Constant(_WIDE, digit))), row_type,
            )
            for digit in range(8)
        ]  # fmt: skip
        held = [cgutils.alloca_once_value(builder, _load(builder, place, 8)) for place in places]
        overflow = cgutils.alloca_once_value(builder, nothing)
        with cgutils.for_range(builder, eights, intp=_WIDE) as loop:
            first = builder.add(at, builder.shl(loop.index, ir.Constant(_WIDE, 3)))
            values = [
                _load(builder, _pointer(context, builder, signature.args[3], rows, place, row_type), 8)
                for place in _places_of_eight_rows(builder, builder.gep(listed, [first]), start, width)
            ]
            for digit in held:
                total, values = add_bits(builder, builder.load(digit), values)
                builder.store(total, digit)
            builder.store(builder.or_(builder.load(overflow), values[0]), overflow)
        for digit, place in zip(held, places, strict=True):
            builder.store(builder.load(digit), place).align = 8
        left = builder.load(overflow)
        to_carry = _pointer(context, builder, signature.args[8], carry, ir.Constant(_WIDE, 0), row_type)
        builder.store(left, to_carry).align = 8
        lanes = builder.icmp_unsigned("!=", left, nothing)
        return builder.zext(builder.bitcast(lanes, ir.IntType(width)), _WIDE)

    return signature, generate


@numba.njit(nogil=True, cache=True)
def carry_on(counters: np.ndarray, place: int, step: int, carry: np.ndarray) -> int:
    """Add what overflowed the lower digits to those from ``place`` on; returns how many it came to."""
    digits = 0
    left = ~np.uint64(0)
    while left != np.uint64(0):
        left = np.uint64(0)
        for word in range(carry.size):
            both = counters[place + word] & carry[word]
            counters[place + word] ^= carry[word]
            carry[word] = both
            left |= both
        place += step
        digits += 1
    return digits


@intrinsic
def read_64_counters(
    typing_context: Any, numbers: Any, to: Any, counters: Any, at: Any, step: Any, digits: Any
) -> Any:
    """``numbers[to:to + 64]``, int32 = 64 counters of up to 31 digits.

    Digit k of them is the word ``counters[at + step k]``.
    """
    signature = types.void(numbers, types.int64, counters, types.int64, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers, to, counters, at, step, digits = arguments
        words = context.make_array(signature.args[2])(context, builder, counters).data
        target = _pointer(context, builder, signature.args[0], numbers, to, _NUMBERS)
        builder.store(ir.Constant(_NUMBERS, None), target).align = 4
        eight = ir.Constant(_WIDE, 8)
        # Eight digits are a byte, so much of the work is done on bytes.
        with cgutils.for_range_slice(builder, ir.Constant(_WIDE, 0), digits, eight, intp=_WIDE) as (first, _):
            total = cgutils.alloca_once(builder, _BYTES)
            value = cgutils.alloca_once(builder, _BYTES)
            builder.store(ir.Constant(_BYTES, None), total)
            builder.store(ir.Constant(_BYTES, [1] * 64), value)
            left = builder.sub(digits, first)
            some = builder.select(builder.icmp_signed("<", left, eight), left, eight)
            with cgutils.for_range(builder, some, intp=_WIDE) as loop:
                place = builder.add(at, builder.mul(builder.add(first, loop.index), step))
                lanes = _bytes_with(builder, builder.load(builder.gep(words, [place])))
                digit = builder.load(value)
                builder.store(builder.or_(builder.load(total), builder.and_(lanes, digit)), total)
                builder.store(builder.add(digit, digit), value)
            shift = builder.insert_element(
                ir.Constant(_NUMBERS, ir.Undefined), builder.trunc(first, _NARROW), ir.Constant(_NARROW, 0)
            )
            shifts = builder.shuffle_vector(shift, shift, ir.Constant(_NUMBERS, [0] * 64))
            higher = builder.shl(builder.zext(builder.load(total), _NUMBERS), shifts)
            builder.store(builder.or_(_load(builder, target, 4), higher), target).align = 4
        return context.get_dummy_value()

    return signature, generate


def _bytes_with(builder: Any, word: Any) -> Any:
    """64 bytes, all ones where the word has a bit."""
    eight_bytes = builder.bitcast(word, ir.VectorType(ir.IntType(8), 8))
    spread = ir.Constant(ir.VectorType(_NARROW, 64), [lane // 8 for lane in range(64)])
    own_bit = ir.Constant(_BYTES, [1 << lane % 8 for lane in range(64)])
    of_lane = builder.and_(builder.shuffle_vector(eight_bytes, eight_bytes, spread), own_bit)
    return builder.sext(builder.icmp_unsigned("==", of_lane, own_bit), _BYTES)


def _turn(builder: Any, rows: list[Any]) -> list[Any]:
    """Rows become columns: squares of half the size are exchanged, then those of a quarter, and so on."""
    distance = SQUARE // 2
    while distance:
        for first in (row for row in range(SQUARE) if not row & distance):
            second = first + distance
            low = [lane if not lane & distance else lane - distance + SQUARE for lane in range(SQUARE)]
            high = [lane + distance if not lane & distance else lane + SQUARE for lane in range(SQUARE)]
            rows[first], rows[second] = (
                builder.shuffle_vector(
                    rows[first], rows[second], ir.Constant(ir.VectorType(_NARROW, SQUARE), chosen)
                )
                for chosen in (low, high)
            )
        distance //= 2
    return rows


@intrinsic
def store_turned(
    typing_context: Any, target: Any, to: Any, target_step: Any, source: Any, at: Any, source_step: Any
) -> Any:
    """``target[to + target_step i + k] = source[at + source_step k + i]`` for i, k = 0..15, both flat float32."""
    signature = types.void(target, types.int64, types.int64, source, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, to, target_step, source, at, source_step = arguments

        def pointer(kind: Any, array: Any, first: Any, step: Any, row: int) -> Any:
            place = builder.add(first, builder.mul(step, ir.Constant(_WIDE, row)))
            return _pointer(context, builder, kind, array, place, _FLOATS)

        rows = [
            _load(builder, pointer(signature.args[3], source, at, source_step, row), 4)
            for row in range(SQUARE)
        ]
        for row, value in enumerate(_turn(builder, rows)):
            builder.store(value, pointer(signature.args[0], target, to, target_step, row)).align = 4
        return context.get_dummy_value()

    return signature, generate
