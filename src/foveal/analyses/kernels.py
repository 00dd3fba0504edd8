"""Squared weights at work: how a convolution, a transposed convolution and a linear layer carry squared gradients back.

``squares`` are the squared weights in the operation's own layout. With ``whole`` each weight counts, channel by
channel; without it they are averaged over channels first, so that channels stay alike and one weight per tap is left.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from foveal import ops
from foveal import relation as rel
from foveal.analyses.adjoint import Stage, adjoint
from foveal.analyses.algebra import ENERGY, Flow, dense
from foveal.analyses.bounds import bounds
from foveal.analyses.roles import roles
from foveal.graph import Graph, Node

Shape = tuple[int, ...]


def convolved(
    op: ops.Convolution, squares: np.ndarray, flow: Flow, path: tuple[Stage, ...], shape: Shape, whole: bool
) -> Flow:
    """Back through a convolution to its input of ``shape``."""
    before = tuple(low for low, _ in op.padding)
    first = len(shape) - len(op.kernel)
    flow = _out_dense(flow, path, first)
    if not whole:
        flow = _channels_added(flow, path)
        squares = squares.mean(axis=(0, 1), keepdims=True)

    def move(data: np.ndarray, axis: int, tap: int) -> np.ndarray:
        i = axis - first
        return scattered(data, axis, shape[axis], op.stride[i], tap * op.dilation[i] - before[i])

    return _over_taps(flow, squares, op.groups if whole else 1, move, first)


def transposed(
    op: ops.TransposedConvolution, squares: np.ndarray, flow: Flow, path: tuple[Stage, ...], shape: Shape, whole: bool
) -> Flow:
    """Back through a transposed convolution to its input of ``shape``."""
    first = len(shape) - len(op.kernel)
    flow = _out_dense(flow, path, first)
    if not whole:
        flow = _channels_added(flow, path)
        squares = squares.mean(axis=(0, 1), keepdims=True)
    else:
        # (C, O / groups) to the layout of a convolution, (O, C / groups)
        parts = squares.reshape(op.groups, -1, *squares.shape[1:])
        squares = np.concatenate([part.swapaxes(0, 1) for part in parts])

    def move(data: np.ndarray, axis: int, tap: int) -> np.ndarray:
        i = axis - first
        return gathered(data, axis, shape[axis], op.stride[i], tap * op.dilation[i] - op.before[i])

    return _over_taps(flow, squares, op.groups if whole else 1, move, first)


def contracted(
    op: ops.Contract, operand: int, squares: np.ndarray, flow: Flow, graph: Graph, node: Node, whole: bool
) -> Flow:
    """Back through a sum of products with a parameter to the operand that carries the signal."""
    mine, other, out = op.labels[operand], op.labels[1 - operand], op.out
    lengths = dict(zip(mine, graph.values[node.inputs[operand]].shape, strict=True))
    lengths |= {label: n for label, n in zip(other, squares.shape, strict=True) if n > 1 or label not in lengths}
    placed = _positional(graph, node, operand, mine, out)
    kinds = roles(graph)[node.output]
    for axis, label in enumerate(out):
        if label in other and (whole or label in placed):
            flow = dense(flow, axis, lengths[label])
        elif label not in mine:
            flow = ENERGY.total(flow, axis, lengths[label], kinds[axis])
        elif axis in flow.runs:
            flow = dense(flow, axis, lengths[label])
    if not whole:
        merged = tuple(axis for axis, label in enumerate(other) if label not in placed)
        squares = squares.mean(axis=merged, keepdims=True) if merged else squares
    names = {label: i for i, label in enumerate(dict.fromkeys((*mine, *other, *out)))}
    present = [label for label in mine if label in other or label in out]
    data = np.einsum(
        squares, [names[x] for x in other], flow.data, [names[x] for x in out], [names[x] for x in present]
    )
    index = tuple(slice(None) if label in present else None for label in mine)
    return Flow(np.asarray(data[index]), {}, flow.scale)


def scattered(data: np.ndarray, axis: int, n_in: int, stride: int, offset: int) -> np.ndarray:
    """Output o goes to input o * stride + offset; what falls outside is lost."""
    n_out = data.shape[axis]
    first, last = max(0, -(offset // stride)), min(n_out, (n_in - 1 - offset) // stride + 1)
    shape = list(data.shape)
    shape[axis] = n_in
    result = np.zeros(shape)
    if last > first:
        lead: tuple[Any, ...] = (slice(None),) * axis
        start = offset + first * stride
        target = slice(start, start + (last - first - 1) * stride + 1, stride)
        result[(*lead, target)] = data[(*lead, slice(first, last))]
    return result


def gathered(data: np.ndarray, axis: int, n_in: int, stride: int, offset: int) -> np.ndarray:
    """Input i takes output i * stride + offset; zero where there is none."""
    index = np.arange(n_in) * stride + offset
    inside = (index >= 0) & (index < data.shape[axis])
    shape = [1] * data.ndim
    shape[axis] = n_in
    return np.asarray(data.take(np.where(inside, index, 0), axis=axis) * inside.reshape(shape))


def _over_taps(flow: Flow, squares: np.ndarray, groups: int, move: Any, first: int) -> Flow:
    """Sum over taps of the moved contributions, weighted; channels are mixed where ``squares`` has them."""
    taps = squares.shape[2:]
    result: Any = 0.0
    mixing = squares.shape[0] > 1 or squares.shape[1] > 1
    data = dense(flow, 1, squares.shape[0]).data if mixing else flow.data
    for number, tap in enumerate(product(*(range(k) for k in taps))):
        weight = squares.reshape(*squares.shape[:2], -1)[:, :, number]
        if not weight.any():
            continue
        part = _mixed(data, weight, groups) if mixing else data * float(weight[0, 0])
        for i, t in enumerate(tap):
            part = move(part, first + i, t)
        result = result + part
    runs = {axis: ends for axis, ends in flow.runs.items() if axis != 1 or not mixing}
    if isinstance(result, float):
        for i in range(len(taps)):
            data = move(data * 0.0, first + i, 0)
        result = data
    return Flow(np.asarray(result), runs, flow.scale)


def _mixed(data: np.ndarray, weight: np.ndarray, groups: int) -> np.ndarray:
    """Sum over the output channels of each group, (N, O, ...) to (N, C, ...)."""
    n, channels, *space = data.shape
    blocked = data.reshape(n, groups, channels // groups, -1)
    weights = weight.reshape(groups, channels // groups, -1).swapaxes(1, 2)
    return np.asarray((weights[None] @ blocked).reshape(n, -1, *space))


def _out_dense(flow: Flow, path: tuple[Stage, ...], first: int) -> Flow:
    after = path[-1].after if path else ()
    for axis in range(first, len(after)):
        flow = dense(flow, axis, after[axis])
    return flow


def _channels_added(flow: Flow, path: tuple[Stage, ...]) -> Flow:
    """Back through the steps of a window's relation that concern channels."""
    kept = tuple(stage for stage in path if isinstance(stage.step, rel.Blocks))
    return adjoint(tuple(stage.step for stage in kept), flow, kept, ENERGY)


def _positional(graph: Graph, node: Node, operand: int, mine: ops.Ints, out: ops.Ints) -> set[int]:
    """Labels along which positions differ, so that each weight counts even where channels are alike."""
    value = node.inputs[operand]
    kinds, found = roles(graph), set()
    for axis, label in enumerate(mine):
        boxes = [box for state in bounds(graph).states[value].values() for box in state.strict]
        if kinds[value][axis] == "s" or any(hull.data.shape[axis + 1] > 1 for box in boxes for hull in box):
            found.add(label)
    return found | {label for axis, label in enumerate(out) if kinds[node.output][axis] == "s"}
