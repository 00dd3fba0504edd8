"""The matrix product of any two ranks, which all frameworks spell alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from foveal.ir import ops
from foveal.ir.graph import Graph


@lru_cache(maxsize=1024)
def matmul_op(a: int, b: int) -> ops.Contract:
    """The product of operands of ``a`` and ``b`` axes, batch axes aligned at the end."""
    summed, row, column = 1000, 1001, 1002
    first = (summed,) if a == 1 else (*range(20 - (a - 2), 20), row, summed)
    second = (summed,) if b == 1 else (*range(20 - (b - 2), 20), summed, column)
    batch = tuple(range(20 - max(a - 2, b - 2, 0), 20))
    out = (*batch, *((row,) if a > 1 else ()), *((column,) if b > 1 else ()))
    return ops.Contract((first, second), out)


ORIGIN = "transform back from a product of spectra"
MOVES = (ops.Expand, ops.Reshape, ops.Permute, ops.Slice, ops.Pad, ops.Take, ops.Gather, ops.Roll, ops.Flip, ops.Place,
         ops.Concatenate, ops.Select)  # fmt: skip
LINEAR = frozenset(("add", "subtract", "negative", "complex", "real", "imag", "conj_physical", "clone"))


def undone(graph: Graph, value: int, moves: Callable[[int], bool]) -> bool:
    """Whether a spectrum is one that a transform made, or a sum or product of such: going back may undo it. A spectrum
    times free weights, or by what a network makes of it, is dense in positions. ``moves``: a source can change it.
    """
    makers = {node.output: node for node in graph.nodes}

    def transformed(value: int) -> bool:
        """Of a factor that no source moves: made by a transform, or known by value."""
        node = makers.get(value)
        if node is None:
            return graph.values[value].kind == "constant"
        return _forward(node.op) or all(transformed(i) for i in node.inputs)

    def cancels(value: int) -> bool:
        node = makers.get(value)
        if node is None:
            return False
        if _forward(node.op):
            return True
        sources, rest = [i for i in node.inputs if moves(i)], [i for i in node.inputs if not moves(i)]
        if isinstance(node.op, MOVES) or (isinstance(node.op, ops.Pointwise) and node.op.name in LINEAR):
            return any(cancels(i) for i in sources)
        if isinstance(node.op, ops.Pointwise) and node.op.name in ("multiply", "divide"):
            return all(cancels(i) for i in sources) and all(transformed(i) for i in rest)
        return False

    return cancels(value)


def _forward(op: ops.Operation) -> bool:
    return isinstance(op, (ops.Mix, ops.Reduce)) and op.name == "fft"
