"""Sixteen float32 as one value, which compiled code adds, multiplies and divides as such.

LLVM keeps the order of a sum as it is written, and so does not vectorise it.  Here the
lanes are written out, and sums stay in registers: the same bits in every kernel.  On a CPU
without 512-bit registers LLVM takes two or four narrower ones.
"""

# Compiled functions carry no annotations: their types stand in the kernels that call them.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.core.imputils import lower_builtin
from numba.core.types.containers import UniTuple
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, register_model

from ._jit import inlined
from ._vectors import _VECTOR, LANES, _array, _broadcast, _load, _multiply_add, _total

_INTS = ir.VectorType(ir.IntType(32), LANES)
_DOUBLES = ir.VectorType(ir.DoubleType(), LANES)


class Wide(types.Type):
    """Numba's type of such a value."""

    def __init__(self) -> None:
        super().__init__(name="float32x16")


@register_model(Wide)
class _Model(models.PrimitiveModel):
    """In LLVM a vector."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


wide = Wide()


def _define(symbol: Any, instruction: str) -> None:
    """``a symbol b`` of two wide values by one instruction."""

    @infer_global(symbol)
    class _Template(ConcreteTemplate):
        cases = [signature(wide, wide, wide)]

    @lower_builtin(symbol, wide, wide)
    def _lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments)


for _symbols, _instruction in (
    ((operator.add, operator.iadd), "fadd"),
    ((operator.sub, operator.isub), "fsub"),
    ((operator.mul, operator.imul), "fmul"),
    ((operator.truediv, operator.itruediv), "fdiv"),
):
    for _symbol in _symbols:
        _define(_symbol, _instruction)


def _constant(value: float) -> Any:
    return ir.Constant(_VECTOR, [value] * LANES)


def _ints(value: int) -> Any:
    return ir.Constant(_INTS, [value] * LANES)


def _call(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """A function that LLVM brings with it."""
    function = builder.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = ir.Function(builder.module, kind, name)
    return builder.call(function, arguments)


@intrinsic
def splat(_typing, x):
    """The float32 x in every lane."""

    def generate(context, builder, signature, arguments):
        return _broadcast(builder, arguments[0])

    return wide(types.float32), generate


@intrinsic
def load(_typing, array, at):
    """array[at : at + 16], an array of one dimension."""

    def generate(context, builder, signature, arguments):
        data = _array(context, builder, signature.args[0], arguments[0]).data
        return _load(builder, builder.gep(data, [arguments[1]]))

    return wide(array, types.int64), generate


@intrinsic
def load_until(_typing, array, at, stop):
    """array[at : stop], and 0 in the lanes from ``stop`` on."""

    def generate(context, builder, signature, arguments):
        data = _array(context, builder, signature.args[0], arguments[0]).data
        left = builder.trunc(builder.sub(arguments[2], arguments[1]), ir.IntType(32))
        lanes = ir.Constant(_INTS, list(range(LANES)))
        mask = builder.icmp_signed("<", lanes, _broadcast_int(builder, left))
        pointer = builder.gep(data, [arguments[1]])
        pointer = builder.bitcast(pointer, _VECTOR.as_pointer())
        align = ir.Constant(ir.IntType(32), 4)
        name = f"llvm.masked.load.v{LANES}f32.p0"
        return _call(builder, name, _VECTOR, pointer, align, mask, _constant(0.0))

    return wide(array, types.int64, types.int64), generate


def _broadcast_int(builder: Any, scalar: Any) -> Any:
    zero = ir.Constant(ir.IntType(32), 0)
    first = builder.insert_element(ir.Constant(_INTS, ir.Undefined), scalar, zero)
    return builder.shuffle_vector(first, ir.Constant(_INTS, ir.Undefined), _ints(0))


@intrinsic
def store(_typing, array, at, value):
    """Into array[at : at + 16]."""

    def generate(context, builder, signature, arguments):
        data = _array(context, builder, signature.args[0], arguments[0]).data
        to = builder.bitcast(builder.gep(data, [arguments[1]]), _VECTOR.as_pointer())
        builder.store(arguments[2], to, align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, wide), generate


@intrinsic
def total(_typing, value):
    """The sum of all lanes in float32."""

    def generate(context, builder, signature, arguments):
        return _total(builder, arguments[0])

    return types.float32(wide), generate


@intrinsic
def total64(_typing, value):
    """The sum of all lanes in float64."""

    def generate(context, builder, signature, arguments):
        vector = builder.fpext(arguments[0], _DOUBLES)
        half = LANES // 2
        while half:
            undefined = ir.Constant(vector.type, ir.Undefined)
            kind = ir.VectorType(ir.IntType(32), half)
            parts = [
                builder.shuffle_vector(vector, undefined, ir.Constant(kind, lanes))
                for lanes in (list(range(half)), list(range(half, 2 * half)))
            ]
            vector = builder.fadd(*parts)
            half //= 2
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return types.float64(wide), generate


@intrinsic
def fma(_typing, a, b, c):
    """a * b + c, in one step where the CPU has one."""

    def generate(context, builder, signature, arguments):
        return _multiply_add(builder, *arguments)

    return wide(wide, wide, wide), generate


@intrinsic
def at_least(_typing, value, bound):
    """The larger in each lane."""

    def generate(context, builder, signature, arguments):
        larger = builder.fcmp_ordered(">", *arguments)
        return builder.select(larger, *arguments)

    return wide(wide, wide), generate


@intrinsic
def where_less(_typing, a, b, value):
    """``value`` in the lanes where a < b, else 0."""

    def generate(context, builder, signature, arguments):
        less = builder.fcmp_ordered("<", arguments[0], arguments[1])
        return builder.select(less, arguments[2], _constant(0.0))

    return wide(wide, wide, wide), generate


@intrinsic
def floor(_typing, value):
    """The whole number below."""

    def generate(context, builder, signature, arguments):
        return _call(builder, f"llvm.floor.v{LANES}f32", _VECTOR, arguments[0])

    return wide(wide), generate


@intrinsic
def two_to(_typing, whole):
    """2 ** whole for whole numbers in [-126, 127]."""

    def generate(context, builder, signature, arguments):
        exponent = builder.add(builder.fptosi(arguments[0], _INTS), _ints(127))
        return builder.bitcast(builder.shl(exponent, _ints(23)), _VECTOR)

    return wide(wide), generate


@intrinsic
def split(_typing, value):
    """(m, e) with value = m 2^e for normal numbers above 0, m in [sqrt(1/2), sqrt(2))."""

    def generate(context, builder, signature, arguments):
        bits = builder.bitcast(arguments[0], _INTS)
        whole = builder.ashr(builder.sub(bits, _ints(0x3F3504F3)), _ints(23))
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(whole, _ints(23))), _VECTOR)
        parts = [mantissa, builder.sitofp(whole, _VECTOR)]
        return context.make_tuple(builder, signature.return_type, parts)

    return UniTuple(wide, 2)(wide), generate


@inlined
def constant(x):
    """A number in every lane."""
    return splat(np.float32(x))


@inlined
def exp(x):
    """exp(x) for x <= 0 to 2e-7, what lies below -87 as -87."""
    t = at_least(x, constant(-87.0)) * constant(1.44269504)
    whole = floor(t)
    part = t - whole
    y = fma(constant(1.8775767e-3), part, constant(8.9893397e-3))
    y = fma(y, part, constant(5.5826318e-2))
    y = fma(y, part, constant(2.4015361e-1))
    y = fma(y, part, constant(6.9315308e-1))
    y = fma(y, part, constant(9.9999994e-1))
    return y * two_to(whole)


@inlined
def log(x):
    """log(x) for normal x > 0 to 1e-7 (absolute near 1, relative elsewhere)."""
    mantissa, e = split(x)
    m = mantissa - constant(1.0)
    y = fma(constant(7.0376836292e-2), m, constant(-1.1514610310e-1))
    y = fma(y, m, constant(1.1676998740e-1))
    y = fma(y, m, constant(-1.2420140846e-1))
    y = fma(y, m, constant(1.4249322787e-1))
    y = fma(y, m, constant(-1.6668057665e-1))
    y = fma(y, m, constant(2.0000714765e-1))
    y = fma(y, m, constant(-2.4999993993e-1))
    y = fma(y, m, constant(3.3333331174e-1))
    square = m * m
    y = y * m * square - constant(0.5) * square
    # log 2 in two parts, of which the larger has few digits.
    return fma(constant(0.693359375), e, fma(constant(-2.12194440e-4), e, y) + m)
