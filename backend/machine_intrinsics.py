"""Machine instructions that numba does not offer by itself. None checks its arguments: the callers do.

Vectors are written in the compiler's own language, so the same code becomes AVX-512, AVX2 or SSE, whatever there is.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
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
