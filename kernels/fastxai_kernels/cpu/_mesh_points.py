"""Quintic B-splines at one point of a mesh, eight lanes at a time, in LLVM's own terms.

A point at u = a + t, with a whole and 0 <= t < 1, has the weights M(t), M(t + 1), ..,
M(t + 5) at the nodes a + 5, .., a: polynomials of degree 5 in t, evaluated for all nodes
at once by Horner's rule, lane j for node a + j.  Lanes 6 and 7 have weight 0.
"""

# Compiled functions carry no annotations: their types stand in the kernels that call them.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from math import comb
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

ORDER = 6
LANES = 8
_INT = ir.IntType(64)
_ELEMENTS = {types.float32: (ir.FloatType(), "f32"), types.float64: (ir.DoubleType(), "f64")}


def _polynomials() -> list[list[float]]:
    """Coefficient of t^k (row k) of the weight of node a + j (column j)."""
    degree, factorial = ORDER - 1, 120.0
    rows = [[0.0] * LANES for _ in range(ORDER)]
    for j in range(ORDER):
        # M(x) = sum_i (-1)^i C(6, i) (x - i)_+^5 / 120 at x = t + 5 - j
        for i in range(degree - j + 1):
            sign, at = (-1) ** i * comb(ORDER, i), degree - j - i
            for k in range(ORDER):
                rows[k][j] += sign * comb(degree, k) * at ** (degree - k) / factorial
    return rows


WEIGHTS = _polynomials()
SLOPES = [[(k + 1) * value for value in WEIGHTS[k + 1]] for k in range(ORDER - 1)]


class _Vectors:
    """Vectors of the element type of a mesh, and the few things done with them."""

    def __init__(self, builder: Any, element: Any) -> None:
        self.builder = builder
        self.scalar, self._suffix = _ELEMENTS[element]
        self.type = ir.VectorType(self.scalar, LANES)
        self.align = 4 if element == types.float32 else 8

    def narrowed(self, scalar: Any) -> Any:
        """A double as an element of the mesh."""
        return scalar if self.align == 8 else self.builder.fptrunc(scalar, self.scalar)

    def widened(self, scalar: Any) -> Any:
        return scalar if self.align == 8 else self.builder.fpext(scalar, ir.DoubleType())

    def constant(self, values: list[float]) -> Any:
        return ir.Constant(self.type, values)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """a * b + c, in one step where the CPU has one."""
        name = f"llvm.fmuladd.v{LANES}{self._suffix}"
        function = self.builder.module.globals.get(name)
        if function is None:
            kind = ir.FunctionType(self.type, [self.type] * 3)
            function = ir.Function(self.builder.module, kind, name)
        return self.builder.call(function, [a, b, c])

    def _shuffle(self, vector: Any, lanes: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), lanes)
        return self.builder.shuffle_vector(vector, ir.Constant(self.type, ir.Undefined), mask)

    def broadcast(self, scalar: Any) -> Any:
        empty = ir.Constant(self.type, ir.Undefined)
        first = self.builder.insert_element(empty, scalar, ir.Constant(ir.IntType(32), 0))
        return self._shuffle(first, [0] * LANES)

    def lane(self, vector: Any, lane: int) -> Any:
        return self._shuffle(vector, [lane] * LANES)

    def total(self, vector: Any) -> Any:
        """The sum of all lanes, halves first."""
        half = LANES // 2
        while half:
            turned = self._shuffle(vector, [(t + half) % LANES for t in range(LANES)])
            vector = self.builder.fadd(vector, turned)
            half //= 2
        return self.builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    def polynomial(self, coefficients: list[list[float]], t: Any) -> Any:
        value = self.constant(coefficients[-1])
        for row in coefficients[-2::-1]:
            value = self.multiply_add(value, t, self.constant(row))
        return value

    def pointers(self, array: Any, row: Any, column: Any) -> list[Any]:
        """Where the rows row .. row + 5 of the mesh have their lanes."""
        stride = self.builder.extract_value(array.shape, 1)
        at = self.builder.add(self.builder.mul(row, stride), column)
        pointers = []
        for _ in range(ORDER):
            pointer = self.builder.gep(array.data, [at])
            pointers.append(self.builder.bitcast(pointer, self.type.as_pointer()))
            at = self.builder.add(at, stride)
        return pointers


@intrinsic
def spread_point(_typing, mesh, row, column, t, s):
    """mesh[row + i, column + j] += w_i(t) w_j(s)."""

    def generate(context, builder, signature, arguments):
        v = _Vectors(builder, signature.args[0].dtype)
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        rows = v.polynomial(WEIGHTS, v.broadcast(v.narrowed(arguments[3])))
        columns = v.polynomial(WEIGHTS, v.broadcast(v.narrowed(arguments[4])))
        for r, pointer in enumerate(v.pointers(array, arguments[1], arguments[2])):
            before = builder.load(pointer, align=v.align)
            after = v.multiply_add(v.lane(rows, r), columns, before)
            builder.store(after, pointer, align=v.align)
        return context.get_dummy_value()

    at = types.int64
    return types.void(mesh, at, at, types.float64, types.float64), generate


@intrinsic
def gather_point(_typing, mesh, row, column, t, s):
    """The spline through the mesh at a point, and its derivatives along rows and columns."""

    def generate(context, builder, signature, arguments):
        v = _Vectors(builder, signature.args[0].dtype)
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        t_all, s_all = (v.broadcast(v.narrowed(arguments[o])) for o in (3, 4))
        rows, falls = v.polynomial(WEIGHTS, t_all), v.polynomial(SLOPES, t_all)
        value = slope = v.constant([0.0] * LANES)
        for r, pointer in enumerate(v.pointers(array, arguments[1], arguments[2])):
            nodes = builder.load(pointer, align=v.align)
            value = v.multiply_add(v.lane(rows, r), nodes, value)
            slope = v.multiply_add(v.lane(falls, r), nodes, slope)
        columns = v.polynomial(WEIGHTS, s_all)
        sums = [
            v.total(builder.fmul(columns, value)),
            v.total(builder.fmul(columns, slope)),
            v.total(builder.fmul(v.polynomial(SLOPES, s_all), value)),
        ]
        return context.make_tuple(builder, signature.return_type, [v.widened(x) for x in sums])

    at = types.int64
    result = types.containers.UniTuple(types.float64, 3)
    return result(mesh, at, at, types.float64, types.float64), generate
