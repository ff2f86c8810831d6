"""Repulsion of sixteen points by a list of others, in vector lanes written out.

With v = 1 / (1 + r^2 / dof) the kernel and its derivatives along r^2 are

    w = v^dof,   w' = -w v,   w'' = k1 w v^2,   w''' = -k1 k2 w v^3,
    k1 = (dof + 1) / dof,   k2 = (dof + 2) / dof.

N points with second moments Q = sum (y_j - c)(y_j - c)^T about their mean c act on a point
at y = c + R, to second order in y_j - c, by (S = v R, M = 2 k1 Q, t = k1 tr Q)

    sum_j w          = w (N - v t / k1 + S M S)
    force = -1/2 grad = w v ((N - v t + k2 S M S) R - M S).

Each lane is one point and adds up by itself: its bits do not depend on the other lanes.
The intrinsics are made once for the plane and once for space.
"""

# Compiled functions carry no annotations: their types stand in the kernels that call them.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 16
ALL = (1 << LANES) - 1
WIDTH = 16  # of a row of cells: N, t, c as a float32, the rest of c, M row by row, ..
COUNT, TRACE, CENTRE = 0, 1, 2

_INT = ir.IntType(64)
_INT32 = ir.IntType(32)
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(_INT32, LANES)
# log2(1 + f) / f for 1 + f in [sqrt(1/2), sqrt(2)], and (2^f - 1) / f for f in [0, 1).
_LOG2 = (
    *(1.4426950, -0.72134733, 0.48089820, -0.36069664, 0.28856888),
    *(-0.23961905, 0.20457529, -0.19102497, 0.18631209, -0.11020159),
)
_EXP2 = (0.69314718, 0.24022722, 0.055495936, 0.0096524404, 0.0012689352, 0.00020829192)


def _int(value: int) -> Any:
    return ir.Constant(_INT, value)


def _same(value: float) -> Any:
    return ir.Constant(_VECTOR, [value] * LANES)


def _same_int(value: int) -> Any:
    return ir.Constant(_INTS, [value] * LANES)


