"""Machine instructions that numba does not offer by itself. None checks its arguments: the callers do.

Vectors are written in the compiler's own language, so the same code becomes AVX-512, AVX2 or SSE, whatever there is.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def count_trailing_zeros(typing_context: Any, word: Any) -> Any:
    """Position of the lowest set bit of a uint64 as int64; undefined for 0 (test before)."""
    if word != types.uint64:
        raise TypeError("count_trailing_zeros takes a uint64")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@intrinsic
def address_as_pointer(typing_context: Any, address: Any) -> Any:
    """An int64 address as a pointer for ``numba.carray``; whoever calls keeps the memory alive."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), generate


@intrinsic
def prefetch(typing_context: Any, address: Any) -> Any:
    """Ask for the memory at an int64 address to be brought near; never faults."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        # To be read, to stay near, data.
        choice = [ir.Constant(flag, value) for value in (0, 3, 1)]
        builder.call(fetch, [builder.inttoptr(arguments[0], byte), *choice])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def count_set_bits(typing_context: Any, word: Any) -> Any:
    """Number of set bits of a uint64 as int64."""
    if word != types.uint64:
        raise TypeError("count_set_bits takes a uint64")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def add_product_32(typing_context: Any, total: Any, first: Any, second: Any) -> Any:
    """``total + first * second`` for an int32 and two uint8 or uint16, in 32 bits.

    Numba would widen to 64 bits, and so halve what fits into a vector. The caller sees to it that nothing overflows.
    """
    signature = types.int32(types.int32, first, second)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(32)
        product = builder.mul(builder.zext(arguments[1], wide), builder.zext(arguments[2], wide))
        return builder.add(arguments[0], product)

    return signature, generate


def _byte_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def copy_bytes(typing_context: Any, target: Any, to: Any, source: Any, at: Any, length: Any) -> Any:
    """``target[to:to + length] = source[at:at + length]`` for contiguous uint8 arrays; the parts must not overlap."""
    signature = types.void(target, types.int64, source, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        copy = builder.module.declare_intrinsic("llvm.memcpy", [byte, byte, ir.IntType(64)])
        builder.call(
            copy,
            [
                _byte_pointer(context, builder, signature.args[0], arguments[0], arguments[1]),
                _byte_pointer(context, builder, signature.args[2], arguments[2], arguments[3]),
                arguments[4],
                ir.Constant(ir.IntType(1), 0),
            ],
        )
        return context.get_dummy_value()

    return signature, generate


_SIXTEEN = ir.VectorType(ir.IntType(8), 16)
_TWO_WORDS = ir.VectorType(ir.IntType(64), 2)

# The instruction that picks bytes from a register by an index per byte.
_BYTE_SHUFFLES = {
    "x86_64": "llvm.x86.ssse3.pshuf.b.128",
    "aarch64": "llvm.aarch64.neon.tbl1.v16i8",
}


def _sixteen_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    return builder.bitcast(_byte_pointer(context, builder, array_type, array, index), _SIXTEEN.as_pointer())


def _load_sixteen(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    loaded = builder.load(_sixteen_pointer(context, builder, array_type, array, index))
    loaded.align = 1
    return loaded


def _shuffled(builder: Any, value: Any, index: Any) -> Any:
    name = _BYTE_SHUFFLES.get(platform.machine())
    if name is not None:
        kind = ir.FunctionType(_SIXTEEN, [_SIXTEEN, _SIXTEEN])
        return builder.call(builder.module.declare_intrinsic(name, [], kind), [value, index])
    result = ir.Constant(_SIXTEEN, ir.Undefined)
    for lane in range(16):
        place = ir.Constant(ir.IntType(32), lane)
        chosen = builder.extract_element(value, builder.extract_element(index, place))
        result = builder.insert_element(result, chosen, place)
    return result


@intrinsic
def copy_16_bytes(typing_context: Any, target: Any, to: Any, source: Any, at: Any) -> Any:
    """``target[to:to + 16] = source[at:at + 16]`` for contiguous uint8 arrays, read wholly before it is written."""
    signature = types.void(target, types.int64, source, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = _load_sixteen(context, builder, signature.args[2], arguments[2], arguments[3])
        to = _sixteen_pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        builder.store(loaded, to).align = 1
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def shuffle_16_bytes(typing_context: Any, source: Any, at: Any, index: Any, row: Any) -> Any:
    """``source[at:at + 16][index[row:row + 16]]`` for contiguous uint8 arrays, as two uint64; indices 0 to 15."""
    signature = types.UniTuple(types.uint64, 2)(source, types.int64, index, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = _load_sixteen(context, builder, signature.args[0], arguments[0], arguments[1])
        places = _load_sixteen(context, builder, signature.args[2], arguments[2], arguments[3])
        words = builder.bitcast(_shuffled(builder, value, places), _TWO_WORDS)
        parts = [builder.extract_element(words, ir.Constant(ir.IntType(32), i)) for i in range(2)]
        return context.make_tuple(builder, signature.return_type, parts)

    return signature, generate


@intrinsic
def store_16_bytes(typing_context: Any, target: Any, to: Any, low: Any, high: Any) -> Any:
    """``target[to:to + 16]`` = two uint64, for a contiguous uint8 array."""
    signature = types.void(target, types.int64, types.uint64, types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        words = ir.Constant(_TWO_WORDS, ir.Undefined)
        for i in range(2):
            words = builder.insert_element(words, arguments[2 + i], ir.Constant(ir.IntType(32), i))
        to = _sixteen_pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        builder.store(builder.bitcast(words, _SIXTEEN), to).align = 1
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def load_word(typing_context: Any, source: Any, at: Any) -> Any:
    """``source[at:at + 8]`` of a contiguous uint8 array as a uint64, the first byte lowest."""
    signature = types.uint64(source, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _byte_pointer(context, builder, signature.args[0], *arguments)
        loaded = builder.load(builder.bitcast(pointer, ir.IntType(64).as_pointer()))
        loaded.align = 1
        return loaded

    return signature, generate


@intrinsic
def repeat_16_bytes(
    typing_context: Any, target: Any, to: Any, distance: Any, repeats: Any, low: Any, high: Any
) -> Any:
    """``target[to:to + 16]`` = two uint64 if ``repeats``, otherwise what stands ``distance`` before; uint8 array."""
    signature = types.void(target, types.int64, types.int64, types.boolean, types.uint64, types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, to, distance, repeats, low, high = arguments
        words = ir.Constant(_TWO_WORDS, ir.Undefined)
        for i, word in enumerate((low, high)):
            words = builder.insert_element(words, word, ir.Constant(ir.IntType(32), i))
        pattern = builder.bitcast(words, _SIXTEEN)
        past = _load_sixteen(context, builder, signature.args[0], target, builder.sub(to, distance))
        chosen = builder.select(repeats, pattern, past)
        builder.store(chosen, _sixteen_pointer(context, builder, signature.args[0], target, to)).align = 1
        return context.get_dummy_value()

    return signature, generate


# Eight 64-bit words at a time; arrays are flat uint64, indices count words.
_EIGHT = ir.VectorType(ir.IntType(64), 8)


def _eight_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    return builder.bitcast(_byte_pointer(context, builder, array_type, array, index), _EIGHT.as_pointer())


def _load_eight(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    loaded = builder.load(_eight_pointer(context, builder, array_type, array, index))
    loaded.align = 8
    return loaded


def _store_eight(context: Any, builder: Any, array_type: Any, array: Any, index: Any, value: Any) -> None:
    builder.store(value, _eight_pointer(context, builder, array_type, array, index)).align = 8


def _splat_eight(builder: Any, word: Any) -> Any:
    first = builder.insert_element(ir.Constant(_EIGHT, ir.Undefined), word, ir.Constant(ir.IntType(32), 0))
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


@intrinsic
def exchange_bits(typing_context: Any, words: Any, first: Any, second: Any, shift: Any, mask: Any) -> Any:
    """Exchange bits ``mask << shift`` of ``words[first:first + 8]`` with bits ``mask`` of those at ``second``."""
    signature = types.void(words, types.int64, types.int64, types.uint64, types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, first, second, shift, mask = arguments
        kind = signature.args[0]
        shifts, masks = _splat_eight(builder, shift), _splat_eight(builder, mask)
        low = _load_eight(context, builder, kind, array, first)
        high = _load_eight(context, builder, kind, array, second)
        changed = builder.and_(builder.xor(builder.lshr(low, shifts), high), masks)
        _store_eight(context, builder, kind, array, first, builder.xor(low, builder.shl(changed, shifts)))
        _store_eight(context, builder, kind, array, second, builder.xor(high, changed))
        return context.get_dummy_value()

    return signature, generate


def _add_three(builder: Any, first: Any, second: Any, third: Any) -> tuple[Any, Any]:
    """Sum and carry of three bits, for 512 places at once."""
    odd = builder.xor(first, second)
    carry = builder.or_(builder.and_(first, second), builder.and_(odd, third))
    return builder.xor(odd, third), carry


def _add_bits(builder: Any, total: Any, values: list[Any]) -> tuple[Any, list[Any]]:
    """Add one bit, or an even number of them, to ``total``; returns it and the carries, half as many."""
    if len(values) == 1:
        return builder.xor(total, values[0]), [builder.and_(total, values[0])]
    carries = []
    for first, second in zip(values[::2], values[1::2], strict=True):
        total, carry = _add_three(builder, total, first, second)
        carries.append(carry)
    return total, carries


@intrinsic
def count_rows(
    typing_context: Any,
    counters: Any,
    to: Any,
    rows: Any,
    start: Any,
    numbers: Any,
    at: Any,
    eights: Any,
    carry: Any,
) -> Any:
    """Count the bits of 8 to 128 rows of 512 bits in 512 counters; returns 0 unless some counter overflows.

    Row n is ``rows[start + 8 n:start + 8 n + 8]``; the numbers of the rows are ``numbers[at:at + 8 * eights]``, uint16.
    Bit k of the counters is ``counters[to + 8 k:to + 8 k + 8]``, k = 0..7; what overflows them is left in
    ``carry[:8]``. Meanwhile the counters stay in registers.
    """
    signature = types.uint64(
        counters, types.int64, rows, types.int64, numbers, types.int64, types.int64, carry
    )

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counters, to, rows, start, numbers, at, eights, carry = arguments
        of_counters, of_rows, of_carry = (signature.args[i] for i in (0, 2, 7))
        listed = context.make_array(signature.args[4])(context, builder, numbers).data
        wide = ir.IntType(64)
        places = [builder.add(to, ir.Constant(wide, 8 * plane)) for plane in range(8)]
        held = [
            cgutils.alloca_once_value(builder, _load_eight(context, builder, of_counters, counters, place))
            for place in places
        ]
        overflow = cgutils.alloca_once_value(builder, ir.Constant(_EIGHT, [0] * 8))
        with cgutils.for_range(builder, eights, intp=wide) as loop:
            first = builder.add(at, builder.shl(loop.index, ir.Constant(wide, 3)))
            values = []
            for i in range(8):
                number = builder.load(builder.gep(listed, [builder.add(first, ir.Constant(wide, i))]))
                row = builder.add(start, builder.shl(builder.zext(number, wide), ir.Constant(wide, 3)))
                values.append(_load_eight(context, builder, of_rows, rows, row))
            for digit in held:
                total, values = _add_bits(builder, builder.load(digit), values)
                builder.store(total, digit)
            builder.store(builder.or_(builder.load(overflow), values[0]), overflow)
        for digit, place in zip(held, places, strict=True):
            _store_eight(context, builder, of_counters, counters, place, builder.load(digit))
        left = builder.load(overflow)
        _store_eight(context, builder, of_carry, carry, ir.Constant(wide, 0), left)
        return _non_zero(builder, left)

    return signature, generate
