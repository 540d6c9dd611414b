"""512 counters side by side as bits, and the numbers they hold: vector instructions for the products of two-time maps.

Bit k of 512 counters is one row of eight words, the k-th digit; digits stand ``step`` words apart. To add a row of 512
bits takes a few AND and XOR for all counters at once. As in :mod:`backend.word_vectors`, vectors are written in
the compiler's own language, and nothing checks its arguments.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from backend.word_vectors import add_bits

ROW_WORDS = 8
SQUARE = 16
"""Edge of the squares that :func:`store_turned` turns."""

_WIDE, _NARROW, _SHORT = ir.IntType(64), ir.IntType(32), ir.IntType(16)
_ROW = ir.VectorType(_WIDE, ROW_WORDS)
_NUMBERS = ir.VectorType(_NARROW, 16)
_FLOATS = ir.VectorType(ir.FloatType(), SQUARE)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any, vector: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _load(builder: Any, pointer: Any, align: int) -> Any:
    loaded = builder.load(pointer)
    loaded.align = align
    return loaded


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
) -> Any:
    """Count the bits of 8 to 128 rows of 512 bits in 512 counters; returns 0 unless some counter overflows.

    Row n is ``rows[start + 8 n:start + 8 n + 8]``; the numbers of the rows are ``numbers[at:at + 8 * eights]``, uint16.
    Digit k of the counters is ``counters[to + step k:to + step k + 8]``, k = 0..7; what overflows them is left in
    ``carry[:8]``. Meanwhile the counters stay in registers.
    """
    signature = types.uint64(
        counters, types.int64, types.int64, rows, types.int64, numbers, types.int64, types.int64, carry
    )

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counters, to, step, rows, start, numbers, at, eights, carry = arguments
        listed = context.make_array(signature.args[5])(context, builder, numbers).data
        places = [
            _pointer(
                context, builder, signature.args[0], counters,
                builder.add(to, builder.mul(step, ir.Constant(_WIDE, digit))), _ROW,
            )
            for digit in range(8)
        ]  # fmt: skip
        held = [cgutils.alloca_once_value(builder, _load(builder, place, 8)) for place in places]
        overflow = cgutils.alloca_once_value(builder, ir.Constant(_ROW, [0] * ROW_WORDS))
        with cgutils.for_range(builder, eights, intp=_WIDE) as loop:
            first = builder.add(at, builder.shl(loop.index, ir.Constant(_WIDE, 3)))
            values = []
            for i in range(8):
                number = builder.load(builder.gep(listed, [builder.add(first, ir.Constant(_WIDE, i))]))
                row = builder.add(start, builder.shl(builder.zext(number, _WIDE), ir.Constant(_WIDE, 3)))
                values.append(
                    _load(builder, _pointer(context, builder, signature.args[3], rows, row, _ROW), 8)
                )
            for digit in held:
                total, values = add_bits(builder, builder.load(digit), values)
                builder.store(total, digit)
            builder.store(builder.or_(builder.load(overflow), values[0]), overflow)
        for digit, place in zip(held, places, strict=True):
            builder.store(builder.load(digit), place).align = 8
        left = builder.load(overflow)
        to_carry = _pointer(context, builder, signature.args[8], carry, ir.Constant(_WIDE, 0), _ROW)
        builder.store(left, to_carry).align = 8
        lanes = builder.icmp_unsigned("!=", left, ir.Constant(_ROW, [0] * ROW_WORDS))
        return builder.zext(builder.bitcast(lanes, ir.IntType(8)), _WIDE)

    return signature, generate


@intrinsic
def read_64_counters(
    typing_context: Any, numbers: Any, to: Any, counters: Any, at: Any, step: Any, digits: Any
) -> Any:
    """``numbers[to:to + 64]``, uint32 = 64 counters of up to 32 digits.

    Digit k of them is the word ``counters[at + step k]``.
    """
    signature = types.void(numbers, types.int64, counters, types.int64, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers, to, counters, at, step, digits = arguments
        words = context.make_array(signature.args[2])(context, builder, counters).data
        zero = ir.Constant(_NUMBERS, [0] * 16)
        held = [cgutils.alloca_once_value(builder, zero) for _ in range(4)]
        value = cgutils.alloca_once_value(builder, ir.Constant(_NUMBERS, [1] * 16))
        with cgutils.for_range(builder, digits, intp=_WIDE) as loop:
            word = builder.load(builder.gep(words, [builder.add(at, builder.mul(loop.index, step))]))
            digit = builder.load(value)
            for part, total in enumerate(held):
                some = builder.trunc(builder.lshr(word, ir.Constant(_WIDE, 16 * part)), _SHORT)
                lanes = builder.bitcast(some, ir.VectorType(ir.IntType(1), 16))
                builder.store(builder.or_(builder.load(total), builder.select(lanes, digit, zero)), total)
            builder.store(builder.add(digit, digit), value)
        for part, total in enumerate(held):
            place = builder.add(to, ir.Constant(_WIDE, 16 * part))
            pointer = _pointer(context, builder, signature.args[0], numbers, place, _NUMBERS)
            builder.store(builder.load(total), pointer).align = 4
        return context.get_dummy_value()

    return signature, generate


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