class _Vectors:
    """The few instructions that are needed, on vectors of `LANES` float32."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder

    def array(self, kind: Any, value: Any) -> Any:
        return self.context.make_array(kind)(self.context, self.builder, value)

    def at(self, array: Any, row: Any, column: Any) -> Any:
        """Pointer to array[row, column]."""
        width = self.builder.extract_value(array.shape, 1)
        offset = self.builder.add(self.builder.mul(row, width), column)
        return self.builder.gep(array.data, [offset])

    def load(self, pointer: Any) -> Any:
        return self.builder.load(self.builder.bitcast(pointer, _VECTOR.as_pointer()), align=4)

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(value, self.builder.bitcast(pointer, _VECTOR.as_pointer()), align=4)

    def broadcast(self, scalar: Any) -> Any:
        nothing = ir.Constant(ir.VectorType(scalar.type, LANES), ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, ir.Constant(_INT32, 0))
        return self.builder.shuffle_vector(first, nothing, _same_int(0))

    def call(self, name: str, *arguments: Any) -> Any:
        """An instruction of LLVM's that acts lane by lane."""
        name = f"llvm.{name}.v{LANES}f32"
        function = self.builder.module.globals.get(name)
        if function is None:
            kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(arguments))
            function = ir.Function(self.builder.module, kind, name)
        return self.builder.call(function, arguments)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a * b + c, in one step where the CPU has one."""
        return self.call("fmuladd", a, b, c)

    def dot(self, a: list[Any], b: list[Any]) -> Any:
        total = self.builder.fmul(a[0], b[0])
        for x, y in zip(a[1:], b[1:], strict=True):
            total = self.fma(x, y, total)
        return total

    def polynomial(self, x: Any, coefficients: tuple[float, ...]) -> Any:
        total = _same(coefficients[-1])
        for c in coefficients[-2::-1]:
            total = self.fma(total, x, _same(c))
        return total

    def power(self, x: Any, exponent: Any) -> Any:
        """x^exponent for x in [0, 1], 0 below 2^-126: exponent bits and two polynomials."""
        b = self.builder
        bits = b.bitcast(x, _INTS)
        whole = b.ashr(b.sub(bits, _same_int(0x3F3504F3)), _same_int(23))
        mantissa = b.bitcast(b.sub(bits, b.shl(whole, _same_int(23))), _VECTOR)
        f = b.fsub(mantissa, _same(1.0))
        log2 = self.fma(f, self.polynomial(f, _LOG2), b.sitofp(whole, _VECTOR))
        t = b.fmul(log2, exponent)
        there = b.fcmp_ordered(">", t, _same(-126.0))
        t = b.select(there, t, _same(0.0))
        floor = self.call("floor", t)
        f = b.fsub(t, floor)
        mantissa = self.fma(f, self.polynomial(f, _EXP2), _same(1.0))
        shift = b.shl(b.add(b.fptosi(floor, _INTS), _same_int(127)), _same_int(23))
        return b.select(there, b.fmul(mantissa, b.bitcast(shift, _VECTOR)), _same(0.0))


class _Dof:
    """The kernel and its constants for some degrees of freedom; None stands for 1."""

    def __init__(self, v: _Vectors, dof: Any) -> None:
        self.v, self.dof = v, None if dof is None else v.broadcast(dof)
        one, two = _same(1.0), _same(2.0)
        self.inverse, self.k2, self.less = one, _same(3.0), _same(-0.5)
        if self.dof is not None:
            b = v.builder
            self.inverse = b.fdiv(one, self.dof)
            self.k2 = b.fdiv(b.fadd(self.dof, two), self.dof)
            self.less = b.fneg(b.fdiv(self.dof, b.fadd(self.dof, one)))

    def __call__(self, apart: list[Any]) -> tuple[Any, Any]:
        """v and w."""
        v, b = self.v, self.v.builder
        if self.dof is None:
            square = _same(1.0)
            for x in apart:
                square = v.fma(x, x, square)
            inverse = b.fdiv(_same(1.0), square)
            return inverse, inverse
        square = v.fma(v.dot(apart, apart), self.inverse, _same(1.0))
        inverse = b.fdiv(_same(1.0), square)
        return inverse, v.power(inverse, self.dof)


class _Sums:
    """Forces by axis and the sum of w, in registers while a list is gone through."""

    def __init__(self, v: _Vectors, array: Any, row: Any, count: int) -> None:
        self.v, self.array, self.row = v, array, row
        self.totals = [cgutils.alloca_once(v.builder, _VECTOR) for _ in range(count)]
        for total in self.totals:
            v.builder.store(_same(0.0), total)

    def add(self, k: int, a: Any, b: Any) -> None:
        total = self.totals[k]
        self.v.builder.store(self.v.fma(a, b, self.v.builder.load(total)), total)

    def finish(self) -> None:
        """Add the sums of one list to those of all: short sums round less than a long one."""
        v, b = self.v, self.v.builder
        for k, total in enumerate(self.totals):
            to = v.at(self.array, b.add(self.row, _int(k)), _int(0))
            v.store(b.fadd(v.load(to), b.load(total)), to)


def _for_dof(builder: Any, dof: Any, loop: Callable[[Any], None]) -> None:
    """The loop without a power if dof is 1, else the one with it."""
    is_one = builder.fcmp_ordered("==", dof, ir.Constant(ir.FloatType(), 1.0))
    with builder.if_else(is_one) as (then, otherwise):
        with then:
            loop(None)
        with otherwise:
            loop(dof)


def _lanes(builder: Any, bits: Any) -> Any:
    return builder.bitcast(builder.trunc(bits, ir.IntType(LANES)), ir.VectorType(ir.IntType(1), 16))


def _make_points(d: int) -> Any:
    @intrinsic
    def repel(_typing, others, first, last, points, at, itself, lanes, dof, sums, row):
        """Others ``first .. last - 1`` on the points from ``at`` on, into sums[row:row + d + 1].

        Lane t leaves out number ``itself + t`` of the others, and all not in ``lanes`` (bits).
        """

        def generate(context, builder, signature, arguments):
            v = _Vectors(context, builder)
            others, points, out = (v.array(signature.args[k], arguments[k]) for k in (0, 3, 8))
            first, last = arguments[1:3]
            targets = [v.load(v.at(points, _int(a), arguments[4])) for a in range(d)]
            own = v.broadcast(builder.trunc(arguments[5], _INT32))
            own = builder.add(own, ir.Constant(_INTS, list(range(LANES))))
            wanted = _lanes(builder, arguments[6])

            def loop(dof: Any) -> None:
                weigh, sums = _Dof(v, dof), _Sums(v, out, arguments[9], d + 1)
                with cgutils.for_range_slice(builder, first, last, _int(1), intp=_INT) as (j, _):
                    places = [v.broadcast(builder.load(v.at(others, _int(a), j))) for a in range(d)]
                    apart = [builder.fsub(x, y) for x, y in zip(targets, places, strict=True)]
                    inverse, weight = weigh(apart)
                    j32 = v.broadcast(builder.trunc(j, _INT32))
                    counts = builder.and_(wanted, builder.icmp_signed("!=", own, j32))
                    weight = builder.select(counts, weight, _same(0.0))
                    sums.add(d, weight, _same(1.0))
                    weight = builder.fmul(weight, inverse)
                    for a in range(d):
                        sums.add(a, weight, apart[a])
                sums.finish()

            _for_dof(builder, arguments[7], loop)
            return context.get_dummy_value()

        i, f = types.int64, types.float32
        return types.void(others, i, i, points, i, i, i, f, sums, i), generate

    return repel


def _make_cells(d: int) -> Any:
    @intrinsic
    def repel(_typing, cells, names, count, points, at, lanes, dof, sums, row):
        """Cells ``names[:count]`` on the points from ``at`` on, into sums[row:row + d + 1]."""

        def generate(context, builder, signature, arguments):
            v = _Vectors(context, builder)
            cells, names, points, out = (
                v.array(signature.args[k], arguments[k]) for k in (0, 1, 3, 7)
            )
            targets = [v.load(v.at(points, _int(a), arguments[4])) for a in range(d)]
            wanted = _lanes(builder, arguments[5])

            def loop(dof: Any) -> None:
                weigh, sums = _Dof(v, dof), _Sums(v, out, arguments[8], d + 1)
                with cgutils.for_range(builder, arguments[2]) as step:
                    name = builder.load(builder.gep(names.data, [step.index]))
                    cell = v.at(cells, builder.sext(name, _INT), _int(0))
                    _act(v, cell, targets, wanted, weigh, sums)
                sums.finish()

            _for_dof(builder, arguments[6], loop)
            return context.get_dummy_value()

        i, f = types.int64, types.float32
        return types.void(cells, names, i, points, i, i, f, sums, i), generate

    return repel


def _act(v: _Vectors, cell: Any, targets: list[Any], wanted: Any, weigh: _Dof, sums: _Sums) -> None:
    """One cell on sixteen points."""
    b, axes = v.builder, range(len(targets))
    d = len(targets)

    def entry(k: int) -> Any:
        return v.broadcast(b.load(b.gep(cell, [_int(k)])))

    apart = []
    for a in axes:
        rough = b.fsub(targets[a], entry(CENTRE + a))
        apart.append(b.fsub(rough, entry(CENTRE + d + a)))
    inverse, weight = weigh(apart)
    weight = b.select(wanted, weight, _same(0.0))
    moments, k = {}, CENTRE + 2 * d
    for row in axes:
        for column in range(row + 1):
            moments[row, column] = moments[column, row] = entry(k)
            k += 1
    scaled = [b.fmul(inverse, x) for x in apart]
    turned = [v.dot([moments[row, column] for column in axes], scaled) for row in axes]
    bent = v.dot(scaled, turned)
    spread = b.fmul(inverse, entry(TRACE))
    sums.add(d, weight, b.fadd(v.fma(spread, weigh.less, entry(COUNT)), bent))
    along = b.fsub(v.fma(bent, weigh.k2, entry(COUNT)), spread)
    weight = b.fmul(weight, inverse)
    for a in axes:
        sums.add(a, weight, b.fsub(b.fmul(along, apart[a]), turned[a]))


points_2d, points_3d = _make_points(2), _make_points(3)
cells_2d, cells_3d = _make_cells(2), _make_cells(3)
