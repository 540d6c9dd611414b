"""Machine instructions that numba does not offer by itself. None checks its arguments: the callers do."""

from __future__ import annotations

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


@intrinsic
def fill_bytes(typing_context: Any, target: Any, to: Any, value: Any, length: Any) -> Any:
    """``target[to:to + length] = value`` for a contiguous uint8 array."""
    signature = types.void(target, types.int64, types.uint8, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        fill = builder.module.declare_intrinsic("llvm.memset", [byte, ir.IntType(64)])
        builder.call(
            fill,
            [
                _byte_pointer(context, builder, signature.args[0], arguments[0], arguments[1]),
                arguments[2],
                arguments[3],
                ir.Constant(ir.IntType(1), 0),
            ],
        )
        return context.get_dummy_value()

    return signature, generate
