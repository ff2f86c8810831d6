"""Vectors of sixteen float32 in LLVM's own terms: what the compiler does not find by itself.

LLVM keeps the order of a sum as it is written, and so does not vectorise it, unless it may
choose the order freely; then the bits depend on what else stands in the kernel.  Here the
lanes are written out: the same bits in every kernel, on every CPU with fused multiply-add.
On a CPU without 512-bit registers LLVM takes two or four narrower ones for each vector.
"""

# Compiled functions carry no annotations: their types stand in the kernels that call them.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 16
ROWS = 6  # of a tile: twelve 256-bit sums, or six of 512 bits, stay in registers
_SUMS = 4  # of a distance, added to in turn, since each has to wait for its last addition

_FLOAT = ir.FloatType()
_INT = ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_POINTER = _VECTOR.as_pointer()
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)


def _int(value: int) -> Any:
    return ir.Constant(_INT, value)


def _array(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.make_array(kind)(context, builder, value)


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, _POINTER), align=4)


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, in one step where the CPU has one."""
    name = f"llvm.fmuladd.v{LANES}f32"
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), name)
    return builder.call(function, [a, b, c])


def _shuffle(builder: Any, vector: Any, lanes: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), lanes)
    return builder.shuffle_vector(vector, ir.Constant(_VECTOR, ir.Undefined), mask)


def _broadcast(builder: Any, scalar: Any) -> Any:
    vector = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(vector, scalar, ir.Constant(ir.IntType(32), 0))
    return _shuffle(builder, first, [0] * LANES)


def _total(builder: Any, vector: Any) -> Any:
    """The sum of all lanes, halves first."""
    half = LANES // 2
    while half:
        turned = _shuffle(builder, vector, [(t + half) % LANES for t in range(LANES)])
        vector = builder.fadd(vector, turned)
        half //= 2
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


@intrinsic
def multiply_tile(_typing, rows, panels, panel, products, column):
    """products[r, column + t] = sum_j rows[r, j] * panels[panel * d + j, t], 6 rows, 16 columns.

    ``rows`` is (6, d), ``panels`` (any, 16), ``products`` (6, any), all C-contiguous float32.
    A product is summed over the features in their order, whatever stands beside it.
    """

    def generate(context, builder, signature, arguments):
        row_array = _array(context, builder, signature.args[0], arguments[0])
        panel_array = _array(context, builder, signature.args[1], arguments[1])
        product_array = _array(context, builder, signature.args[3], arguments[3])
        features = builder.extract_value(row_array.shape, 1)
        stride = builder.extract_value(product_array.shape, 1)
        begin = builder.mul(builder.mul(arguments[2], features), _int(LANES))
        base = builder.gep(panel_array.data, [begin])
        starts = [
            builder.gep(row_array.data, [builder.mul(_int(r), features)]) for r in range(ROWS)
        ]
        sums = [cgutils.alloca_once_value(builder, _ZERO) for _ in range(ROWS)]
        for total in sums:
            builder.store(_ZERO, total)
        with cgutils.for_range(builder, features) as loop:
            at = builder.gep(base, [builder.mul(loop.index, _int(LANES))])
            columns = _load(builder, at)
            for start, total in zip(starts, sums, strict=True):
                value = _broadcast(builder, builder.load(builder.gep(start, [loop.index])))
                summed = _multiply_add(builder, value, columns, builder.load(total))
                builder.store(summed, total)
        for r, total in enumerate(sums):
            offset = builder.add(builder.mul(_int(r), stride), arguments[4])
            to = builder.bitcast(builder.gep(product_array.data, [offset]), _POINTER)
            builder.store(builder.load(total), to, align=4)
        return context.get_dummy_value()

    return types.void(rows, panels, types.int64, products, types.int64), generate


@intrinsic
def squared_distance(_typing, a, b):
    """Sum of (a_j - b_j)^2 by direct differences, in float32.

    Differences and not |a|^2 + |b|^2 - 2ab, which loses near copies with large norms.
    """

    def generate(context, builder, signature, arguments):
        first = _array(context, builder, signature.args[0], arguments[0])
        second = _array(context, builder, signature.args[1], arguments[1])
        length = builder.extract_value(first.shape, 0)
        sums = [cgutils.alloca_once_value(builder, _ZERO) for _ in range(_SUMS)]
        for total in sums:
            builder.store(_ZERO, total)

        def add(at: Any, total: Any) -> None:
            x = _load(builder, builder.gep(first.data, [at]))
            y = _load(builder, builder.gep(second.data, [at]))
            difference = builder.fsub(x, y)
            summed = _multiply_add(builder, difference, difference, builder.load(total))
            builder.store(summed, total)

        def whole(step: int) -> Any:
            return builder.and_(length, _int(-step))

        def steps(begin: Any, end: Any, step: int) -> Any:
            return cgutils.for_range_slice(builder, begin, end, _int(step), intp=_INT)

        with steps(_int(0), whole(LANES * _SUMS), LANES * _SUMS) as (at, _):
            for s, total in enumerate(sums):
                add(builder.add(at, _int(s * LANES)), total)
        with steps(whole(LANES * _SUMS), whole(LANES), LANES) as (at, _):
            add(at, sums[0])
        pairs = [
            builder.fadd(builder.load(sums[0]), builder.load(sums[1])),
            builder.fadd(builder.load(sums[2]), builder.load(sums[3])),
        ]
        distance = cgutils.alloca_once(builder, _FLOAT)
        builder.store(_total(builder, builder.fadd(*pairs)), distance)
        with steps(whole(LANES), length, 1) as (at, _):
            x = builder.load(builder.gep(first.data, [at]))
            y = builder.load(builder.gep(second.data, [at]))
            difference = builder.fsub(x, y)
            square = builder.fmul(difference, difference)
            builder.store(builder.fadd(builder.load(distance), square), distance)
        return builder.load(distance)

    return types.float32(a, b), generate


@intrinsic
def at_most(_typing, a, i, b, j, limits, k):
    """Bits t, of sixteen, in which a[i + t] + b[j + t] <= limits[k + t]."""

    def generate(context, builder, signature, arguments):
        vectors = []
        for v in (0, 2, 4):
            array = _array(context, builder, signature.args[v], arguments[v])
            vectors.append(_load(builder, builder.gep(array.data, [arguments[v + 1]])))
        below = builder.fcmp_ordered("<=", builder.fadd(vectors[0], vectors[1]), vectors[2])
        return builder.zext(builder.bitcast(below, ir.IntType(LANES)), _INT)

    at = types.int64
    return types.int64(a, at, b, at, limits, at), generate


@intrinsic
def lowest(_typing, bits):
    """The place of the lowest bit that is set; there must be one."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate
