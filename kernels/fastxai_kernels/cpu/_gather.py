"""Places of sixteen points from wherever they lie, each coordinate as one wide value.

The coordinates of a point are loaded together and then separated: quicker than to collect
each by itself, also where the CPU has an instruction for that.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.types.containers import UniTuple
from numba.extending import intrinsic

from ._vectors import _FLOAT, _INT, LANES, _array
from ._wide import _INTS, wide


def _gather(dimensions: int, whole: bool) -> Any:
    """Makes the intrinsic that collects places (n, dimensions), 2 or 4, of sixteen columns."""
    element = ir.IntType(32 * dimensions)
    if dimensions == 4:
        element = ir.VectorType(_FLOAT, 4)

    def generate(context, builder, signature, arguments):
        places = _array(context, builder, signature.args[0], arguments[0]).data
        columns = _array(context, builder, signature.args[1], arguments[1]).data
        at = arguments[2]
        found = []
        for t in range(LANES):
            place = builder.add(at, ir.Constant(_INT, t))
            if not whole:
                last = builder.sub(arguments[3], ir.Constant(_INT, 1))
                inside = builder.icmp_signed("<", place, arguments[3])
                place = builder.select(inside, place, last)
            column = builder.sext(builder.load(builder.gep(columns, [place])), _INT)
            start = builder.mul(column, ir.Constant(_INT, dimensions))
            pointer = builder.bitcast(builder.gep(places, [start]), element.as_pointer())
            found.append(builder.load(pointer, align=4))
        parts = _separate(builder, found, dimensions)
        return context.make_tuple(builder, signature.return_type, parts)

    kind, at = UniTuple(wide, dimensions), types.int64

    def gather(_typing, places, columns, first):
        """Those of columns[first : first + 16]."""
        return kind(places, columns, at), generate

    def gather_until(_typing, places, columns, first, stop):
        """Those of columns[first : stop], and the last one's in the lanes that are left."""
        return kind(places, columns, at, at), generate

    return intrinsic(gather if whole else gather_until)


def _separate(builder: Any, found: list[Any], dimensions: int) -> list[Any]:
    """The coordinates of sixteen points, each in a vector of its own."""
    if dimensions == 2:
        kind = ir.VectorType(ir.IntType(64), LANES)
        pairs = ir.Constant(kind, ir.Undefined)
        for t, pair in enumerate(found):
            pairs = builder.insert_element(pairs, pair, ir.Constant(ir.IntType(32), t))
        joined = builder.bitcast(pairs, ir.VectorType(_FLOAT, 2 * LANES))
    else:
        joined, length = found, dimensions
        while len(joined) > 1:
            length *= 2
            mask = ir.Constant(ir.VectorType(ir.IntType(32), length), list(range(length)))
            joined = [
                builder.shuffle_vector(a, b, mask)
                for a, b in zip(joined[::2], joined[1::2], strict=True)
            ]
        joined = joined[0]
    return [_every(builder, joined, dimensions, first) for first in range(dimensions)]


def _every(builder: Any, vector: Any, step: int, first: int) -> Any:
    lanes = ir.Constant(_INTS, [first + step * t for t in range(LANES)])
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), lanes)


gather_2d = _gather(2, whole=True)
gather_2d_until = _gather(2, whole=False)
gather_4d = _gather(4, whole=True)
gather_4d_until = _gather(4, whole=False)
