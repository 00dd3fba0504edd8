"""A softmax does not see a number that is added to its whole row: such a number is not read by way of it.

``z - z.max()`` before a mask and a softmax is the usual case: the maximum depends on every score, the weights do not.
What the softmax alone sees is made once more without it; the layers that the model names stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from foveal.ir import ops
from foveal.ir.fixed import UNDERFLOW
from foveal.ir.graph import Graph, Node, Value

SEEING = {"softmax", "log_softmax", "divide"}
KINDS = (ops.Mix, ops.Pointwise)
SAME = ("identity", "cast", "clone", "contiguous")
LONGEST = 6
"""Steps between a sum of exponentials and what is divided by it."""


def without_shifts(graph: Graph) -> Graph:
    """The graph in which every softmax reads its scores without what is added to whole rows of them."""
    if SEEING.isdisjoint([node.op.name for node in graph.nodes if isinstance(node.op, KINDS)]):
        return graph
    walk = _Walk(graph)
    nodes: list[Node] = []
    places: list[int] = []
    for place, node in enumerate(graph.nodes):
        inputs = walk.blind(node)
        nodes += walk.fresh
        places += [place] * len(walk.fresh)
        nodes.append(node if inputs is None else node._replace(inputs=inputs))
        walk.makers[node.output] = nodes[-1]
    if places:
        graph.nodes = nodes
        moved = [note.position + sum(place < note.position for place in places) for note in graph.notes]
        graph.notes = [note._replace(position=at) for note, at in zip(graph.notes, moved, strict=True)]
    return graph


def _turned_over(op: ops.Operation) -> bool:
    """Whether it is one over its operand."""
    if not isinstance(op, ops.Pointwise):
        return False
    return op.name == "reciprocal" or (op.name == "divide" and len(op.numbers) == 2 and op.numbers[0] is not None)


def _keeps(node: Node) -> bool:
    """Whether a factor of all its operand is one of all its result."""
    scales = isinstance(node.op, ops.Pointwise) and node.op.name in (*SAME, "multiply") and len(node.inputs) == 1
    return scales or isinstance(node.op, ops.Reduce | ops.Reshape | ops.Expand)


def _without_expansion(value: int, makers: dict[int, Node]) -> int:
    while value in makers and isinstance(makers[value].op, ops.Expand):
        value = makers[value].inputs[0]
    return value


class _Walk:
    """The nodes so far. fresh: those made anew for the node that is asked about; worth: whether what they leave out
    is more than the softmax reads anyway.
    """

    def __init__(self, graph: Graph) -> None:
        self.values = graph.values
        self.makers: dict[int, Node] = {}
        self.fresh: list[Node] = []
        self.worth = False

    def blind(self, node: Node) -> tuple[int, ...] | None:
        """The operands without shifts of a softmax, or of a division by the sum of what is divided; else None."""
        self.fresh, self.worth, op, count = [], False, node.op, len(self.values)
        found: tuple[int, ...] | None = None
        if isinstance(op, ops.Mix) and op.name in ("softmax", "log_softmax"):
            scores = self._unshifted(node.inputs[0], op.axes)
            found = None if scores is None else (scores,)
        elif isinstance(op, ops.Pointwise) and op.name == "divide" and len(node.inputs) == 2:
            found = self._shares(node.inputs[0], node.inputs[1])
        elif isinstance(op, ops.Pointwise) and op.name == "multiply" and len(node.inputs) == 2:
            found = self._shares(node.inputs[0], node.inputs[1], inverse=True)
            if found is None:
                found = self._shares(node.inputs[1], node.inputs[0], inverse=True)
                found = None if found is None else found[::-1]
        if found is None or not self.worth:
            for again in self.fresh:
                del self.makers[again.output]
            del self.values[count:]
            self.fresh, found = [], None
        return found

    def _shares(self, above: int, below: int, inverse: bool = False) -> tuple[int, int] | None:
        """Of exponentials, or their products with values, over the exponentials' sum; inverse: times what is one over
        that sum.
        """
        chain: list[Node] = []
        maker, rows = self.makers.get(above), _without_expansion(below, self.makers)
        parts = maker.inputs if maker is not None and isinstance(maker.op, ops.Contract) else ()
        while below != above and below not in parts and below in self.makers and len(chain) < LONGEST:
            chain.append(self.makers[below])
            below = chain[-1].inputs[0]
        sums = [one.op for one in chain if isinstance(one.op, ops.Reduce)]
        turns = [one for one in chain if _turned_over(one.op)]
        moves = all(_keeps(one) for one in chain if one not in turns)
        if not moves or len(turns) != inverse or len(sums) != 1 or sums[0].name != "sum":
            return None
        if below == above:
            labels = out = tuple(range(len(self.values[above].shape)))
        elif maker is not None and isinstance(maker.op, ops.Contract) and maker.inputs.count(below) == 1:
            labels, out = maker.op.labels[maker.inputs.index(below)], maker.op.out
        else:
            return None
        if not self._aligned(below, labels, out, sums[0].axes, rows, contracted=below != above):
            return None
        found = self._exponential(below, sums[0].axes)
        if found is None:
            return None
        total = found
        for one in reversed(chain):
            total = self._again(one, total, 0)
        if below == above or maker is None:
            return found, total
        return self._again(maker, found, maker.inputs.index(below)), total

    def _aligned(
        self, value: int, labels: ops.Ints, out: ops.Ints, axes: ops.Ints, rows: int, contracted: bool
    ) -> bool:
        """Whether what is summed is summed in both, and each sum stands beside the row that it was made of."""
        shape, sums = self.values[value].shape, self.values[rows].shape
        kept = [label for axis, label in enumerate(labels) if axis not in axes]
        lengths = {label: 1 if axis in axes else shape[axis] for axis, label in enumerate(labels)}
        if contracted and (any(labels[axis] in out for axis in axes) or [x for x in out if x in kept] != kept):
            return False
        wanted = [lengths.get(label, 1) for label in out]
        return len(sums) <= len(wanted) and [1] * (len(wanted) - len(sums)) + list(sums) == wanted

    def _exponential(self, value: int, axes: ops.Ints) -> int | None:
        """exp of scores, times what they do not decide, without the scores' shifts."""
        node = self.makers.get(value)
        if node is None:
            return None
        op = node.op
        if isinstance(op, ops.Pointwise) and op.name in ("exp", "multiply", *SAME):
            through = self._unshifted if op.name == "exp" else self._exponential
            return self._first(node, range(len(node.inputs)), axes, through, mask=op.name == "multiply")
        if isinstance(op, ops.Select):
            masked = [i for i in (1, 2) if self._is(node.inputs[3 - i], 0.0)]
            return self._first(node, masked, axes, self._exponential, mask=True)
        return None

    def _unshifted(self, value: int, axes: ops.Ints) -> int | None:
        """The value without what is the same along the axes; None where nothing is."""
        node = self.makers.get(value)
        if node is None:
            return None
        op = node.op
        if isinstance(op, ops.Select):
            masked = [i for i in (1, 2) if self._is(node.inputs[3 - i], -np.inf)]
            return self._first(node, masked, axes, self._unshifted, mask=True)
        if not isinstance(op, ops.Pointwise):
            return None
        rank = len(self.values[value].shape)
        alike = [self._alike(i, rank, axes) for i in node.inputs]
        others = [i for i, same in enumerate(alike) if not same]
        if op.name in ("add", "subtract") and others:
            for i, used in enumerate(node.inputs):
                if alike[i] and self.values[used].kind == "computed":
                    self.worth |= not self._largest(used, axes)
                    node = self.makers[self._again(node, self._zeros(self.values[used].shape), i)]
            found = self._first(node, others, axes, self._unshifted, mask=len(others) > 1)
            return found if found is not None or node.output == value else node.output
        above = not op.numbers or op.numbers[0] is None
        if op.name in (*SAME, "multiply") or (op.name == "divide" and others == [0] and above):
            return self._first(node, others, axes, self._unshifted) if len(others) == 1 else None
        return None

    def _first(
        self, node: Node, which: Iterable[int], axes: ops.Ints, through: Callable[..., int | None], mask: bool = False
    ) -> int | None:
        """The node made again with the first of these operands from which a shift can be taken."""
        for i in which:
            if len(self.values[node.inputs[i]].shape) == len(self.values[node.output].shape):
                found = through(node.inputs[i], axes)
                if found is not None:
                    self.worth |= mask
                    return self._again(node, found, i)
        return None

    def _again(self, node: Node, value: int, operand: int) -> int:
        made = len(self.values)
        self.values.append(Value(made, self.values[node.output].shape, "computed"))
        inputs = (*node.inputs[:operand], value, *node.inputs[operand + 1 :])
        self.fresh.append(node._replace(inputs=inputs, output=made))
        self.makers[made] = self.fresh[-1]
        return made

    def _zeros(self, shape: tuple[int, ...]) -> int:
        self.values.append(Value(len(self.values), shape, "constant", np.broadcast_to(np.zeros(()), shape)))
        return len(self.values) - 1

    def _alike(self, value: int, rank: int, axes: ops.Ints) -> bool:
        """Whether the operand is the same along these axes of a result of so many axes."""
        shape = self.values[value].shape
        if all(axis < rank - len(shape) or shape[axis - rank] == 1 for axis in axes):
            return True
        maker = self.makers.get(value)
        return maker is not None and isinstance(maker.op, ops.Expand) and self._alike(maker.inputs[0], rank, axes)

    def _largest(self, value: int, axes: ops.Ints) -> bool:
        """Whether it is the maximum along these axes, which a softmax reads anyway."""
        node = self.makers.get(value)
        while node is not None and isinstance(node.op, ops.Reshape | ops.Expand):
            node = self.makers.get(node.inputs[0])
        largest = node is not None and isinstance(node.op, ops.Reduce) and node.op.name in ("max", "amax")
        return largest and set(node.op.axes) == set(axes)  # type: ignore[union-attr]

    def _is(self, value: int, number: float) -> bool:
        """Whether all its elements are that number; for minus infinity, or so small that no score matters."""
        node = self.makers.get(value)
        while node is not None and len(node.inputs) == 1 and isinstance(node.op, ops.Reshape | ops.Expand):
            value = node.inputs[0]
            node = self.makers.get(value)
        data = self.values[value].data
        if data is None:
            return False
        return bool((data <= -UNDERFLOW).all() if number < 0 else (data == number).all())
